"""Standard input, output and error that do not fail, whatever the shell connected them to.

A closed pipe must not cost a report.
"""

import errno
import io
import os
import sys
from typing import Any

# Of a reader that has gone, such as `head`, or of a terminal that was closed.
_READER_GONE = (errno.EPIPE, errno.EIO)


class _LossyFile(io.FileIO):
    """A file that drops output that cannot be written; `failure` is then the error."""

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
    """Make the standard streams safe to use.

    - A stream that is closed, as by ``>&-``, is connected to nothing: else the next file to be opened took its number.
    - Characters that the terminal lacks are replaced.
    - Output to a pipe whose reader has gone is dropped.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # The lowest number that is free, and so, in this order, that of the stream.
            handle = os.open(os.devnull, os.O_RDONLY if name == "stdin" else os.O_WRONLY)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(handle, mode, encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
        elif name != "stdin" and getattr(sys, name) is getattr(sys, f"__{name}__"):
            setattr(sys, name, _make_lossy(getattr(sys, name)))


def _make_lossy(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return the stream with characters replaced and errors of writing dropped."""
    # In UTF-8, "surrogateescape" gives file names back as the bytes that they are, and fails for nothing else.
    fails = stream.errors == "strict" or (stream.errors == "surrogateescape" and stream.encoding.lower() != "utf-8")
    errors = "replace" if fails else stream.errors
    unbuffered = isinstance(stream.buffer, io.RawIOBase)  # by PYTHONUNBUFFERED
    if not isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO):  # such as Windows' console
        stream.reconfigure(errors=errors)
        return stream
    stream.flush()
    raw: Any = _LossyFile(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def lost_output() -> str | None:
    """Return the error that made standard output incomplete, such as a full disk; None if there was none."""
    sys.stdout.flush()
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    failure = raw.failure if isinstance(raw, _LossyFile) else None
    return failure.strerror if failure and failure.errno not in _READER_GONE else None


def format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    """Return a warning as one line, without the line of code that warns."""
    return f"sgdbench: warning: {one_line(str(message))}\n"


def one_line(message: str) -> str:
    """Return a message without characters that break the line or move the cursor: names in it come from users."""
    return "".join(character if character.isprintable() else " " for character in message)
