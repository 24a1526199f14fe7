"""Charts of optimizers over several problems: performance profiles, ratios by problem, ranges of good rates."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd

from sgdbench.charts.chart import (
    Axis,
    Cells,
    Chart,
    Key,
    Layer,
    Line,
    Panel,
    Points,
    panel_columns,
    stairs,
)
from sgdbench.charts.colors import NEUTRAL, colors_of
from sgdbench.charts.ticks import linear_ticks, log_ticks, places
from sgdbench.tables.chart_words import (
    PROFILE_CAPTION,
    RATE_RANGES_CAPTION,
    RATIO_MAP_CAPTION,
    RATIO_MAP_NOTES,
    join_sentences,
    say_profile,
    say_range_marks,
)
from sgdbench.tables.formatting import shorten, text

# The chart ends, with the lightest shade, at this many times the lowest cost.
FARTHEST = 100.0
NAMED = 6
LETTERS, PROBLEM_LETTERS = 24, 20  # of the names of optimizers and of problems


def profile_chart(profile: pd.DataFrame, *, named: Sequence[str]) -> Chart:
    """Return the chart of the share of instances that each optimizer solves within a factor of the best one.

    `named` are the optimizers that have a color, best first; the others are gray.
    """
    colors = colors_of(named)
    others = [str(name) for name in profile["optimizer"].unique() if name not in colors]
    layers = []
    for name in [*others, *reversed(named)]:
        own = profile[profile["optimizer"] == name]
        tau, share = (own[column].to_numpy(float) for column in ("tau", "share"))
        line = stairs(np.append(tau, FARTHEST), np.append(share, share[-1]))
        layers.append(Line(*line, colors[name]) if name in colors else Line(*line, "data", width=0.8))
    limits = (1.0, FARTHEST)
    across = Axis(limits, "times the samples of the best optimizer", log=True, ticks=log_ticks(*limits))
    along = Axis((0.0, 1.02), "share solved", ticks=linear_ticks(0.0, 1.0))
    return Chart(
        [Panel(across, along, layers)],
        [Key(shorten(name), colors[name]) for name in named],
        caption=PROFILE_CAPTION,
        notes=join_sentences(*say_profile(len(others))),
    )


def ratio_map(ratios: pd.DataFrame) -> Chart:
    """Return the map of how many times the samples of the best optimizer of a run each one needs, medians by problem.

    Rows are optimizers, best first; infinite where one mostly fails.
    """
    values = ratios.to_numpy(float)
    row, column = np.indices(values.shape).reshape(2, -1).astype(float)
    tones: list[float | str] = []
    texts = []
    for ratio in values.ravel().tolist():
        fails = not np.isfinite(ratio)
        tones.append("paper" if fails else float(np.log(np.clip(ratio, 1.0, FARTHEST)) / np.log(FARTHEST)))
        texts.append("fails" if fails else text(ratio, 2))
    problems = places([shorten(str(name), PROBLEM_LETTERS) for name in ratios.columns])
    optimizers = places([shorten(str(name), LETTERS) for name in ratios.index])[:1]
    across = Axis((-0.5, values.shape[1] - 0.5), ticks=problems, grid=False, slanted=True)
    along = Axis((len(ratios) - 0.5, -0.5), ticks=optimizers, grid=False)
    return Chart(
        [Panel(across, along, [Cells(column, row, tones, texts)])],
        caption=RATIO_MAP_CAPTION,
        notes=RATIO_MAP_NOTES,
        height=1.2 + 0.27 * len(ratios),
    )


def rate_ranges(rates: Mapping[str, pd.DataFrame], *, order: Sequence[str]) -> Chart:
    """Return the chart of the good learning rates of each optimizer by problem; the `order` is from top to bottom."""
    ends = pd.concat(rates.values())[["lowest", "highest"]].to_numpy(float)
    ends = ends[np.isfinite(ends)]
    low, high = (float(ends.min()), float(ends.max())) if ends.size else (0.1, 1.0)
    margin = max((high / low) ** 0.05, 1.2)
    limits = low / margin, high * margin
    across = Axis(limits, "learning rate", log=True, ticks=log_ticks(*limits))
    along = Axis((len(order) - 0.4, -0.6), ticks=places([shorten(name, LETTERS) for name in order])[:1])
    panels = []
    for problem, table in rates.items():
        good = table[np.isfinite(table["lowest"])]
        rows = np.array([order.index(name) for name in good["optimizer"]], float)
        # A break after each range.
        ranges = np.column_stack([good[["lowest", "highest"]].to_numpy(float), np.full(len(good), np.nan)])
        layers: list[Layer] = [
            Line(ranges.ravel(), np.repeat(rows, 3), NEUTRAL, width=3.5),
            Points(good["best"].to_numpy(float), rows, size=3.0),
        ]
        panels.append(Panel(across, along, layers, shorten(problem, PROBLEM_LETTERS)))
    columns = panel_columns(len(panels))
    return Chart(
        panels,
        caption=RATE_RANGES_CAPTION,
        notes=join_sentences(*say_range_marks(some_lack=any(table["lowest"].isna().any() for table in rates.values()))),
        columns=columns,
        height=(1.0 + 0.17 * len(order)) * ceil(len(panels) / columns) + 0.6,
    )
