"""Plans the jobs of a sweep: which configurations are trained together."""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.engine.memory import Length, Memory
from bench.engine.problem import Job, Problem
from bench.engine.progress import Progress
from bench.study.run_settings import make_hyperparameters, schedule_factors
from bench.study.schema import RunTable
from kernels.compile.kinds import KERNELS
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

# A job is large enough to be worth a thread, and small enough for progress to be seen and the losses of some jobs to
# fit into memory.
JOB_UPDATES = 50_000_000
JOB_RUNS = 64 * WIDTH
JOB_LOSSES = 1_000_000

# The runs of a job have these in common; the seed only where it orders the samples, and the number of an optimizer
# that stands for all that share its kernel.
SHARED = ["dtype", "optimizer", "batch_size", "shuffle", "seed", "first"]
# From this many on, optimizers that differ in their options alone share jobs, with a kernel that reads each run's own.
# Its updates take up to a third longer, but a job for each optimizer would leave most places of a lane empty.
MANY_OPTIONS = 8


def plan_jobs(
    problem: Problem,
    plan: pd.DataFrame,
    progress: Progress,
    shared: "SharedKernels",
    until: int | None = None,
) -> Iterator[Job]:
    """Yield the rows of a plan that are not finished, in jobs that train `until` an epoch, or to the end without it.

    Rows of similar learning rates come together: those that diverge, or reach the target, do so at about the same time,
    and a job is over when its last run is.
    """
    loss, settings, clock = problem.loss, problem.settings, problem.clock
    dtypes = dtypes_of(plan)
    memory = Memory.of(
        problem.model, settings, held_out=problem.held_out is not None, single=bool((dtypes == "float32").any())
    )
    schedules = plan["schedule"].cat
    factors = schedule_factors(schedules.categories.to_series(), settings.epochs)
    schedule, lr = schedules.codes.to_numpy(), plan["lr"].to_numpy()
    optimizers, of_row = shared.optimizers, plan["optimizer"].cat.codes.to_numpy()
    for key, group in _unfinished_rows(plan, progress, shared.numbers[of_row]).groupby(SHARED, sort=False):
        common = dict(zip(SHARED, cast(tuple[Any, ...], key), strict=True))
        dtype, number, first = common["dtype"], common["optimizer"], common["first"]
        batch_size = common["batch_size"]
        marks = clock.marks(batch_size, settings.epochs, until)
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
    """Return the dtype of each row."""
    return plan["dtype"].to_numpy(object) if "dtype" in plan else np.full(len(plan), "float64", object)


def _job_size(n: int, epochs: int, marks: int, width: int) -> int:
    """Return the number of runs of a job, a multiple of those that are trained side by side."""
    least = width if WIDTH * marks > JOB_LOSSES else max(width, WIDTH)
    return least * max(1, min(JOB_RUNS, JOB_UPDATES // (n * epochs), JOB_LOSSES // marks) // least)


class SharedKernels(NamedTuple):
    """The optimizers of a plan by their codes, and which of them share jobs.

    `numbers` are the same for those that share jobs, the code of the first of them; `per_run` says whether a kernel
    reads the options of each run. Both are of shape (optimizers,).
    """

    optimizers: list[Optimizer]
    numbers: NDArray[np.intp]
    per_run: NDArray[np.bool_]


def share_kernels(plan: pd.DataFrame, settings: RunTable, many_options: int = MANY_OPTIONS) -> SharedKernels:
    """Return the optimizers of a plan, and which share jobs: at least `many_options` that differ in options alone."""
    optimizers = [make_optimizer(text) for text in plan["optimizer"].cat.categories]
    shared = SharedKernels(optimizers, np.arange(len(optimizers)), np.zeros(len(optimizers), np.bool_))
    # In float32, numbers made of options alone are of double precision, which those of a lane would not be.
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
    """Return the keys of the rows that are not finished, by which they are grouped, sorted by learning rate."""
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
