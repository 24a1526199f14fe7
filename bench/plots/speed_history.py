"""The speed of benchmarks from commit to commit."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from bench.plots.choices import spread_evenly
from bench.plots.colors import FAINT, PALETTE
from bench.plots.style import DASHES, DOT, EDGE, INK, STYLE, add_caption, log_scale, rows_of_panels
from bench.tables.formatting import shorten, text

MAX_PANELS = 8
MAX_LABELS = 8
FASTER, SLOWER = PALETTE[2], EDGE


@rc_context(STYLE)
def speed_history(points: pd.DataFrame, steps: pd.DataFrame) -> Figure:
    """Draw the medians of each benchmark relative to its first level, commit by commit, with its levels and steps.

    Of more than eight series those are shown whose last step is the largest slowdown at present, then those whose level
    has moved furthest. Frames are those of `bench.compare.history.trace_history`.
    """
    keys = ["row", "machine"]
    slower = steps[steps["gated"] & steps["ratio"].gt(1)].set_index(keys)["ratio"].to_dict()
    series = [(str(row), str(machine), part) for (row, machine), part in points.groupby(keys, sort=False)]
    order = sorted(series, key=lambda own: (-slower.get(own[:2], 1.0), -abs(np.log(own[2]["level"].iloc[-1]))))
    shown = order[:MAX_PANELS]
    figure, axes = rows_of_panels([1.25] * len(shown))
    machines = set(points["machine"])
    for axis, (row, machine, part) in zip(axes, shown, strict=True):
        _draw_series(axis, part, steps[steps["row"].eq(row) & steps["machine"].eq(machine)])
        axis.set_title(f"{shorten(row, 70)}{f', on {shorten(machine, 30)}' if len(machines) > 1 else ''}")
    commits = points.drop_duplicates("place").sort_values("place")
    labelled = spread_evenly(commits[["place", "commit"]].to_numpy().tolist(), MAX_LABELS)
    bottom = axes[-1]
    bottom.set_xticks([place for place, _ in labelled], [shorten(commit, 10) for _, commit in labelled])
    bottom.set_xlim(commits["place"].iloc[0] - 0.5, commits["place"].iloc[-1] + 0.5)
    figure.supxlabel("commit")
    figure.supylabel("time relative to the first level")
    add_caption(
        figure,
        "Dots: the median of each run. Lines: levels.",
        len(steps) > 0 and "Dashed: steps, with the commit and the ratio of the levels.",
        len(shown) < len(series) and f"{text(len(shown))} of {text(len(series))} series.",
    )
    return figure


def _draw_series(axis: Axes, part: pd.DataFrame, steps: pd.DataFrame) -> None:
    place, relative, level = part[["place", "relative", "level"]].to_numpy(float).T
    axis.plot(place, relative, **DOT, color=FAINT if len(part) > 1 else INK)
    log_scale(axis)
    low, high = min(relative.min(), 0.95), max(relative.max(), 1.05)
    axis.set_ylim(low * (low / high) ** 0.1, high * (high / low) ** 0.25)
    breaks = [int(np.searchsorted(place, start)) for start in steps["place"]]
    for x, y in zip(np.split(place, breaks), np.split(level, breaks), strict=True):
        axis.plot(x, y, color=PALETTE[0], linewidth=1.6)
    for start, name, ratio in steps[["place", "step", "ratio"]].itertuples(index=False):
        color = SLOWER if ratio > 1 else FASTER
        axis.axvline(start - 0.5, color=color, linewidth=1, linestyle=DASHES)
        late = start > (place[0] + 3 * place[-1]) / 4
        axis.annotate(
            f"{shorten(name.split('..')[-1], 10)}: {text(ratio, 3)}",
            (start - 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(-4 if late else 4, -2),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=9,
        )
    axis.yaxis.set_minor_locator(NullLocator())
