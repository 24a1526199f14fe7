"""Data and the curves fitted to them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from bench.plots.choices import spread_evenly
from bench.plots.colors import colors_of
from bench.plots.style import (
    DASHES,
    DOT,
    FAINT,
    INK,
    STYLE,
    add_caption,
    nested_widths,
    pad_range,
    round_ticks,
    rows_of_panels,
    shorten,
)
from bench.tables.formatting import text

Array = NDArray[np.float64]
Predict = Callable[[Array, Array], Array]

MAX_SAMPLES = 1000
CURVE_POINTS = 241
ROUND_DOT: Any = {"marker": "o", "markeredgewidth": 0, "linestyle": ""}


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
        The curve of the initial parameters.
    titles, limits : tuple
        The titles of the axes, and the ends of the vertical one, which the start and curves far from the data do not
        widen.
    """

    several: bool
    x: Array
    y: Array
    total: int
    across: Array
    curves: dict[str, Array]
    residuals: dict[str, Array]
    start: Array | None
    titles: tuple[str, str]
    limits: tuple[float, float]


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
) -> FitCurves:
    """Return the series of a chart of data and fitted curves.

    `predict(params, x)` is the curve, shape (n,), and `names` are those of x and y. `samples` is the number of samples
    in the data, where x and y are only some of them.
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
    across, along = names
    return FitCurves(
        several,
        y if several else x.ravel(),
        y,
        total,
        y if several else at.ravel(),
        curves,
        {name: y - predict(params[name], x) for name in finite},
        None if start is None else predict(np.asarray(start, dtype=float), at),
        (f"{shorten(along)}, observed", f"{shorten(along)}, predicted") if several else (across, along),
        pad_range(np.concatenate(reach), 0.06),
    )


@rc_context(STYLE)
def fitted_curve(shown: FitCurves, *, differences: bool = True) -> Figure:
    """Draw data and the curves fitted to them.

    Below the curves the same is drawn once more, minus the best of them: the residuals, and what fits that look the
    same differ by. There are no `differences` where curves are no expected targets, such as those of a hinge loss.
    Lines, and dots of several inputs, are the smaller the later they are drawn, so that equal ones can be seen in each
    other. A fit that is not finite appears in the legend only; the start is drawn dashed.
    """
    several, finite = shown.several, {name: shown.curves[name] for name in shown.residuals}
    figure, axes = rows_of_panels([3.7] if several or not finite or not differences else [2.8, 1.4])
    axis = axes[0]
    if several:
        axis.axline((shown.y.min(), shown.y.min()), slope=1, color=FAINT, linewidth=1, label="exact")
    else:
        axis.plot(shown.x, shown.y, **DOT, color=FAINT, label="data")
    if shown.start is not None:
        look = DOT | {"alpha": 0.3} if several else {"linestyle": DASHES}
        axis.plot(shown.across, shown.start, **look, color=INK, label="start")
    colors, widths = colors_of(shown.curves), nested_widths(sorted(shown.curves))
    for name in colors:
        if name in finite:
            look = ROUND_DOT | {"markersize": 2 + widths[name]} if several else {"linewidth": widths[name]}
            axis.plot(shown.across, finite[name], **look, color=colors[name], label=shorten(name))
        else:
            axis.plot([], [], color=colors[name], label=f"{shorten(name)} (diverged)")
    across, along = shown.titles if several else map(shorten, shown.titles)
    axis.set(ylim=shown.limits, ylabel=along)
    axes[-1].set_xlabel(across)
    figure.legend(loc="outside right upper")
    best = ""
    if len(axes) > 1:
        best = min(finite, key=lambda name: float(np.abs(shown.residuals[name]).mean()))
        _draw_differences(axes[1], shown, best, colors=colors, widths=widths)
    farthest = np.ptp(list(finite.values()), axis=0).max() if finite else 0.0
    add_caption(
        figure,
        bool(best) and f"Below: the same, minus the best curve{f', {shorten(best)}' if len(finite) > 1 else ''}.",
        len(finite) > 1 and f"The fits differ by at most {text(float(f'{farthest:.2g}'))}.",
        len(shown.y) < shown.total and f"{len(shown.y):,} of {shown.total:,} samples are drawn.",
    )
    return figure


def _draw_differences(
    axis: Axes, shown: FitCurves, best: str, *, colors: Mapping[str, Any], widths: Mapping[str, float]
) -> None:
    """Draw the residuals of the best curve, and the other curves minus the best one."""
    residuals = shown.residuals[best]
    axis.plot(shown.x, residuals, **DOT, color=FAINT)
    differences = {name: shown.curves[name] - shown.curves[best] for name in colors if name in shown.residuals}
    for name, difference in differences.items():
        axis.plot(shown.across, difference, color=colors[name], linewidth=widths[name])
    # One fit far from the others leaves the view, instead of making them one line.
    usual = np.median([np.abs(difference).max() for difference in differences.values()])
    most = 10 * max(np.abs(residuals).max(), usual)
    axis.set_ylim(pad_range(np.concatenate([residuals, *differences.values()]).clip(-most, most), 0.06))
    round_ticks(axis.yaxis, 4)
    axis.set_ylabel("minus the\nbest curve")
