"""A folder that no other user can write to, opened so that no other user can put another in its place.

The content of the cache is run as code: a user who can change a folder on the path could lead elsewhere, and one who
can write a file could plant code. So the path is opened folder by folder, and each is checked once it is open. Windows
gives every user folders of their own, and has no such modes.
"""

import errno
import os
import secrets
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

HAS_MODES = hasattr(os, "getuid") and {os.open, os.stat, os.mkdir, os.chmod} <= os.supports_dir_fd
# A folder on the path may be passable but not readable, as /home often is; O_PATH asks for no more than to pass.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
# A link is not followed out of the folder, and a FIFO does not block.
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_MAX_LINKS = 40


class Folder:
    """An open folder: its files are read and written in it even if its path leads elsewhere by then."""

    def __init__(self, path: Path, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    def read(self, name: str) -> bytes:
        """Return the content of a file; a link raises OSError, and a file that others could write ValueError."""
        with self._open(name, os.O_RDONLY) as file:
            if HAS_MODES:
                _check(os.fstat(file.fileno()), self.path / name, self.path)
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, for the user alone, whatever the umask; an OSError says why not."""
        temporary = f"{name}.{secrets.token_hex(8)}.tmp"
        try:
            with self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
                if HAS_MODES:
                    os.fchmod(file.fileno(), 0o600)
                file.write(content)
            here = self._descriptor
            os.replace(self._at(temporary), self._at(name), src_dir_fd=here, dst_dir_fd=here)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._at(temporary), dir_fd=self._descriptor)

    def _open(self, name: str, flags: int) -> BinaryIO:
        descriptor = os.open(self._at(name), flags | _FILE, 0o600, dir_fd=self._descriptor)
        return os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "rb")

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self.path / name)


@contextmanager
def open_folder(path: Path, *, make: bool = False) -> Iterator[Folder]:
    """Open a folder of the user's own.

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
        If it cannot be opened or made.
    """
    if not HAS_MODES:
        if make:
            path.mkdir(parents=True, exist_ok=True)
        yield Folder(path, None)
        return
    descriptor = _walk(path, make)
    try:
        yield Folder(path, descriptor)
    finally:
        os.close(descriptor)


def _walk(path: Path, make: bool) -> int:
    """Return the descriptor of a folder, after a check of every folder on the path."""
    parts, place, links = deque(path.parts), Path("/"), 0
    here = os.open("/", _PASS)
    try:
        _check(os.fstat(here), place, path)
        while parts:
            name = parts.popleft()
            status = _status(name, here, make)
            if stat.S_ISLNK(status.st_mode):
                _check(status, place / name, path)
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
                parts.extendleft(reversed(Path(os.readlink(name, dir_fd=here)).parts))
                continue
            below = os.open(name, _PASS, dir_fd=here)
            os.close(here)
            here, place = below, place / name
            _check(os.fstat(here), place, path)
        status = os.fstat(here)
        if status.st_uid != os.getuid() or status.st_mode & _OTHERS:
            raise _exposed(status, place, path)
    except BaseException:
        os.close(here)
        raise
    return here


def _status(name: str, parent: int, make: bool) -> os.stat_result:
    """Return the status of the entry of a folder, which is made first if it is missing."""
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
        os.chmod(name, 0o700, dir_fd=parent)  # the umask may have taken from it
    return os.stat(name, dir_fd=parent, follow_symlinks=False)


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
