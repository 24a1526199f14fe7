"""The problem that all runs of a sweep share, and the jobs in which they are trained."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sgdbench.engine.fingerprint import hash_columns
from sgdbench.engine.recording import CHECKPOINTS_TO_TARGET, settle_record, stops_at_target
from sgdbench.kernels import Model
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.base.run import Floats, Hyperparameters
from sgdbench.kernels.compile.kinds import takes_factor
from sgdbench.kernels.compile.loss_factor import make_factors
from sgdbench.kernels.data.order import BlockShuffle, make_shuffle
from sgdbench.kernels.data.samples import PASSES_WORTH_A_COPY, Samples, allocate_data, lay_in_rows
from sgdbench.kernels.data.validation import HeldOut, check_patience, read_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import ModelLike
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.train.block import Runs, train_runs
from sgdbench.store.clock import Clock
from sgdbench.study.config_id import config_ids
from sgdbench.study.schema import RunTable


@dataclass(frozen=True, eq=False)
class Job:
    """Runs that one thread trains side by side, in the same order of samples; see `sgdbench.engine.jobs`.

    `rows` are their indices in the plan, and `optimizer` belongs to the first run; the others may differ in options.
    Rates are of shape (epochs, R), and settings of shape (S, R) if options differ. The runs are at the checkpoint
    `first`, with `params`, shape (R, P), `memory`, shape (R, M), and their lowest validation losses so far, `lowest`,
    as from `sgdbench.kernels.base.run.start_lowest`.
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
class Problem:
    """A model with its loss, the samples, the settings and the clock of all runs of a sweep.

    `fingerprint` is a hash of the training samples; `held_out` are the validation samples, and those of `test` decide
    nothing.
    """

    model: Model
    loss: Loss
    columns: tuple[Floats, ...]
    y: Floats
    settings: RunTable
    clock: Clock
    fingerprint: str
    held_out: Samples | None = None
    test: Samples | None = None
    classes: Classes | None = None

    @property
    def counted_loss(self) -> str:
        """The column of the loss by which runs without a target are compared: on held-out samples, if any."""
        return "validation_loss" if self.held_out is not None and self.settings.target is None else "final_loss"

    def order(self, shuffle: bool) -> bool | BlockShuffle:
        """Return the order in which runs visit the samples, for the setting `shuffle`."""
        return make_shuffle(self.settings.order(shuffle))

    def train(self, job: Job, stopped: Callable[[], bool]) -> Runs | None:
        """Train a job; return None if it is stopped before its end."""
        size = job.hyperparameters.batch_size
        data = allocate_data(
            self.columns,
            self.y,
            shuffle=self.order(job.hyperparameters.shuffle),
            batch_size=size,
            validation=self.held_out,
            dtype=job.dtype,
            by_row=self.model.by_row,
        )
        if takes_factor(job.kernel, self.model, self.loss, job.hyperparameters.checkpoints.size):
            data = data._replace(factors=self._factors)
        return train_runs(
            job.kernel,
            self.model,
            self.loss,
            job.optimizer,
            data,
            job.hyperparameters,
            job.params,
            job.memory,
            first=job.first,
            lowest=job.lowest,
            stopped=stopped,
        )

    @cached_property
    def _factors(self) -> Floats:
        """The QR factors of the training and held-out samples, which jobs share."""
        return make_factors(self.model.program, allocate_data(self.columns, self.y, validation=self.held_out))

    def recorded_in(self, folder: Path) -> "Problem":
        """Return the same problem with the checkpoints that runs into another folder record."""
        return replace(self, clock=_settle_clock(self.settings, self.y.size, folder))

    def with_ids(self, plan: pd.DataFrame) -> pd.DataFrame:
        """Return the plan with an id before each row."""
        ids = config_ids(plan, self.model, self.fingerprint, self.settings)
        return pd.concat([pd.Series(ids, plan.index, name="config_id"), plan], axis=1)


def _settle_clock(settings: RunTable, n: int, folder: Path) -> Clock:
    """Return the checkpoints that runs on n samples record in a folder."""
    more = CHECKPOINTS_TO_TARGET if stops_at_target(settings) else 0
    record = settle_record(settings.record, n, settings.epochs, folder, more=more)
    return Clock(record, n, settings.drop_last)


def make_problem(
    model: ModelLike,
    x: Inputs,
    y: ArrayLike,
    settings: RunTable,
    folder: Path,
    validation: HeldOut = None,
    test: HeldOut = None,
) -> Problem:
    """Check the data, hold out parts of them, and determine the checkpoints that a run into this folder records."""
    loss = make_loss(settings.loss)
    model, classes, ((columns, y), held_out, for_test) = read_data(model, loss, x, y, validation, test)
    check_patience(settings.patience, validation)
    clock = _settle_clock(settings, y.size, folder)
    known_by = hash_columns(*columns, y)
    if model.by_row:  # laid out once, not by each job
        columns = tuple(lay_in_rows(columns, passes=PASSES_WORTH_A_COPY).reshape(y.size, -1).T)
    return Problem(model, loss, columns, y, settings, clock, known_by, held_out, for_test, classes)
