"""Trains every configuration of a grid, job by job, and stores the results as they come."""

import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
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
from bench.study.schema import RunTable
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
# Of more losses than this every second one is stored, or every fourth, ...
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

    All losses of a run are stored, after each epoch, as long as there are at most 2**25 of them in the sweep. Of more,
    those after every second epoch are stored, or after every fourth and so on, and the last one of each run.

    Parameters
    ----------
    model, x, y, epochs, target, loss, drop_last
        As for `kernels.fit`.
    grid : Grid
        What to try.
    kernel : str
        ``"lanes"`` (32 runs side by side) or ``"lanes-fma"``, or one of those of `kernels.fit`, run by run.
    executor : str
        Where jobs run: ``"threads"``, one for each processor.
    out : path, optional
        The run's folder. What it holds already of these configurations is not trained again, so the same call
        resumes a run that was stopped, and more epochs or more seeds extend one. Without it the results are
        stored in a temporary folder, for as long as the object that is returned or its `run` lives.
    study : str
        The study as a TOML text, for the record in the folder.
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
    settings = _check_settings(epochs, target, loss, drop_last, kernel)
    if executor not in EXECUTORS:
        raise ValueError(f"executor must be one of {', '.join(EXECUTORS)}, not {describe(executor)}")
    _check_grid(grid, settings.epochs)
    columns, y = check_samples(model, x, y)
    fingerprint = _fingerprint(*columns, y)
    plan = _plan_with_ids(grid, model, y.size, fingerprint, settings)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="sgdbench-")) if out is None else out)
        identity, every = _identity(model, fingerprint, settings), _loss_stride(len(plan), settings.epochs)
        with open_run(folder, study, identity, resume=resume, every=every) as run:
            stored = read_progress(run, plan, model, settings.epochs)
            run.record_study(study)
            with replace_atomically(folder / PLAN) as path:
                plan.to_parquet(path, index=False)
            _compile_kernels(model, grid, settings)
            _train_and_store(
                run, plan, stored, _Problem(model, make_loss(settings.loss), columns, y, settings), progress
            )
        del plan, stored  # a million rows are worth it
        result = load_run(folder)
        weakref.finalize(result.run, stack.pop_all().close)  # the run reads the folder, also without the result
    return result


@dataclass(frozen=True, eq=False)
class _Problem:
    """What all jobs of a sweep have in common: a model with its loss, the samples, and the settings."""

    model: Model
    loss: Loss
    columns: tuple[Floats, ...]
    y: Floats
    settings: RunTable

    def train(self, job: Job, stopped: Callable[[], bool]) -> Runs | None:
        """Train a job; None if it is stopped before its end."""
        data = allocate_data(self.columns, self.y, shuffle=job.hyperparameters.shuffle)
        return train_runs(
            self.settings.kernel,
            self.model,
            self.loss,
            job.optimizer,
            data,
            job.hyperparameters,
            job.params,
            job.memory,
            first=job.first_epoch,
            stopped=stopped,
        )


def _check_settings(epochs: int, target: float | None, loss: str | Loss, drop_last: bool, kernel: str) -> RunTable:
    """Return the settings that all configurations share, each checked under the name of its argument."""
    loss, epochs, drop_last = make_loss(loss), check_integer("epochs", epochs), check_bool("drop_last", drop_last)
    stop_at = None if target is None else check_target(target)
    return RunTable(epochs=epochs, target=stop_at, kernel=check_kernel(kernel), loss=loss.text, drop_last=drop_last)


def _check_grid(grid: Grid, epochs: int) -> None:
    """Refuse what is no grid, and a schedule under which the largest rate grows too large for a float."""
    if not isinstance(grid, Grid):
        raise ValueError(f"grid must be a Grid, not {describe(grid)}")
    for schedule in grid.schedule:
        learning_rates(schedule, float(grid.lr.max()), epochs)


def _plan_with_ids(grid: Grid, model: Model, n: int, fingerprint: str, settings: RunTable) -> pd.DataFrame:
    """Return the grid's frame with an id for each row."""
    plan = grid.frame(model, n)
    ids = config_ids(
        plan,
        model=model,
        data_fingerprint=fingerprint,
        loss=settings.loss,
        drop_last=settings.drop_last,
        epochs=settings.epochs,
    )
    plan.insert(0, "config_id", ids)
    return plan


def _identity(model: Model, fingerprint: str, settings: RunTable) -> dict[str, str]:
    """Return what all results in a run's folder must have in common."""
    return {
        "model": model.expression,
        "inputs": ", ".join(model.inputs),
        "parameters": ", ".join(model.params),
        "data": fingerprint,
        "loss": settings.loss,
        "target": "none" if settings.target is None else repr(settings.target),
        "drop_last": repr(settings.drop_last),
        "kernel": "any exact one" if is_exact(model, settings.kernel, settings.loss) else settings.kernel,
    }


def _train_and_store(
    run: OpenRun, plan: pd.DataFrame, stored: Progress, problem: _Problem, progress: Callable[[int], None]
) -> None:
    """Train what is not finished, store results as they come, and tell `progress` how many are done."""
    stop = Event()

    def train(job: Job) -> tuple[Job, Runs | None]:
        """Train a job in a thread."""
        return job, problem.train(job, stop.is_set)

    jobs = plan_jobs(plan, stored, problem.settings, problem.y.size)
    done = int(stored.finished.sum())
    progress(done)
    with (
        _Writer(run, plan["config_id"], stored, problem.model) as writer,
        closing(run_in_threads(train, jobs, stop)) as results,
    ):
        for job, runs in results:
            if runs:
                writer.add(job, runs)
                done += len(job.rows)
                progress(done)


def _fingerprint(*columns: Floats) -> str:
    """Return a hash of all values, taken in pieces, so that a memory map of any size can be read without a copy."""
    digest = blake2b(digest_size=16)
    for column in columns:
        for first in range(0, column.size, CHUNK):
            digest.update(column[first : first + CHUNK].data)
    return digest.hexdigest()


def _loss_stride(configurations: int, epochs: int) -> int:
    """Return the distance, a power of two, between two epochs whose losses are stored."""
    every = 1
    while configurations * (epochs // every + 1) > MOST_LOSSES and every < epochs:
        every *= 2
    return every


def _compile_kernels(model: Model, grid: Grid, settings: RunTable) -> None:
    """Compile what the threads will need; numba compiles one thing at a time anyway."""
    if settings.kernel != "reference":
        loss = make_loss(settings.loss)
        for optimizer in grid.optimizer:
            compile_kernel(settings.kernel, model, loss, make_optimizer(optimizer))


class _Writer:
    """Hands finished runs to the store, about once a second and when there are no more."""

    def __init__(self, run: OpenRun, ids: "pd.Series[str]", stored: Progress, model: Model) -> None:
        self.run, self.ids, self.stored, self.model = run, ids, stored, model
        self.waiting: list[tuple[Job, Runs]] = []
        self.flushed = time.monotonic()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, job: Job, runs: Runs) -> None:
        """Take finished runs, and flush if it is time."""
        self.waiting.append((job, runs))
        losses = sum(runs.losses.size for _, runs in self.waiting)
        if losses > FLUSH_LOSSES or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Store what is waiting."""
        if self.waiting:
            self.run.append(pd.concat([self.rows(*finished) for finished in self.waiting], ignore_index=True))
        self.waiting = []
        self.flushed = time.monotonic()

    def rows(self, job: Job, runs: Runs) -> pd.DataFrame:
        """Return the rows that are stored of finished runs."""
        trained = runs.marks - job.first_epoch
        losses = np.ascontiguousarray(runs.losses.T)
        counted = np.where(np.arange(losses.shape[1]) <= trained[:, np.newaxis], losses, np.inf)
        columns: dict[str, Any] = {
            "config_id": self.ids.array[job.rows],
            "status": runs.status.astype(np.int8),
            "epochs": runs.marks.astype(np.int32),
            "final_loss": losses[np.arange(len(trained)), trained],
            "best_loss": np.fmin(self.stored.best_loss[job.rows], np.fmin.reduce(counted, axis=1)),
            "seconds": self.stored.seconds[job.rows] + runs.seconds / len(trained),
        }
        columns |= {f"param_{name}": runs.params[:, k] for k, name in enumerate(self.model.params)}
        columns |= {
            "memory": list(runs.memory),
            "losses": [row[: n + 1] for row, n in zip(losses, trained, strict=True)],
        }
        return pd.DataFrame(columns)
