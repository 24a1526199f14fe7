"""A figure that fails costs no report."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sgdbench.system.atomic import DISK_ERRORS
from sgdbench.tables.formatting import text


@contextmanager
def skip_failed_figure(name: str) -> Iterator[None]:
    """Leave a figure out if the block raises, and name it with the reason on standard error.

    A disk that is full or cannot be written concerns more than the figure: its error goes on.
    """
    try:
        yield
    except Warning:  # where warnings are errors, that is meant
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"sgdbench: {name} is left out, because it cannot be drawn: {text(reason)}", file=sys.stderr)
