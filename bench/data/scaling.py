"""Columns of one size: mean 0 and standard deviation 1, or a root mean square of 1 where they are not centered."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.data.column_file import ROWS, temporary_columns
from bench.data.table import Dataset
from kernels.base.run import Floats
from kernels.data.pieces import column_moments


@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (x - x_mean) / x_scale and (y - y_mean) / y_scale.

    Attributes
    ----------
    x_mean, x_scale : array, shape (inputs,)
        Mean and standard deviation (of the population, ddof=0) of each input, in its unit; 0 and the root mean square
        where it is not centered.
    y_mean, y_scale : float
        The same of the target; 0 and 1 where it stays as it is.
    """

    x_mean: Floats
    x_scale: Floats
    y_mean: float
    y_scale: float


CENTERED = {"both": (True, True), "x": (True, False), "y": (False, True), "none": (False, False)}
"""Which columns are centered, and not only scaled: the inputs, the target."""


def standardize(dataset: Dataset, *, targets: bool = True, center: str = "both") -> tuple[Dataset, Scaling]:
    """Return the data with mean 0 and standard deviation 1 in every column, and how to get back.

    What is held out is scaled in the same way, and has no part in the means and the deviations.

    Parameters
    ----------
    dataset : Dataset
    targets : bool
        Whether y is scaled too. Classes and counts stay as they are: `kernels.losses.loss.Loss.scales_targets`.
    center : str
        Which columns are centered: ``"both"``, ``"x"``, ``"y"`` or ``"none"``. The others are divided by their root
        mean square, for models that have no parameters for a shift, such as V*x/(K + x).

    Raises
    ------
    ValueError
        If a column is constant, or its standard deviation is too small or too large for a float; if `center` is none of
        what is accepted.
    """
    if center not in CENTERED:
        raise ValueError(f"center must be one of {', '.join(CENTERED)}, not {center!r}")
    with np.errstate(over="ignore", invalid="ignore"):
        scaling = _make_scaling(dataset, *_describe_columns(dataset, targets=targets), targets=targets)
    scaling = _without_centering(scaling, *CENTERED[center], targets=targets)
    x, y = _scaled(dataset.x, dataset.y, scaling, dataset.mapped_in)
    held_out = (
        samples and _scaled(*samples, scaling, dataset.mapped_in) for samples in (dataset.validation, dataset.test)
    )
    validation, test = held_out
    return replace(dataset, x=x, y=y, validation=validation, test=test), scaling


def _describe_columns(dataset: Dataset, *, targets: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean, deviation, lowest and highest value of each column, y last; of memory maps piece by piece."""
    if dataset.mapped_in is None:
        columns = np.column_stack([dataset.x, dataset.y]) if targets else dataset.x
        return columns.mean(axis=0), columns.std(axis=0), columns.min(axis=0), columns.max(axis=0)
    all_columns = [*dataset.x.T, *([dataset.y] if targets else [])]
    mean, variance = column_moments(
        [column[first : first + ROWS] for column in all_columns] for first in range(0, dataset.y.size, ROWS)
    )
    lowest, highest = np.array([[column.min(), column.max()] for column in all_columns]).T
    return mean, np.sqrt(variance), lowest, highest


def _make_scaling(
    table: Dataset, mean: Floats, deviation: Floats, lowest: Floats, highest: Floats, *, targets: bool
) -> Scaling:
    """Return the scaling by means and deviations of the columns, y last where it is scaled."""
    # Rounding of the mean gives a constant column a standard deviation that is small and not 0.
    deviation = np.where(lowest == highest, 0.0, deviation)
    for name, scale in zip((*table.x_names, table.y_name), deviation, strict=targets):
        if not 0 < scale < np.inf:
            raise ValueError(
                f"column {name!r} must vary to be standardized: its standard deviation must be positive and "
                f"finite, not {scale:g}"
            )
    inputs = len(table.x_names)
    of_targets = (float(mean[-1]), float(deviation[-1])) if targets else (0.0, 1.0)
    return Scaling(mean[:inputs], deviation[:inputs], *of_targets)


def _without_centering(scaling: Scaling, inputs: bool, target: bool, *, targets: bool) -> Scaling:
    """Return a scaling that leaves the means of inputs or target where they are."""
    x_mean, x_scale, y_mean, y_scale = scaling.x_mean, scaling.x_scale, scaling.y_mean, scaling.y_scale
    if not inputs:
        x_mean, x_scale = np.zeros_like(x_mean), np.hypot(x_mean, x_scale)
    if not target and targets:
        y_mean, y_scale = 0.0, float(np.hypot(y_mean, y_scale))
    return Scaling(x_mean, x_scale, y_mean, y_scale)


def _scaled(x: Floats, y: Floats, scaling: Scaling, mapped_in: Path | None) -> tuple[Floats, Floats]:
    """Return inputs and targets in the units of training; those of memory maps become maps of a temporary file."""
    if mapped_in is None:
        return (x - scaling.x_mean) / scaling.x_scale, (y - scaling.y_mean) / scaling.y_scale
    columns = temporary_columns(mapped_in, y.size, x.shape[1] + 1)
    for first in range(0, y.size, ROWS):
        piece = slice(first, first + ROWS)
        columns[piece, :-1], columns[piece, -1] = _scaled(x[piece], y[piece], scaling, None)
    return columns[:, :-1], columns[:, -1]
