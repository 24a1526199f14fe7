"""Training of the rows of a plan, job by job, with results stored as they arrive."""

import time
import tomllib
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.engine.fingerprint import hash_columns
from sgdbench.engine.jobs import MIN_SHARED_OPTIMIZERS, SharedKernels, dtypes_of, group_runs, plan_jobs, share_kernels
from sgdbench.engine.plan import extend_plan
from sgdbench.engine.problem import Job, Problem
from sgdbench.engine.run_states import RunStates, lowest_loss
from sgdbench.engine.threads import run_in_threads
from sgdbench.kernels import Model
from sgdbench.kernels.base.registry import registered_in, registered_named
from sgdbench.kernels.compile.kinds import is_exact
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.model.model_identity import identity_of_model
from sgdbench.kernels.model.models import is_ready_made
from sgdbench.kernels.model.param_columns import params_to_columns
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.train.block import Runs
from sgdbench.kernels.train.compile_together import compile_together
from sgdbench.store.evidence import forget_runs
from sgdbench.store.run_folder import OpenRun, open_run
from sgdbench.study.grid import Grid
from sgdbench.system.environment import processors

# Finished runs are written at least this often, and before they have this many losses and parameters in memory.
FLUSH_SECONDS = 1.0
FLUSH_NUMBERS = 1_000_000
# The most losses stored, per sweep and per run; beyond that, every second one is stored, or every fourth, ...
MAX_LOSSES = 2**24
MAX_LOSSES_PER_RUN = 2**20
# With fewer samples times epochs times parameters, threads wait for Python's lock longer than they train.
SHORT_RUN_WORK = 15_000

Executor = Callable[[Problem, Iterable[Job], Event], Generator[tuple[Job, Runs | None]]]
"""Trains jobs of a problem, and yields them with their runs in any order; a job that was stopped has none.

It sets the event, and ends the jobs that it has begun, when its caller stops early.
"""


def train_in_threads(problem: Problem, jobs: Iterable[Job], stop: Event) -> Generator[tuple[Job, Runs | None]]:
    """Train jobs in threads of this process, one per processor, short runs in a single one; an `Executor`."""

    def train(job: Job) -> tuple[Job, Runs | None]:
        return job, problem.train(job, stop.is_set)

    is_short = problem.y.size * problem.settings.epochs * len(problem.model.params) < SHORT_RUN_WORK
    return run_in_threads(train, jobs, stop, threads=1 if is_short else None)


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains the rows of plans into a folder, and records the study, a TOML text, in it.

    Facts `about` the data are recorded too; see `sgdbench.engine.recording.record_settings`.
    """

    problem: Problem
    folder: Path
    study: str
    executor: Executor = train_in_threads
    about: Mapping[str, Any] = field(default_factory=dict)

    def train(
        self,
        plan: pd.DataFrame,
        grid: Grid | None = None,
        *,
        resume: bool = True,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        """Train the rows of a plan, as from `Grid.frame`; those that the folder holds are not trained again.

        The plan begins with the rows of the `grid`, with which `sgdbench.engine.plan.extend_plan` keeps what the folder
        holds; without a grid, the plan replaces the previous one. `resume` False refuses a folder that holds results.
        `progress` is called with the number of completed configurations.
        """
        problem, plan = self.problem, self.problem.with_ids(plan)
        every = loss_stride(
            len(plan), problem.clock.last_checkpoint(int(plan["batch_size"].min()), problem.settings.epochs)
        )
        with open_run(self.folder, self.study, identity_of(problem), resume=resume, every=every) as run:
            if grid is not None:
                plan = extend_plan(run, plan, grid, problem)
            run.record_rules(rules_of(problem, plan["optimizer"].unique(), plan["schedule"].unique(), self.study))
            stored = RunStates.read(run, plan, problem, whole=True)
            run.record_study(self.study)
            if run.record_plan(plan) or not stored.finished.all():
                forget_runs(self.folder)
            done = int(stored.finished.sum())
            progress(done)

            def count(job: Job, _: Runs) -> None:
                nonlocal done
                done += len(job.rows)
                progress(done)

            train_jobs(run, problem, plan, stored, self.executor, count)


def train_jobs(
    run: OpenRun,
    problem: Problem,
    plan: pd.DataFrame,
    stored: RunStates,
    executor: Executor,
    note: Callable[[Job, Runs], None],
    until: int | None = None,
    many_options: int = MIN_SHARED_OPTIMIZERS,
) -> None:
    """Train the unfinished rows, and store results as they arrive.

    The plan has an id for each row, and `stored` has their states. `note` is called with each completed job and its
    runs. `until` and `many_options` are as for `sgdbench.engine.jobs`.
    """
    shared = share_kernels(plan, problem.settings, many_options)
    groups = group_runs(problem, plan, stored, shared, until)
    compile_kernels(problem, plan, shared, {group.kernel for group in groups})
    jobs = plan_jobs(problem, plan, stored, shared, groups)
    with (
        closing(Writer(run, plan["config_id"], stored, problem.model)) as writer,
        closing(executor(problem, jobs, Event())) as results,
    ):
        for job, runs in results:
            if runs:
                writer.add(job, runs)
                note(job, runs)


def identity_of(problem: Problem) -> dict[str, str]:
    """Return the facts that all results in a run's folder must share."""
    model, settings, held_out = problem.model, problem.settings, problem.held_out
    return {
        **identity_of_model(model),
        "data": problem.fingerprint,
        "loss": settings.loss,
        "target": "none" if settings.target is None else repr(settings.target),
        **problem.clock.identity(),
        **({} if settings.shuffling == "all" else {"shuffling": settings.shuffling}),
        "validation": "none" if held_out is None else hash_columns(*held_out[0], held_out[1]),
        "patience": "none" if settings.patience is None else str(settings.patience),
        "kernel": "any exact one" if is_exact(model, settings.kernel, settings.loss) else settings.kernel,
    }


def rules_of(
    problem: Problem, optimizers: Iterable[str], schedules: Iterable[str], study: str
) -> dict[str, dict[str, str]]:
    """Return a folder's record of users' rules: the loss, the named optimizers and schedules, and the study's model."""
    rules = registered_in(problem.loss, "loss")
    for text in optimizers:
        rules += registered_in(make_optimizer(text), "optimizer")
    for text in schedules:
        rules += registered_named("schedule", text)
    model = tomllib.loads(study).get("model")
    expression = model.get("expression") if isinstance(model, dict) else None
    if isinstance(expression, str) and is_ready_made(expression):
        rules += registered_named("model", expression)
    return {
        f"{rule.kind} {rule.name}": {
            "sha256": rule.digest,
            "place": rule.place,
            "plugin": rule.plugin,
            "source": rule.source,
        }
        for rule in rules
    }


def loss_stride(configurations: int, last: int) -> int:
    """Return the distance, a power of two, between checkpoints, from 0 to the last, at which losses are stored."""
    every = 1
    most = min(MAX_LOSSES // configurations, MAX_LOSSES_PER_RUN)
    while last // every + 1 > most and every < last:
        every *= 2
    return every


def compile_kernels(problem: Problem, plan: pd.DataFrame, shared: SharedKernels, names: Collection[str]) -> None:
    """Compile the kernels before the threads need them: numba compiles one at a time per process."""
    specs = [
        KernelSpec(name, problem.model, problem.loss, shared.optimizers[code], bool(shared.per_run[code]), dtype)
        for name in sorted({*names} - {"reference"})
        for dtype in sorted(set(dtypes_of(plan)))
        for code in np.unique(shared.numbers)
    ]
    compile_together(specs, processors())


class Writer:
    """Stores finished runs, about once a second and at the end."""

    def __init__(self, run: OpenRun, ids: "pd.Series[str]", stored: RunStates, model: Model) -> None:
        self.run, self.ids, self.stored, self.model = run, ids, stored, model
        self.waiting: list[tuple[Job, Runs]] = []
        self.flushed = time.monotonic()

    def add(self, job: Job, runs: Runs) -> None:
        """Add finished runs, and store the waiting ones if it is time."""
        self.waiting.append((job, runs))
        numbers = sum(runs.losses.size + runs.params.size + runs.memory.size for _, runs in self.waiting)
        if numbers > FLUSH_NUMBERS or time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.close()

    def close(self) -> None:
        """Store the waiting runs."""
        if self.waiting:
            parts = [self.columns(*finished) for finished in self.waiting]
            rows = np.concatenate([job.rows for job, _ in self.waiting])
            columns = {name: _join([part[name] for part in parts]) for name in parts[0]}
            self.run.append(pd.DataFrame({"config_id": self.ids.array[rows]} | columns))
        self.waiting = []
        self.flushed = time.monotonic()

    def columns(self, job: Job, runs: Runs) -> dict[str, Any]:
        """Return the columns, besides the id, of the rows to store for finished runs.

        Runs whose kept parameters differ from those at their end have the latter in `end`, for a longer run to continue
        from.
        """
        trained, kept_checkpoints = runs.checkpoints - job.first, runs.kept_results(job.first)
        losses = np.ascontiguousarray(runs.losses.T)
        columns: dict[str, Any] = {
            "status": runs.status.astype(np.int8),
            "marks": runs.checkpoints.astype(np.int32),
            "final_loss": kept_checkpoints.losses,
            "best_loss": np.fmin(self.stored.best_loss[job.rows], lowest_loss(job, runs)),
        }
        if kept_checkpoints.validation_losses is not None:
            validation = np.ascontiguousarray(runs.validation_losses.T)
            columns |= {
                "validation_loss": kept_checkpoints.validation_losses,
                "best_validation_loss": runs.lowest[:, 0],
                "best_samples": runs.lowest[:, 1].astype(np.int64),
                "validation_losses": [row[: n + 1] for row, n in zip(validation, trained, strict=True)],
            }
        columns |= params_to_columns(self.model, kept_checkpoints.params)
        columns |= {} if kept_checkpoints.params is runs.params else {"end": list(runs.params)}
        columns |= {
            "memory": list(runs.memory),
            "losses": [row[: n + 1] for row, n in zip(losses, trained, strict=True)],
        }
        return columns


def _join(parts: list[Any]) -> Any:
    """Join arrays of numbers, or lists of arrays."""
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [row for part in parts for row in part]
