"""Memory-mapped samples on disk: their layout, and temporary files derived from a mapped table."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

import numpy as np
from rich import filesize

from sgdbench.kernels.base.run import Floats

# The number of rows processed at a time.
ROWS_AT_A_TIME = 2**16
CACHE_DIR_ADVICE = "name another place with --cache-dir (cache_dir)"


def row_slices(rows: int) -> Iterator[slice]:
    """Yield the rows of a table, `ROWS_AT_A_TIME` at a time."""
    return (slice(begin, begin + ROWS_AT_A_TIME) for begin in range(0, rows, ROWS_AT_A_TIME))


def check_room(folder: Path, needed: int) -> None:
    """Refuse columns that do not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        room, size = filesize.decimal(free), filesize.decimal(needed)
        raise ValueError(f"{folder} has room for {room}, and the columns take {size}; {CACHE_DIR_ADVICE}")


def map_new_file(file: IO[bytes], size: int) -> "np.memmap[Any, np.dtype[np.float64]]":
    """Return a memory map of `size` numbers of an empty file; raise OSError if the disk has no space for them.

    The space is allocated at once: a write to a map that finds the disk full would end the process.
    """
    if hasattr(os, "posix_fallocate"):  # missing on macOS and Windows
        os.posix_fallocate(file.fileno(), 0, 8 * size)
    return np.memmap(file, np.float64, "w+", shape=(size,))


def split_numbers(numbers: Floats, rows: int, *, by_row: bool) -> tuple[Floats, Floats]:
    """Return the inputs, shape (n, inputs), stored by column or by row, and the targets, which follow them."""
    inputs, targets = numbers[:-rows], numbers[-rows:]
    return (inputs.reshape(rows, -1) if by_row else inputs.reshape(-1, rows).T), targets


def write_samples(
    pieces: Iterable[tuple[Floats, Floats]], rows: int, like: Floats, folder: Path
) -> tuple[Floats, Floats]:
    """Return memory maps of inputs and targets, given in pieces; their file disappears with the last map.

    Inputs have the layout of the array `like`. The file is created in the folder, or in its parent if it does not
    exist; if these are not writable, in the system's temporary folder. Too little disk space raises a ValueError.
    """
    place = next((near for near in (folder, folder.parent) if os.access(near, os.W_OK)), Path(gettempdir()))
    size = rows * (like.shape[1] + 1)
    check_room(place, 8 * size)
    with TemporaryFile(dir=place) as file:
        numbers = map_new_file(file, size)
    inputs, targets = split_numbers(numbers, rows, by_row=like.flags.c_contiguous)
    begin = 0
    for x, y in pieces:
        end = begin + y.size
        inputs[begin:end], targets[begin:end] = x, y
        begin = end
    return inputs, targets
