"""Trains every configuration of a grid, block by block, and keeps the results as they come."""

import time
from collections.abc import Callable
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.check import is_exact
from bench.executors import in_threads
from bench.files import replace_atomically
from bench.grid import Grid, config_ids
from bench.plan import Job, Known, jobs_of, known_of
from bench.results import PLAN, SweepResult, load_run
from bench.store import OpenRun, open_run
from kernels import Model
from kernels.block import LANE_KERNELS, WIDTH, Runs, train_runs
from kernels.fit import KERNELS, checked_target, flag
from kernels.losses import Loss, make_loss
from kernels.optimizers import make_optimizer
from kernels.samples import room, samples
from kernels.spec import shown, whole
from kernels.specialize import specialize

# Finished runs reach the disk at least this often.
FLUSH_SECONDS = 1.0
EXECUTORS = ("threads",)


def sweep(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    grid: Grid,
    *,
    epochs: int = 100,
    target: float | None = None,
    loss: str = "squared",
    drop_last: bool = True,
    kernel: str = "lanes",
    executor: str = "threads",
    out: str | Path | None = None,
    study: str = "",
    resume: bool = True,
    progress: Callable[[int], None] = lambda done: None,
) -> SweepResult:
    """Train every configuration of a grid.

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
        kept in a temporary folder.
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
    columns, y = samples(model, x, y)
    whole("epochs", epochs)
    flag("drop_last", drop_last)
    if kernel not in KERNELS + LANE_KERNELS:
        raise ValueError(f"kernel must be one of {', '.join(KERNELS + LANE_KERNELS)}, not {shown(kernel)}")
    if executor not in EXECUTORS:
        raise ValueError(f"executor must be one of {', '.join(EXECUTORS)}, not {shown(executor)}")
    plan = grid.frame(model, y.size)
    fingerprint = blake2b(b"".join(column.tobytes() for column in (*columns, y)), digest_size=16).hexdigest()
    ids = config_ids(plan, model=model, data_fingerprint=fingerprint, loss=loss, drop_last=drop_last, epochs=epochs)
    plan.insert(0, "config_id", ids)
    exact = is_exact(model, kernel, loss)
    identity = {
        "model": model.expression,
        "inputs": ", ".join(model.inputs),
        "parameters": ", ".join(model.params),
        "data": fingerprint,
        "loss": make_loss(loss).text,
        "target": repr(target),
        "drop_last": repr(drop_last),
        "kernel": "any exact one" if exact else kernel,
    }
    kept = None if out else TemporaryDirectory(prefix="sgdbench-")
    folder = Path(out or f"{kept.name}/run")  # type: ignore[union-attr]
    with open_run(folder, study, identity=identity, resume=resume) as run:
        known = known_of(run, plan, model, epochs)
        with replace_atomically(folder / PLAN) as path:
            plan.to_parquet(path, index=False)

        stop = Event()

        def work(job: Job) -> tuple[Job, Runs | None]:
            data = room(columns, y, shuffle=job.plan.shuffle)
            args = (kernel, model, make_loss(loss), job.optimizer, data, job.plan, job.params, job.memory)
            return job, train_runs(*args, first=job.first, stopped=stop.is_set)

        _compile(kernel, model, make_loss(loss), grid)
        jobs = jobs_of(plan, known, make_loss(loss), epochs, drop_last, checked_target(target), y.size)
        done = int(known.over.sum())
        progress(done)
        with _Writer(run, plan, known, model) as writer, closing(in_threads(work, jobs, stop)) as results:
            for job, runs in results:
                if runs:
                    writer.add(job, runs)
                    done += len(job.rows)
                    progress(done)
    return load_run(folder, kept)


def _compile(kernel: str, model: Model, loss: Loss, grid: Grid) -> None:
    """Compile what the threads will need; numba compiles one thing at a time anyway."""
    for text in grid.optimizer if kernel != "reference" else ():
        width = WIDTH if kernel in LANE_KERNELS else 1
        specialize(model.program, loss, make_optimizer(text), fma=kernel.endswith("-fma"), width=width)


class _Writer:
    """Hands finished runs to the store, about once a second and when there are no more."""

    def __init__(self, run: OpenRun, plan: pd.DataFrame, known: Known, model: Model) -> None:
        self.run, self.ids, self.known, self.model = run, plan["config_id"].to_numpy(), known, model
        self.waiting: list[pd.DataFrame] = []
        self.flushed = time.monotonic()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def add(self, job: Job, runs: Runs) -> None:
        trained = runs.epochs - job.first
        losses = np.ascontiguousarray(runs.losses.T)
        counted = np.where(np.arange(losses.shape[1]) <= trained[:, np.newaxis], losses, np.inf)
        columns: dict[str, Any] = {
            "config_id": self.ids[job.rows],
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
        self.waiting.append(pd.DataFrame(columns))
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            self.run.append(pd.concat(self.waiting, ignore_index=True))
        self.waiting = []
        self.flushed = time.monotonic()
