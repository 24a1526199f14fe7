"""Final loss against time, with the Pareto front."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
from bench.tables.ranking import varies
from bench.tables.run_costs import CHOICES

MAX_LABELS = 4


@rc_context(STYLE)
def pareto(frame: pd.DataFrame, *, target: float | None = None) -> Figure:
    """Draw final loss against time, one point per choice of settings, and the Pareto front.

    A point is the median over starts and seeds. No choice is both faster and better than one on the front.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it, with `seconds`.
    target : float, optional
        The loss at which runs stop, drawn as a line across. The axis ends six decades below it.
    """
    points = _reduce_to_points(frame)
    ended = points[np.isfinite(points["final_loss"]) & (points["seconds"] > 0)]
    if ended.empty:
        return empty_figure(
            f"No time to compare: none of {len(points):,} choices of settings ended with a finite loss."
        )
    # A loss far above nearly all the others would leave them no room.
    points_in_view = ended[ended["final_loss"] <= 10 * ended["final_loss"].quantile(0.8, interpolation="nearest")]
    bottom, top = loss_axis_limits(points_in_view["final_loss"].to_numpy(), np.inf, target and target / 1e4)
    below = (points_in_view["final_loss"] < bottom).any()
    points_in_view = points_in_view.assign(final_loss=points_in_view["final_loss"].clip(bottom)).sort_values(
        ["seconds", "final_loss"]
    )
    front = points_in_view[
        points_in_view["final_loss"] < points_in_view["final_loss"].cummin().shift(fill_value=np.inf)
    ]
    last = points_in_view["seconds"].max()
    factor, unit = time_unit(np.sqrt(points_in_view["seconds"].min() * last))
    figure, (axis,) = panels(1)
    log_scale(axis)
    log_scale(axis, "x")
    steps = ([*front["seconds"] * factor, last * factor], [*front["final_loss"], front["final_loss"].iloc[-1]])
    axis.plot(*steps, color=INK, linewidth=1, drawstyle="steps-post", label="front")
    colors = colors_of(points_in_view["optimizer"])
    _draw_points(axis, points_in_view.assign(seconds=points_in_view["seconds"] * factor), colors)
    axis.set(ylim=(bottom, top), xlabel=f"time of a run ({unit})", ylabel="final loss")
    _annotate_choices(axis, _select_labelled_points(front, np.log(top / bottom)), points_in_view, factor)
    draw_target(axis, target, bottom)
    if (points_in_view["diverged"] > 0).any():
        axis.plot([], [], "o", color=INK, markerfacecolor="white", markersize=5, label="some runs diverged")
    add_legend(figure, [shorten(name, 20) for name in colors], list(colors.values()), "optimizer")
    add_caption(
        figure,
        f"{len(points_in_view):,} choices of settings, medians over starts and seeds.",
        len(points_in_view) < len(points)
        and f"{len(points) - len(points_in_view):,} more end at much higher losses or diverge.",
        below and f"Losses below {format_log_tick(bottom)} are drawn at the bottom.",
    )
    return figure


def _reduce_to_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each choice of settings the medians of time and final loss, and how many runs diverged."""
    runs = frame[CHOICES].assign(
        seconds=frame["seconds"],
        final_loss=frame["final_loss"].fillna(np.inf),
        diverged=frame["status"].eq("diverged"),
    )
    groups = runs.groupby(CHOICES, observed=True, dropna=False)
    medians: pd.DataFrame = groups[["seconds", "final_loss"]].median().join(groups["diverged"].sum())
    return medians.reset_index()


def _draw_points(axis: Axes, points: pd.DataFrame, colors: dict[Any, Any]) -> None:
    """Draw a point for each choice of settings, hollow where some of its runs diverged."""
    for optimizer, group in points.groupby("optimizer", observed=True):
        for is_safe, part in group.groupby(group["diverged"] == 0):
            color = colors[optimizer]
            face = color if is_safe else "white"
            axis.plot(part["seconds"], part["final_loss"], "o", color=color, markerfacecolor=face, markersize=5)


def _select_labelled_points(front: pd.DataFrame, height: float) -> pd.DataFrame:
    """Return a few points of the front whose labels do not overlap."""
    kept: list[int] = []
    heights = np.log(front["final_loss"].to_numpy()) / height
    for place in spread_evenly(range(len(front)), MAX_LABELS):
        if not kept or heights[kept[-1]] - heights[place] > 0.08:
            kept.append(place)
    return front.iloc[kept]


def _annotate_choices(axis: Axes, front: pd.DataFrame, points_in_view: pd.DataFrame, factor: float) -> None:
    """Label points of the front with their settings."""
    varying = [name for name in ("lr", "batch_size", "schedule", "shuffle") if varies(points_in_view, name)]
    middle = np.sqrt(points_in_view["seconds"].min() * points_in_view["seconds"].max())
    lowest = axis.get_ylim()[0] * (axis.get_ylim()[1] / axis.get_ylim()[0]) ** 0.06
    for row in front.to_dict("records"):
        settings = ", ".join(f"{label(name)} {shorten(row[name], 16)}" for name in varying)
        left = row["seconds"] > middle
        below = left and row["final_loss"] > lowest  # below the front, where nothing is
        axis.annotate(
            settings,
            (row["seconds"] * factor, row["final_loss"]),
            xytext=(-6 if left else 6, -4 if below else 4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="top" if below else "bottom",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        ).set_in_layout(False)
