"""The units in which an estimator trains: columns of mean 0 and deviation 1, and the conversion back."""

from dataclasses import dataclass, replace

import numpy as np

from sgdbench.data.scaling import CENTERED_PARTS, Scaling, find_scaling
from sgdbench.data.table import Dataset
from sgdbench.data.units import carries_back, original_units
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model

SCALED_LOSS_DEGREES = {"huber": 2, "cauchy": 2, "epsilon_insensitive": 1}
"""Losses whose option is a residual: of c times the residual and the option they are c**degree times as large."""
_CENTERS_CACHE: dict[tuple[str, str, bool], tuple[str, bool] | None] = {}
"""The result of `_find_center` by model, which takes up to half a second for a new one."""


@dataclass(frozen=True, eq=False)
class Units:
    """The units of training.

    Attributes
    ----------
    scaling : Scaling or None
        None if samples are trained in the given units.
    degree : int
        A loss in the given units is ``scaling.y_scale**degree`` times the training loss.
    """

    scaling: Scaling | None = None
    degree: int = 0

    def scale_inputs(self, x: Floats) -> Floats:
        """Return inputs, shape (n, inputs), in the units of training."""
        return x if self.scaling is None else (x - self.scaling.x_mean) / self.scaling.x_scale

    def scale_targets(self, y: Floats) -> Floats:
        """Return targets, shape (n,), in the units of training."""
        return y if self.scaling is None else (y - self.scaling.y_mean) / self.scaling.y_scale

    def unscale_targets(self, prediction: Floats) -> Floats:
        """Return predictions of targets in the given units."""
        return prediction if self.scaling is None else self.scaling.y_mean + self.scaling.y_scale * prediction

    @property
    def loss_factor(self) -> float:
        """The loss in the given units, as a multiple of that of training."""
        return 1.0 if self.scaling is None else self.scaling.y_scale**self.degree

    def scale_loss(self, loss: Loss) -> Loss:
        """Return the loss of training, in which an option that is a residual is converted too."""
        if self.scaling is None or loss.name not in SCALED_LOSS_DEGREES:
            return loss
        return replace(loss, options={name: value / self.scaling.y_scale for name, value in loss.options.items()})

    def scale_params(self, model: Model, params: Floats, *, is_sum: bool) -> Floats:
        """Return parameters in the given units, shape (P,), in those of training; the inverse of `unscale_params`."""
        if self.scaling is None:
            return params
        scaled, _ = _carry(model, params, self.scaling.inverse, is_sum=is_sum)
        if scaled is None:
            raise ValueError(
                "init has no counterpart in standardized units; set standardize=False, or omit init for a random start"
            )
        return scaled

    def unscale_params(self, model: Model, params: Floats, *, is_sum: bool) -> tuple[Floats | None, str | None]:
        """Return parameters of training, shape (P,), in the given units; None and the reason if there are none."""
        return (params, None) if self.scaling is None else _carry(model, params, self.scaling, is_sum=is_sum)


def find_units(model: Model, loss: Loss, x: Floats, y: Floats, *, is_sum: bool) -> Units:
    """Return the units in which samples are trained: inputs of shape (n, inputs), targets of shape (n,).

    Columns are centered and scaled as far as the model has parameters in the given units for the same curve: those of
    ``V*x/(K + x)`` are only scaled, and a model without such parameters is trained in the given units. Constant columns
    are not scaled. Targets of a loss with its own units, such as logcosh, are only centered, and targets of classes and
    counts are unchanged.

    Raises
    ------
    ValueError
        If the deviation of a column is too small or too large for a float.
    """
    chosen_center = ("both", loss.scales_targets) if is_sum else _find_center(model, loss)
    if chosen_center is None:
        return Units()
    center, targets = chosen_center
    varies = targets and bool(y.min() < y.max())
    data = Dataset(x, y, model.inputs, "y", "X")
    scaling = find_scaling(data, targets=varies, center=center, constant=True)
    if targets and not varies:
        is_centered = CENTERED_PARTS[center][1]
        scaling = replace(scaling, y_mean=float(y[0]) if is_centered else 0.0)
        scaling = replace(scaling, y_scale=1.0 if is_centered else abs(float(y[0])) or 1.0)
    degree = SCALED_LOSS_DEGREES.get(loss.name, loss.degree)
    return Units(scaling if degree is not None else replace(scaling, y_scale=1.0), degree or 0)


def _find_center(model: Model, loss: Loss) -> tuple[str, bool] | None:
    """Return which columns a model allows to center, and whether targets may be scaled; None for no scaling."""
    key = (model.expression, model.arguments, loss.scales_targets)
    if key not in _CENTERS_CACHE:
        targets_first = [True, False] if loss.scales_targets else [False]
        choices = ((center, targets) for targets in targets_first for center in CENTERED_PARTS)
        _CENTERS_CACHE[key] = next((choice for choice in choices if _can_scale(model, *choice)), None)
    return _CENTERS_CACHE[key]


def _can_scale(model: Model, center: str, targets: bool) -> bool:
    """Return whether the parameters of a model carry back from a scaling of that kind."""
    of_inputs, of_targets = CENTERED_PARTS[center]
    generic = np.array([1.3 + 0.1 * (place % 10) for place in range(len(model.inputs))])
    y_mean, y_scale = (1.7 * of_targets, 0.6) if targets else (0.0, 1.0)
    return carries_back(model, Scaling(0.7 * generic * of_inputs, generic, y_mean, y_scale))


def _carry(model: Model, params: Floats, scaling: Scaling, *, is_sum: bool) -> tuple[Floats | None, str | None]:
    if not is_sum:
        carried = original_units(model, params, scaling)
        return carried.params, carried.reason
    # The result of the algebra for a weighted sum, which is fitted faster than the algebra runs.
    weights, constants = (model.coef(params, name) for name in model.vectors)
    weights = scaling.y_scale * weights / scaling.x_scale
    constants = scaling.y_mean + scaling.y_scale * constants - weights @ scaling.x_mean
    return np.concatenate([np.ravel(weights), np.ravel(constants)]), None
