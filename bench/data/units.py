"""Conversion from standardized columns to the units of a table: parameters, losses and curves."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.data.scaling import Scaling
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model

# Parameters are useless if rounding them to float64 moves the curve by more than this.
MAX_ROUNDING_ERROR = 1e-6
# Parameters are printed with enough digits that the curve moves by less than this fraction of the deviation of y.
PRINTED_PRECISION = 1e-5
# Digits that reproduce every float64.
EXACT_DIGITS = 17
# The number of random parameter vectors that test whether those of a model carry back.
TRIED_VECTORS = 2


@dataclass(frozen=True, eq=False)
class OriginalUnits:
    """Parameters in original units, shape (P,), or the reason why there are none; they may be `lost` to rounding."""

    params: Floats | None
    reason: str | None = None
    lost: bool = False


def original_loss(loss: ArrayLike, scaling: Scaling | None, criterion: Loss) -> Floats:
    """Return losses of any shape in original units.

    Mean squared residuals are multiplied by y_scale**2, mean absolute residuals by y_scale. A loss with an option in
    units of the residual, such as huber, stays in the units of training.
    """
    factor = scaling.y_scale**criterion.degree if scaling and criterion.degree else 1.0
    return factor * np.asarray(loss, dtype=np.float64)


def describe_residual_units(criterion: Loss, scaling: Scaling | None, y_name: str = "y") -> str:
    """Return a sentence on a loss of standardized residuals that has no counterpart in original units; else ""."""
    if scaling is None or not criterion.scales_targets or criterion.degree is not None:
        return ""
    unit = f"{float(f'{scaling.y_scale:.4g}'):,.15g}"
    return (
        f"{criterion.text} acts on standardized residuals: 1 of these is {unit} in the units of {y_name}. "
        "Losses are in these units too."
    )


def standardized_target(target: float, scaling: Scaling, criterion: Loss) -> float:
    """Return a loss in original units as one in standardized units; the inverse of `original_loss`."""
    for _ in range(criterion.degree or 0):
        target /= scaling.y_scale  # the square may be too small for a float
    return target


def original_units(model: Model, params: ArrayLike, scaling: Scaling) -> OriginalUnits:
    """Return the parameters that give in original units the curve of `params`, shape (P,), in standardized units.

    They are theta' with f(x; theta') = y_mean + y_scale * f((x - x_mean) / x_scale; theta) for all x. Not every family
    of curves has them: a*exp(b*x) + c has, but not without the offset.
    """
    theta = np.asarray(params, dtype=np.float64)
    if not np.isfinite(theta).all():
        return OriginalUnits(None, "The fitted parameters are not finite.")

    unscaled = _undo_scaling(model, theta, scaling)
    if unscaled is None:
        return OriginalUnits(
            None,
            f"No parameters of {model.expression} were found that give the fitted curve in original units; "
            "fit without standardizing to get them.",
        )
    original = np.asarray(unscaled)
    z = np.random.default_rng(0).normal(size=(200, len(model.inputs)))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = scaling.y_mean + scaling.y_scale * model.predict(theta, z)
        if np.isfinite(original).all():
            error = np.abs(model.predict(original, scaling.x_mean + scaling.x_scale * z) - expected)
            bound = MAX_ROUNDING_ERROR * (np.abs(expected) + scaling.y_scale)
            if np.all(error <= bound, where=np.isfinite(expected)):
                return OriginalUnits(original)
    farthest = model.inputs[int(np.argmax(np.abs(scaling.x_mean) / scaling.x_scale))]
    return OriginalUnits(
        None,
        f"The parameters of {model.expression} in original units are lost to rounding, because they are too large "
        f"or cancel too much; fit without standardizing, or subtract a round number from {farthest} first.",
        lost=True,
    )


def start_in_training_units(model: Model, scaling: Scaling | None) -> Floats | None:
    """Return the starting values of a model that was made from a function, for columns that were scaled.

    They are given in the units of the table. None if there are none, if they have no counterpart, or for models with
    vectors, whose starting values are for standardized columns.
    """
    if not model.start or model.vectors:
        return None
    start = model.draw_start(0)
    return start if scaling is None else original_units(model, start, scaling.inverse).params


def carries_back(model: Model, scaling: Scaling) -> bool:
    """Return whether fitted parameters have counterparts in the table's units, possibly lost to rounding."""
    draws = np.random.default_rng(0).uniform(0.5, 1.5, (TRIED_VECTORS, len(model.params)))
    unscaled = [original_units(model, draw, scaling) for draw in draws]
    return all(one.params is not None or one.lost for one in unscaled)


def _undo_scaling(model: Model, theta: Floats, scaling: Scaling) -> Floats | list[float] | None:
    """Return the parameters in original units, or None if they are not found."""
    # Sympy takes 0.3 s to import.
    if model.network is not None:
        from sgdbench.data.undo_scaling_of_layers import undo_scaling_of_layers  # noqa: PLC0415

        return undo_scaling_of_layers(model.network, theta, scaling)
    from sgdbench.data.undo_scaling import undo_scaling  # noqa: PLC0415

    return undo_scaling(*model.sympy(), theta.tolist(), scaling)


def in_table_units(
    model: Model, params: Floats, loss: float, scaling: Scaling | None, criterion: Loss
) -> tuple[Floats, float, str | None]:
    """Return parameters and a loss in the table's units, and None, or a note why the parameters are unconverted."""
    if scaling is None:
        return params, float(loss), None
    loss = float(original_loss(loss, scaling, criterion))
    if not np.isfinite(params).all():
        return params, loss, None  # diverged, in any units
    original = original_units(model, params, scaling)
    if original.params is None:
        return params, loss, f"The parameters are in standardized units. {original.reason}"
    return original.params, loss, None


def write_params(model: Model, params: Floats, scaling: Scaling | None, digits: int) -> list[str]:
    """Return parameters in original units as texts with `digits` significant digits, or more if the curve needs them.

    Far from 0, as with a time in seconds since 1970, a line needs more digits of its slope and its offset.
    """
    texts = [f"{value:.{digits}g}" for value in params.tolist()]
    if scaling is None or digits == EXACT_DIGITS or not np.isfinite(params).all():
        return texts
    x = scaling.x_mean + scaling.x_scale * np.random.default_rng(0).normal(size=(200, len(model.inputs)))
    with np.errstate(over="ignore", invalid="ignore"):
        exact = model.predict(params, x)
        error = np.abs(model.predict(np.array(texts, dtype=np.float64), x) - exact)
    if np.all(error <= PRINTED_PRECISION * scaling.y_scale, where=np.isfinite(exact)):
        return texts
    return write_params(model, params, scaling, digits + 1)


def curve_in_table_units(model: Model, loss: Loss, scaling: Scaling | None) -> Callable[[Floats, Floats], Floats]:
    """Return the curve over the table's own columns, a function ``(params, x) -> (n,)``.

    The parameters are in units of training, and x, shape (n,) or (n, inputs), is in the table's units. The curve exists
    whether or not the model has parameters for the table's units: it gives the expected targets if the loss determines
    these, such as the probability of class 1, or else the values of the model.
    """
    if scaling is None:
        return lambda params, x: loss.mean_of(model.predict(params, x))

    def predict(params: Floats, x: Floats) -> Floats:
        standardized = loss.mean_of(model.predict(params, (x - scaling.x_mean) / scaling.x_scale))
        return scaling.y_mean + scaling.y_scale * standardized

    return predict
