"""Optimizers compared, each at its own best choice."""

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.plots.style import (
    DASHES,
    INK,
    STYLE,
    WIDTH,
    add_caption,
    colors_of,
    empty_figure,
    log_scale,
    panels,
    shorten,
)
from bench.tables.formatting import text
from bench.tables.phrases import describe_ratio, format_share


@rc_context(STYLE)
def optimizer_ratios(compared: pd.DataFrame, *, cost: str, seeds: str) -> Figure:
    """Draw how many times the cost of the best optimizer each of them has, with intervals.

    Each optimizer has its own best choice of the other settings, and costs are compared run by run, from the same
    starts with the same seeds. One that mostly fails has no ratio.

    Parameters
    ----------
    compared : DataFrame
        As from `bench.tables.optimizer_comparison.compare_optimizers`.
    cost : str
        What is compared, such as "samples to the target".
    seeds : str
        On which seeds, such as "20 fresh seeds".
    """
    if len(compared) < 2:
        return empty_figure("No optimizers to compare: there is only one.")
    ratio, low, high = compared[["ratio", "ratio_low", "ratio_high"]].to_numpy(float).T
    drawn = np.isfinite(ratio)
    ends = np.concatenate([ratio[drawn], low[np.isfinite(low)], high[np.isfinite(high)], [1.0]])
    left, right = ends.min() / 1.25, ends.max() * 1.25
    colors = colors_of(compared["optimizer"].astype(str))
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.4 + 0.55 * len(compared))
    log_scale(axis, "x")
    axis.axvline(1.0, color=INK, linewidth=1, linestyle=DASHES)
    for place, row in enumerate(compared.to_dict("records")):
        color = colors[str(row["optimizer"])]
        if drawn[place]:
            reach = [low[place] if np.isfinite(low[place]) else ratio[place], min(high[place], right)]
            if not np.isnan(high[place]):
                axis.plot(reach, [place, place], color=color, linewidth=2.5, solid_capstyle="butt")
            axis.plot(ratio[place], place, "o", color=color, markersize=7)
        axis.annotate(
            _describe_row(compared.iloc[place]),
            (0, place),
            xycoords=("axes fraction", "data"),
            xytext=(4, 9),
            textcoords="offset points",
            fontsize=8,
            va="center",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5},
        ).set_in_layout(False)
    axis.set_yticks(range(len(compared)), [shorten(str(name), 20) for name in compared["optimizer"]])
    axis.grid(visible=False, axis="y")
    axis.set(xlim=(left, right), ylim=(len(compared) - 0.4, -0.8), xlabel=f"{cost}, relative to the best optimizer")
    add_caption(
        figure,
        f"Each optimizer at its own best choice, on {seeds}: medians of the ratios of paired runs",
        "with 95 % intervals." if np.isfinite(low).any() else "(too few runs for intervals).",
    )
    return figure


def _describe_row(row: pd.Series) -> str:
    """Return a verdict with its numbers, and the choice."""
    said = (
        f"{row['verdict']}, {describe_ratio(row)} times" if row["verdict"] not in ("best", "fails") else row["verdict"]
    )
    succeeded = f"{format_share(row['converged'], row['runs'])} runs succeed" if row["converged"] else ""
    settings = f"learning rate {text(row['lr'])}, batch size {text(row['batch_size'])}"
    return "; ".join(part for part in (str(said), succeeded, f"{settings}, best of {row['tried']}") if part)
