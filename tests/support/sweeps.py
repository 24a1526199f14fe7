"""Sweeps of one small problem, compared to the last bit, and killed at random moments."""

import os
import select
import signal
import time
import traceback
import warnings

import numpy as np

from sgdbench import Grid, fit, models, sweep
from sgdbench.engine import jobs
from sgdbench.engine import problem as common
from sgdbench.engine import train as engine
from sgdbench.study.schema import RunTable

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, 61)
Y = 2 * X**2 - 4 * X + 3
STARTS = {"near": [-1, 10, 26], "solution": [2, -4, 3], "drawn": "normal:1:2"}


def some_grid(**changed):
    """Runs that converge, diverge and do neither; 2 * 3 * 4 * 2 * 2 * 2 * 2 = 384 of them."""
    values = {
        "lr": [0.05, 3.0],
        "batch_size": [1, 16, "full"],
        "init": STARTS,
        "optimizer": ["sgd", "adam"],
        "schedule": ["constant", "halve(3)"],
        "seed": [0, 2**64 - 1],
        "shuffle": [True, False],
    }
    return Grid(**values | changed)


def swept(out=None, grid=None, **changed):
    settings = {"epochs": 12, "target": 1e-3, "drop_last": False, "record": "log:3", "confirm": 0}
    return sweep(models.quadratic, X, Y, grid or some_grid(), out=out, **settings | changed)


def fit_of(row, start, x, y, **shared):
    """Fit a quadratic with the settings of a row of a sweep, and those that its runs share."""
    own = {name: getattr(row, name) for name in ("lr", "batch_size", "optimizer", "schedule", "seed", "shuffle")}
    return fit(models.quadratic, x, y, init=start, **own, **shared)


def exactly(frame):
    """All that a frame says, to the last bit."""
    columns = {}
    for name, column in frame.items():
        numbers = column.dtype.kind in "fiub" if isinstance(column.dtype, np.dtype) else False
        values = column.to_numpy() if numbers else column.astype(object).where(column.notna(), None)
        columns[name] = str(column.dtype), values.tobytes() if numbers else values.tolist()
    return columns


def assert_same(found, expected):
    assert exactly(found.frame) == exactly(expected.frame)
    assert exactly(found.curves) == exactly(expected.curves)
    np.testing.assert_array_equal(found.starts, expected.starts)


def kill_grid(seeds=4):
    """Of an optimizer with a memory, which goes on with the runs."""
    return some_grid(lr=[0.05, 0.2], batch_size=[1, 16], seed=range(seeds), optimizer="adam")


def kill_at_random_moments(folder, kills):
    """Extend sweeps in processes that are killed until one comes to its end, in folder after folder: these.

    Runs in a process of its own, which has imported and compiled everything: those that it forks begin at once.
    """
    import pyarrow.dataset  # noqa: F401
    import scipy.stats  # noqa: F401

    engine.FLUSH_SECONDS, jobs.JOB_UPDATES = 0, 1
    problem = common.make_problem(models.quadratic, X, Y, RunTable(), folder)
    plan = kill_grid().frame(models.quadratic, X.size)
    engine.compile_kernels(problem, plan, jobs.share_kernels(plan, problem.settings), {problem.settings.kernel})
    started = time.monotonic()
    assert in_a_fork(lambda: swept(folder / "undisturbed", kill_grid()))
    seconds = time.monotonic() - started
    rng = np.random.default_rng(3)
    folders, moments = [], []
    # Enough, and not all of them before the first part or after the last.
    while len(set(moments)) < kills:
        run, before = folder / str(len(folders)), len(moments)
        folders.append(str(run))
        assert in_a_fork(lambda run=run: swept(run, kill_grid(2), epochs=5))
        # Where the machine has become busier, a run would be killed again and again before its end.
        while not in_a_fork(
            lambda run=run: swept(run, kill_grid()), seconds * rng.random() if len(moments) < before + 5 else None
        ):
            moments.append(len(list(run.glob("parts/*.parquet"))))
    return folders


def in_a_fork(work, seconds=None):
    """Whether another process came to the end of its work before it was killed."""
    here, there = os.pipe()
    with warnings.catch_warnings():  # from Python 3.12 on of threads, which packages start that are imported
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(there)
    select.select([here], [], [], seconds)  # readable when no process can write any more
    os.close(here)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status == 0
