"""Where blocks of configurations are trained: in threads, which the kernels let run side by side."""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from threading import enumerate as enumerate_threads
from typing import TypeVar

from bench.system.environment import processors

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_in_threads(
    work: Callable[[Task], Result], jobs: Iterable[Task], stop: Event, *, threads: int | None = None
) -> Generator[Result]:
    """Do the jobs in threads and yield their results as they come.

    Whoever is free takes the next job, and only a few wait, so that the memory does not grow with their number. When
    the caller stops early, by Ctrl-C or otherwise, `stop` is set for the jobs that still run, and no other begins.

    Parameters
    ----------
    work : callable
        Releases the GIL while it computes, and returns soon after `stop` is set.
    threads : int, optional
        As many as there are processors, without it.
    """
    threads = threads or processors()
    todo = iter(jobs)
    name = f"sgdbench-{id(stop)}-"
    with ThreadPoolExecutor(threads, thread_name_prefix=name) as pool:
        try:
            waiting: set[Future[Result]] = {pool.submit(work, job) for job in islice(todo, 2 * threads)}
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {pool.submit(work, job) for job in islice(todo, len(done))}
                for future in done:
                    yield future.result()
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            # Ctrl-C while the pool starts a thread leaves that one unknown to the pool, which waits for others only.
            for thread in enumerate_threads():
                if thread.name.startswith(name):
                    thread.join()
