"""The cost of runs against the learning rate."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import select_best_runs
from bench.plots.colors import colors_of
from bench.plots.loss_axis import PLAIN, LossAxis
from bench.plots.style import (
    INK,
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

DIVERGED_LOSS = 1e300
SHIFT = 0.012  # decades between the optimizers at one learning rate
# What is this many times as high as nearly all other losses is out of view: it would flatten them.
FAR_ABOVE = 30.0
EDGES = ["low", "median", "high"]


@rc_context(STYLE)
def sensitivity(
    frame: pd.DataFrame,
    *,
    shown: LossAxis = PLAIN,
    ranked: pd.DataFrame | None = None,
) -> Figure:
    """Draw samples to the target, or final losses where no run reached one, against the learning rate.

    There is one line per optimizer, which has the best of its other settings at each rate. It is the median over starts
    and seeds, and thin lines reach from 10 to 90 %. A flat line is an optimizer whose rate need not be
    tuned. Where most runs diverge or miss the target, the line leaves the panel at the top and a mark stands at the
    learning rate; it leaves without a mark where the loss is far above nearly all others.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.
    shown : LossAxis, optional
        What the axis of losses shows.
    ranked : DataFrame, optional
        `ranking(frame)` where that is known.
    """
    runs = select_best_runs(frame, by=["optimizer", "lr"], ranked=ranked)
    reached = bool(runs["samples_to_target"].notna().any())
    bands = _bands(runs, "samples_to_target" if reached else "final_loss")
    if not np.isfinite(bands["low"]).any():
        return empty_figure(f"No final loss to show: none of {len(frame):,} runs ended with a finite one.")
    if not reached:
        bands[EDGES] = shown.place(bands[EDGES].to_numpy())
    medians = bands["median"].to_numpy()
    finite = medians[np.isfinite(medians)] if np.isfinite(medians).any() else bands["low"].to_numpy()
    highest = np.inf if reached else FAR_ABOVE * np.quantile(finite[np.isfinite(finite)], 0.9, method="lower")
    bottom, top = (PLAIN if reached else shown).limits(bands[EDGES].to_numpy(), highest, None)
    colors = colors_of(bands["optimizer"])
    widths = nested_widths(list(colors))
    figure, (axis,) = panels(1)
    shown.set_up(axis, bottom, top)
    log_scale(axis, "x")
    for place, (optimizer, band) in enumerate(bands.groupby("optimizer")):
        low, median, high = band[EDGES].to_numpy().clip(bottom, 10 * top).T
        # Side by side, so that no range hides another. A filled band around one lost run would cover all the rest.
        rates = band["lr"] * 10 ** (SHIFT * (place - (len(colors) - 1) / 2))
        if (band["runs"] > 1).any():
            axis.vlines(rates, low, high, color=colors[optimizer], alpha=0.5, linewidth=1.5)
        width = widths[optimizer]
        axis.plot(rates, median, color=colors[optimizer], linewidth=width, marker="o", markersize=2.5 + width)
    _mark_failures(axis, bands, colors)
    axis.set(xlabel="learning rate", ylabel="samples to the target" if reached else shown.name("final "))
    add_legend(figure, [shorten(name) for name in colors], list(colors.values()), "optimizer")
    few, many = bands["runs"].min(), bands["runs"].max()
    add_caption(
        figure,
        many > 1 and f"Medians, and thin lines from 10 to 90 %, of {many if few == many else f'{few} to {many}'} runs.",
        (np.isfinite(medians) & (medians > top)).any() and f"Medians above {format_limit(top)} are out of view.",
        (bands["low"] < bottom).any()
        and not reached
        and f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
    )
    return figure


def _bands(runs: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the quantiles of a measure for each optimizer and rate; it is infinite for a run that has none."""
    costs = runs[measure].astype("Float64").fillna(np.inf).astype(float).clip(upper=DIVERGED_LOSS)
    table = runs.assign(cost=costs, lost=runs["status"].eq("diverged"))
    groups = table.groupby(["optimizer", "lr"], observed=True)
    bands = groups.size().rename("runs").reset_index()
    bands["lost"] = groups["lost"].mean().to_numpy()
    for name, share in zip(EDGES, (0.1, 0.5, 0.9), strict=True):
        # Quantiles are interpolated, which infinity does not survive.
        quantile = groups["cost"].quantile(share).to_numpy()
        bands[name] = np.where(quantile < DIVERGED_LOSS / 1e9, quantile, np.inf)
    return bands


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
