"""What a worker of a cluster does: it makes the problem of what was sent, once, and trains jobs of it.

Only modules of Python's own are imported above: a scheduler imports this as well, and trains nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.engine.problem import Problem

Packed = dict[str, Any]


class PackedProblem:
    """A problem as it was sent (`bench.engine.wire.pack_problem`); an object, so that it is sent as a whole.

    Attributes
    ----------
    content : dict
    """

    def __init__(self, content: Packed) -> None:
        self.content = content


# The problems that this process was sent last, by name. Dask itself does not keep them: where fewer tasks wait for
# something than workers hold it, it drops some copies, and would bring them again.
_problems: dict[str, Problem] = {}
MOST_PROBLEMS = 2
# Rules, kernels and problems belong to the process, whose threads share them.
_making = threading.Lock()


class OtherPackageError(ValueError):
    """The worker runs another sgdbench."""


def train_jobs(package: str, name: str, problem: PackedProblem | None, jobs: list[Packed]) -> Packed | None:
    """Train some jobs, one after the other, in the thread that a worker calls this in.

    What has to be made first is made before the clock of a job starts: the problem, rules and kernels. Whatever the
    worker has met already is there, so a worker that joins late, or that was started again, needs no other care.

    Parameters
    ----------
    package : str
        The digest of the code that sends this, which must be the one here.
    name : str
        That of the problem.
    problem : PackedProblem or None
        The problem itself, unless the worker should have it.
    jobs : list
        As from `bench.engine.wire.pack_job`.

    Returns
    -------
    dict or None
        The `runs` of each job, the worker's `address`, and what the `processor` is. Without runs, the worker was not
        sent the problem. None if nobody waits any more.

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

    finished: list[Packed] = []
    answer = {"runs": finished, "address": get_worker().address, "processor": describe_worker()}
    is_cancelled = _cancelled_in(get_worker())
    for packed in jobs:
        with _making:
            made = _find_problem(name, problem)
            if made is None:
                return answer
            job = unpack_job(packed)
            if job.kernel != "reference":
                own = job.hyperparameters.settings.ndim == 2
                compile_kernel(job.kernel, made.model, made.loss, job.optimizer, options_per_run=own, dtype=job.dtype)
        runs = made.train(job, is_cancelled)
        if runs is None:
            return None
        finished.append(pack_runs(runs))
    return answer


def _find_problem(name: str, packed: PackedProblem | None) -> Problem | None:
    """Return the problem of that name, made when it comes first, with its arrays where they are; else None."""
    if name not in _problems and packed is not None:
        from bench.engine.wire import unpack_problem  # noqa: PLC0415

        _problems[name] = unpack_problem(packed.content)
    if name in _problems:
        _problems[name] = _problems.pop(name)  # the last one used is last
        for old in list(_problems)[:-MOST_PROBLEMS]:
            del _problems[old]
    return _problems.get(name)


def _cancelled_in(worker: Any) -> Callable[[], bool]:
    """Return what tells whether the task that runs in this thread was cancelled, or its client has gone.

    Dask lets a task that has begun run to its end; the worker itself knows at once that nobody wants it.
    """
    key = worker.get_current_task()
    task = worker.state.tasks.get(key)
    return lambda: worker.state.tasks.get(key) is not task or getattr(task, "state", "") == "cancelled"
