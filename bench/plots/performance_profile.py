"""Optimizers over several problems: performance profiles, ratios by problem, and ranges of good learning rates."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.charts.colors import FAINT, colors_of
from bench.plots.style import INK, STYLE, WIDTH, add_caption, log_scale, panels
from bench.tables.formatting import shorten, text

# Costs this many times that of the best are at the edge of the chart.
FARTHEST = 100.0
NAMED = 6
RANGE = "#2b6cb0"


@rc_context(STYLE)
def performance_profiles(profile: pd.DataFrame, *, named: Sequence[str]) -> Figure:
    """Draw for each optimizer the share of instances that it solves within a factor of the best one.

    `named` are the optimizers that have a color, best first; the others are gray.
    """
    figure, (axis,) = panels(1)
    colors = colors_of(named)
    order = [*(name for name in profile["optimizer"].unique() if name not in colors), *reversed(named)]
    for name in order:
        own = profile[profile["optimizer"] == name]
        tau, share = np.append(own["tau"], FARTHEST), np.append(own["share"], own["share"].iloc[-1])
        look = {"color": colors[name], "linewidth": 2.0} if name in colors else {"color": FAINT, "linewidth": 0.8}
        axis.step(tau, share, where="post", label=shorten(name) if name in colors else "_", **look)
    log_scale(axis, "x")
    axis.set(
        xlim=(1, FARTHEST), ylim=(0, 1.02), xlabel="times the samples of the best optimizer", ylabel="share solved"
    )
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right upper")
    others = profile["optimizer"].nunique() - len(colors)
    add_caption(
        figure, "Higher is better. At the left: how often each is the best.", others > 0 and f"Gray: {others} others."
    )
    return figure


@rc_context(STYLE)
def ratios_by_problem(ratios: pd.DataFrame) -> Figure:
    """Draw a map of how many times the samples of the best optimizer of a run each one needs, medians by problem.

    Rows are optimizers, best first; infinite where one mostly fails.
    """
    values = ratios.to_numpy(float)
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.2 + 0.27 * len(ratios))
    image = np.where(np.isfinite(values), np.log10(np.clip(values, 1.0, FARTHEST)), np.nan)
    axis.imshow(image, aspect="auto", cmap="Blues_r", vmin=0.0, vmax=2.6)
    for (row, column), value in np.ndenumerate(values):
        words = "fails" if not np.isfinite(value) else text(value, 2)
        dark = np.isfinite(value) and value < 15
        axis.text(column, row, words, ha="center", va="center", fontsize=8, color="white" if dark else INK)
    axis.set_xticks(range(len(ratios.columns)), [shorten(str(name), 18) for name in ratios.columns])
    axis.set_yticks(range(len(ratios)), [shorten(str(name), 24) for name in ratios.index])
    axis.tick_params(length=0, labelsize=8.5)
    axis.xaxis.tick_top()
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    add_caption(figure, "Medians over the runs on fresh seeds; 1 is the optimizer with the fewest samples in a run.")
    return figure


@rc_context(STYLE)
def rate_ranges(rates: Mapping[str, pd.DataFrame], *, order: Sequence[str]) -> Figure:
    """Draw the range of good learning rates of each optimizer on each problem; the `order` is from top to bottom."""
    figure, axes = panels(len(rates))
    figure.set_size_inches(WIDTH, (1.0 + 0.17 * len(order)) * -(-len(rates) // 3) + 0.6)
    place = {name: row for row, name in enumerate(order)}
    for axis, (problem, table) in zip(axes, rates.items(), strict=True):
        for row in table.to_dict("records"):
            height = place[row["optimizer"]]
            if np.isfinite(row["lowest"]):
                axis.plot(
                    [row["lowest"], row["highest"]],
                    [height] * 2,
                    color=RANGE,
                    linewidth=3.5,
                    solid_capstyle="round",
                )
                axis.plot(row["best"], height, "o", color=INK, markersize=3)
        log_scale(axis, "x")
        axis.set_title(shorten(problem, 20))
        axis.set_ylim(len(order) - 0.4, -0.6)
        axis.set_yticks(range(len(order)), [shorten(name, 20) for name in order])
        axis.tick_params(axis="y", labelsize=7, length=0)
        axis.tick_params(axis="x", labelsize=8)
    figure.supxlabel("learning rate")
    add_caption(
        figure,
        "Rates at which every run reaches the target, the median at most at twice the samples of the best (dot).",
        any(table["lowest"].isna().any() for table in rates.values()) and "No dot: at each rate some run misses it.",
    )
    return figure
