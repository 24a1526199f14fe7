"""Samples on the disk that are mapped into memory: temporary ones, made of a table that is mapped."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

import numpy as np

from kernels.base.run import Floats

# Rows that are worked on at a time.
ROWS = 2**16


def row_slices(rows: int) -> Iterator[slice]:
    """Yield the rows of a table, `ROWS` at a time."""
    return (slice(begin, begin + ROWS) for begin in range(0, rows, ROWS))


def check_room(folder: Path, needed: int) -> None:
    """Refuse columns that the disk has no room for."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"{folder} has room for {free / 1e9:,.1f} GB, and the columns take {needed / 1e9:,.1f} GB; name another "
            "place with --cache-dir (cache_dir)"
        )


def write_samples(
    pieces: Iterable[tuple[Floats, Floats]], rows: int, inputs: int, folder: Path
) -> tuple[Floats, Floats]:
    """Return memory maps of inputs and targets, given in pieces, whose file is gone when nothing uses the maps.

    The file is in the folder, or the one above where it does not exist; where these cannot be written, in the system's
    temporary folder. A disk without room for it is a ValueError.
    """
    place = next((near for near in (folder, folder.parent) if os.access(near, os.W_OK)), Path(gettempdir()))
    check_room(place, 8 * rows * (inputs + 1))
    with TemporaryFile(dir=place) as file:
        columns = np.memmap(file, np.float64, "w+", shape=(rows, inputs + 1), order="F")
    begin = 0
    for x, y in pieces:
        end = begin + y.size
        columns[begin:end, :-1], columns[begin:end, -1] = x, y
        begin = end
    return columns[:, :-1], columns[:, -1]
