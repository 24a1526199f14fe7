"""Data and the curves fitted to them."""

from collections.abc import Callable, Mapping
from typing import Any

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
ROUND_DOT: Any = {"marker": "o", "markeredgewidth": 0, "linestyle": ""}


@rc_context(STYLE)
def fitted_curve(
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    params_by_name: Mapping[str, ArrayLike],
    start: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
    differences: bool = True,
    samples: int | None = None,
) -> Figure:
    """Draw the data and the curves fitted to them; for several inputs, predicted against observed values.

    Below the curves the same is drawn once more, minus the best of them: the residuals, and what fits that look the
    same differ by. Lines, and dots of several inputs, are the smaller the later they are drawn, so that equal ones can
    be seen in each other.

    Parameters
    ----------
    predict : callable
        `predict(params, x)` -> (n,).
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        At most a thousand samples are drawn.
    params_by_name : mapping of str to array, shape (P,)
        Fitted parameters by name. A fit that is not finite appears in the legend only.
    start : array, shape (P,), optional
        Initial parameters, drawn dashed; they do not widen the axes.
    names : pair of str, optional
        The names of x and y.
    differences : bool, optional
        Whether there are residuals: not where curves are no expected targets, such as those of a hinge loss.
    samples : int, optional
        How many there are, where x and y are only some of them.
    """
    count = len(np.asarray(y)) if samples is None else samples
    x, y = _thin_samples(x, y)
    several = x.ndim == 2 and x.shape[1] > 1
    at = x if several else _curve_grid(x.min(), x.max()).reshape(-1, *x.shape[1:])
    fits = {name: _evaluate_curve(predict, params, at) for name, params in params_by_name.items()}
    finite = {name: fit for name, fit in fits.items() if np.isfinite(fit).all()}
    figure, axes = rows_of_panels([3.7] if several or not finite or not differences else [2.8, 1.4])
    axis, across = axes[0], y if several else at.ravel()
    if several:
        axis.axline((y.min(), y.min()), slope=1, color=FAINT, linewidth=1, label="exact")
    else:
        axis.plot(x.ravel(), y, **DOT, color=FAINT, label="data")
    if start is not None:
        look = DOT | {"alpha": 0.3} if several else {"linestyle": DASHES}
        axis.plot(across, _evaluate_curve(predict, start, at), **look, color=INK, label="start")
    colors, widths = colors_of(fits), nested_widths(sorted(fits))
    reach = [y]
    for name in colors:
        if name in finite:
            reach.append(finite[name].clip(*pad_range(y, 1)))
            look = ROUND_DOT | {"markersize": 2 + widths[name]} if several else {"linewidth": widths[name]}
            axis.plot(across, finite[name], **look, color=colors[name], label=shorten(name))
        else:
            axis.plot([], [], color=colors[name], label=f"{shorten(name)} (diverged)")
    axis.set_ylim(pad_range(np.concatenate(reach), 0.06))
    axes[-1].set_xlabel(shorten(names[0]) if not several else f"{shorten(names[1])}, observed")
    axis.set_ylabel(shorten(names[1]) if not several else f"{shorten(names[1])}, predicted")
    figure.legend(loc="outside right upper")
    best = ""
    if len(axes) > 1:
        residuals = {name: y - _evaluate_curve(predict, params_by_name[name], x) for name in finite}
        best = min(residuals, key=lambda name: float(np.abs(residuals[name]).mean()))
        _draw_differences(axes[1], x.ravel(), residuals[best], across, finite, best, colors=colors, widths=widths)
    farthest = np.ptp(list(finite.values()), axis=0).max() if finite else 0.0
    add_caption(
        figure,
        bool(best) and f"Below: the same, minus the best curve{f', {shorten(best)}' if len(finite) > 1 else ''}.",
        len(finite) > 1 and f"The fits differ by at most {text(float(f'{farthest:.2g}'))}.",
        len(y) < count and f"{len(y):,} of {count:,} samples are drawn.",
    )
    return figure


def _draw_differences(
    axis: Axes,
    x: Array,
    residuals: Array,
    across: Array,
    fits: Mapping[str, Array],
    best: str,
    *,
    colors: Mapping[str, Any],
    widths: Mapping[str, float],
) -> None:
    """Draw the residuals of the best curve, and the other curves minus the best one."""
    axis.plot(x, residuals, **DOT, color=FAINT)
    differences = {name: fits[name] - fits[best] for name in colors if name in fits}
    for name, difference in differences.items():
        axis.plot(across, difference, color=colors[name], linewidth=widths[name])
    # One fit far from the others leaves the view, instead of making them one line.
    usual = np.median([np.abs(difference).max() for difference in differences.values()])
    most = 10 * max(np.abs(residuals).max(), usual)
    axis.set_ylim(pad_range(np.concatenate([residuals, *differences.values()]).clip(-most, most), 0.06))
    round_ticks(axis.yaxis, 4)
    axis.set_ylabel("minus the\nbest curve")


def _thin_samples(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Return at most a thousand samples, evenly spaced: more could not be told apart in a figure."""
    x, y = np.asarray(x), np.asarray(y)
    sample = spread_evenly(range(len(y)), MAX_SAMPLES)
    return x[sample], y[sample]


def _evaluate_curve(predict: Predict, params: ArrayLike, x: Array) -> Array:
    # A diverged curve overflows and is not drawn.
    with np.errstate(all="ignore"):
        return predict(np.asarray(params, dtype=float), x)


def _curve_grid(first: float, last: float) -> Array:
    return np.linspace(first, last, 241)
