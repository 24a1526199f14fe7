"""The chart of the loss curves of optimizers: medians with bands, against samples seen, updates or time."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Band, Chart, Key, Layer, Line, Panel, Ticks, panel_columns
from sgdbench.charts.choices import in_grid_order, spread_evenly
from sgdbench.charts.colors import colors_of, nested_widths
from sgdbench.charts.loss_axis import OUT_OF_VIEW, PLAIN, LossAxis, band_limits, clock_range, target_keys, target_layers
from sgdbench.charts.ticks import Says, format_limit, format_tick, format_time, linear_ticks, log_axis, log_ticks
from sgdbench.tables.chart_words import (
    CURVES_CAPTION,
    DRAWN_STARTS,
    HELD_OUT_CURVES_CAPTION,
    describe_point,
    join_sentences,
    say_curves,
    say_diverged,
    say_drawn_at_bottom,
    say_no_curve,
    say_part,
)
from sgdbench.tables.formatting import label, shorten, text

MAX_STARTS = 6


class Clock(NamedTuple):
    """The horizontal axis of curves: its title, and how its ticks are written."""

    title: str
    says: Says | None = None


CLOCKS = {
    "samples": Clock("samples seen"),
    "updates": Clock("updates"),
    "seconds": Clock("time", format_time),
}


def loss_charts(
    bands: pd.DataFrame,
    clocks: Sequence[str] = ("samples",),
    *,
    shown: LossAxis = PLAIN,
    target: float | None = None,
    runs: pd.DataFrame | None = None,
) -> dict[str, Chart]:
    """Return the charts of loss bands (`sgdbench.tables.loss_bands`) on each clock, with one panel for each start.

    There is a group of layers for each optimizer. Its line is the median of its runs and the band reaches from 10 to
    90 %, but no higher and no lower than the line itself anywhere: the band of one slow choice would cover all the
    others. The lines of diverging runs leave the panel at the top. Lines are the thinner the later they are drawn, so
    that equal ones can be seen in each other. Dashed lines are medians on held-out samples. The target is a line
    across, and the axis ends two decades below it. At most six starts are shown, evenly spread. An optimizer whose
    updates were not timed is in no chart of time.

    Bands may have words about each of their points (`with_words`). `runs` are the runs of the bands, with the columns
    `status` and `optimizer`; without them, there is a chart even if it has one point only.
    """
    starts = bands["start"].unique().tolist()
    few = spread_evenly(starts, MAX_STARTS)
    placed = shown.place_bands(bands)
    total, diverged = (0, 0) if runs is None else (len(runs), int((runs["status"] == "diverged").sum()))
    if total and placed.loc[np.isfinite(placed["median"]), "samples"].nunique() < 2:
        return dict.fromkeys(clocks, Chart((), notes=say_no_curve(total, diverged)))
    limits = bottom, top = band_limits(placed, shown, target)
    colors = colors_of(placed["optimizer"])
    widths = nested_widths(list(colors))
    medians = placed["median"].to_numpy(float)
    highest = medians[medians <= top].max(initial=0.0) or top
    along = log_axis(limits, shown.name(), 1.04 * highest)
    rules = target_layers(shown, target, limits)
    drawn = []
    for start in few:
        groups = placed[placed["start"] == start].groupby("optimizer", observed=True)
        own = [(band, _draw_optimizer(band, limits, widths[name], colors[name])) for name, band in groups]
        drawn.append((f"{label('init')} {shorten(start, 16)}" if len(starts) > 1 else "", own))
    keys = [
        Key(shorten(name), colors[name])
        for name in in_grid_order(colors, (bands if runs is None else runs)["optimizer"])
    ]
    if "held_out" in bands:
        keys.append(Key("on held-out samples", "ink", "dashes"))
    keys += target_keys(shown, target, bottom)
    least, most = bands["runs"].min(), bands["runs"].max()
    notes = join_sentences(
        most > 1 and say_curves(least, most),
        diverged > 0 and say_diverged(diverged, total),
        say_part(DRAWN_STARTS, len(few), len(starts)),
        (medians < bottom).any() and say_drawn_at_bottom(shown.quantity, format_limit(bottom)),
    )
    chart = Chart(
        (),
        keys,
        legend=label("optimizer"),
        caption=HELD_OUT_CURVES_CAPTION if "held_out" in bands else CURVES_CAPTION,
        notes=notes,
        columns=panel_columns(len(few)),
    )
    charts = {}
    for clock in clocks:
        across = clock_axis(CLOCKS[clock], *clock_range(bands, clock, target))
        layers = [(title, [*rules, *_against_clock(own, clock)]) for title, own in drawn]
        charts[clock] = replace(chart, panels=[Panel(across, along, own, title) for title, own in layers])
    return charts


def _draw_optimizer(band: pd.DataFrame, limits: tuple[float, float], width: float, color: str) -> list[Band | Line]:
    """Return the band of one optimizer, then its lines, held within the limits."""
    bottom, top = limits
    samples = band["samples"].to_numpy(float)
    own: Any = {"color": color, "group": text(str(band["optimizer"].iloc[0]))}
    names = [name for name in ("low", "median", "high", "held_out") if name in band]
    held = np.nan_to_num(band[names].to_numpy(float), nan=np.inf).clip(bottom, OUT_OF_VIEW * top).T
    low, median, high = held[:3]
    low, high = (edge.clip(median.min(), median.max()) for edge in (low, high))
    # A run that diverges at once is a dot, without a line that leaves the panel.
    reached = np.isfinite(band["median"].to_numpy(float))
    median = median if reached.sum() > 1 else np.where(reached, median, np.nan)
    layers: list[Band | Line] = [Band(samples, low, high, **own)]
    for words, losses in zip(("words", "held_out_words"), (median, *held[3:]), strict=False):
        look: Any = {"dashed": True, "width": 0.8 * width} if words == "held_out_words" else {"width": width}
        layers.append(Line(samples, losses, words=band.get(words, pd.Series(dtype=object)).tolist(), **look, **own))
    return layers


def _against_clock(drawn: Sequence[tuple[pd.DataFrame, Sequence[Band | Line]]], clock: str) -> list[Layer]:
    """Return the layers against a clock, bands below lines, of the optimizers that have a place on it."""
    timed = [(band[clock].to_numpy(float), layers) for band, layers in drawn if band[clock].notna().all()]
    placed = [[replace(layer, x=times) for layer in layers] for times, layers in timed]
    return [*(area for area, *_ in placed), *(line for _, *lines in placed for line in lines)]


def with_words(bands: pd.DataFrame) -> pd.DataFrame:
    """Return bands with what the page tells of each point of their lines: `words`, and `held_out_words`."""
    points = bands.to_dict("records")
    described = bands.assign(words=[describe_point(point) for point in points])
    if "held_out" in bands:
        described["held_out_words"] = [describe_point(point, held_out=True) for point in points]
    return described


def clock_axis(clock: Clock, edge: float, end: float) -> Axis:
    """Return the axis of a clock; the start, which has no place on a logarithmic one, is drawn at its left edge."""
    linear = Axis((0.0, 1.02 * end), clock.title, ticks=linear_ticks(0.0, 1.02 * end, clock.says or format_tick))
    choices = []
    for ticks in log_ticks(edge, end, clock.says):
        inside = [pair for pair in zip(ticks.values, ticks.labels, strict=True) if pair[0] > 1.7 * edge]
        choices.append(Ticks([edge, *(value for value, _ in inside)], ["0", *(words for _, words in inside)]))
    return Axis((edge, 1.07 * end), clock.title, log=True, ticks=choices, linear=linear)
