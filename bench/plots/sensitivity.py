"""Final loss against learning rate."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import select_best_runs
from bench.plots.losses import draw_target, loss_axis_limits
from bench.plots.style import (
    INK,
    STYLE,
    add_caption,
    add_legend,
    colors_of,
    empty_figure,
    format_log_tick,
    log_scale,
    panels,
    shorten,
)
from bench.tables.formatting import text

DIVERGED_LOSS = 1e300
SHIFT = 0.012  # decades between the optimizers at one learning rate


@rc_context(STYLE)
def sensitivity(frame: pd.DataFrame, *, target: float | None = None) -> Figure:
    """Draw the final loss against the learning rate, one line per optimizer.

    Each optimizer has the batch size, schedule and order of its best choice. The line is the median over starts and
    seeds, and thin lines reach from 10 to 90 %. A flat line is an optimizer whose rate need not be tuned. Where most
    runs diverge, the line leaves the panel at the top and a cross marks the learning rate.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.
    target : float, optional
        The loss at which runs stop, drawn as a line across. The axis ends two decades below it.
    """
    runs = select_best_runs(frame, ["batch_size", "schedule", "shuffle"])
    bands = _loss_bands(runs)
    if not np.isfinite(bands["low"]).any():
        return empty_figure(f"No final loss to show: none of {len(frame):,} runs ended with a finite one.")
    losses = bands[["low", "median", "high"]].to_numpy()
    bottom, top = loss_axis_limits(losses, np.quantile(losses[np.isfinite(losses)], 0.9), target)
    colors = colors_of(bands["optimizer"])
    figure, (axis,) = panels(1)
    log_scale(axis)
    log_scale(axis, "x")
    for place, (optimizer, band) in enumerate(bands.groupby("optimizer")):
        low, median, high = band[["low", "median", "high"]].to_numpy().clip(bottom, 10 * top).T
        # Side by side, so that no range hides another. A filled band around one lost run would cover all the rest.
        rates = band["lr"] * 10 ** (SHIFT * (place - (len(colors) - 1) / 2))
        if (band["runs"] > 1).any():
            axis.vlines(rates, low, high, color=colors[optimizer], alpha=0.5, linewidth=1.5)
        axis.plot(rates, median, color=colors[optimizer], marker="o", markersize=4)
    lost = bands[~np.isfinite(bands["median"])]
    for place, (optimizer, color) in enumerate(colors.items()):
        _mark_diverged(axis, lost.loc[lost["optimizer"] == optimizer, "lr"], 0.98 - 0.03 * place, color)
    draw_target(axis, target, bottom)
    if len(lost):
        axis.plot([], [], "x", color=INK, label="most diverged")
    axis.set(ylim=(bottom, top), xlabel="learning rate", ylabel="final loss")
    names = [f"{shorten(name, 20)}\n{_describe_settings(runs[runs['optimizer'] == name])}".strip() for name in colors]
    add_legend(figure, names, list(colors.values()), "optimizer")
    few, many = bands["runs"].min(), bands["runs"].max()
    add_caption(
        figure,
        many > 1 and f"Medians, and thin lines from 10 to 90 %, of {many if few == many else f'{few} to {many}'} runs.",
        target is not None and "Runs stop when they reach the target.",
        (bands["low"] < bottom).any() and f"Losses below {format_log_tick(bottom)} are drawn at the bottom.",
    )
    return figure


def _loss_bands(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of the final loss for each optimizer and rate; a diverged run counts as infinite."""
    losses = runs.assign(final_loss=runs["final_loss"].fillna(np.inf).clip(upper=DIVERGED_LOSS))
    groups = losses.groupby(["optimizer", "lr"], observed=True)["final_loss"]
    bands = groups.size().rename("runs").reset_index()
    for name, share in (("low", 0.1), ("median", 0.5), ("high", 0.9)):
        # Quantiles are interpolated, which infinity does not survive.
        quantile = groups.quantile(share).to_numpy()
        bands[name] = np.where(quantile < DIVERGED_LOSS / 1e9, quantile, np.inf)
    return bands


def _mark_diverged(axis: Axes, rates: "pd.Series[float]", height: float, color: str) -> None:
    """Draw crosses at a height where most runs diverged."""
    place = axis.get_xaxis_transform()
    axis.plot(rates, np.full(len(rates), height), "x", color=color, markersize=6, markeredgewidth=2, transform=place)


def _describe_settings(runs: pd.DataFrame) -> str:
    """Return the batch size and the schedule of an optimizer's line."""
    row = runs.iloc[0]
    return f"batch size {text(row['batch_size'])}\n{shorten(str(row['schedule']), 20)}"
