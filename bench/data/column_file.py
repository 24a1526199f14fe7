"""Columns on the disk that are mapped into memory: temporary ones, for what is made of a table that is mapped."""

import os
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from kernels.base.run import Floats

# Rows that are worked on at a time.
ROWS = 2**16


def temporary_columns(folder: Path, rows: int, columns: int) -> Floats:
    """Return a memory map of that many columns, one after the other, whose file is gone when nothing uses the map.

    Parameters
    ----------
    folder : Path
        Where the file lies; where it cannot be written, the system's temporary folder takes its place.
    rows, columns : int
    """
    with TemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        return np.memmap(file, np.float64, "w+", shape=(rows, columns), order="F")
