"""What all runs of a sweep have in common, and how one job of them is trained."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from numpy.typing import ArrayLike

from bench.engine.fingerprint import hash_columns
from bench.engine.jobs import Job
from bench.engine.recording import settle_record
from bench.store.clock import Clock
from bench.study.config_id import config_ids
from bench.study.schema import RunTable
from kernels import Model
from kernels.block import Runs, train_runs
from kernels.losses import Loss, make_loss
from kernels.run import Floats
from kernels.samples import allocate_data, check_samples


@dataclass(frozen=True, eq=False)
class Problem:
    """What all jobs of a sweep have in common: a model with its loss, the samples, the settings and the clock.

    Attributes
    ----------
    fingerprint : str
        A hash of the samples.
    """

    model: Model
    loss: Loss
    columns: tuple[Floats, ...]
    y: Floats
    settings: RunTable
    clock: Clock
    fingerprint: str

    def train(self, job: Job, stopped: Callable[[], bool]) -> Runs | None:
        """Train a job; None if it is stopped before its end."""
        data = allocate_data(self.columns, self.y, shuffle=job.hyperparameters.shuffle)
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
            stopped=stopped,
        )

    def with_ids(self, plan: pd.DataFrame) -> pd.DataFrame:
        """Return the plan with an id in front of each row."""
        ids = config_ids(
            plan,
            model=self.model,
            data_fingerprint=self.fingerprint,
            loss=self.settings.loss,
            drop_last=self.settings.drop_last,
            epochs=self.settings.epochs,
        )
        return pd.concat([pd.Series(ids, plan.index, name="config_id"), plan], axis=1)


def make_problem(model: Model, x: ArrayLike, y: ArrayLike, settings: RunTable, folder: Path) -> Problem:
    """Check the data, and settle what a run into this folder records.

    Raises
    ------
    ValueError
        If the data do not fit the model.
    """
    columns, y = check_samples(model, x, y)
    clock = Clock(settle_record(settings.record, y.size, settings.epochs, folder), y.size, settings.drop_last)
    return Problem(model, make_loss(settings.loss), columns, y, settings, clock, hash_columns(*columns, y))
