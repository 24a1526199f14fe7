"""The private folder on disk that keeps derived programs and compiled kernels between processes."""

import os
import stat
import tempfile
import warnings
from contextlib import suppress
from functools import cache as once
from pathlib import Path

from platformdirs import user_cache_path


@once
def folder() -> Path | None:
    """Return the cache folder, made if it is missing, or None where none can be written.

    `SGDBENCH_CACHE_DIR` names it; without that it is `sgdbench` in the cache directory of the user on this system. It
    holds code that is loaded, so it must belong to the user alone.

    Raises
    ------
    ValueError
        If others can write to the folder, or own it.
    """
    path = _configured_folder()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        warnings.warn(
            f"the kernel cache {path} cannot be written ({error.strerror}): kernels are compiled anew in every "
            "process; SGDBENCH_CACHE_DIR can name another folder",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise ValueError(
            f"the kernel cache {path} can be written by others, who could plant code there: "
            "`chmod 700` it, or let SGDBENCH_CACHE_DIR name a folder that only you can write"
        )
    return path


def _configured_folder() -> Path:
    if named := os.environ.get("SGDBENCH_CACHE_DIR"):
        return Path(named).absolute()
    return user_cache_path("sgdbench", appauthor=False)


def read(name: str) -> str | None:
    """Return the text stored under a name, or None. What is damaged is read as it is."""
    path = folder()
    if path:
        with suppress(OSError):
            return (path / name).read_text(encoding="utf-8", errors="replace")
    return None


def write(name: str, text: str) -> None:
    """Store a text whole or not at all: not where there is no folder, or no room in it."""
    path = folder()
    if path:
        with suppress(OSError):
            handle, temporary = tempfile.mkstemp(dir=path, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(temporary, path / name)
            finally:
                Path(temporary).unlink(missing_ok=True)
