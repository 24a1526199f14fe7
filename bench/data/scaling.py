"""Standardized columns: mean 0 and standard deviation 1, or a root mean square of 1 if they are not centered."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgdbench.data.column_file import ROWS_AT_A_TIME, row_slices, write_samples
from sgdbench.data.table import Dataset
from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.pieces import column_moments, in_pieces


@dataclass(frozen=True, eq=False)
class Scaling:
    """z = (x - x_mean) / x_scale and (y - y_mean) / y_scale.

    Attributes
    ----------
    x_mean, x_scale : array, shape (inputs,)
        Mean and standard deviation (of the population, ddof=0) of each input, in its unit; 0 and the root mean square
        if it is not centered.
    y_mean, y_scale : float
        The same for the target; 0 and 1 if it is unchanged.
    """

    x_mean: Floats
    x_scale: Floats
    y_mean: float
    y_scale: float

    @property
    def inverse(self) -> "Scaling":
        """The scaling from standardized columns to the data."""
        return Scaling(-self.x_mean / self.x_scale, 1 / self.x_scale, -self.y_mean / self.y_scale, 1 / self.y_scale)


CENTERED_PARTS = {"both": (True, True), "x": (True, False), "y": (False, True), "none": (False, False)}
"""Which columns are centered, and not only scaled: the inputs, the target."""


def standardize(
    dataset: Dataset, *, targets: bool = True, center: str = "both", constant: bool = False
) -> tuple[Dataset, Scaling]:
    """Return the data with mean 0 and standard deviation 1 in every column, and the scaling.

    Held-out samples are scaled in the same way, but do not contribute to means and deviations.

    Parameters
    ----------
    dataset : Dataset
    targets : bool
        Whether y is scaled too, if the loss of the residual permits it
        (`sgdbench.kernels.losses.loss.Loss.scales_targets`). Labels of classes, `Dataset.classes`, are unchanged.
    center : str
        Which columns are centered: ``"both"``, ``"x"``, ``"y"`` or ``"none"``. The others are divided by their root
        mean square, for models without parameters for a shift, such as V*x/(K + x).
    constant : bool
        Accept constant inputs, which a wide table may contain: they are centered, and not scaled. Constant indicators
        are always accepted, because a value may occur in held-out rows only.

    Raises
    ------
    ValueError
        If a column is constant and this is not accepted, its standard deviation is too small or too large for a float,
        or `center` is invalid.
    """
    scaling = find_scaling(dataset, targets=targets, center=center, constant=constant)
    x, y = _scaled(dataset.x, dataset.y, scaling, dataset.mapped_in)
    validation, test = (
        held_out and _scaled(*held_out, scaling, dataset.mapped_in) for held_out in (dataset.validation, dataset.test)
    )
    return replace(dataset, x=x, y=y, validation=validation, test=test), scaling


def find_scaling(dataset: Dataset, *, targets: bool, center: str, constant: bool) -> Scaling:
    """Return the scaling of data for `standardize`."""
    if not isinstance(center, str) or center not in CENTERED_PARTS:
        raise ValueError(f"center must be one of {', '.join(CENTERED_PARTS)}, not {describe(center)}")
    targets = targets and dataset.classes is None
    mean, scale = _describe_columns(dataset, targets=targets, constant=constant)
    inputs = len(dataset.x_names)
    center_inputs, center_target = CENTERED_PARTS[center]
    centered = np.repeat([center_inputs, center_target or not targets], [inputs, 1])
    mean, scale = np.where(centered, mean, 0.0), np.where(centered, scale, np.hypot(mean, scale))
    return Scaling(mean[:inputs], scale[:inputs], float(mean[-1]), float(scale[-1]))


def _describe_columns(dataset: Dataset, *, targets: bool, constant: bool) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each column, y last: 0 and 1 for a target that is not scaled.

    A column that is constant, or whose deviation is too small or too large for a float, is refused; if `constant`
    inputs are accepted, their deviation is 1.
    """
    indicators = dataset.categories.indicators if dataset.categories else {}
    columns = [*dataset.x.T, *([dataset.y] if targets else [])]
    with np.errstate(over="ignore", invalid="ignore"):
        if dataset.mapped_in is None:
            together = np.column_stack(columns) if targets else dataset.x
            mean, deviation = together.mean(axis=0), together.std(axis=0)
        else:
            mean, variance = column_moments(
                [*x, y][: len(columns)] for x, y in in_pieces(dataset.samples, ROWS_AT_A_TIME)
            )
            deviation = np.sqrt(variance)
    for place, (name, column, middle, scale) in enumerate(
        zip((*dataset.x_names, dataset.y_name), columns, mean, deviation, strict=targets)
    ):
        # Rounding of the mean gives a constant column a small nonzero deviation. Only such a column, which may be a
        # file, is read again.
        spread = 0.0 if not scale > 1e-6 * abs(middle) and column.min() == column.max() else scale
        is_constant_input = spread == 0 and place < len(dataset.x_names)
        if is_constant_input and (constant or name in indicators):
            mean[place], deviation[place] = column[0], 1.0
        elif not 0 < spread < np.inf:
            remedy = "; leave it out, or use a vector of weights, as 'w @ x + b' does" if is_constant_input else ""
            where = " in the rows that are trained on" if dataset.validation or dataset.test else ""
            raise ValueError(
                f"column {name!r} must vary{where} to be standardized: its standard deviation must be positive and "
                f"finite, not {spread:g}{remedy}"
            )
    return (mean, deviation) if targets else (np.append(mean, 0.0), np.append(deviation, 1.0))


def _scaled(x: Floats, y: Floats, scaling: Scaling, mapped_in: Path | None) -> tuple[Floats, Floats]:
    """Return inputs and targets in the units of training; those of memory maps become maps of a temporary file."""
    if mapped_in is None:
        return (x - scaling.x_mean) / scaling.x_scale, (y - scaling.y_mean) / scaling.y_scale
    pieces = (_scaled(x[rows], y[rows], scaling, None) for rows in row_slices(y.size))
    return write_samples(pieces, y.size, x, mapped_in)
