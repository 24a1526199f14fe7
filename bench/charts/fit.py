"""The chart of data and the curves fitted to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.charts.chart import Axis, Band, Chart, Key, Layer, Line, Panel, Points
from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.colors import PALETTE, colors_of, nested_widths
from sgdbench.charts.ticks import format_tick, linear_ticks
from sgdbench.kernels import FitResult
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.classes import takes_classes
from sgdbench.tables.chart_words import DRAWN_SAMPLES, join_sentences, say_fits, say_part
from sgdbench.tables.formatting import shorten
from sgdbench.tables.words import format_count

Predict = Callable[[Floats, Floats], Floats]

MAX_SAMPLES = 1000
CURVE_POINTS = 241
BINS = 40
# Residuals below this share of the range of y are errors of rounding.
ROUNDING = 1e-12
DOT = 3.0  # the size of a sample


class Fits(NamedTuple):
    """Samples and the curves of fits, by name.

    Attributes
    ----------
    x, y : array, shape (k,)
        At most a thousand samples; of several inputs both are the observed values.
    at : array, shape (m,)
        Where curves are evaluated.
    curves : dict of str to array, shape (m,)
        One that diverged is not finite.
    residuals : dict of str to array, shape (k,)
        The samples minus the curve, for each curve that is finite.
    words : dict of str to str
        What is said of each fit.
    """

    x: Floats
    y: Floats
    at: Floats
    curves: dict[str, Floats]
    residuals: dict[str, Floats]
    words: dict[str, str]

    @property
    def finite(self) -> dict[str, Floats]:
        """The curves that did not diverge."""
        return {name: self.curves[name] for name in self.residuals}

    @property
    def best(self) -> str:
        """The fit with the smallest residuals; empty where all diverged."""
        return min(self.residuals, key=lambda name: float(np.abs(self.residuals[name]).mean()), default="")

    @property
    def looks(self) -> dict[str, tuple[str, float]]:
        """The color and the width of each fit, in the order in which they are drawn."""
        colors, widths = colors_of(self.curves), nested_widths(sorted(self.curves))
        return {name: (color, widths[name]) for name, color in colors.items()}


@np.errstate(all="ignore")  # a curve that diverged overflows, and is not drawn
def fit_chart(
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    params_by_name: Mapping[str, ArrayLike],
    start: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
    samples: int | None = None,
    classes: Sequence[str] = (),
    differences: bool = True,
    words: Mapping[str, str] | None = None,
) -> Chart:
    """Return the chart of data and fitted curves; of several inputs, of predicted against observed values.

    A panel below the curves shows the same once more, minus the best of them: the residuals, and what fits that look
    the same differ by. There are no `differences` where curves are no expected targets, such as those of a hinge loss,
    and where all of them are errors of rounding. Two classes that several inputs tell apart are histograms of what is
    predicted for each. Lines, and dots of several inputs, are the smaller the later they are drawn, so that equal ones
    can be seen in each other. A fit that is not finite is in the legend only; the start is dashed, if it passes through
    the view, which neither it nor curves far from the data widen.

    `predict(params, x)` is the curve, shape (n,), and `names` are those of x and y. `samples` is the number of samples
    in the data, where x and y are only some of them. `classes` are the names of the targets 0 and 1. Fits have their
    names, or other `words`, in the legend and where a reader points at them.
    """
    x, y = np.asarray(x), np.asarray(y)
    total = len(y) if samples is None else samples
    few = spread_evenly(range(len(y)), MAX_SAMPLES)
    x, y = x[few], y[few]
    several = x.ndim == 2 and x.shape[1] > 1
    at = x if several else np.linspace(x.min(), x.max(), CURVE_POINTS).reshape(-1, *x.shape[1:])
    params = {name: np.asarray(values, dtype=float) for name, values in params_by_name.items()}
    curves = {name: predict(values, at) for name, values in params.items()}
    finite = {name: curve for name, curve in curves.items() if np.isfinite(curve).all()}
    residuals = {name: y - (curve if several else predict(params[name], x)) for name, curve in finite.items()}
    about = {name: shorten(name) for name in curves} | dict(words or {})
    fits = Fits(y if several else x.ravel(), y, y if several else at.ravel(), curves, residuals, about)
    short = shorten(names[0]), shorten(names[1])
    drawn = say_part(DRAWN_SAMPLES, len(y), total)
    if several and classes and finite:
        return replace(_draw_classes(fits, classes, short[1], is_probability=differences), notes=drawn)
    begun = None if start is None else predict(np.asarray(start, dtype=float), at)
    titles = (f"{short[1]}, observed", f"{short[1]}, predicted") if several else short
    across = Axis(pad_range(fits.at, 0.03), titles[0], ticks=linear_ticks(*pad_range(fits.at, 0.03)))
    upper, keys = _draw_fits(fits, begun, total, across, titles[1], several=several)
    largest = max((np.abs(values).max() for values in residuals.values()), default=0.0)
    exact = bool(finite) and not several and bool(largest <= ROUNDING * np.ptp(y))
    below = bool(finite) and differences and not several and not exact
    panels = [replace(upper, x=replace(across, title="")), _draw_differences(fits, across)] if below else [upper]
    farthest = np.ptp(list(finite.values()), axis=0).max() if len(finite) > 1 else None
    rounding = largest if exact and differences else None
    best = fits.best if finite else ""
    notes = join_sentences(*say_fits(best, farthest, rounding, has_differences=below), drawn)
    return Chart(panels, keys, notes=notes, height=5.0 if below else 0.0)


def _draw_fits(
    fits: Fits, start: Floats | None, total: int, across: Axis, title: str, *, several: bool
) -> tuple[Panel, list[Key]]:
    """Return the panel of data, start and fits, with its legend."""
    layers: list[Layer]
    if several:
        layers, keys = [Line(across.range, across.range, "data", width=1.0)], [Key("exact", "data")]
    else:
        words = [f"{_format_value(x)}, {_format_value(y)}" for x, y in zip(fits.x, fits.y, strict=True)]
        layers = [Points(fits.x, fits.y, "data", size=DOT, words=words)]
        keys = [Key(format_count(total, "sample"), "data", "dot")]
    reach = [fits.y, *(curve.clip(*pad_range(fits.y, 1)) for curve in fits.finite.values())]
    limits = low, high = pad_range(np.concatenate(reach), 0.06)
    if start is not None and ((start >= low) & (start <= high)).any():
        color = "data" if several else "ink"
        layers.append(Points(fits.at, start, color, size=DOT) if several else Line(fits.at, start, color, dashed=True))
        keys.append(Key("start", color, "dot" if several else "dashes"))
    for name, (color, width) in fits.looks.items():
        words_of, curve = fits.words[name], fits.curves[name]
        lost = "" if name in fits.residuals else " (diverged)"
        keys.append(Key(f"{words_of}{lost}", color, "dot" if several else "line"))
        if not lost and several:
            layers.append(Points(fits.at, curve, color, size=2 + width, words=words_of))
        elif not lost:
            layers.append(Line(fits.at, curve, color, width=width, words=words_of))
    return Panel(across, Axis(limits, title, ticks=linear_ticks(*limits)), layers, height=2.0), keys


def _draw_differences(fits: Fits, across: Axis) -> Panel:
    """Return the panel of the residuals of the best curve, and of the other curves minus the best one."""
    residuals, best = fits.residuals[fits.best], fits.curves[fits.best]
    differences = {name: curve - best for name, curve in fits.finite.items()}
    # One fit far from the others leaves the view, instead of making them one line.
    usual = np.median([np.abs(difference).max() for difference in differences.values()])
    most = 10 * max(np.abs(residuals).max(), usual)
    limits = pad_range(np.concatenate([residuals, *differences.values()]).clip(-most, most), 0.06)
    lines = [
        Line(fits.at, differences[name], color, width=width, words=fits.words[name])
        for name, (color, width) in fits.looks.items()
        if name in differences
    ]
    along = Axis(limits, "minus the\nbest curve", ticks=linear_ticks(*limits))
    return Panel(across, along, [Points(fits.x, residuals, "data", size=DOT), *lines])


def _draw_classes(fits: Fits, classes: Sequence[str], name: str, *, is_probability: bool) -> Chart:
    """Return histograms of what the best fit predicts for each class: the probability of the second, or the score."""
    predicted = fits.curves[fits.best]
    limits = (0.0, 1.0) if is_probability else pad_range(predicted, 0.01)
    edges = np.linspace(*limits, BINS + 1)
    counts = [np.histogram(predicted[fits.y == number], edges)[0] for number in range(2)]
    steps = np.repeat(edges, 2)[1:-1]
    layers = [
        Band(steps, np.zeros(steps.size), np.repeat(count, 2), color, opacity=0.6)
        for count, color in zip(counts, PALETTE, strict=False)
    ]
    top = 1.05 * float(np.max(counts))
    title = f"predicted probability of {shorten(classes[1])}" if is_probability else "predicted score"
    across = Axis(limits, title, ticks=linear_ticks(*limits))
    along = Axis((0.0, top), "samples", ticks=linear_ticks(0.0, top))
    keys = [Key(shorten(one), color) for one, color in zip(classes, PALETTE, strict=False)]
    return Chart([Panel(across, along, layers)], keys, legend=name)


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


def _format_value(value: float) -> str:
    return format_tick(float(f"{value:.6g}"))
