"""Data and the curves fitted to them."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.charts.colors import FAINT, PALETTE, colors_of
from bench.charts.fit_curves import FitCurves, pad_range
from bench.plots.style import DASHES, DOT, INK, STYLE, add_caption, nested_widths, round_ticks, rows_of_panels
from bench.tables.formatting import shorten, text

BINS = 40
# Residuals below this share of the range of y are errors of rounding.
ROUNDING = 1e-12
ROUND_DOT: Any = {"marker": "o", "markeredgewidth": 0, "linestyle": ""}


@rc_context(STYLE)
def fitted_curve(shown: FitCurves, *, differences: bool = True, axis: Axes | None = None) -> Figure:
    """Draw data and the curves fitted to them; into an axis that is given, without the panel below.

    Below the curves the same is drawn once more, minus the best of them: the residuals, and what fits that look the
    same differ by. There are no `differences` where curves are no expected targets, such as those of a hinge loss, and
    where all of them are errors of rounding. Two classes that several inputs tell apart are histograms of what is
    predicted for each.
    Lines, and dots of several inputs, are the smaller the later they are drawn, so that equal ones can be seen in each
    other. A fit that is not finite appears in the legend only; the start is drawn dashed.
    """
    several, finite = shown.several, {name: shown.curves[name] for name in shown.residuals}
    largest = max((np.abs(values).max() for values in shown.residuals.values()), default=0.0)
    exact = bool(finite) and not several and bool(largest <= ROUNDING * np.ptp(shown.y))
    given = axis
    if axis is None:
        figure, axes = rows_of_panels([3.7] if several or not finite or not differences or exact else [2.8, 1.4])
        axis = axes[0]
    else:
        figure, axes = cast("Figure", axis.get_figure(root=True)), [axis]
    if shown.classes and finite:
        _draw_classes(axis, shown, probability=differences)
        if given is None:
            add_caption(figure, _describe_samples(shown))
        return figure
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
    across, along = shown.titles
    axis.set(ylim=shown.limits, ylabel=along)
    axes[-1].set_xlabel(across)
    if given is not None:
        axis.legend()
        return figure
    figure.legend(loc="outside right upper")
    best = ""
    if len(axes) > 1:
        best = min(finite, key=lambda name: float(np.abs(shown.residuals[name]).mean()))
        _draw_differences(axes[1], shown, best, colors=colors, widths=widths)
    farthest = np.ptp(list(finite.values()), axis=0).max() if finite else 0.0
    add_caption(
        figure,
        bool(best) and f"Below: the same, minus the best curve{f', {shorten(best)}' if len(finite) > 1 else ''}.",
        len(finite) > 1 and f"The fits differ by at most {text(farthest, 2)}.",
        exact and differences and f"The residuals are errors of rounding: at most {text(largest, 2)}.",
        _describe_samples(shown),
    )
    return figure


def _describe_samples(shown: FitCurves) -> str:
    some = len(shown.y) < shown.total
    return f"{len(shown.y):,} of {shown.total:,} samples are drawn." if some else ""


def _draw_classes(axis: Axes, shown: FitCurves, *, probability: bool) -> None:
    """Draw a histogram of the best fit's predictions for each class: of the probability of the second, or the score."""
    best = min(shown.residuals, key=lambda name: float(np.abs(shown.residuals[name]).mean()))
    predicted = shown.curves[best]
    bins = np.linspace(*((0.0, 1.0) if probability else pad_range(predicted, 0.01)), BINS + 1).tolist()
    for number, name in enumerate(shown.classes):
        axis.hist(predicted[shown.y == number], bins, color=PALETTE[number], alpha=0.6, label=shorten(name))
    what = f"predicted probability of {shorten(shown.classes[1])}" if probability else "predicted score"
    axis.set(xlabel=what, ylabel="samples")
    axis.legend(title=shown.titles[0].removesuffix(", observed"))


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
