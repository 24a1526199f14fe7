"""Mean 0 and standard deviation 1 for every column, and the way back to original units."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.data.table import Dataset
from kernels.model import Model

# Original units are useless if rounding the parameters to float64 moves the curve by more than this.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (x - x_mean) / x_scale and (y - y_mean) / y_scale.

    Attributes
    ----------
    x_mean, x_scale : array, shape (inputs,)
        Mean and standard deviation (of the population, ddof=0) of each input, in its unit.
    y_mean, y_scale : float
        The same of the target.
    """

    x_mean: NDArray[np.float64]
    x_scale: NDArray[np.float64]
    y_mean: float
    y_scale: float


@dataclass(frozen=True, eq=False)
class OriginalUnits:
    """Fitted parameters in original units: `params`, shape (P,), or else the `reason` why there are none."""

    params: NDArray[np.float64] | None
    reason: str | None = None


def standardize(dataset: Dataset) -> tuple[Dataset, Scaling]:
    """Return the data with mean 0 and standard deviation 1 in every column, and how to get back.

    Raises
    ------
    ValueError
        If a column is constant, or its standard deviation is too small or too large for a float.
    """
    columns = np.column_stack([dataset.x, dataset.y])
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = columns.mean(axis=0), columns.std(axis=0)
    # Rounding of the mean gives a constant column a standard deviation that is small and not 0.
    scale[columns.min(axis=0) == columns.max(axis=0)] = 0
    for name, deviation in zip((*dataset.x_names, dataset.y_name), scale, strict=True):
        if not 0 < deviation < np.inf:
            raise ValueError(
                f"column {name!r} must vary to be standardized: its standard deviation must be positive and "
                f"finite, not {deviation:g}"
            )
    standardized = (columns - mean) / scale
    scaling = Scaling(mean[:-1], scale[:-1], float(mean[-1]), float(scale[-1]))
    return replace(dataset, x=np.ascontiguousarray(standardized[:, :-1]), y=standardized[:, -1].copy()), scaling


def original_loss(loss: ArrayLike, scaling: Scaling) -> NDArray[np.float64]:
    """Return mean squared errors, any shape, in original units: y_scale**2 times the standardized."""
    return scaling.y_scale**2 * np.asarray(loss, dtype=np.float64)


def original_units(model: Model, params: ArrayLike, scaling: Scaling) -> OriginalUnits:
    """Return the parameters that give in original units the curve that `params` give in standardized ones.

    That is theta' with f(x; theta') = y_mean + y_scale * f((x - x_mean) / x_scale; theta) for all x. Not
    every family of curves has it: a*exp(b*x) + c does, without the offset it does not.

    Parameters
    ----------
    params : array, shape (P,)
        theta, in the order of `model.params`.
    """
    theta = np.asarray(params, dtype=np.float64)
    if not np.isfinite(theta).all():
        return OriginalUnits(None, "The fitted parameters are not finite.")

    from bench.data.affine import undo_scaling  # noqa: PLC0415 (sympy takes 0.3 s to import)

    found = undo_scaling(*model.sympy(), theta.tolist(), scaling)
    if found is None:
        return OriginalUnits(
            None,
            f"No parameters of {model.expression} were found that give the fitted curve in original units; "
            "fit without standardizing to get them.",
        )
    original = np.array(found)
    z = np.random.default_rng(0).normal(size=(200, len(model.inputs)))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = scaling.y_mean + scaling.y_scale * model.predict(theta, z)
        if np.isfinite(original).all():
            error = np.abs(model.predict(original, scaling.x_mean + scaling.x_scale * z) - expected)
            bound = ROUNDING * (np.abs(expected) + scaling.y_scale)
            if np.all(error <= bound, where=np.isfinite(expected)):
                return OriginalUnits(original)
    return OriginalUnits(
        None,
        f"The parameters of {model.expression} in original units are lost to rounding, because they are too large "
        "or cancel too much; fit without standardizing, or subtract a round number from x first.",
    )
