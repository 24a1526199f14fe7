"""Folder locks: one process at a time in a folder."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

LOCK_NAME = ".lock"


@contextmanager
def lock_folder(
    folder: Path, name: str = LOCK_NAME, *, announce: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Hold a lock of a folder, which is created if it is missing.

    The operating system releases the lock when the process ends, however it ends. The file stays: if it were removed,
    two processes could hold locks on two files of the same name. Its text describes the holder, for people only.

    If another process holds the lock, or another place in this one, a ValueError names the process, its host and since
    when; with `announce`, that is called with a sentence with these, and the lock is waited for. An OSError names a
    folder that is not writable, or whose file system has no locks.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415 (reading a run needs no lock)

    path = folder / name
    lock = FileLock(path, blocking=False, thread_local=False, preserve_lock_file=True, on_acquired=_write_holder)
    try:
        held = lock.acquire()
    except Timeout:
        holder = path.read_text(encoding="utf-8").strip() or "another process"
        if announce is None:
            raise ValueError(f"{folder} is in use by {holder}: wait for it to end, or choose another folder") from None
        announce(f"Waiting for {holder}, which uses {folder}.")
        held = lock.acquire(blocking=True)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error
    with held:
        try:
            yield
        finally:
            with suppress(OSError):  # the folder may have been removed
                os.truncate(path, 0)


def _write_holder(descriptor: int) -> None:
    since = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {since}\n".encode())
