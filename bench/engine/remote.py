"""What a worker of a cluster does: it trains jobs of a problem. Both come pickled and are unpickled when they are used.

Only modules of Python's own are imported above: a scheduler imports this as well, and trains nothing.
"""

import pickle
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

# Kernels and problems belong to the process, whose threads share them.
_making = threading.Lock()


@cache
def load_function(pickled: bytes) -> Callable[..., Any]:
    """Return a function, the same one each time: kernels are told apart by the functions that they are made of."""
    function: Callable[..., Any] = pickle.loads(pickled)  # noqa: S301 (a worker runs what its cluster sends)
    return function


@lru_cache(maxsize=2)
def _load_problem(pickled: bytes) -> Any:
    return pickle.loads(pickled)  # noqa: S301 (as above)


def hold_problem(pickled: bytes) -> bytes:
    """Return a problem as it came: as the result of a task, Dask makes it again where all that held it have died."""
    return pickled


def train_jobs(package: str, problem: bytes, jobs: bytes) -> tuple[dict[str, str], list[Any]] | None:
    """Train some jobs, one after the other, in the thread that a worker calls this in.

    The problem and the kernels are made before the clock of a job starts.

    Parameters
    ----------
    package : str
        The digest of the code that sends this, which must be the one here.
    problem : bytes
    jobs : bytes
        Pairs of a job, with the rates of epochs that differ from those before, and which of these each epoch has.

    Returns
    -------
    tuple or None
        A description of the processor, and the runs of each job. None if the task was cancelled.

    Raises
    ------
    ValueError
        If the code is another one.
    """
    from bench.system.sources import source_digest  # noqa: PLC0415

    if source_digest() != package:
        raise ValueError(
            "a worker cannot take part, because it runs another sgdbench: install the same one, of the same commit, "
            "there"
        )
    from dataclasses import replace  # noqa: PLC0415

    from distributed import get_worker  # noqa: PLC0415

    from bench.engine.processors import describe_worker  # noqa: PLC0415
    from kernels.train.trainer import compile_kernel  # noqa: PLC0415

    finished = []
    is_cancelled = _cancelled_in(get_worker())
    for sent, epochs in pickle.loads(jobs):  # noqa: S301 (as above)
        hyperparameters = sent.hyperparameters._replace(rates=sent.hyperparameters.rates[epochs])
        job = replace(sent, hyperparameters=hyperparameters)
        with _making:
            made = _load_problem(problem)
            if job.kernel != "reference":
                own = hyperparameters.settings.ndim == 2
                compile_kernel(job.kernel, made.model, made.loss, job.optimizer, options_per_run=own, dtype=job.dtype)
        runs = made.train(job, is_cancelled)
        if runs is None:
            return None
        finished.append(runs)
    return describe_worker(), finished


def _cancelled_in(worker: Any) -> Callable[[], bool]:
    """Return a function that tells whether the task of this thread was cancelled, or its client has gone.

    Dask lets a task that has begun run to its end; the worker itself knows at once that the result is not wanted.
    """
    key = worker.get_current_task()
    task = worker.state.tasks.get(key)
    return lambda: worker.state.tasks.get(key) is not task or getattr(task, "state", "") == "cancelled"
