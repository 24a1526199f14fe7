"""Messages about a run that ends before its report: its results are safe, and how to continue."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sgdbench.commands.signals import is_interrupted
from sgdbench.system.atomic import DISK_ERRORS


@contextmanager
def explain_resuming(folder: Path, finished: str = "what is done is kept") -> Iterator[None]:
    """Print how to continue if the block, which trains, is interrupted."""
    try:
        yield
    except BaseException as error:
        if is_interrupted() or isinstance(error, KeyboardInterrupt):
            print(f"sgdbench: {finished} in {folder}; --resume continues from there", file=sys.stderr)
        raise


@contextmanager
def explain_report(folder: Path) -> Iterator[None]:
    """Print how to continue if the block, which follows training, is interrupted or cannot write to the disk.

    The error of a disk that is full or not writable becomes a ValueError that names the file, and how to get the
    report.
    """
    try:
        with explain_resuming(folder, "all configurations are trained and kept"):
            yield
    except OSError as error:
        if error.errno not in DISK_ERRORS or is_interrupted():
            raise
        remedy = f"`sgdbench report {shlex.quote(str(folder))}`"
        raise ValueError(
            f"{error.filename or folder} cannot be written: {error.strerror}; all results are safe in {folder}: once "
            f"it can be written, {remedy} makes the report of what is there, and --resume also measures what is missing"
        ) from error
