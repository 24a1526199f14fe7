"""How much each setting matters."""

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from bench.plots.style import ROUND, STYLE, WIDTH, add_caption, empty_figure, panels, shorten
from bench.tables.formatting import label, text
from bench.tables.readable import FULL

BAR = "#6b7785"  # a color would be that of an optimizer


@rc_context(STYLE)
def setting_importance(effects: pd.DataFrame, *, cost: str, samples: int | None = None) -> Figure:
    """Draw the share of the variance of the log cost that each setting explains by itself.

    Parameters
    ----------
    effects : DataFrame
        As from `bench.tables.main_effects.main_effects`.
    cost : str
        What the effects are on, such as "samples to the target".
    samples : int, optional
        The number of samples in the data: a batch of all of them is called full.
    """
    if effects.empty:
        return empty_figure("No effects to show: no setting varies, or all runs cost the same.")
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.3 + 0.42 * len(effects))
    axis.barh(range(len(effects)), effects["share"], height=0.6, color=BAR)
    for place, row in enumerate(effects.to_dict("records")):
        factor = text(float(f"{row['factor']:.2g}"))
        best, worst = (_describe_end(row["setting"], row[end], samples) for end in ("best", "worst"))
        words = f"{row['share']:.0%}; best {best}, worst {worst}: {factor} times"
        axis.annotate(words, (row["share"], place), xytext=(5, 0), textcoords="offset points", fontsize=9, va="center")
    axis.set_yticks(range(len(effects)), effects["setting"])
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ticks = MaxNLocator(5, steps=ROUND).tick_values(0, 1.2 * effects["share"].max())
    axis.set_xticks([tick for tick in ticks if 0 <= tick <= 1])
    # Room for the words behind the longest bar.
    axis.set(xlim=(0, 2.4 * (effects["share"].max() or 1.0)), ylim=(len(effects) - 0.4, -0.6))
    axis.set_xlabel(f"share of the variance of log {cost}")
    penalty = "the longest run" if cost.startswith("samples") else "the median"
    add_caption(
        figure,
        f"Main effects over the whole grid (analysis of variance); a run that fails counts as ten times {penalty}.",
        f"Together they explain {effects['share'].sum():.0%}: the rest is combinations of settings, and chance.",
    )
    return figure


def _describe_end(setting: str, value: str, samples: int | None) -> str:
    """Return the best or the worst value of a setting."""
    is_full = setting == label("batch_size") and samples is not None and value == text(samples)
    return FULL if is_full else shorten(value, 14)
