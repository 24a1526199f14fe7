"""Loss curves: medians with bands, against samples seen."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import spread_evenly
from bench.plots.colors import colors_of
from bench.plots.loss_axis import PLAIN, LossAxis
from bench.plots.style import (
    DASHES,
    STYLE,
    add_caption,
    add_legend,
    empty_figure,
    format_limit,
    log_scale,
    nested_widths,
    panels,
    shorten,
)
from bench.tables.formatting import label
from bench.tables.loss_quantiles import loss_quantiles

# More marks cannot be told apart in a figure, and would make an SVG of several megabytes.
MAX_MARKS = 200
BY = ["init", "optimizer"]


@rc_context(STYLE)
def loss_curves(
    frame: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    target: float | None = None,
    shown: LossAxis = PLAIN,
    held_out: bool = False,
) -> Figure:
    """Draw loss against samples seen: one color per optimizer, one panel per start.

    Where several runs share both, the line is their median and the band reaches from 10 to 90 %, but no higher and no
    lower than the line itself anywhere: the band of one slow choice would cover all the others. The lines of diverging
    runs leave the panel at the top. Lines are the thinner the later they are drawn, so that equal ones can be seen in
    each other.

    Parameters
    ----------
    frame, curves : DataFrame
        One row per configuration, of which `optimizer`, `init` and `status` are read; their losses, one row per mark,
        as those of `bench.store.results.SweepResult`. Curves of other configurations are ignored. Of many starts six
        are shown, evenly spread.
    target : float, optional
        Drawn as a line across. The axis ends two decades below it.
    shown : LossAxis, optional
        What the axis of losses shows.
    held_out : bool
        Whether to draw the medians of the column `validation_loss` too, as dashed lines.
    """
    bands = loss_quantiles(frame, curves, BY)
    diverged = (frame["status"] == "diverged").sum()
    if bands.loc[np.isfinite(bands["median"]), "samples"].nunique() < 2:
        return empty_figure(
            f"No loss curve to show: none of {len(frame):,} runs has a finite loss at two marks. {diverged:,} diverged."
        )
    edges = ["low", "median", "high"]
    bands[edges] = shown.place(bands[edges].to_numpy())
    start = bands.loc[bands["samples"] == 0, "median"].max()
    held = pd.DataFrame()
    if held_out:
        held = loss_quantiles(frame, curves.assign(loss=curves["validation_loss"]), BY)
        held["median"] = shown.place(held["median"].to_numpy())
    medians = pd.concat([bands, held])["median"].to_numpy()
    bottom, top = shown.limits(medians, 1000 * start, target)
    starts = sorted(set(bands["init"]))
    shown_starts = spread_evenly(starts, 6)
    colors = colors_of(bands["optimizer"])
    widths = nested_widths(list(colors))
    # The loss at the start is drawn at the left edge, half as far as the first mark.
    left = 0.5 * bands.loc[bands["samples"] > 0, "samples"].min()
    bands["x"] = bands["samples"].clip(left)
    figure, axes = panels(len(shown_starts))
    # With the limits known beforehand, matplotlib does not look for them again after each line.
    shown.set_up(axes[0], bottom, top)
    log_scale(axes[0], "x")
    axes[0].set_xlim(left, 1.1 * bands["samples"].max())
    for axis, start_name in zip(axes, shown_starts, strict=True):
        for optimizer, band in bands[bands["init"] == start_name].groupby("optimizer"):
            look = {"color": colors[optimizer], "linewidth": widths[optimizer]}
            _draw_band(axis, band, look, limits=(bottom, 10 * top))
            if held_out:  # at the same marks
                line = held.loc[band.index, "median"].to_numpy().clip(bottom, 10 * top)
                axis.plot(band["x"], line, **look, linestyle=DASHES)
        shown.draw_target(axis, target)
        if len(starts) > 1:
            axis.set_title(f"{label('init')} {shorten(start_name, 16)}")
    figure.supxlabel("samples seen")
    figure.supylabel(shown.name())
    add_legend(figure, [shorten(name) for name in colors], list(colors.values()), label("optimizer"))
    few, many = bands["runs"].min(), bands["runs"].max()
    most = bands.groupby(BY, observed=True).size().max()
    add_caption(
        figure,
        many > 1 and f"Median and 10\N{EN DASH}90 % of {many if few == many else f'{few} to {many}'} runs.",
        held_out and "Dashed: medians on the held-out samples.",
        diverged > 0 and f"{diverged:,} of {len(frame):,} runs diverged.",
        len(shown_starts) < len(starts) and f"{len(shown_starts)} of {len(starts)} starts.",
        (bands["median"] < bottom).any() and f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
        most > MAX_MARKS and f"Lines have up to {most:,} marks, of which {MAX_MARKS} are drawn.",
    )
    return figure


def _draw_band(axis: Axes, band: pd.DataFrame, look: dict[str, Any], *, limits: tuple[float, float]) -> None:
    """Draw the median of one choice, clipped to the limits, and the band around it, within the span of the median."""
    marks = spread_evenly(range(len(band)), MAX_MARKS)
    x = band["x"].iloc[marks].to_numpy()
    low, median, high = band[["low", "median", "high"]].iloc[marks].to_numpy().clip(*limits).T
    low, high = (edge.clip(median.min(), median.max()) for edge in (low, high))
    axis.fill_between(x, low, high, color=look["color"], alpha=0.2, linewidth=0)
    axis.plot(x, median, **look, marker="o" if len(band) == 1 else "")
