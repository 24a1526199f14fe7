"""A folder that no other user can write to, and of which no other user can put another in the place.

The content of the cache is run as code: a user who can change a folder on the path could lead elsewhere, and one who
can write a file could plant code. So all folders and links on the path are checked, from the root on. Each one stays
what it was found to be: the folder that holds it was checked before, and other users can neither rename nor remove
what is in there. Windows gives every user folders of their own, and has no such modes.
"""

import errno
import os
import secrets
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path

HAS_MODES = hasattr(os, "getuid")
# A link is not followed out of the folder, and a FIFO does not block.
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MAX_LINKS = 40


def read_file(path: Path) -> bytes:
    """Return the content of a file in a checked folder.

    A link raises OSError, and a file that others could write ValueError.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _FILE), "rb") as file:
        if HAS_MODES:
            _check(os.fstat(file.fileno()), path, path.parent)
        return file.read()


def write_file(path: Path, content: bytes) -> None:
    """Write a file in a checked folder whole or not at all, for the user alone, whatever the umask."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o600), "wb") as file:
            if HAS_MODES:
                os.fchmod(file.fileno(), 0o600)
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: Path, *, make: bool = False) -> None:
    """Check that a folder is the user's own.

    Parameters
    ----------
    path : Path
        Absolute. It may lead over links, which are checked too.
    make : bool
        Whether missing folders are made, for the user alone, whatever the umask.

    Raises
    ------
    ValueError
        If another user can write to it, or could put another folder in its place.
    OSError
        If it cannot be found or made.
    """
    if not HAS_MODES:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        return
    parts, place, links = deque(path.parts), Path("/"), 0
    while parts:
        entry = place / parts.popleft()
        status = _status(entry, make)
        is_link = stat.S_ISLNK(status.st_mode)
        links += is_link
        if links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        if not (is_link or stat.S_ISDIR(status.st_mode)):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        _check(status, entry, path)
        if is_link:
            parts.extendleft(reversed(entry.readlink().parts))
        else:
            place = entry
    if status.st_uid != os.getuid() or status.st_mode & _OTHERS:
        raise _exposed(status, place, path)


def _status(place: Path, make: bool) -> os.stat_result:
    """Return the status of an entry of a folder, which is made first if it is missing."""
    with suppress(FileNotFoundError):
        return place.lstat()
    if make:
        with suppress(FileExistsError):
            place.mkdir(0o700)
            place.chmod(0o700)  # the umask may have taken from it
    return place.lstat()


def _check(status: os.stat_result, place: Path, path: Path) -> None:
    """Refuse an entry that belongs to neither the user nor root, or that others can write to.

    The mode of a link says nothing. In a sticky folder, such as /tmp, others can write but not change our entries.
    """
    sticky_folder = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    writable = status.st_mode & _OTHERS and not sticky_folder and not stat.S_ISLNK(status.st_mode)
    if status.st_uid not in (0, os.getuid()) or writable:
        raise _exposed(status, place, path)


def _exposed(status: os.stat_result, place: Path, path: Path) -> ValueError:
    fault = f"{place} belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):o}"
    return ValueError(
        f"the kernel cache {path} can be written by others, who could have planted code in it ({fault}): delete "
        "it; SGDBENCH_CACHE_DIR can name a folder that only you can write to, below folders that only you or root can"
    )
