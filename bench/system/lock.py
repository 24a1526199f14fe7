"""One process at a time in a folder."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

NAME = ".lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which must exist.

    The kernel holds the lock for as long as the process lives, however that ends, so there is nothing stale to clean
    up. The file stays: were it removed, two processes could hold locks on two files of the same name. What it says
    about the holder is for people alone.

    Raises
    ------
    ValueError
        If another process holds the lock, or another place in this one. Names the process, its host and since when.
    OSError
        If the folder cannot be written, or its file system has no locks; names the folder.
    """
    # POSIX; on Windows this would be msvcrt.locking.
    import fcntl  # noqa: PLC0415 (reading a run needs no lock, so it should not need fcntl either)

    # "a": to open the file must not wipe what the holder wrote. flock and not lockf: that lets go of the lock as soon
    # as anything in the process closes the file, and it would not keep two threads apart.
    with _open_lock(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.readline(200).strip() or "another process"
            raise ValueError(f"{folder} is in use by {holder}: wait for it to end, or choose another folder") from None
        file.truncate(0)
        since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _open_lock(folder: Path) -> TextIO:
    """Return the file of the lock; an error names the folder, which is what the user knows."""
    try:
        return (folder / NAME).open("a+", encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
