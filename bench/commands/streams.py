"""Standard output and error: characters that a terminal lacks, warnings, and closed pipes."""

import io
import os
import sys


def prepare_streams() -> None:
    """Connect closed streams, as after ``>&-``, to the null device, and let no character fail."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # otherwise the next opened file would get its number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):  # a notebook or a test may replace it
            # In UTF-8, "surrogateescape" reproduces the bytes of file names.
            stream.reconfigure(errors="surrogateescape" if stream.encoding.lower() == "utf-8" else "replace")


def discard_lost_output() -> None:
    """Discard output that cannot be written: Python would fail again at exit (see its note on SIGPIPE)."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_warning(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning as one line, without the source line."""
    return f"sgdbench: warning: {one_line(str(message))}\n"


def one_line(message: str) -> str:
    """Return a message without characters that break the line or move the cursor: it may quote user input."""
    return "".join(character if character.isprintable() else " " for character in message)
