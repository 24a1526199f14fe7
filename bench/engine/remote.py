"""Tasks on a cluster's worker, which trains jobs of a problem that arrive pickled.

Only the standard library and empty packages are imported above: a scheduler imports this module too, and trains
nothing.
"""

import pickle
import threading
from collections.abc import Callable
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from sgdbench import kernels

# Threads of the process share kernels and problems, and create them one at a time.
_making = threading.Lock()


@cache
def load_function(pickled: bytes) -> Callable[..., Any]:
    """Return a function, the same object each time: kernels are identified by the functions they are made of."""
    function: Callable[..., Any] = pickle.loads(pickled)  # noqa: S301 (a worker runs what its cluster sends)
    return function


@lru_cache(maxsize=2)
def _load_problem(pickled: bytes) -> Any:
    return pickle.loads(pickled)  # noqa: S301 (as above)


def hold_problem(pickled: bytes) -> bytes:
    """Return a problem unchanged: Dask recreates the result of a task if all workers that held it have died."""
    return pickled


@cache
def source_digest() -> str:
    """Return a digest of the names and contents of all Python files of the package, the same in a clone and a wheel."""
    folders = {"": Path(__file__).parents[1], "kernels/": Path(kernels.__file__).parent}  # in a wheel, one in the other
    paths = {
        f"{prefix}{path.relative_to(folder).as_posix()}": path
        for prefix, folder in folders.items()
        for path in folder.rglob("*.py")
    }
    digest = sha256()
    for name, path in sorted(paths.items()):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def train_jobs(package: str, problem: bytes, jobs: bytes) -> tuple[dict[str, str], list[Any]] | None:
    """Train some jobs in the thread of a task, and return a description of the worker and their runs.

    The jobs are pairs as from `sgdbench.engine.dask._without_repetition`. Return None if the task was cancelled. Raise
    ValueError unless the code here has the digest `package` of the sending code.
    """
    if source_digest() != package:
        raise ValueError("a worker runs another version of sgdbench; install the same commit there")
    from dataclasses import replace  # noqa: PLC0415

    from distributed import get_worker  # noqa: PLC0415

    from sgdbench.engine.processors import describe_worker  # noqa: PLC0415
    from sgdbench.kernels.compile.build import build  # noqa: PLC0415
    from sgdbench.kernels.compile.module import module_of  # noqa: PLC0415
    from sgdbench.kernels.compile.spec import KernelSpec  # noqa: PLC0415

    finished = []
    is_cancelled = _cancelled_in(get_worker())
    for sent, epochs in pickle.loads(jobs):  # noqa: S301 (as above)
        hyperparameters = sent.hyperparameters._replace(rates=sent.hyperparameters.rates[epochs])
        job = replace(sent, hyperparameters=hyperparameters)
        with _making:  # before the clock of the job starts
            loaded = _load_problem(problem)
            if job.kernel != "reference":
                per_run = hyperparameters.settings.ndim == 2
                spec = KernelSpec(job.kernel, loaded.model, loaded.loss, job.optimizer, per_run, job.dtype)
                build(module_of(spec))
        runs = loaded.train(job, is_cancelled)
        if runs is None:
            return None
        finished.append(runs)
    return describe_worker(), finished


def _cancelled_in(worker: Any) -> Callable[[], bool]:
    """Return a function that tells whether the task of this thread was cancelled, or its client is lost.

    Dask lets a running task complete, but the worker knows at once that the result is no longer needed.
    """
    key = worker.get_current_task()
    task = worker.state.tasks.get(key)
    return lambda: worker.state.tasks.get(key) is not task or getattr(task, "state", "") == "cancelled"
