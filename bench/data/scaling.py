"""Mean 0 and standard deviation 1 for every column."""

from dataclasses import dataclass, replace

import numpy as np

from bench.data.table import Dataset
from kernels.run import Floats


@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (x - x_mean) / x_scale and (y - y_mean) / y_scale.

    Attributes
    ----------
    x_mean, x_scale : array, shape (inputs,)
        Mean and standard deviation (of the population, ddof=0) of each input, in its unit.
    y_mean, y_scale : float
        The same of the target; 0 and 1 where it stays as it is.
    """

    x_mean: Floats
    x_scale: Floats
    y_mean: float
    y_scale: float


def standardize(dataset: Dataset, *, targets: bool = True) -> tuple[Dataset, Scaling]:
    """Return the data with mean 0 and standard deviation 1 in every column, and how to get back.

    What is held out is scaled in the same way, and has no part in the means and the deviations.

    Parameters
    ----------
    dataset : Dataset
    targets : bool
        Whether y is scaled too. Classes and counts stay as they are: `kernels.loss.Loss.scales_targets`.

    Raises
    ------
    ValueError
        If a column is constant, or its standard deviation is too small or too large for a float.
    """
    columns = np.column_stack([dataset.x, dataset.y]) if targets else dataset.x
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = columns.mean(axis=0), columns.std(axis=0)
    # Rounding of the mean gives a constant column a standard deviation that is small and not 0.
    scale[columns.min(axis=0) == columns.max(axis=0)] = 0
    for name, deviation in zip((*dataset.x_names, dataset.y_name), scale, strict=targets):
        if not 0 < deviation < np.inf:
            raise ValueError(
                f"column {name!r} must vary to be standardized: its standard deviation must be positive and "
                f"finite, not {deviation:g}"
            )
    inputs = dataset.x.shape[1]
    of_targets = (float(mean[-1]), float(scale[-1])) if targets else (0.0, 1.0)
    scaling = Scaling(mean[:inputs], scale[:inputs], *of_targets)
    x, y = _scaled(dataset.x, dataset.y, scaling)
    held_out = None if dataset.validation is None else _scaled(*dataset.validation, scaling)
    return replace(dataset, x=x, y=y, validation=held_out), scaling


def _scaled(x: Floats, y: Floats, scaling: Scaling) -> tuple[Floats, Floats]:
    """Return inputs and targets in the units of training."""
    return (x - scaling.x_mean) / scaling.x_scale, (y - scaling.y_mean) / scaling.y_scale
