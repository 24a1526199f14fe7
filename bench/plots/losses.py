"""Loss curves: medians with bands, against samples seen."""

from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.charts.choices import in_grid_order, spread_evenly
from bench.charts.colors import colors_of
from bench.charts.loss_axis import PLAIN, LossAxis, band_limits, clock_range
from bench.charts.ticks import format_limit
from bench.plots.style import (
    DASHES,
    INK,
    STYLE,
    add_caption,
    add_legend,
    empty_figure,
    log_scale,
    nested_widths,
    panels,
)
from bench.tables.formatting import label, shorten, text
from bench.tables.words import format_count

MAX_STARTS = 6


@rc_context(STYLE)
def loss_curves(
    frame: pd.DataFrame,
    bands: pd.DataFrame,
    *,
    target: float | None = None,
    shown: LossAxis = PLAIN,
    axis: Axes | None = None,
) -> Figure:
    """Draw loss against samples seen: one color per optimizer, one panel per family of starts.

    Where several runs share both, the line is their median and the band reaches from 10 to 90 %, but no higher and no
    lower than the line itself anywhere: the band of one slow choice would cover all the others. The lines of diverging
    runs leave the panel at the top. Lines are the thinner the later they are drawn, so that equal ones can be seen in
    each other. Dashed lines are medians on held-out samples. The target is a line across, and the axis ends two decades
    below it. Of many starts six are shown, evenly spread; in an `axis` that is given the first one.

    Of `frame` the columns `status` and `optimizer` are read; `bands` are as from `bench.tables.loss_bands.loss_bands`.
    """
    starts = bands["start"].unique().tolist()
    starts = starts[1:] or starts
    bands = bands[bands["start"].isin(starts)]
    left, right = clock_range(bands, "samples", target)
    bands = shown.place_bands(bands)
    diverged = (frame["status"] == "diverged").sum()
    if bands.loc[np.isfinite(bands["median"]), "samples"].nunique() < 2:
        return empty_figure(
            f"No loss curve to show: none of {len(frame):,} runs has a finite loss at two marks. {diverged:,} diverged."
        )
    bottom, top = band_limits(bands, shown, target)
    shown_starts = spread_evenly(starts, MAX_STARTS) if axis is None else starts[:1]
    colors = colors_of(bands["optimizer"])
    widths = nested_widths(list(colors))
    figure, axes = panels(len(shown_starts)) if axis is None else (cast("Figure", axis.get_figure(root=True)), [axis])
    # With the limits known beforehand, matplotlib does not look for them again after each line.
    log_scale(axes[0])
    # Three panels beside each other have no room for the labels of more.
    log_scale(axes[0], "x", most=6 if len(shown_starts) < 3 else 3)
    axes[0].set(xlim=(left, 1.07 * right), ylim=(bottom, top))
    for panel, start in zip(axes, shown_starts, strict=True):
        for optimizer, band in bands[bands["start"] == start].groupby("optimizer", observed=True):
            look = {"color": colors[optimizer], "linewidth": widths[optimizer]}
            _draw_band(panel, band.assign(x=band["samples"].clip(left)), look, limits=(bottom, 10 * top))
        if target is not None:
            _draw_target(panel, target, shown, bottom)
        if len(starts) > 1:
            panel.set_title(f"{label('init')} {shorten(start, 16)}")
    names = in_grid_order(colors, frame["optimizer"])
    if axis is not None:
        axis.set(xlabel="samples seen", ylabel=shown.name())
        axis.legend([Line2D([], [], color=colors[name]) for name in names], [shorten(name) for name in names])
        return figure
    figure.supxlabel("samples seen")
    figure.supylabel(shown.name())
    add_legend(figure, [shorten(name) for name in names], [colors[name] for name in names], label("optimizer"))
    few, many = bands["runs"].min(), bands["runs"].max()
    add_caption(
        figure,
        many > 1 and f"Median and 10\N{EN DASH}90 % of {many if few == many else f'{few} to {many}'} runs.",
        "held_out" in bands and "Dashed: medians on the held-out samples.",
        diverged > 0 and f"{diverged:,} of {format_count(len(frame), 'run')} diverged.",
        len(shown_starts) < len(starts) and f"{len(shown_starts)} of {len(starts)} starts.",
        (bands["median"] < bottom).any() and f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
    )
    return figure


def _draw_band(axis: Axes, band: pd.DataFrame, look: dict[str, Any], *, limits: tuple[float, float]) -> None:
    """Draw the median of one choice, clipped to the limits, and the band around it, within the span of the median."""
    x = band["x"].to_numpy()
    low, median, high = band[["low", "median", "high"]].to_numpy().clip(*limits).T
    low, high = (edge.clip(median.min(), median.max()) for edge in (low, high))
    axis.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    axis.plot(x, median, **look, marker="o" if len(band) == 1 else "")
    if "held_out" in band:
        axis.plot(x, band["held_out"].to_numpy().clip(*limits), **look, linestyle=DASHES)


def _draw_target(axis: Axes, target: float, shown: LossAxis, bottom: float) -> None:
    """Draw the target as a horizontal line; the legend says so if it lies below the view."""
    place = shown.place_target(target) or 0.0
    below = ", below" if place < bottom else ""
    axis.axhline(
        max(place, bottom / 10), color=INK, linewidth=1, linestyle=DASHES, label=f"target {text(target)}{below}"
    )
