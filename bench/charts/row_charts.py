"""Charts with a row for each name: optimizers compared with the best choice, and how much each setting matters.

What they show is computed here, for the figure (`bench.plots.row_figures`) and for the page, which needs no figures.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.charts.colors import FAINT, colors_of
from bench.tables.formatting import MISSING, label, percentage, shorten, text
from bench.tables.phrases import FULL, describe_ratio, format_share, name_settings, shown_ratio

BAR = "#6b7785"  # a color would be that of an optimizer


class Row(NamedTuple):
    """A row: its value with the ends of its interval, NaN where there are none, and sentences about it."""

    name: str
    color: str
    value: float
    low: float
    high: float
    words: Sequence[str]


class RowChart(NamedTuple):
    """Rows of ratios on a logarithmic axis, or bars of shares; `limits` are those of the axis."""

    rows: list[Row]
    title: str
    limits: tuple[float, float]
    caption: str
    bars: bool = False

    def to_data(self) -> dict[str, Any]:
        """Return the chart as data for the page, with None in place of a number that is not finite."""
        rows = [
            row._asdict()
            | {name: end if np.isfinite(end := getattr(row, name)) else None for name in ("value", "low", "high")}
            for row in self.rows
        ]
        return self._asdict() | {"rows": rows}


def optimizer_ratios(
    compared: pd.DataFrame, *, cost: str, seeds: str, named: Sequence[str], samples: int | None = None
) -> RowChart:
    """Return the chart of how many times the cost of the best choice each optimizer has, or the improvement.

    Each optimizer has its own best choice of the other settings, and costs are compared run by run, from the same
    starts with the same seeds. There are intervals, and no ratio of one that mostly fails. The `cost`, such as
    "samples to the target", was compared on the `seeds`, such as "20 fresh seeds". Optimizers that are not `named` are
    gray. A batch of all `samples` is called full.
    """
    colors = colors_of(named)
    rows = []
    for _, row in compared.iterrows():
        # A run whose start meets the target costs nothing: a ratio of 0 has no place on a logarithmic axis.
        drawn = np.isfinite(row["ratio"]) and row["ratio"] > 0
        ratio, low, high = shown_ratio(row) if drawn else [np.nan] * 3
        name = str(row["optimizer"])
        words = _describe_comparison(row, samples)
        rows.append(Row(shorten(name, 20), colors.get(name, FAINT), ratio, low, high, words))
    ends = np.append([[row.value, row.low, row.high] for row in rows], 1.0)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    # Optimizers that hardly differ fill the chart too, but differences of a thousandth do not look large.
    margin = max((ends.max() / ends.min()) ** 0.15, 1.005)
    intervals = (
        "with intervals, all of which hold with a confidence of 95 %."
        if any(np.isfinite(row.low) for row in rows)
        else "(too few runs for intervals)."
    )
    return RowChart(
        rows,
        "relative to the best choice",
        (ends.min() / margin, ends.max() * margin),
        f"{cost[0].upper()}{cost[1:]} of each optimizer at its own best choice, on {seeds}: medians of the ratios of "
        f"paired runs {intervals}",
    )


def _describe_comparison(row: pd.Series, samples: int | None) -> tuple[str, str]:
    """Return a verdict with its numbers, and the choice."""
    ratio = describe_ratio(row)
    times = "a ratio of 1" if ratio == "1" else f"{ratio} times"
    said = row["verdict"] if row["verdict"] in ("best", "fails") else f"{row['verdict']}, {times}"
    succeeded = f"; {format_share(row['converged'], row['runs'])} runs succeed" if row["converged"] else ""
    settings = name_settings(row.drop("optimizer"), samples).values()
    return f"{said}{succeeded}", ", ".join([*settings, f"best of {text(row['tried'])}"])


def setting_importance(effects: pd.DataFrame, *, cost: str, samples: int | None = None) -> RowChart:
    """Return the chart of the share of the variance of the log cost that each setting explains by itself.

    The effects are on the `cost`, such as "samples to the target". A batch of all `samples` is called full.
    """
    rows = []
    for row in effects.to_dict("records"):
        factor = text(row["factor"], 2)
        best, worst = (_describe_end(row["setting"], row[end], samples) for end in ("best", "worst"))
        ends = f"best {best}, worst {worst}: {factor} times" if best != MISSING else "no difference"
        words = f"{percentage(row['share'])}; {ends}"
        rows.append(Row(row["setting"], BAR, row["share"], np.nan, np.nan, [words]))
    penalty = "the longest run" if cost.startswith("samples") else "the median"
    # Room for the words behind the longest bar.
    limits = (0.0, 2.4 * (effects["share"].max() or 1.0))
    caption = (
        f"Main effects on the logarithm of the {cost} over the whole grid (analysis of variance); a run that "
        f"fails counts as ten times {penalty}. "
        f"Together they explain {percentage(effects['share'].sum())}: the rest is combinations of settings, and chance."
    )
    return RowChart(rows, "share of the variance", limits, caption, True)


def _describe_end(setting: str, value: str, samples: int | None) -> str:
    is_full = setting == label("batch_size") and samples is not None and value == text(samples)
    return FULL if is_full else shorten(value, 14)
