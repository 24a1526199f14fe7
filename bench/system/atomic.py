"""Files that are either complete or absent."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from uuid import uuid4

# Errors of a disk that is full, or not writable for this user.
DISK_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOTDIR,
    errno.EISDIR,
)

# A temporary file's name has this many characters of the file's name; a file system allows 255 bytes.
LEADING_CHARACTERS = 16

_survives_power_failure = ContextVar("survives_power_failure", default=True)


@contextmanager
def unsynced_files() -> Iterator[None]:
    """Write files in this block, and thread, that need not survive a power failure; each saves some milliseconds."""
    token = _survives_power_failure.set(False)
    try:
        yield
    finally:
        _survives_power_failure.reset(token)


@contextmanager
def replace_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends without an error.

    A reader sees the old file or the new one, never half of it. The folder is created if it is missing. When the block
    raises, `path` is unchanged and the temporary file is removed. That file has a hidden name in the same folder,
    because a rename is atomic only within one file system. An OSError of a disk that is full or not writable names
    `path`, and never the hidden file.
    """
    path = Path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):  # a rename would replace /dev/null by a file
        raise OSError(errno.EINVAL, "it is a device or a pipe, and only regular files are replaced", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:LEADING_CHARACTERS]}.{uuid4().hex}.partial")
    try:
        yield temporary
        if _survives_power_failure.get():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # Libraries that write through a handle, such as pyarrow and Pillow, name no file.
        if error.filename not in (None, str(temporary)):
            raise
        # The system's message: pyarrow's own are about its internals.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, reason, str(path)) from error
    finally:
        with suppress(OSError):  # an error here would hide the original one
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, replacing an existing one; see `replace_atomically`."""
    with replace_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def explain_unwritable(path: Path) -> Iterator[None]:
    """Raise a ValueError that names the path and --out if the block cannot write it."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}; choose another one with --out") from None


def sync_folder(folder: Path) -> None:
    """Make a folder's directory entries survive a power failure; a file's own fsync does not cover its name."""
    if os.name == "posix" and _survives_power_failure.get():
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
