"""Standard input, output and error that a command can rely on, whatever the shell connected them to.

What a command prints is the least of its work: a closed pipe must not cost a report.
"""

import errno
import io
import os
import sys
from typing import Any

# The reader has gone, as `head` does, or the terminal has.
_NOBODY_READS = (errno.EPIPE, errno.EIO)


class _TirelessFile(io.FileIO):
    """A file that takes what is written to it also when it cannot be written any more; `failure` then says why."""

    failure: OSError | None = None

    def write(self, content: bytes) -> int | None:  # type: ignore[override]
        try:
            return super().write(content)
        except OSError as error:
            self.failure = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(content)


def prepare_streams() -> None:
    """Make the standard streams ready for anything.

    - One that is closed, as by ``>&-``, is connected to nothing: the first file to be opened would take its number.
    - Characters that the terminal lacks are replaced.
    - What is written to a pipe whose reader has gone is dropped.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # The lowest number that is free, and so, in this order, that of the stream.
            handle = os.open(os.devnull, os.O_RDONLY if name == "stdin" else os.O_WRONLY)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(handle, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
        elif name != "stdin" and getattr(sys, name) is getattr(sys, f"__{name}__"):
            setattr(sys, name, _tireless(getattr(sys, name)))


def _tireless(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return the stream with replacements and without errors."""
    # In UTF-8, "surrogateescape" gives file names back as the bytes that they are, and fails for nothing else.
    fails = stream.errors == "strict" or (stream.errors == "surrogateescape" and stream.encoding.lower() != "utf-8")
    errors = "replace" if fails else stream.errors
    unbuffered = isinstance(stream.buffer, io.RawIOBase)  # by PYTHONUNBUFFERED
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):  # such as Windows' console
        stream.reconfigure(errors=errors)
        return stream
    stream.flush()
    raw: Any = _TirelessFile(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost_output() -> str | None:
    """Return why standard output is not complete, such as a full disk; None if it is, or it has no reader."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    failure = raw.failure if isinstance(raw, _TirelessFile) else None
    return failure.strerror if failure and failure.errno not in _NOBODY_READS else None


def format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Return a warning as a line for people; the line of the code that warns means nothing to them."""
    return f"sgdbench: warning: {one_line(str(message))}\n"


def one_line(message: str) -> str:
    """Return a message whose names come from users, and must neither break the line nor move the cursor."""
    return "".join(character if character.isprintable() else " " for character in message)
