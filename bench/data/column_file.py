"""Samples on the disk that are mapped into memory: temporary ones, made of a table that is mapped."""

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from kernels.base.run import Floats

# Rows that are worked on at a time.
ROWS = 2**16


def write_samples(
    pieces: Iterable[tuple[Floats, Floats]], rows: int, inputs: int, folder: Path
) -> tuple[Floats, Floats]:
    """Return memory maps of inputs and targets, given in pieces, whose file is gone when nothing uses the maps.

    The file is in the folder or, where that cannot be written, in the system's temporary folder.
    """
    with TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        columns = np.memmap(file, np.float64, "w+", shape=(rows, inputs + 1), order="F")
    begin = 0
    for x, y in pieces:
        end = begin + y.size
        columns[begin:end, :-1], columns[begin:end, -1] = x, y
        begin = end
    return columns[:, :-1], columns[:, -1]
