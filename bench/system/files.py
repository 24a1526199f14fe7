"""Reading of files that a user names: regular files only, because FIFOs and devices may block forever."""

import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from sgdbench.kernels.base.checks import describe

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""The suffixes of tables that are read into memory."""
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_path(name: str, path: object, accepted: str = "a file or a folder") -> Path:
    """Return the path in an argument; raise ValueError unless it is a string or a path, in valid UTF-8."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"{name} must be {accepted}, not {describe(path)}")
    path = Path(path)
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: {describe_bytes(error)}") from None
    return path


def describe_bytes(error: UnicodeEncodeError) -> str:
    """Return the message for a file name that is not UTF-8, which pyarrow and studies cannot hold."""
    near = error.object[max(0, error.start - 30) : error.end + 30]
    return f"{near!r} is not UTF-8: rename the file or the folder"


def check_regular_file(path: Path) -> None:
    """Raise OSError, in words fit for a message, unless the path is a regular file or a link to one."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))


def read_regular_file(path: Path) -> bytes:
    """Return the content of a regular file; raise OSError for any other, or if it cannot be read."""
    check_regular_file(path)
    return path.read_bytes()


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file; raise ValueError, with the name of the file, if the text is not TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        hint = '; text has quotes, as in "mpg", and true and false have none' if "Invalid value" in reason else ""
        raise ValueError(f"{path} is not valid TOML: {reason}{hint}") from None
