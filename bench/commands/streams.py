"""Standard output and error: what becomes of characters that a terminal lacks, of warnings, and of closed pipes."""

import io
import os
import sys


def prepare_streams() -> None:
    """Connect streams that are closed, as by ``>&-``, to nothing, and let no character fail."""
    for name in ("stdin", "stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # else the next file to be opened would take its number
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
        elif name != "stdin" and isinstance(stream, io.TextIOWrapper):  # a notebook, or a test, may put its own here
            # In UTF-8, "surrogateescape" gives file names back as the bytes that they are.
            stream.reconfigure(errors="surrogateescape" if stream.encoding.lower() == "utf-8" else "replace")


def discard_lost_output() -> None:
    """Discard output that cannot be written: Python would fail once more at its end (see its note on SIGPIPE)."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def format_warning(message: Warning | str, *_: object, **__: object) -> str:
    """Return a warning as one line, without the line of code that warns."""
    return f"sgdbench: warning: {one_line(str(message))}\n"


def one_line(message: str) -> str:
    """Return a message without characters that break the line or move the cursor: names in it come from users."""
    return "".join(character if character.isprintable() else " " for character in message)
