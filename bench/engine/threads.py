"""Execution of tasks in threads; the kernels release the GIL, so that they run in parallel."""

import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event, Thread
from threading import enumerate as enumerate_threads
from typing import TypeVar

from sgdbench.system.environment import processors

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_in_threads(
    work: Callable[[Task], Result], tasks: Iterable[Task], stop: Event, *, threads: int | None = None
) -> Generator[Result]:
    """Do the tasks in threads, one per processor, and yield their results as they arrive.

    Few tasks wait at a time, so that memory does not grow with their number. When the caller stops early, by Ctrl-C or
    otherwise, `stop` is set for the running tasks, and no other starts. `work` releases the GIL while it computes, and
    returns soon after `stop` is set.
    """
    threads = threads or processors()
    todo = iter(tasks)
    name = f"sgdbench-{id(stop)}-"
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            waiting: set[Future[Result]] = {pool.submit(work, task) for task in islice(todo, 2 * threads)}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {pool.submit(work, task) for task in islice(todo, len(done))}
                # Failed tasks come last, so that results that arrived with them are not lost.
                for future in sorted(done, key=lambda future: future.exception() is not None):
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # first, or a stopped thread would take the next task
            stop.set()
            pool.shutdown()
            # Ctrl-C while the pool starts a thread leaves that thread unknown to the pool, which only waits for others.
            for thread in enumerate_threads():
                if thread.name.startswith(name):
                    join_when_started(thread)


def join_when_started(thread: Thread, attempts: int = 100) -> None:
    """Wait for the end of a thread that may not have started yet.

    Python refuses to wait for such a thread. After a second it never will start, because Ctrl-C came first.
    """
    for _ in range(attempts):
        try:
            thread.join()
        except RuntimeError:
            time.sleep(0.01)
        else:
            return
