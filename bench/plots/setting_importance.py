"""How much each setting matters."""

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.plots.style import PALETTE, STYLE, WIDTH, add_caption, empty_figure, panels, shorten
from bench.tables.formatting import text


@rc_context(STYLE)
def setting_importance(effects: pd.DataFrame, *, cost: str) -> Figure:
    """Draw the share of the variance of the log cost that each setting explains by itself.

    Parameters
    ----------
    effects : DataFrame
        As from `bench.tables.main_effects.main_effects`.
    cost : str
        What the effects are on, such as "samples to the target".
    """
    if effects.empty:
        return empty_figure("No effects to show: no setting varies, or all runs cost the same.")
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.3 + 0.42 * len(effects))
    axis.barh(range(len(effects)), effects["share"], height=0.6, color=PALETTE[0])
    for place, row in enumerate(effects.to_dict("records")):
        factor = text(float(f"{row['factor']:.2g}"))
        ends = f"best {shorten(row['best'], 14)}, worst {shorten(row['worst'], 14)}"
        words = f"{row['share']:.0%}; {ends}: {factor} times"
        axis.annotate(words, (row["share"], place), xytext=(5, 0), textcoords="offset points", fontsize=9, va="center")
    axis.set_yticks(range(len(effects)), effects["setting"])
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    # Room for the words behind the longest bar.
    axis.set(xlim=(0, 2.4 * effects["share"].max()), ylim=(len(effects) - 0.4, -0.6))
    axis.set_xlabel(f"share of the variance of log {cost}")
    add_caption(figure, "Main effects over the whole grid (analysis of variance). A run that fails counts ten times.")
    return figure
