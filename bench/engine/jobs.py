"""Planning of the jobs of a sweep: which configurations are trained together."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.engine.memory import Memory
from sgdbench.engine.problem import Job, Problem
from sgdbench.engine.run_states import RunStates
from sgdbench.kernels.base.run import Floats, Integers
from sgdbench.kernels.compile.kinds import KERNELS
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import (
    initial_memory,
    kernel_key,
    option_values,
    stack_options,
)
from sgdbench.kernels.train.block import BLOCK_WIDTH
from sgdbench.study.run_settings import make_hyperparameters, schedule_factors
from sgdbench.study.schema import RunTable
from sgdbench.system.environment import processors

# The target size of a job: large enough to be worth a thread, and small enough that progress is visible, that losses
# and parameters of some jobs fit into memory, and that no processor waits long for the last job.
JOB_UPDATES = 50_000_000
MIN_JOB_WORK = 5_000_000  # updates of a parameter: half a millisecond or more
JOBS_PER_PROCESSOR = 4
JOB_RUNS = 64 * BLOCK_WIDTH
JOB_NUMBERS = 1_000_000

# From this many on, optimizers that differ only in options share jobs, with a kernel that reads each run's options. Its
# updates take up to a third longer, but a job per optimizer would leave most places of a lane empty.
MIN_SHARED_OPTIMIZERS = 8


class Group(NamedTuple):
    """Rows of a plan that could be trained side by side, their kernel, and the checkpoints of their runs."""

    rows: NDArray[np.intp]
    kernel: str
    checkpoints: Integers


def group_runs(
    problem: Problem, plan: pd.DataFrame, states: RunStates, shared: "SharedKernels", until: int | None = None
) -> list[Group]:
    """Return the unfinished rows of a plan in groups, to train `until` an epoch, or by default to the end."""
    settings, clock, dtypes = problem.settings, problem.clock, dtypes_of(plan)
    of_row = plan["optimizer"].cat.codes.to_numpy()
    memory = Memory.of(problem, single=bool((dtypes == "float32").any()))
    sizes, shuffled = plan["batch_size"].to_numpy(), plan["shuffle"].to_numpy()
    seeds = np.where(shuffled, plan["seed"].to_numpy(), 0)
    rows = np.flatnonzero(~states.finished)
    checkpoints_of = {size: clock.checkpoints(size, settings.epochs, until) for size in np.unique(sizes[rows]).tolist()}
    # The runs of a job share these; the seed only if it determines the order of samples, and the number of an optimizer
    # that represents all that share its kernel.
    keys = [dtypes == "float64", shared.numbers[of_row], sizes, shuffled, seeds, states.checkpoints]
    groups = [
        Group(group, settings.kernel, checkpoints)
        for group in _group_rows(rows, keys, plan["lr"].to_numpy())
        if states.checkpoints[group[0]] < (checkpoints := checkpoints_of[sizes[group[0]]]).size - 1
    ]
    kernels = memory.choose_kernels([(len(group.rows), group.checkpoints.size) for group in groups])
    exact = np.array([optimizer.is_exact for optimizer in shared.optimizers])[of_row]
    return [
        group._replace(kernel=kernel) if exact[group.rows[0]] else group
        for group, kernel in zip(groups, kernels, strict=True)
    ]


def plan_jobs(
    problem: Problem,
    plan: pd.DataFrame,
    states: RunStates,
    shared: "SharedKernels",
    groups: Sequence[Group] | None = None,
) -> Iterator[Job]:
    """Yield groups of rows of a plan, by default of all unfinished rows, in jobs.

    Rows of similar learning rates share a job: they diverge or reach the target at about the same time,
    and a job ends with its last run.
    """
    loss, settings = problem.loss, problem.settings
    groups = group_runs(problem, plan, states, shared) if groups is None else groups
    dtypes, schedules = dtypes_of(plan), plan["schedule"].cat
    memory = Memory.of(problem, single=bool((dtypes == "float32").any()))
    factors = schedule_factors(schedules.categories.to_series(), settings.epochs)
    schedule, lr = schedules.codes.to_numpy(), plan["lr"].to_numpy()
    optimizers, of_row = shared.optimizers, plan["optimizer"].cat.codes.to_numpy()
    sizes, shuffled, seeds = (plan[name].to_numpy() for name in ("batch_size", "shuffle", "seed"))
    updates, left = problem.clock.n * settings.epochs, sum(len(group.rows) for group in groups)
    share = max(left // (JOBS_PER_PROCESSOR * processors()), MIN_JOB_WORK // (updates * len(problem.model.params)))
    for group, kernel, checkpoints in groups:
        row = group[0]
        size = _job_size(updates, checkpoints.size + len(problem.model.params), memory.width_of(kernel), share)
        for begin in range(0, len(group), size):
            mine = group[begin : begin + size]
            own = [optimizers[code] for code in of_row[mine]]
            rates = lr[mine] * factors[:, schedule[mine]]
            per_run, first = shared.per_run[shared.numbers[of_row[row]]], int(states.checkpoints[row])
            options = stack_options(loss, own) if per_run else option_values(loss, own[0])
            common = {"batch_size": sizes[row], "shuffle": shuffled[row], "seed": seeds[row] if shuffled[row] else 0}
            hyperparameters = make_hyperparameters(common, rates, options, checkpoints, settings)
            params, lowest = states.params[mine], states.lowest[mine]
            remembered = np.stack([states.memory[place] for place in mine]) if first else initial_memory(own, params)
            yield Job(mine, kernel, dtypes[row], own[0], hyperparameters, params, remembered, first, lowest)


def _group_rows(rows: NDArray[np.intp], keys: Sequence[NDArray[Any]], lr: Floats) -> list[NDArray[np.intp]]:
    """Return rows of a plan in groups with equal keys, each sorted by learning rate."""
    if not rows.size:
        return []
    table = np.stack([np.asarray(key, np.uint64)[rows] for key in keys])
    order = np.lexsort([lr[rows], *table[::-1]])
    table = table[:, order]
    return np.split(rows[order], 1 + np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)))


def dtypes_of(plan: pd.DataFrame) -> NDArray[np.object_]:
    """Return the dtype of each row."""
    return plan["dtype"].to_numpy(object) if "dtype" in plan else np.full(len(plan), "float64", object)


def _job_size(updates: int, numbers: int, width: int, share: int) -> int:
    """Return the number of runs of a job, at most about `share`, a multiple of the number trained side by side.

    `numbers` counts the losses and the parameters of a run.
    """
    least = width if BLOCK_WIDTH * numbers > JOB_NUMBERS else max(width, BLOCK_WIDTH)
    most = least * max(1, min(JOB_RUNS, JOB_UPDATES // updates, JOB_NUMBERS // numbers) // least)
    return min(most, width * max(1, -(-share // width)))


class SharedKernels(NamedTuple):
    """The optimizers of a plan by their codes, and which of them share jobs.

    `numbers` are equal for those that share jobs: the code of the first of them; `per_run` tells whether a kernel reads
    the options of each run. Both are of shape (optimizers,).
    """

    optimizers: list[Optimizer]
    numbers: NDArray[np.intp]
    per_run: NDArray[np.bool_]


def share_kernels(plan: pd.DataFrame, settings: RunTable, many_options: int = MIN_SHARED_OPTIMIZERS) -> SharedKernels:
    """Return the optimizers of a plan, and which share jobs: at least `many_options` that differ only in options."""
    optimizers = [make_optimizer(text) for text in plan["optimizer"].cat.categories]
    shared = SharedKernels(optimizers, np.arange(len(optimizers)), np.zeros(len(optimizers), np.bool_))
    # In float32, numbers computed from options alone have double precision, but those of a lane would not.
    if KERNELS[settings.kernel].width > 1 and (dtypes_of(plan) == "float64").all():
        alike: dict[Hashable, list[int]] = {}
        for code, optimizer in enumerate(optimizers):
            if optimizer.options or optimizer.weight_decay:
                alike.setdefault(kernel_key(optimizer), []).append(code)
        for codes in alike.values():
            if len(codes) >= many_options:
                shared.numbers[codes], shared.per_run[codes] = codes[0], True
    return shared
