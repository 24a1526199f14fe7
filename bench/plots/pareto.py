"""Final loss against time, with the Pareto front."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import add_epoch_seconds
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
    spread_evenly,
    time_unit,
)
from bench.tables.formatting import label
from bench.tables.ranking import CHOICES, summarize, varies

MAX_LABELS = 4


@rc_context(STYLE)
def pareto(frame: pd.DataFrame, *, target: float | None = None) -> Figure:
    """Draw final loss against time, one point per choice of settings, and the Pareto front.

    A point is the median over starts and seeds. No choice is both faster and better than one on the front.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it, with `epoch_seconds`, or with what
        `bench.plots.choices.add_epoch_seconds` makes it of.
    target : float, optional
        The loss at which runs stop, drawn as a line across. The axis ends six decades below it.
    """
    timed = add_epoch_seconds(frame)
    points = summarize(timed.assign(seconds=timed["epochs"] * timed["epoch_seconds"]), CHOICES)
    ended = points[np.isfinite(points["final_loss"]) & (points["seconds"] > 0)]
    if ended.empty:
        return empty_figure(
            f"No time to compare: none of {len(points):,} choices of settings ended with a finite loss."
        )
    # A loss far above nearly all the others would leave them no room.
    shown = ended[ended["final_loss"] <= 10 * ended["final_loss"].quantile(0.8, interpolation="nearest")]
    bottom, top = loss_axis_limits(shown["final_loss"].to_numpy(), np.inf, target and target / 1e4)
    below = (shown["final_loss"] < bottom).any()
    shown = shown.assign(final_loss=shown["final_loss"].clip(bottom)).sort_values(["seconds", "final_loss"])
    front = shown[shown["final_loss"] < shown["final_loss"].cummin().shift(fill_value=np.inf)]
    last = shown["seconds"].max()
    factor, unit = time_unit(np.sqrt(shown["seconds"].min() * last))
    figure, (axis,) = panels(1)
    log_scale(axis)
    log_scale(axis, "x")
    steps = ([*front["seconds"] * factor, last * factor], [*front["final_loss"], front["final_loss"].iloc[-1]])
    axis.plot(*steps, color=INK, linewidth=1, drawstyle="steps-post", label="front")
    colors = colors_of(shown["optimizer"])
    for optimizer, group in shown.groupby("optimizer", observed=True):
        for sure, some in group.groupby(group["diverged"] == 0):
            face = colors[optimizer] if sure else "white"
            look = {"color": colors[optimizer], "markerfacecolor": face, "markersize": 5}
            axis.plot(some["seconds"] * factor, some["final_loss"], "o", **look)
    _annotate_choices(axis, _select_labelled_points(front, np.log(top / bottom)), shown, factor)
    draw_target(axis, target, bottom)
    if (shown["diverged"] > 0).any():
        axis.plot([], [], "o", color=INK, markerfacecolor="white", markersize=5, label="some runs diverged")
    axis.set(ylim=(bottom, top), xlabel=f"time of a run ({unit})", ylabel="final loss")
    add_legend(figure, [shorten(name, 20) for name in colors], list(colors.values()), "optimizer")
    add_caption(
        figure,
        f"{len(shown):,} choices of settings, medians over starts and seeds.",
        len(shown) < len(points) and f"{len(points) - len(shown):,} more end at much higher losses or diverge.",
        below and f"Losses below {format_log_tick(bottom)} are drawn at the bottom.",
    )
    return figure


def _select_labelled_points(front: pd.DataFrame, height: float) -> pd.DataFrame:
    """Return a few points of the front whose labels do not overlap."""
    kept: list[int] = []
    heights = np.log(front["final_loss"].to_numpy()) / height
    for place in spread_evenly(range(len(front)), MAX_LABELS):
        if not kept or heights[kept[-1]] - heights[place] > 0.08:
            kept.append(place)
    return front.iloc[kept]


def _annotate_choices(axis: Axes, front: pd.DataFrame, shown: pd.DataFrame, factor: float) -> None:
    """Label points of the front with their settings."""
    varying = [name for name in ("lr", "batch_size", "schedule", "shuffle") if varies(shown, name)]
    middle = np.sqrt(shown["seconds"].min() * shown["seconds"].max())
    for row in front.to_dict("records"):
        said = ", ".join(f"{label(name)} {shorten(row[name], 16)}" for name in varying)
        left = row["seconds"] > middle  # below the front, where nothing is
        axis.annotate(
            said,
            (row["seconds"] * factor, row["final_loss"]),
            xytext=(-6 if left else 6, -4 if left else 4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top" if left else "bottom",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        ).set_in_layout(False)
