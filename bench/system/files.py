"""Files that a user names are read only where they end: a device or a pipe may never do so."""

import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular_file(path: Path) -> None:
    """Refuse what is not a regular file or a link to one.

    Raises
    ------
    OSError
        If it is something else, in words fit for a message, or is not there.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))


def read_regular_file(path: Path) -> bytes:
    """Return the content of a regular file.

    Raises
    ------
    OSError
        As from `check_regular_file`, or if it cannot be read.
    """
    check_regular_file(path)
    return path.read_bytes()
