"""Final loss against time: the choices that reach the target, and the front of those that do not."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.choices import best_optimizers, spread_evenly
from bench.plots.colors import colors_of
from bench.plots.loss_axis import PLAIN, LossAxis
from bench.plots.style import (
    FAINT,
    INK,
    STYLE,
    add_caption,
    add_legend,
    empty_figure,
    format_limit,
    log_scale,
    rows_of_panels,
    shorten,
    time_unit,
)
from bench.tables.formatting import label, text
from bench.tables.phrases import describe_order
from bench.tables.ranking import varies
from bench.tables.readable import describe_batch_size
from bench.tables.run_costs import choice_columns
from kernels.run import Floats

MAX_NUMBERS = 4
OTHERS = "others"
ROW = 0.24  # inches, of an optimizer in the panel of choices that reach the target


@rc_context(STYLE)
def pareto(
    frame: pd.DataFrame, *, target: float | None = None, shown: LossAxis = PLAIN, samples: int | None = None
) -> Figure:
    """Draw final loss against time, one point per choice of settings, and the Pareto front.

    A point is the median over starts and seeds. No choice is both faster and better than one on the front. Runs stop at
    the target, and how far below it they happen to land says nothing: the choices that reach it have a panel of their
    own below, a row for each optimizer, where the fastest are numbered. Without them the front is. The key names the
    settings of the numbers.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it, with `seconds`.
    target : float, optional
        The loss at which runs stop, drawn as a line across.
    shown : LossAxis, optional
        What the axis of losses shows.
    samples : int, optional
        The number of samples in the data: a batch of all of them is called full.
    """
    points = _reduce_to_points(frame)
    ended = points[np.isfinite(points["final_loss"]) & (points["seconds"] > 0)].sort_values(["seconds", "final_loss"])
    if ended.empty:
        return empty_figure(
            f"No time to compare: none of {len(points):,} choices of settings ended with a finite loss."
        )
    named = best_optimizers(frame)
    ended = ended.assign(color=ended["optimizer"].astype(object).where(ended["optimizer"].isin(named), OTHERS))
    reached = ended[ended["final_loss"] <= (-np.inf if target is None else target)]
    missed = ended.drop(reached.index)
    if len(missed):
        # A loss far above nearly all the others would leave them no room.
        shown_at = shown.place(missed["final_loss"].to_numpy(float))
        usual = np.quantile(shown_at, 0.8, method="nearest")
        missed = missed[shown_at <= max(10 * usual, usual)]
    points_in_view = pd.concat([missed, reached])
    factor, unit = time_unit(np.sqrt(points_in_view["seconds"].min() * points_in_view["seconds"].max()))
    colors = colors_of(set(points_in_view["color"]) - {OTHERS})
    colors |= {OTHERS: FAINT} if OTHERS in set(points_in_view["color"]) else {}
    # The fastest on top.
    rows = sorted(reached["color"].unique(), key=lambda name: name == OTHERS)
    heights = [3.2 if rows else 3.7] * bool(len(missed)) + [ROW * (len(rows) + 1)] * bool(rows)
    figure, axes = rows_of_panels(heights)
    log_scale(axes[0], "x")
    below = None
    fastest = reached[reached["color"] != OTHERS].drop_duplicates("color").set_index("color", drop=False)
    numbered = fastest.loc[[name for name in rows if name in fastest.index][:MAX_NUMBERS]]
    if len(missed):
        front = _front(missed) if target is None or not rows else missed.head(0)
        below = _draw_missed(axes[0], missed, target, shown, factor, colors, front=front)
        if len(front):
            numbered = _spread_numbers(front, shown.place(front["final_loss"].to_numpy(float)))
    if rows:
        _draw_reached(axes[-1], reached, rows, target, factor, colors)
    axes[-1].set_xlabel(f"time of a run ({unit})")
    for number, row in enumerate(numbered.to_dict("records"), 1):
        height = rows.index(row["color"]) if rows else max(row["final_loss"] - shown.lowest, below or 0.0)
        _draw_number(axes[-1], number, (row["seconds"] * factor, height), colors[row["color"]])
    if (points_in_view["diverged"] > 0).any():
        axes[0].plot([], [], "o", color=INK, markerfacecolor="white", markersize=5, label="some runs diverged")
    varying = [name for name in choice_columns(points_in_view)[1:] if varies(points_in_view, name)]
    settings = [_describe_choice(row, varying, samples) for row in numbered.to_dict("records")]
    words = [f"{number}: {described}" for number, described in enumerate(settings, 1)]
    shades = [*colors.values(), *(colors[name] for name in numbered["color"])]
    add_legend(figure, [*(shorten(name, 20) for name in colors), *words], shades, "optimizer")
    outside = len(points) - len(points_in_view)
    add_caption(
        figure,
        f"{len(points_in_view):,} choices of settings, medians over starts and seeds.",
        outside > 0 and f"{outside:,} more end at much higher losses or diverge.",
        below is not None and f"{shown.quantity} below {format_limit(below)} are drawn there.",
    )
    return figure


def _reduce_to_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each choice of settings the medians of time and final loss, and how many runs diverged."""
    runs = frame[choice_columns(frame)].assign(
        seconds=frame["seconds"],
        final_loss=frame["final_loss"].fillna(np.inf),
        diverged=frame["status"].eq("diverged"),
    )
    groups = runs.groupby(choice_columns(frame), observed=True, dropna=False)
    medians: pd.DataFrame = groups[["seconds", "final_loss"]].median().join(groups["diverged"].sum())
    return medians.reset_index()


def _front(points: pd.DataFrame) -> pd.DataFrame:
    """Return the points, sorted by time, than which none is both faster and better."""
    return points[points["final_loss"] < points["final_loss"].cummin().shift(fill_value=np.inf)]


def _draw_missed(
    axis: Axes,
    points: pd.DataFrame,
    target: float | None,
    shown: LossAxis,
    factor: float,
    colors: dict[Any, Any],
    *,
    front: pd.DataFrame,
) -> float | None:
    """Draw the choices that do not reach a target by their losses; return where those below the view are drawn."""
    losses = shown.place(points["final_loss"].to_numpy(float))
    bottom, top = shown.limits(losses, np.inf, target)
    # On the floor of the panel a line could not be told from its edge, and half of a number would be cut off.
    shown.set_up(axis, bottom / (top / bottom) ** 0.06, top)
    if len(front):
        steps = shown.place(front["final_loss"].to_numpy(float)).clip(bottom)
        times = [*front["seconds"] * factor, points["seconds"].max() * factor]
        axis.plot(times, [*steps, steps[-1]], color=INK, linewidth=1, drawstyle="steps-post", label="front")
    _draw_points(axis, points["seconds"] * factor, losses.clip(bottom), points, colors)
    axis.set_ylabel(shown.name("final "))
    shown.draw_target(axis, target)
    return bottom if (losses < bottom).any() else None


def _draw_reached(
    axis: Axes, points: pd.DataFrame, rows: Sequence[str], target: float | None, factor: float, colors: dict[Any, Any]
) -> None:
    """Draw the choices that reach the target, a row for each optimizer."""
    heights = np.array([rows.index(name) for name in points["color"]], dtype=np.float64)
    _draw_points(axis, points["seconds"] * factor, heights, points, colors)
    axis.set_yticks(range(len(rows)), [shorten(name, 16) for name in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_title(f"choices that reach the target {text(target)}", fontsize=9)


def _draw_points(
    axis: Axes, times: "pd.Series[float]", heights: Floats, points: pd.DataFrame, colors: dict[Any, Any]
) -> None:
    """Draw a point for each choice of settings, hollow where some of its runs diverged."""
    safe = (points["diverged"] == 0).to_numpy()
    for name, color in colors.items():
        for is_safe in (True, False):
            chosen = (points["color"] == name).to_numpy() & (safe == is_safe)
            if chosen.any():
                face = color if is_safe else "white"
                axis.plot(times[chosen], heights[chosen], "o", color=color, markerfacecolor=face, markersize=5)


def _draw_number(axis: Axes, number: int, place: tuple[float, float], color: Any) -> None:
    """Draw a number in place of a point: words beside it would cover other points."""
    axis.plot(*place, "o", color=color, markeredgecolor="white", markersize=12, zorder=3)
    look: Any = {"color": "white", "fontsize": 8, "fontweight": "bold", "ha": "center", "va": "center_baseline"}
    axis.annotate(str(number), place, **look, zorder=4).set_in_layout(False)


def _spread_numbers(front: pd.DataFrame, heights: Floats) -> pd.DataFrame:
    """Return a few points of the front that are far enough from each other for numbers."""
    places = np.log(np.column_stack([front["seconds"], heights.clip(1e-300)]))
    span = np.ptp(places, axis=0)
    kept: list[int] = []
    for place in spread_evenly(range(len(front)), MAX_NUMBERS):
        if all((np.abs(places[place] - places[other]) > 0.06 * span).any() for other in kept):
            kept.append(place)
    return front.iloc[kept]


def _describe_choice(row: Any, varying: Sequence[str], samples: int | None) -> str:
    """Return the settings of a choice that differ between choices, in lines for the legend."""
    words = {name: f"{label(name)} {shorten(row[name], 16)}" for name in varying}
    if "batch_size" in words:
        words["batch_size"] = f"batch size {describe_batch_size(row['batch_size'], samples)}"
    if "schedule" in words:
        words["schedule"] = shorten(row["schedule"], 20)
    if "shuffle" in words:
        words["shuffle"] = describe_order(row["shuffle"])
    return "\n".join(words.values())
