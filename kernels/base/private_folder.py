"""A folder that no other user can write to or replace.

The content of the cache is run as code: a user who can change a folder on its path could redirect it, and one who can
write a file in it could plant code. All folders and links on the path are therefore checked, beginning at the root. A
checked entry stays valid: the folder that holds it was checked before, so other users can neither rename nor remove it.
Windows has no such modes, and gives every user private folders.
"""

import errno
import os
import secrets
import stat
from collections import deque
from contextlib import suppress
from pathlib import Path

HAS_MODES = hasattr(os, "getuid")
# O_NOFOLLOW: links do not lead out of the folder. O_NONBLOCK: opening a FIFO does not block.
_OPEN_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MAX_LINKS = 40


def read_file(path: Path) -> bytes:
    """Return the content of a file in a checked folder.

    Raise OSError for a link, and ValueError for a file that others could write.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | _OPEN_FLAGS), "rb") as file:
        if HAS_MODES:
            _check(os.fstat(file.fileno()), path, path.parent)
        return file.read()


def write_file(path: Path, content: bytes) -> None:
    """Write a file in a checked folder whole or not at all, readable by the user only, whatever the umask."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS, 0o600), "wb") as file:
            if HAS_MODES:
                os.fchmod(file.fileno(), 0o600)
            file.write(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_folder(path: Path, *, make: bool = False) -> None:
    """Check that a folder belongs to the user alone.

    Parameters
    ----------
    path : Path
        Absolute. It may contain links, which are checked too.
    make : bool
        Whether missing folders are created, for the user alone, whatever the umask.

    Raises
    ------
    ValueError
        If another user can write to it or replace it.
    OSError
        If it cannot be found or created.
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
    if status.st_uid != os.getuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise _exposed(status, place, path)


def _status(place: Path, make: bool) -> os.stat_result:
    """Return the status of an entry of a folder, which is created first if it is missing and `make` is true."""
    with suppress(FileNotFoundError):
        return place.lstat()
    if make:
        with suppress(FileExistsError):
            place.mkdir(0o700)
            place.chmod(0o700)  # mkdir applies the umask
    return place.lstat()


def _check(status: os.stat_result, place: Path, path: Path) -> None:
    """Refuse an entry that belongs to neither the user nor root, or that others can write to.

    The mode of a link has no meaning. In a sticky folder, such as /tmp, others can write but not change our entries.
    """
    sticky_folder = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    writable = status.st_mode & _WRITABLE_BY_OTHERS and not sticky_folder and not stat.S_ISLNK(status.st_mode)
    if status.st_uid not in (0, os.getuid()) or writable:
        raise _exposed(status, place, path)


def _exposed(status: os.stat_result, place: Path, path: Path) -> ValueError:
    fault = f"{place} belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):o}"
    return ValueError(
        f"the kernel cache {path} can be written by others, who could have planted code in it ({fault}): delete "
        "it; SGDBENCH_CACHE_DIR can name a folder that only you can write to, below folders that only you or root can"
    )
