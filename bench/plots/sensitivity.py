"""The cost of runs against the learning rate."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.charts.choices import in_grid_order
from bench.charts.colors import colors_of
from bench.charts.loss_axis import PLAIN, LossAxis, rate_bands, rate_limits
from bench.charts.ticks import format_limit
from bench.plots.style import (
    INK,
    STYLE,
    add_caption,
    add_legend,
    empty_figure,
    log_scale,
    nested_widths,
    panels,
)
from bench.tables.formatting import shorten
from bench.tables.outcomes import SPREAD
from bench.tables.run_costs import COST_NAMES, settle_cost

SHIFT = 0.012  # decades between the optimizers at one learning rate


@rc_context(STYLE)
def sensitivity(frame: pd.DataFrame, outcomes: pd.DataFrame, *, shown: LossAxis = PLAIN) -> Figure:
    """Draw samples to the target against the learning rate, or where no run reached one losses at the end.

    These are losses on held-out samples where there are any, as choices are ranked by them.

    There is one line per optimizer, which has the best of its other settings at each rate. It is the median over starts
    and seeds, and thin lines reach from 10 to 90 %. A flat line is an optimizer whose rate need not be tuned. Where
    most runs diverge or miss the target, the line leaves the panel at the top and a mark stands at the learning rate;
    it leaves without a mark where the loss is far above nearly all others.

    `outcomes` are those of the choices (`bench.tables.outcomes`); only the optimizers of `frame` are drawn.
    """
    outcomes = outcomes[outcomes["optimizer"].isin(frame["optimizer"].unique())]
    reached = bool(frame["samples_to_target"].notna().any())
    measure = settle_cost("samples", reached=reached, held_out="validation_loss" in frame)
    if measure == "validation_loss":
        shown = shown.held_out
    bands = rate_bands(outcomes, measure, shown)
    if not np.isfinite(bands["low"]).any():
        return empty_figure(f"No final loss to show: none of {len(frame):,} runs ended with a finite one.")
    bottom, top = rate_limits(bands, measure, shown)
    medians = bands["median"].to_numpy()
    colors = colors_of(bands["optimizer"])
    widths = nested_widths(list(colors))
    figure, (axis,) = panels(1)
    log_scale(axis)
    log_scale(axis, "x")
    axis.set_ylim(bottom, top)
    for place, (optimizer, band) in enumerate(bands.groupby("optimizer", observed=True)):
        low, median, high = band[list(SPREAD)].to_numpy().clip(bottom, 10 * top).T
        # Side by side, so that no range hides another. A filled band around one lost run would cover all the rest.
        rates = band["lr"] * 10 ** (SHIFT * (place - (len(colors) - 1) / 2))
        if (band["runs"] > 1).any():
            axis.vlines(rates, low, high, color=colors[optimizer], alpha=0.5, linewidth=1.5)
        width = widths[optimizer]
        axis.plot(rates, median, color=colors[optimizer], linewidth=width, marker="o", markersize=2.5 + width)
    _mark_failures(axis, bands, colors)
    loss = shown.name("final " if measure == "final_loss" else "")
    axis.set(xlabel="learning rate", ylabel=COST_NAMES[measure] if measure == "samples" else loss)
    names = in_grid_order(colors, frame["optimizer"])
    add_legend(figure, [shorten(name) for name in names], [colors[name] for name in names], "optimizer")
    few, many = bands["runs"].min(), bands["runs"].max()
    add_caption(
        figure,
        many > 1 and f"Medians, and thin lines from 10 to 90 %, of {many if few == many else f'{few} to {many}'} runs.",
        (np.isfinite(medians) & (medians > top)).any() and f"Medians above {format_limit(top)} are out of view.",
        (bands["low"] < bottom).any()
        and measure != "samples"
        and f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
    )
    return figure


def _mark_failures(axis: Axes, bands: pd.DataFrame, colors: dict[Any, Any]) -> None:
    """Mark at the top the rates at which most runs failed: a cross where most diverged, else a square."""
    failed = bands[~np.isfinite(bands["median"])]
    diverged: Any = {"marker": "x", "markersize": 6, "markeredgewidth": 2}
    missed: Any = {"marker": "s", "markersize": 5, "markerfacecolor": "white"}
    for look, name, chosen in (
        (diverged, "most diverged", failed["lost"] >= 0.5),
        (missed, "most missed the target", failed["lost"] < 0.5),
    ):
        for place, (optimizer, color) in enumerate(colors.items()):
            rates = failed.loc[chosen & (failed["optimizer"] == optimizer), "lr"]
            heights = np.full(len(rates), 0.98 - 0.03 * place)
            axis.plot(rates, heights, color=color, linestyle="", transform=axis.get_xaxis_transform(), **look)
        if chosen.any():
            axis.plot([], [], color=INK, linestyle="", **look, label=name)
