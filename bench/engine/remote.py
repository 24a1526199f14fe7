"""What a worker of a cluster does: it makes the problem of what was sent, once, and trains jobs of it.

Only modules of Python's own are imported above: a scheduler imports this as well, and trains nothing.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.engine.problem import Problem

Packed = dict[str, Any]


class PackedProblem:
    """A problem as it was sent (`bench.engine.wire.pack_problem`); an object, so that what is made of it goes with it.

    Attributes
    ----------
    content : dict
    """

    def __init__(self, content: Packed) -> None:
        self.content = content


# What is made of the problems that the worker holds. Kernels and rules belong to the process, whose threads share them.
_problems: weakref.WeakKeyDictionary[PackedProblem, Problem] = weakref.WeakKeyDictionary()
_making = threading.Lock()


class OtherPackageError(ValueError):
    """The worker runs another sgdbench."""


def train_jobs(package: str, problem: PackedProblem, jobs: list[Packed]) -> Packed | None:
    """Train some jobs, one after the other, in the thread that a worker calls this in.

    What has to be made first is made before the clock of a job starts: the problem, rules and kernels. Whatever the
    worker has met already is there, so a worker that joins late, or that was started again, needs no other care.

    Parameters
    ----------
    package : str
        The digest of the code that sends this, which must be the one here.
    problem : PackedProblem
    jobs : list
        As from `bench.engine.wire.pack_job`.

    Returns
    -------
    dict or None
        The `runs` of each job, the worker's `address`, and what the `processor` is; None if nobody waits any more.

    Raises
    ------
    OtherPackageError
        If the code is another one.
    """
    from bench.system.sources import source_digest  # noqa: PLC0415

    if source_digest() != package:
        raise OtherPackageError("it runs another sgdbench")
    from distributed import get_worker  # noqa: PLC0415

    from bench.engine.processors import describe_worker  # noqa: PLC0415
    from bench.engine.wire import pack_runs, unpack_job  # noqa: PLC0415
    from kernels.block import compile_kernel  # noqa: PLC0415

    is_cancelled = _cancelled_in(get_worker())
    finished = []
    for packed in jobs:
        with _making:
            made = _make_problem(problem)
            job = unpack_job(packed)
            if job.kernel != "reference":
                compile_kernel(job.kernel, made.model, made.loss, job.optimizer)
        runs = made.train(job, is_cancelled)
        if runs is None:
            return None
        finished.append(pack_runs(runs))
    return {"runs": finished, "address": get_worker().address, "processor": describe_worker()}


def _make_problem(packed: PackedProblem) -> Problem:
    """Return the problem that was sent: made when it is met first, with its arrays where they are."""
    if packed not in _problems:
        from bench.engine.wire import unpack_problem  # noqa: PLC0415

        _problems[packed] = unpack_problem(packed.content)
    return _problems[packed]


def _cancelled_in(worker: Any) -> Callable[[], bool]:
    """Return what tells whether the task that runs in this thread was cancelled, or its client has gone.

    Dask lets a task that has begun run to its end; the worker itself knows at once that nobody wants it.
    """
    key = worker.get_current_task()
    task = worker.state.tasks.get(key)
    return lambda: worker.state.tasks.get(key) is not task or getattr(task, "state", "") == "cancelled"
