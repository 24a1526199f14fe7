"""Columns of one size: mean 0 and standard deviation 1, or a root mean square of 1 where they are not centered."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.data.stream import MappedStream, Stream, Table
from bench.data.table import Dataset
from kernels.run import Floats
from kernels.sample_stream import column_moments
from kernels.samples import Samples


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
        Whether y is scaled too. Classes and counts stay as they are: `kernels.loss.Loss.scales_targets`.
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
    columns = np.column_stack([dataset.x, dataset.y]) if targets else dataset.x
    with np.errstate(over="ignore", invalid="ignore"):
        mean, scale = columns.mean(axis=0), columns.std(axis=0)
    scaling = _make_scaling(dataset, mean, scale, columns.min(axis=0), columns.max(axis=0), targets=targets)
    scaling = _without_centering(scaling, *CENTERED[center], targets=targets)
    x, y = _scaled(dataset.x, dataset.y, scaling)
    held_out = (samples and _scaled(*samples, scaling) for samples in (dataset.validation, dataset.test))
    validation, test = held_out
    return replace(dataset, x=x, y=y, validation=validation, test=test), scaling


def standardize_stream(stream: Stream, *, targets: bool = True) -> tuple[MappedStream, Scaling]:
    """Return the same of a table that is read in pieces; it is read once for the means and the deviations.

    Parameters
    ----------
    stream : TableStream or MappedStream
    targets : bool

    Raises
    ------
    ValueError
        As from `standardize`.
    """
    columns = len(stream.x_names) + targets
    lowest, highest = np.full(columns, np.inf), np.full(columns, -np.inf)

    def parts() -> Iterator[Sequence[Floats]]:
        for x, y in stream.parts():
            part = (*x, y)[:columns]
            np.minimum(lowest, [column.min() for column in part], out=lowest)
            np.maximum(highest, [column.max() for column in part], out=highest)
            yield part

    with np.errstate(over="ignore", invalid="ignore"):
        mean, variance = column_moments(parts())
    scaling = _make_scaling(stream, mean, np.sqrt(variance), lowest, highest, targets=targets)

    def scale(x: tuple[Floats, ...], y: Floats) -> Samples:
        scaled = (
            (column - mean) / deviation
            for column, mean, deviation in zip(x, scaling.x_mean, scaling.x_scale, strict=True)
        )
        return tuple(scaled), (y - scaling.y_mean) / scaling.y_scale

    return MappedStream(stream, scale), scaling


def _make_scaling(
    table: Table, mean: Floats, deviation: Floats, lowest: Floats, highest: Floats, *, targets: bool
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


def _scaled(x: Floats, y: Floats, scaling: Scaling) -> tuple[Floats, Floats]:
    """Return inputs and targets in the units of training."""
    return (x - scaling.x_mean) / scaling.x_scale, (y - scaling.y_mean) / scaling.y_scale
