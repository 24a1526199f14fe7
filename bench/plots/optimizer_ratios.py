"""Optimizers compared, each at its own best choice."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.plots.colors import colors_of
from bench.plots.style import DASHES, FAINT, INK, STYLE, WIDTH, add_caption, empty_figure, log_scale, panels, shorten
from bench.tables.formatting import text
from bench.tables.phrases import describe_ratio, format_share
from bench.tables.readable import describe_batch_size


@rc_context(STYLE)
def optimizer_ratios(
    compared: pd.DataFrame,
    *,
    cost: str,
    seeds: str,
    named: Sequence[str] | None = None,
    samples: int | None = None,
) -> Figure:
    """Draw how many times the cost of the best choice each optimizer has, with intervals.

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
    named : sequence of str, optional
        The optimizers that have a color; the others are gray. By default all have one.
    samples : int, optional
        The number of samples in the data: a batch of all of them is called full.
    """
    if len(compared) < 2:
        return empty_figure("No optimizers to compare: there is only one.")
    ratio, low, high = compared[["ratio", "ratio_low", "ratio_high"]].to_numpy(float).T
    # A run whose start meets the target costs nothing: a ratio of 0 has no place on a logarithmic axis.
    drawn = np.isfinite(ratio) & (ratio > 0)
    ends = np.concatenate([ratio[drawn], low, high, [1.0]])
    ends = ends[np.isfinite(ends) & (ends > 0)]
    # Optimizers that hardly differ fill the figure too, but differences of a thousandth do not look large.
    margin = max((ends.max() / ends.min()) ** 0.15, 1.005)
    left, right = ends.min() / margin, ends.max() * margin
    colors = colors_of(compared["optimizer"].astype(str) if named is None else named)
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.4 + 0.55 * len(compared))
    log_scale(axis, "x")
    axis.axvline(1.0, color=INK, linewidth=1, linestyle=DASHES)
    for place, row in enumerate(compared.to_dict("records")):
        color = colors.get(str(row["optimizer"]), FAINT)
        if drawn[place]:
            reach = [max(low[place], left) if np.isfinite(low[place]) else ratio[place], min(high[place], right)]
            if not np.isnan(high[place]):
                axis.plot(reach, [place, place], color=color, linewidth=2.5, solid_capstyle="butt")
            axis.plot(ratio[place], place, "o", color=color, markersize=7)
        for words, height in zip(_describe_row(compared.iloc[place], samples), (9, -9), strict=True):
            axis.annotate(
                words,
                (0, place),
                xycoords=("axes fraction", "data"),
                xytext=(4, height),
                textcoords="offset points",
                fontsize=8,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            ).set_in_layout(False)
    axis.set_yticks(range(len(compared)), [shorten(str(name), 20) for name in compared["optimizer"]])
    axis.grid(visible=False, axis="y")
    axis.set(xlim=(left, right), ylim=(len(compared) - 0.4, -0.8), xlabel=f"{cost}, relative to the best choice")
    add_caption(
        figure,
        f"Each optimizer at its own best choice, on {seeds}: medians of the ratios of paired runs",
        "with intervals, all of which hold with a confidence of 95 %."
        if np.isfinite(low).any()
        else "(too few runs for intervals).",
    )
    return figure


def _describe_row(row: pd.Series, samples: int | None) -> tuple[str, str]:
    """Return a verdict with its numbers, and the choice."""
    said = (
        f"{row['verdict']}, {describe_ratio(row)} times" if row["verdict"] not in ("best", "fails") else row["verdict"]
    )
    succeeded = f"; {format_share(row['converged'], row['runs'])} runs succeed" if row["converged"] else ""
    batch_size = describe_batch_size(row["batch_size"], samples)
    return f"{said}{succeeded}", f"learning rate {text(row['lr'])}, batch size {batch_size}, best of {row['tried']}"
