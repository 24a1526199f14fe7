"""The settings with which a run is trained, from a row of a sweep or of its choices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats, Hyperparameters, Integers, samples_per_epoch
from sgdbench.kernels.data.order import make_shuffle
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.data.validation import Split
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.block import NO_CHECKPOINTS, Runs, train_runs
from sgdbench.store.clock import Clock
from sgdbench.study.schema import RunTable

Row = Mapping[Any, Any] | pd.Series
_SETTING_TYPES = {"optimizer": str, "lr": float, "schedule": str, "batch_size": int, "shuffle": bool, "dtype": str}


def choice_settings(row: Row, shared: RunTable) -> dict[str, Any]:
    """Return the settings of a choice by the names of `sgdbench.fit`; `dtype` only if the row has one."""
    own = {name: kind(row[name]) for name, kind in _SETTING_TYPES.items() if name in row}
    return own | {"shuffle": shared.order(own["shuffle"])}


def fit_settings(row: Row, shared: RunTable, clock: Clock) -> dict[str, Any]:
    """Return the arguments with which `sgdbench.fit` trains a row of a sweep.

    The start, the kernel and held-out samples are not included.
    """
    return choice_settings(row, shared) | {"seed": int(row["seed"])} | shared_settings(shared, clock)


def shared_settings(shared: RunTable, clock: Clock) -> dict[str, Any]:
    """Return the arguments of `sgdbench.fit` that all runs of a sweep share; `patience` only if it is set."""
    common = {name: getattr(shared, name) for name in ("epochs", "target", "loss", "drop_last")}
    return common | {"record": clock.record} | ({} if shared.patience is None else {"patience": shared.patience})


def schedule_factors(schedules: "pd.Series[str]", epochs: int) -> Floats:
    """Return the factors on the learning rates of runs, shape (epochs, runs)."""
    codes, texts = pd.factorize(schedules)
    return np.stack([learning_rates(text, 1.0, epochs) for text in texts], axis=1)[:, codes]


def make_hyperparameters(
    row: Row, rates: Floats, options: Floats, checkpoints: Integers, shared: RunTable
) -> Hyperparameters:
    """Return the hyperparameters of runs that visit the same batches in the same order.

    The row has the shared batch size, shuffling and seed. `rates` are of shape (epochs, R), and `options` those of the
    loss and the optimizer, as from `option_values` or `stack_options`.
    """
    return Hyperparameters(
        rates,
        options,
        int(row["batch_size"]),
        shared.drop_last,
        bool(row["shuffle"]),
        int(row["seed"]),
        -np.inf if shared.target is None else shared.target,
        checkpoints,
        shared.patience or np.inf,
    )


def train_again(
    kernel: str,
    model: Model,
    samples: Split,
    rows: pd.DataFrame,
    starts: Floats,
    shared: RunTable,
    checkpoints: Integers,
    at: Integers = NO_CHECKPOINTS,
) -> Runs:
    """Train rows of a sweep that visit the same batches in the same order again, up to the last checkpoint given.

    A single row is trained from all the starts, shape (R, P); otherwise each row has one of them. `checkpoints` are the
    first of the runs, and `at` is as for `sgdbench.kernels.train.block.train_runs`.
    """
    loss, first = make_loss(shared.loss), rows.iloc[0]
    own = choice_settings(first, shared)
    optimizer, size = make_optimizer(own["optimizer"]), own["batch_size"]
    data = allocate_data(
        *samples.train,
        shuffle=make_shuffle(own["shuffle"]),
        batch_size=size,
        validation=samples.validation,
        dtype=own.get("dtype", "float64"),
        by_row=model.by_row,
    )
    epochs = max(1, -(-int(checkpoints[-1]) // samples_per_epoch(data.y.size, size, shared.drop_last)))
    rates = rows["lr"].to_numpy() * schedule_factors(rows["schedule"], shared.epochs)[:epochs]
    rates = np.broadcast_to(rates, (epochs, len(starts)))
    hyper = make_hyperparameters(first, rates, option_values(loss, optimizer), checkpoints, shared)
    memory = optimizer.initial_memory(starts)
    runs = train_runs(kernel, model, loss, optimizer, data, hyper, starts, memory, at=at)
    assert runs is not None  # noqa: S101 (nothing stops it)
    return runs
