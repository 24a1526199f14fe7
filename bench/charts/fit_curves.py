"""The series of a chart of data and fitted curves, for the figure and for the page."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bench.charts.choices import spread_evenly
from bench.tables.formatting import shorten
from kernels import FitResult
from kernels.base.run import Floats
from kernels.losses.classes import takes_classes

Predict = Callable[[Floats, Floats], Floats]

MAX_SAMPLES = 1000
CURVE_POINTS = 241


class FitCurves(NamedTuple):
    """Data and the curves fitted to them; of several inputs, predicted against observed values.

    Attributes
    ----------
    several : bool
        Whether there are several inputs.
    x, y : array, shape (k,)
        At most a thousand of all `total` samples; of several inputs both are the observed values.
    across : array, shape (m,)
        Where curves are evaluated.
    curves : dict of str to array, shape (m,)
        The curve of each fit by its name. One that diverged is not finite.
    residuals : dict of str to array, shape (k,)
        The samples minus the curve, for each curve that is finite.
    start : array, shape (m,), or None
        The curve of the initial parameters, if it passes through the view.
    titles, limits : tuple
        The titles of the axes, and the ends of the vertical one, which the start and curves far from the data do not
        widen.
    classes : sequence of str
        The names of two classes that several inputs tell apart; else empty.
    """

    several: bool
    x: Floats
    y: Floats
    total: int
    across: Floats
    curves: dict[str, Floats]
    residuals: dict[str, Floats]
    start: Floats | None
    titles: tuple[str, str]
    limits: tuple[float, float]
    classes: Sequence[str] = ()


@np.errstate(all="ignore")  # a curve that diverged overflows, and is not drawn
def fit_curves(
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    params_by_name: Mapping[str, ArrayLike],
    start: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
    samples: int | None = None,
    classes: Sequence[str] = (),
) -> FitCurves:
    """Return the series of a chart of data and fitted curves.

    `predict(params, x)` is the curve, shape (n,), and `names` are those of x and y. `samples` is the number of samples
    in the data, where x and y are only some of them. `classes` are the names of the targets 0 and 1.
    """
    x, y = np.asarray(x), np.asarray(y)
    total = len(y) if samples is None else samples
    shown = spread_evenly(range(len(y)), MAX_SAMPLES)
    x, y = x[shown], y[shown]
    several = x.ndim == 2 and x.shape[1] > 1
    at = x if several else np.linspace(x.min(), x.max(), CURVE_POINTS).reshape(-1, *x.shape[1:])
    params = {name: np.asarray(values, dtype=float) for name, values in params_by_name.items()}
    curves = {name: predict(values, at) for name, values in params.items()}
    finite = {name: curve for name, curve in curves.items() if np.isfinite(curve).all()}
    reach = [y, *(curve.clip(*pad_range(y, 1)) for curve in finite.values())]
    across, along = map(shorten, names)
    limits = pad_range(np.concatenate(reach), 0.06)
    begun = None if start is None else predict(np.asarray(start, dtype=float), at)
    if begun is not None and not ((begun >= limits[0]) & (begun <= limits[1])).any():
        begun = None
    return FitCurves(
        several,
        y if several else x.ravel(),
        y,
        total,
        y if several else at.ravel(),
        curves,
        {name: y - predict(params[name], x) for name in finite},
        begun,
        (f"{along}, observed", f"{along}, predicted") if several else (across, along),
        limits,
        classes if several else (),
    )


def two_classes(result: FitResult) -> tuple[str, ...]:
    """Return the names of the two classes of a fit; none of other fits."""
    if not takes_classes(result.criterion) or result.criterion.by_class:
        return ()
    return tuple(map(str, result.classes.labels if result.classes else (0, 1)))


def pad_range(values: Floats, share: float) -> tuple[float, float]:
    """Return the lowest and the highest value, each moved outwards by a share of the distance between them."""
    span = np.ptp(values)
    # Values that differ by rounding alone span nothing.
    margin = share * (span if span > 1e-14 * np.abs(values).max() else 1)
    return float(values.min() - margin), float(values.max() + margin)
