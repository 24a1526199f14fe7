"""Plans a sweep: which configurations are trained together, and from where."""

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.store.run_folder import Run
from kernels import Model
from kernels.block import WIDTH
from kernels.losses import Loss
from kernels.optimizers import Optimizer, make_optimizer
from kernels.run import MAX_EPOCHS, Floats, Hyperparameters, initial_memory, option_values
from kernels.schedules import learning_rates

# A job is large enough to be worth handing to a thread, and small enough for progress to be seen and for the losses of
# some jobs to fit into memory.
JOB_UPDATES = 50_000_000
JOB_RUNS = 64 * WIDTH
JOB_LOSSES = 1_000_000


class Job(NamedTuple):
    """Some rows of the plan that share an optimizer, a batch size, a visiting order and the epochs done so far."""

    rows: NDArray[np.intp]
    optimizer: Optimizer
    plan: Hyperparameters
    params: Floats
    memory: Floats
    first: int


class Progress(NamedTuple):
    """Where each row of the plan stands: epochs done, whether that is all, parameters, the optimizer's memory."""

    epochs: NDArray[np.int64]
    over: NDArray[np.bool_]
    params: Floats
    memory: list[Floats]
    best: Floats
    seconds: Floats


def read_progress(run: Run, plan: pd.DataFrame, model: Model, epochs: int) -> Progress:
    """What the run's folder says of each row of the plan."""
    size = len(plan)
    done, over = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    params = plan[[f"start_{name}" for name in model.params]].to_numpy(copy=True)
    memories = [np.empty(0)] * size
    best, seconds = np.full(size, np.inf), np.zeros(size)
    stored = run.configurations()
    if len(stored):
        most = stored["epochs"].max()
        if most > epochs:
            raise ValueError(f"epochs must be at least {most}, which {run.folder} holds already, not {epochs}")
        places = pd.Index(plan["config_id"]).get_indexer(stored["config_id"])
        stored, places = stored[places >= 0], places[places >= 0]
        done[places] = stored["epochs"]
        over[places] = (stored["status"] != MAX_EPOCHS) | (stored["epochs"] == epochs)
        params[places] = stored[[f"param_{name}" for name in model.params]]
        best[places], seconds[places] = stored["best_loss"], stored["seconds"]
        for place, memory_then in zip(places, stored["memory"], strict=True):
            memories[place] = memory_then
    return Progress(done, over, params, memories, best, seconds)


def plan_jobs(
    plan: pd.DataFrame, known: Progress, loss: Loss, epochs: int, drop_last: bool, target: float, n: int
) -> Iterator[Job]:
    """The rows that are not over, in blocks.

    Rows of similar learning rates come together: those that diverge, or reach the target, do so at about the same time,
    and a block is over when its last run is.
    """
    factors = np.stack([learning_rates(text, 1.0, epochs) for text in plan["schedule"].cat.categories], axis=1)
    schedule, lr = plan["schedule"].cat.codes.to_numpy(), plan["lr"].to_numpy()
    keys = pd.DataFrame(
        {
            "optimizer": plan["optimizer"].cat.codes,
            "batch_size": plan["batch_size"],
            "shuffle": plan["shuffle"],
            "seed": plan["seed"].where(plan["shuffle"], 0),
            "first": known.epochs,
        }
    )
    shared = list(keys)
    todo = keys.assign(lr=lr)[~known.over].sort_values([*map(str, shared), "lr"], kind="stable")
    size = WIDTH * max(1, min(JOB_RUNS, JOB_UPDATES // (n * epochs), JOB_LOSSES // epochs) // WIDTH)
    for key, group in todo.groupby(shared, sort=False):
        code, batch_size, shuffle, seed, first = cast(tuple[int, ...], key)
        optimizer = make_optimizer(plan["optimizer"].cat.categories[code])
        fresh = initial_memory(optimizer, known.params.shape[1])
        for begin in range(0, len(group), size):
            rows = group.index.to_numpy()[begin : begin + size]
            rates = lr[rows] * factors[:, schedule[rows]]
            values = option_values(loss, optimizer)
            own = Hyperparameters(rates, values, batch_size, drop_last, bool(shuffle), seed, target)
            state = np.stack([known.memory[row] if first else fresh for row in rows])
            yield Job(rows, optimizer, own, known.params[rows], state, first)
