"""One fit of a table's columns, told in the table's own units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data.scaling import Scaling, original_loss, original_units, standardize
from bench.data.table import Dataset
from kernels import FitResult, Model
from kernels import fit as kernels_fit
from kernels.run import Floats


@dataclass(frozen=True)
class TableFit:
    """A fit and what it means for the table.

    Attributes
    ----------
    result : FitResult
        In the units that were trained.
    data : Dataset
        What was trained: the table, or the table standardized.
    scaling : Scaling or None
        What lies between the two.
    params : dict
        Name -> value, in the table's units, or in standardized ones where `note` says so.
    loss : float
        Mean squared residual in the table's units.
    note : str or None
        Why the parameters are not in the table's units.
    interrupted : bool
        Whether Ctrl-C ended it; then this is how far it got.
    """

    result: FitResult
    data: Dataset
    scaling: Scaling | None
    params: dict[str, float]
    loss: float
    note: str | None
    interrupted: bool = False

    @property
    def status(self) -> str:
        """That of the result, or "interrupted"."""
        return "interrupted" if self.interrupted else self.result.status

    def summary(self) -> dict[str, Any]:
        """The numbers that scripts read; None for what is not finite."""
        numbers = {
            "params": {name: _finite(value) for name, value in self.params.items()},
            "loss": _finite(self.loss),
            "status": self.status,
            "epochs": self.result.epochs,
            "epochs_to_target": self.result.epochs_to_target,
            "seconds": self.result.seconds,
            "compile_seconds": self.result.compile_seconds,
        }
        return numbers | ({"note": self.note} if self.note else {})


def fit_table(
    model: Model,
    table: Dataset,
    *,
    standardized: bool = False,
    target: float | None = None,
    watch: Callable[[FitResult, Dataset], None] = lambda result, data: None,
    **settings: Any,
) -> TableFit:
    """Fit a model to a table.

    Parameters
    ----------
    model : Model
        With as many inputs as the table has columns x.
    table : Dataset
    standardized : bool
        Train on columns of mean 0 and standard deviation 1, and carry the parameters back where the model allows it.
        A start is then one in standardized units.
    target : float, optional
        The loss at which to stop, in the table's units.
    watch : callable
        Called about twenty times a second with the result so far and the data that are trained.
    **settings
        As for `kernels.fit`.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    KeyboardInterrupt
        On Ctrl-C before there is any result; later the result so far is returned.
    """
    data, scaling = standardize(table) if standardized else (table, None)
    if scaling and target is not None:
        target = target / scaling.y_scale / scaling.y_scale  # its square may be too small for a float
    so_far: FitResult | None = None

    def keep(result: FitResult) -> None:
        nonlocal so_far
        so_far = result
        watch(result, data)

    try:
        result = kernels_fit(model, data.x, data.y, target=target, callback=keep, **settings)
    except KeyboardInterrupt:
        if so_far is None:
            raise
        return _summarize(so_far, data, scaling, interrupted=True)
    return _summarize(result, data, scaling, interrupted=False)


def _summarize(result: FitResult, data: Dataset, scaling: Scaling | None, *, interrupted: bool) -> TableFit:
    params, loss, note = in_table_units(result.model, result.params, result.loss[-1], scaling)
    named = dict(zip(result.model.params, params.tolist(), strict=True))
    return TableFit(result, data, scaling, named, loss, note, interrupted)


def in_table_units(
    model: Model, params: Floats, loss: float, scaling: Scaling | None
) -> tuple[Floats, float, str | None]:
    """Carry parameters and a loss back to the table's units.

    Returns
    -------
    params : array, shape (P,)
        In the table's units, or as they were where there is a note.
    loss : float
        In the table's units.
    note : str or None
        Why the parameters are still in standardized units.
    """
    if scaling is None:
        return params, float(loss), None
    loss = float(original_loss(loss, scaling))
    if not np.isfinite(params).all():
        return params, loss, None  # what has diverged is nowhere, in any units
    original = original_units(model, params, scaling)
    if original.params is None:
        return params, loss, f"The parameters are in standardized units. {original.reason}"
    return original.params, loss, None


def curve_in_table_units(model: Model, scaling: Scaling | None) -> Callable[[Floats, Floats], Floats]:
    """The curve of trained parameters over the table's own columns, whether or not it has parameters of its own there.

    Returns
    -------
    callable
        (params, x) -> (n,), with the parameters as they were trained and x, shape (n,) or (n, inputs), in the table's
        units.
    """
    if scaling is None:
        return model.predict

    def predict(params: Floats, x: Floats) -> Floats:
        standardized = model.predict(params, (x - scaling.x_mean) / scaling.x_scale)
        return scaling.y_mean + scaling.y_scale * standardized

    return predict


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
