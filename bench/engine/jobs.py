"""Plans a sweep: which configurations are trained together, and from where."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.engine.memory import Length, Memory
from bench.store.clock import Clock
from bench.store.run_folder import Run
from bench.study.run_settings import make_hyperparameters, schedule_factors
from bench.study.schema import RunTable
from kernels import Model
from kernels.base.run import MAX_EPOCHS, Floats, Hyperparameters, start_lowest
from kernels.compile.kinds import KERNELS
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.run_options import (
    initial_memory,
    kernel_key,
    option_values,
    stack_options,
    takes_options_per_run,
)
from kernels.train.block import WIDTH

# A job is large enough to be worth handing to a thread, and small enough for progress to be seen and for the losses of
# some jobs to fit into memory.
JOB_UPDATES = 50_000_000
JOB_RUNS = 64 * WIDTH
JOB_LOSSES = 1_000_000

# What the runs of a job have in common; the seed only where it orders the samples. Optimizers that share a kernel have
# one number.
SHARED = ["dtype", "optimizer", "batch_size", "shuffle", "seed", "first"]
# So many optimizers that differ in their options alone share jobs, with a kernel that reads each run's own. Its
# updates take up to a third longer, but with a job for each optimizer most places of a lane would be empty.
MANY_OPTIONS = 8


@dataclass(frozen=True, eq=False)
class Job:
    """Configurations that one thread trains side by side: they share what `SHARED` lists.

    Attributes
    ----------
    rows : array, shape (R,)
        Their places in the plan.
    kernel : str
    dtype : str
        What they compute with.
    optimizer : Optimizer
        That of the first run; the others may have other options.
    hyperparameters : Hyperparameters
        With rates of shape (epochs, R), and settings of shape (S, R) where options differ.
    params : array, shape (R, P)
    memory : array, shape (R, M)
        Where they stand.
    first : int
        The mark at which they stand.
    lowest : array, shape (R, 2) or (R, 3 + P)
        Their lowest validation losses so far, as from `kernels.base.run.start_lowest`.
    """

    rows: NDArray[np.intp]
    kernel: str
    dtype: str
    optimizer: Optimizer
    hyperparameters: Hyperparameters
    params: Floats
    memory: Floats
    first: int
    lowest: Floats


@dataclass(frozen=True, eq=False)
class Progress:
    """Where each row of the plan stands.

    Attributes
    ----------
    marks : array, shape (rows,)
        The mark reached.
    finished : array, shape (rows,)
        Whether there is nothing left to train.
    params : array, shape (rows, P)
        From which they go on.
    memory : list of arrays
        What the optimizer remembers, empty at mark 0.
    best_loss : array, shape (rows,)
        The lowest loss so far.
    lowest : array, shape (rows, 2) or (rows, 3 + P)
        The lowest validation loss so far, as from `kernels.base.run.start_lowest`.
    """

    marks: NDArray[np.int64]
    finished: NDArray[np.bool_]
    params: Floats
    memory: list[Floats]
    best_loss: Floats
    lowest: Floats


def no_progress(plan: pd.DataFrame, model: Model, settings: RunTable) -> Progress:
    """Return where the rows of a plan stand before anything is trained."""
    size = len(plan)
    params = plan[[f"start_{name}" for name in model.params]].to_numpy(copy=True)
    return Progress(
        marks=np.zeros(size, np.int64),
        finished=np.zeros(size, np.bool_),
        params=params,
        memory=[np.empty(0)] * size,
        best_loss=np.full(size, np.inf),
        lowest=start_lowest(params, settings.patience or np.inf),
    )


def read_progress(run: Run, plan: pd.DataFrame, model: Model, clock: Clock, settings: RunTable) -> Progress:
    """Return where each row of the plan stands, from what the run's folder holds.

    Raises
    ------
    ValueError
        If the folder holds runs of more epochs.
    """
    progress, epochs = no_progress(plan, model, settings), settings.epochs
    stored = run.configurations()
    if len(stored):
        rows = pd.Index(plan["config_id"]).get_indexer(stored["config_id"])
        stored, rows = stored[rows >= 0], rows[rows >= 0]
        sizes = plan["batch_size"].to_numpy(np.int64)[rows]
        most = int(np.ceil(clock.times(sizes, stored["marks"].to_numpy()).epoch.max(initial=0)))
        if most > epochs:
            raise ValueError(f"epochs must be at least {most}, which {run.folder} holds already, not {epochs}")
        last = {size: clock.marks(size, epochs).size - 1 for size in np.unique(sizes).tolist()}
        progress.marks[rows] = stored["marks"]
        progress.finished[rows] = (stored["status"] != MAX_EPOCHS) | (
            stored["marks"].to_numpy() == [last[size] for size in sizes.tolist()]
        )
        kept = [f"param_{name}" for name in model.params]
        progress.params[rows] = np.stack(stored["end"].to_list()) if "end" in stored and len(rows) else stored[kept]
        progress.best_loss[rows] = stored["best_loss"]
        if "best_validation_loss" in stored:
            known = ["best_validation_loss", "best_samples", *(["final_loss", *kept] if "end" in stored else [])]
            progress.lowest[rows] = stored[known]
        for row, memory in zip(rows, stored["memory"], strict=True):
            progress.memory[row] = memory
    return progress


def plan_jobs(
    plan: pd.DataFrame,
    progress: Progress,
    settings: RunTable,
    clock: Clock,
    memory: Memory,
    until: int | None = None,
    many_options: int = MANY_OPTIONS,
) -> Iterator[Job]:
    """Yield the rows that are not finished, in jobs.

    Rows of similar learning rates come together: those that diverge, or reach the target, do so at about the same time,
    and a job is over when its last run is.

    Parameters
    ----------
    plan : DataFrame
        The grid's frame.
    progress : Progress
        Where its rows stand.
    settings : RunTable
    clock : Clock
    memory : Memory
        Says which kernel trains them.
    until : int, optional
        How many epochs are trained; without it, all.
    many_options : int
        So many optimizers that differ in their options alone share jobs.
    """
    loss = make_loss(settings.loss)
    schedules = plan["schedule"].cat
    factors = schedule_factors(schedules.categories.to_series(), settings.epochs)
    schedule, lr = schedules.codes.to_numpy(), plan["lr"].to_numpy()
    shared = share_kernels(plan, settings, many_options)
    optimizers, of_row = shared.optimizers, plan["optimizer"].cat.codes.to_numpy()
    for key, group in _unfinished_rows(plan, progress, shared.numbers[of_row]).groupby(SHARED, sort=False):
        common = dict(zip(SHARED, cast(tuple[Any, ...], key), strict=True))
        dtype, number, first = common["dtype"], common["optimizer"], common["first"]
        batch_size = common["batch_size"]
        marks = clock.marks(batch_size, settings.epochs)[: last_mark(clock, batch_size, settings.epochs, until) + 1]
        if first >= marks.size - 1:
            continue
        optimizer = optimizers[of_row[group.index[0]]]
        kernel = memory.choose_kernel(len(group), Length(settings.epochs, marks.size))
        kernel = kernel if optimizer.is_exact else settings.kernel
        size = _job_size(clock.n, settings.epochs, marks.size, memory.width_of(kernel))
        for begin in range(0, len(group), size):
            rows = group.index.to_numpy()[begin : begin + size]
            own = [optimizers[code] for code in of_row[rows]]
            rates = lr[rows] * factors[:, schedule[rows]]
            options = stack_options(loss, own) if shared.per_run[number] else option_values(loss, own[0])
            hyperparameters = make_hyperparameters(common, rates, options, marks, settings)
            params, lowest = progress.params[rows], progress.lowest[rows]
            remembered = np.stack([progress.memory[row] for row in rows]) if first else initial_memory(own, params)
            yield Job(rows, kernel, dtype, own[0], hyperparameters, params, remembered, first, lowest)


def dtypes_of(plan: pd.DataFrame) -> NDArray[np.object_]:
    """Return what each row computes with."""
    return plan["dtype"].to_numpy(object) if "dtype" in plan else np.full(len(plan), "float64", object)


def _job_size(n: int, epochs: int, marks: int, width: int) -> int:
    """Return how many runs make a job: a multiple of those that are trained side by side, if there are many of them."""
    least = width if WIDTH * marks > JOB_LOSSES else max(width, WIDTH)
    return least * max(1, min(JOB_RUNS, JOB_UPDATES // (n * epochs), JOB_LOSSES // marks) // least)


def last_mark(clock: Clock, batch_size: int, epochs: int, until: int | None) -> int:
    """Return the last mark of a run of `epochs`, or the last one within its first `until` epochs."""
    marks = clock.marks(batch_size, epochs)
    if until is None:
        return marks.size - 1
    return int(np.searchsorted(marks, until * clock.samples_per_epoch(batch_size), side="right")) - 1


class SharedKernels(NamedTuple):
    """The optimizers of a plan by their codes, and which of them share jobs.

    Attributes
    ----------
    optimizers : list of Optimizer
    numbers : array, shape (optimizers,)
        The same for those that share jobs: the code of the first of them.
    per_run : array, shape (optimizers,)
        Whether a kernel reads the options of each run.
    """

    optimizers: list[Optimizer]
    numbers: NDArray[np.intp]
    per_run: NDArray[np.bool_]


def share_kernels(plan: pd.DataFrame, settings: RunTable, many_options: int = MANY_OPTIONS) -> SharedKernels:
    """Return which optimizers of a plan share jobs."""
    optimizers = [make_optimizer(text) for text in plan["optimizer"].cat.categories]
    shared = SharedKernels(optimizers, np.arange(len(optimizers)), np.zeros(len(optimizers), np.bool_))
    # In float32, what is made of options alone is of double precision, and a lane of them would not be.
    if KERNELS[settings.kernel].width > 1 and (dtypes_of(plan) == "float64").all():
        alike: dict[Hashable, list[int]] = {}
        for code, optimizer in enumerate(optimizers):
            if optimizer.options or optimizer.weight_decay:
                alike.setdefault(kernel_key(optimizer), []).append(code)
        for codes in alike.values():
            if len(codes) >= many_options and takes_options_per_run(optimizers[codes[0]]):
                shared.numbers[codes], shared.per_run[codes] = codes[0], True
    return shared


def _unfinished_rows(plan: pd.DataFrame, progress: Progress, kernels: NDArray[np.intp]) -> pd.DataFrame:
    """Return what decides which rows come together, for those that are not finished, by learning rate."""
    keys = pd.DataFrame(
        {
            "dtype": dtypes_of(plan),
            "optimizer": kernels,
            "batch_size": plan["batch_size"],
            "shuffle": plan["shuffle"],
            "seed": plan["seed"].where(plan["shuffle"], 0),
            "first": progress.marks,
            "lr": plan["lr"].to_numpy(),
        }
    )
    return keys[~progress.finished].sort_values([*SHARED, "lr"], kind="stable")
