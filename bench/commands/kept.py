"""What is said of the results of a run that ends before its report: they are safe, and how to go on."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.commands.interrupts import is_interrupt
from bench.system.atomic import DISK_ERRORS


@contextmanager
def keep_parts(folder: Path) -> Iterator[None]:
    """Say how to go on where the block, which trains, is interrupted."""
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            print(f"sgdbench: what is done is kept in {folder}; --resume goes on from there", file=sys.stderr)
        raise


@contextmanager
def keep_results(folder: Path) -> Iterator[None]:
    """Say how to go on where the block, which comes after the training, is interrupted or finds no room on the disk.

    Raises
    ------
    ValueError
        In place of the error of a disk that is full or cannot be written: names the file, and says what brings the
        report.
    """
    try:
        yield
    except BaseException as error:
        if is_interrupt(error):
            print(
                f"sgdbench: all configurations are trained and kept in {folder}; --resume goes on from there",
                file=sys.stderr,
            )
            raise
        if not isinstance(error, OSError) or error.errno not in DISK_ERRORS:
            raise
        remedy = f"`sgdbench report {shlex.quote(str(folder))}`"
        raise ValueError(
            f"{error.filename or folder} cannot be written: {error.strerror}; all results are safe in {folder}: once "
            f"it can be written, {remedy} makes the report of what is there, and --resume also measures what is missing"
        ) from error
