"""The private cache folder on disk, which keeps derived programs and compiled kernels between processes.

Every file ends in a line with its checksum (`sgdbench.kernels.base.checksum`), whose owner is the file's name. A file
without the right checksum counts as missing and is made anew.
"""

import os
import tempfile
import warnings
from contextlib import suppress
from functools import cache as once
from pathlib import Path

from platformdirs import user_cache_path

from sgdbench.kernels.base.checksum import LAST_LINE, add_checksum, find_flaw
from sgdbench.kernels.base.private_folder import check_folder, read_file, write_file


@once
def folder() -> Path | None:
    """Return the cache folder, created if it is missing, or None if it cannot be written.

    The folder is `SGDBENCH_CACHE_DIR` if that is set, otherwise `sgdbench` in the user's cache directory. It holds code
    that is run, so only the user may write to it, and only the user or root to the folders above it.

    Raises
    ------
    ValueError
        If others own the folder, can write to it, or could replace it.
    """
    named = os.environ.get("SGDBENCH_CACHE_DIR")
    path = Path(named).absolute() if named else user_cache_path("sgdbench", appauthor=False).absolute()
    try:
        check_folder(path, make=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        warnings.warn(
            f"the kernel cache {path} cannot be written ({error.strerror}): kernels are compiled anew in every "
            "process; SGDBENCH_CACHE_DIR can name another folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def read_bytes(name: str) -> bytes | None:
    """Return the content stored under a name, or None if it is missing or damaged.

    Raise ValueError if another user could have written it.
    """
    path = folder()
    if path is None:
        return None
    try:
        check_folder(path)
        stored = read_file(path / name)
    except OSError:
        return None
    return None if find_flaw(stored, name.encode()) else stored[: -len(LAST_LINE)]


def write_bytes(name: str, content: bytes) -> None:
    """Write bytes whole or not at all, if there is a folder.

    Raise OSError if they cannot be written, and ValueError if another user can write to the folder.
    """
    path = folder()
    if path is not None:
        check_folder(path)
        write_file(path / name, add_checksum(content + LAST_LINE, name.encode()))


def read(name: str) -> str | None:
    """Return the text stored under a name, or None as `read_bytes` does."""
    content = read_bytes(name)
    return None if content is None else content.decode("utf-8")


def write(name: str, text: str) -> None:
    """Write a text whole or not at all, if there is a folder with room for it."""
    with suppress(OSError):
        write_bytes(name, text.encode("utf-8"))
