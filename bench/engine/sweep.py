"""Trains every configuration of a grid, block by block, and keeps the results as they come."""

import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack, closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.engine.jobs import Job, Progress, plan_jobs, read_progress
from bench.engine.threads import run_in_threads
from bench.store.results import PLAN, SweepResult, load_run
from bench.store.run_folder import OpenRun, open_run
from bench.study.config_id import config_ids
from bench.study.grid import Grid
from bench.system.atomic import replace_atomically
from kernels import Model
from kernels.agreement import check_kernel, is_exact
from kernels.block import Runs, compile_kernel, train_runs
from kernels.checks import check_bool, check_integer, check_target, describe
from kernels.losses import Loss, make_loss
from kernels.models import make_model
from kernels.optimizers import make_optimizer
from kernels.run import Floats
from kernels.samples import CHUNK, allocate_data, check_samples
from kernels.schedules import learning_rates

# Finished runs reach the disk at least this often, and before they take much memory.
FLUSH_SECONDS = 1.0
FLUSH_LOSSES = 1_000_000
# Of more losses than this every second one is kept, or every fourth, ...
MOST_LOSSES = 2**25
EXECUTORS = ("threads",)


def sweep(
    model: Model | str,
    x: ArrayLike,
    y: ArrayLike,
    grid: Grid,
    *,
    epochs: int = 100,
    target: float | None = None,
    loss: str | Loss = "squared",
    drop_last: bool = True,
    kernel: str = "lanes",
    executor: str = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> SweepResult:
    """Train every configuration of a grid.

    All losses of a run are kept, after each epoch, as long as there are at most 2**25 of them in the sweep. Of more,
    those after every second epoch are kept, or after every fourth and so on, and the last one of each run.

    Parameters
    ----------
    model, x, y, epochs, target, loss, drop_last
        As for `kernels.fit`.
    grid : Grid
        What to try.
    kernel : str
        ``"lanes"`` (32 runs side by side) or ``"lanes-fma"``, or one of those of `kernels.fit`, run by run.
    executor : str
        ``"threads"``: one for each processor.
    out : path, optional
        The run's folder. What it holds already of these configurations is not trained again, so the same call
        resumes a run that was stopped, and more epochs or more seeds extend one. Without it the results are
        kept in a temporary folder, for as long as the object that is returned or its `run`.
    study : str
        What the folder is to say of the run, as TOML.
    resume : bool
        False refuses a folder that holds results.
    progress : callable
        Called with the number of configurations done.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C, after what is done has reached the disk.
    """
    model = model if isinstance(model, Model) else make_model(model)
    loss, epochs, drop_last = make_loss(loss), check_integer("epochs", epochs), check_bool("drop_last", drop_last)
    stop_at = check_target(target)
    check_kernel(kernel)
    if executor not in EXECUTORS:
        raise ValueError(f"executor must be one of {', '.join(EXECUTORS)}, not {describe(executor)}")
    if not isinstance(grid, Grid):
        raise ValueError(f"grid must be a Grid, not {describe(grid)}")
    for schedule in grid.schedule:
        learning_rates(schedule, float(grid.lr.max()), epochs)  # raises where the largest rate grows too large
    columns, y = check_samples(model, x, y)
    plan, identity = _plan_and_identity(model, columns, y, grid, epochs, stop_at, loss, drop_last, kernel)

    def work(job: Job) -> tuple[Job, Runs | None]:
        data = allocate_data(columns, y, shuffle=job.plan.shuffle)
        args = (kernel, model, loss, job.optimizer, data, job.plan, job.params, job.memory)
        return job, train_runs(*args, first=job.first, stopped=stop.is_set)

    stop = Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sgdbench-")) if out is None else out)
        with open_run(folder, study, identity, resume=resume, every=_loss_stride(len(plan), epochs)) as run:
            known = read_progress(run, plan, model, epochs)
            run.restate(study)
            with replace_atomically(folder / PLAN) as path:
                plan.to_parquet(path, index=False)
            _compile(kernel, model, loss, grid)
            jobs = plan_jobs(plan, known, loss, epochs, drop_last, stop_at, y.size)
            done = int(known.over.sum())
            progress(done)
            with _Writer(run, plan, known, model) as writer, closing(run_in_threads(work, jobs, stop)) as results:
                for job, runs in results:
                    if runs:
                        writer.add(job, runs)
                        done += len(job.rows)
                        progress(done)
        del plan, known, jobs, writer  # a million rows are worth it
        result = load_run(folder)
        weakref.finalize(result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return result


def _plan_and_identity(
    model: Model,
    columns: tuple[Floats, ...],
    y: Floats,
    grid: Grid,
    epochs: int,
    target: float,
    loss: Loss,
    drop_last: bool,
    kernel: str,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The grid's frame with an id for each row, and what all rows have in common with those in the run's folder."""
    plan = grid.frame(model, y.size)
    fingerprint = _fingerprint(*columns, y)
    ids = config_ids(
        plan, model=model, data_fingerprint=fingerprint, loss=loss.text, drop_last=drop_last, epochs=epochs
    )
    plan.insert(0, "config_id", ids)
    return plan, {
        "model": model.expression,
        "inputs": ", ".join(model.inputs),
        "parameters": ", ".join(model.params),
        "data": fingerprint,
        "loss": loss.text,
        "target": "none" if target < 0 else repr(target),
        "drop_last": repr(drop_last),
        "kernel": "any exact one" if is_exact(model, kernel, loss) else kernel,
    }


def _fingerprint(*columns: Floats) -> str:
    """A hash of all values, in pieces, so that a memory map of any size can be read without a copy."""
    digest = blake2b(digest_size=16)
    for column in columns:
        for first in range(0, column.size, CHUNK):
            digest.update(column[first : first + CHUNK].data)
    return digest.hexdigest()


def _loss_stride(configurations: int, epochs: int) -> int:
    """The distance, a power of two, between two epochs whose losses are kept."""
    every = 1
    while configurations * (epochs // every + 1) > MOST_LOSSES and every < epochs:
        every *= 2
    return every


def _compile(kernel: str, model: Model, loss: Loss, grid: Grid) -> None:
    """Compile what the threads will need; numba compiles one thing at a time anyway."""
    for text in grid.optimizer if kernel != "reference" else ():
        compile_kernel(kernel, model, loss, make_optimizer(text))


class _Writer:
    """Hands finished runs to the store, about once a second and when there are no more."""

    def __init__(self, run: OpenRun, plan: pd.DataFrame, known: Progress, model: Model) -> None:
        self.run, self.ids, self.known, self.model = run, plan["config_id"], known, model
        self.waiting: list[tuple[Job, Runs]] = []
        self.flushed = time.monotonic()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, job: Job, runs: Runs) -> None:
        self.waiting.append((job, runs))
        losses = sum(runs.losses.size for _, runs in self.waiting)
        if losses > FLUSH_LOSSES or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.run.append(pd.concat([self.rows(*finished) for finished in self.waiting], ignore_index=True))
        self.waiting = []
        self.flushed = time.monotonic()

    def rows(self, job: Job, runs: Runs) -> pd.DataFrame:
        """What is kept of finished runs."""
        trained = runs.epochs - job.first
        losses = np.ascontiguousarray(runs.losses.T)
        counted = np.where(np.arange(losses.shape[1]) <= trained[:, np.newaxis], losses, np.inf)
        columns: dict[str, Any] = {
            "config_id": self.ids.array[job.rows],
            "status": runs.status.astype(np.int8),
            "epochs": runs.epochs.astype(np.int32),
            "final_loss": losses[np.arange(len(trained)), trained],
            "best_loss": np.fmin(self.known.best[job.rows], np.fmin.reduce(counted, axis=1)),
            "seconds": self.known.seconds[job.rows] + runs.seconds / len(trained),
        }
        columns |= {f"param_{name}": runs.params[:, k] for k, name in enumerate(self.model.params)}
        columns |= {
            "memory": list(runs.memory),
            "losses": [row[: n + 1] for row, n in zip(losses, trained, strict=True)],
        }
        return pd.DataFrame(columns)
