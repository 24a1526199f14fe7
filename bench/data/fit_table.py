"""One fit of a table's columns, with results in the table's own units."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sgdbench.data.scaling import Scaling, standardize
from sgdbench.data.table import Dataset
from sgdbench.data.units import (
    describe_residual_units,
    in_table_units,
    original_loss,
    standardized_target,
    start_in_training_units,
)
from sgdbench.kernels import FitResult, Model
from sgdbench.kernels import fit as kernels_fit
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss

MAX_ROWS_SHOWN = 10_000


@dataclass(frozen=True, eq=False)
class TableFit:
    """A fit, and its results in the units of the table.

    The `result` is in the units of training, and so are the `data`: the table, or the table standardized by `scaling`.
    The `params` are in the table's units or, if `note` says why, in standardized ones; `loss` is their recorded loss,
    as from `sgdbench.data.units.original_loss`. If Ctrl-C ended the fit, the results are those so far.
    """

    result: FitResult
    data: Dataset
    scaling: Scaling | None
    params: dict[str, float]
    loss: float
    note: str | None
    interrupted: bool = False

    @cached_property
    def rows(self) -> Dataset:
        """The training data; of a memory map the rows that represent all in figures and advice."""
        return thin_rows(self.data)

    @property
    def status(self) -> str:
        """How training ended: the status of the result, or "interrupted"."""
        return "interrupted" if self.interrupted else self.result.status

    @property
    def loss_units(self) -> str:
        """A sentence on the residual units of a loss that stays in standardized units; else empty."""
        return describe_residual_units(self.result.criterion, self.scaling, self.data.y_name)

    @property
    def metrics(self) -> dict[str, float | None]:
        """Other measures of these parameters, by name, such as the accuracy; an RMSE is in the table's units."""
        return {name: finite_or_none(value) for name, value in self._unscale(self.result.metrics).items()}

    @property
    def validation_losses(self) -> Floats | None:
        """The losses on held-out samples, in the table's units, shape (M,); None if there are none."""
        losses = self.result.validation_loss
        return None if losses is None else original_loss(losses, self.scaling, self.result.criterion)

    @cached_property
    def test_loss(self) -> float | None:
        """The loss on the test samples, in the table's units; None if there are none."""
        loss = self.result.test_loss
        return None if loss is None else float(original_loss(loss, self.scaling, self.result.criterion))

    @cached_property
    def test_metrics(self) -> dict[str, float]:
        """Other measures on the test samples, by name; an RMSE is in the table's units."""
        return self._unscale(self.result.test_metrics)

    def _unscale(self, metrics: dict[str, float]) -> dict[str, float]:
        scale = 1.0 if self.scaling is None else self.scaling.y_scale
        return {name: value * scale if name == "rmse" else value for name, value in metrics.items()}

    def summary(self) -> dict[str, Any]:
        """Return the numbers for scripts; None where they are not finite."""
        numbers: dict[str, Any] = {
            "params": {name: finite_or_none(value) for name, value in self.params.items()},
            "loss": finite_or_none(self.loss),
            **({} if self.result.criterion.of_residual else {"records": self.result.records}),
            **({"loss_units": units} if (units := self.loss_units) else {}),
            **({"metrics": self.metrics} if self.metrics else {}),
            "status": self.status,
            "epochs": self.result.epochs,
            **({"order": self.result.order} if self.data.mapped_in else {}),
            "epochs_to_target": self.result.epochs_to_target,
            "seconds": self.result.seconds,
            "compile_seconds": self.result.compile_seconds,
        }
        if (losses := self.validation_losses) is not None:
            kept_loss, lowest = losses[self.result.kept_checkpoint], losses[self.result.best.checkpoint]
            numbers |= {"validation_loss": finite_or_none(kept_loss), "best_validation_loss": finite_or_none(lowest)}
        if self.test_loss is not None:
            metrics = {name: finite_or_none(value) for name, value in self.test_metrics.items()}
            numbers |= {"test_loss": finite_or_none(self.test_loss), "test_metrics": metrics}
        return numbers | ({"note": self.note} if self.note else {})


def fit_table(
    model: Model,
    table: Dataset,
    *,
    standardized: bool = False,
    center: str = "both",
    loss: str | Loss = "squared",
    target: float | None = None,
    watch: Callable[[FitResult, Dataset], None] = lambda result, data: None,
    **settings: Any,
) -> TableFit:
    """Fit a model, with as many inputs as the table has columns x, to a table; other settings: `sgdbench.fit`.

    If `standardized`, the model is trained on columns of mean 0 and standard deviation 1, and its parameters are
    carried back if possible; `center` is as for `sgdbench.data.standardize`. Initial values are then in standardized
    units, except those that a function has as defaults. The target is in the units of `TableFit.loss`.

    `watch` is called about twenty times a second with the result so far and the training data. Ctrl-C before the first
    result raises KeyboardInterrupt; later it returns the result so far.
    """
    criterion = make_loss(loss)
    data, scaling = table, None
    if standardized:
        data, scaling = standardize(
            table, targets=criterion.scales_targets, center=center, constant=bool(model.vectors)
        )
    if scaling and target is not None:
        target = standardized_target(target, scaling, criterion)
    if scaling and settings.get("init") is None:
        settings["init"] = start_in_training_units(model, scaling)
    so_far: FitResult | None = None

    def remember(result: FitResult) -> None:
        """Store the result so far, for Ctrl-C, and pass it on."""
        nonlocal so_far
        so_far = result
        watch(result, data)

    try:
        settings = {"x": data.x, "y": data.y, "validation": data.validation, "test": data.test} | settings
        result = kernels_fit(model, loss=loss, target=target, callback=remember, **settings)
    except KeyboardInterrupt:
        if so_far is None:
            raise
        return carry_back(so_far, data, scaling, interrupted=True)
    return carry_back(result, data, scaling)


def carry_back(result: FitResult, data: Dataset, scaling: Scaling | None, *, interrupted: bool = False) -> TableFit:
    """Return a fit of trained data with its parameters and its loss in the table's units.

    The scaling was returned by `sgdbench.data.standardize` with the data; None if they were not standardized.
    """
    params, loss, note = in_table_units(result.model, result.params, result.kept.loss, scaling, result.criterion)
    named = dict(zip(result.model.params, params.tolist(), strict=True))
    return TableFit(result, data, scaling, named, loss, note, interrupted)


def thin_rows(table: Dataset) -> Dataset:
    """Return a table unchanged, or of a memory map at most `MAX_ROWS_SHOWN` evenly spaced rows, in memory."""
    if table.mapped_in is None:
        return table
    step = -(-table.y.size // MAX_ROWS_SHOWN)
    return replace(table, x=np.ascontiguousarray(table.x[::step]), y=table.y[::step].copy(), mapped_in=None)


def finite_or_none(value: float) -> float | None:
    """Return the value, or None if it is not finite, which JSON cannot hold."""
    return value if np.isfinite(value) else None
