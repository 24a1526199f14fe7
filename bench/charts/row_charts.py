"""Charts with a row for each name: optimizers compared with the best choice, and how much each setting matters."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Bars, Chart, Line, Panel, Points, Rule
from sgdbench.charts.colors import FAINT, NEUTRAL, colors_of
from sgdbench.charts.ticks import linear_ticks, log_ticks, places
from sgdbench.tables.chart_words import (
    caption_effects,
    caption_optimizers,
    describe_comparison,
    describe_effect,
    say_effects,
    say_ratios,
)
from sgdbench.tables.facts import FULL
from sgdbench.tables.formatting import label, percentage, shorten, text
from sgdbench.tables.words import shown_ratio


def optimizer_ratios(
    compared: pd.DataFrame, *, cost: str, seeds: str, named: Sequence[str], samples: int | None = None
) -> Chart:
    """Return the chart of how many times the cost of the best choice each optimizer has, or the improvement.

    Each optimizer has its own best choice of the other settings, and costs are compared run by run, from the same
    starts with the same seeds. There are intervals, and no ratio of one that mostly fails. The `cost`, such as
    "samples to the target", was compared on the `seeds`, such as "20 fresh seeds". Optimizers that are not `named` are
    gray. A batch of all `samples` is called full.
    """
    colors = colors_of(named)
    drawn = [shown_ratio(row) if _has_place(row) else (np.nan,) * 3 for _, row in compared.iterrows()]
    ratios = np.array(drawn, float)
    ends = np.append(ratios, 1.0)
    ends = ends[np.isfinite(ends) & (ends > 0)]
    # Optimizers that hardly differ fill the chart too, but differences of a thousandth do not look large.
    margin = max((ends.max() / ends.min()) ** 0.15, 1.005)
    limits = float(ends.min() / margin), float(ends.max() * margin)
    layers: list[Line | Points | Rule] = [Rule(1.0, upright=True)]
    for place, (_, row) in enumerate(compared.iterrows()):
        name, (ratio, low, high) = str(row["optimizer"]), ratios[place]
        color = colors.get(name, FAINT)
        if not np.isnan(ratio) and not np.isnan(high):
            reach = ratio if np.isnan(low) else max(low, limits[0]), min(high, limits[1])
            layers.append(Line(reach, (place, place), color, width=3.0))
        layers.append(Points([ratio], [place], color, size=8, words=[describe_comparison(row, samples)], beside=True))
    notes = say_ratios(cost, seeds, with_intervals=bool(np.isfinite(ratios[:, 1]).any()))
    names = [shorten(str(name), 20) for name in compared["optimizer"]]
    across = Axis(
        limits,
        "relative to the best choice",
        log=True,
        ticks=log_ticks(*limits, lambda ratio: f"{text(ratio)}\N{MULTIPLICATION SIGN}"),
    )
    along = Axis((len(names) - 0.4, -0.8), ticks=places(names)[:1], grid=False)
    caption = caption_optimizers(seeds)
    return Chart([Panel(across, along, layers)], caption=caption, notes=notes, height=1.4 + 0.55 * len(names))


def _has_place(row: pd.Series) -> bool:
    """Return whether a ratio has a place on a logarithmic axis: a run whose start meets the target costs nothing."""
    return bool(np.isfinite(row["ratio"]) and row["ratio"] > 0)


def setting_importance(effects: pd.DataFrame, *, cost: str, samples: int | None = None) -> Chart:
    """Return the chart of the share of the variance of the log cost that each setting explains by itself.

    The effects are on the `cost`, such as "samples to the target". A batch of all `samples` is called full.
    """
    words = []
    for row in effects.to_dict("records"):
        best, worst = (_name_end(row["setting"], row[end], samples) for end in ("best", "worst"))
        words.append(describe_effect(row["share"], best, worst, text(row["factor"], 2)))
    shares, largest = effects["share"].tolist(), float(effects["share"].max() or 1.0)
    rows = range(len(words))
    bars = Bars(rows, shares, NEUTRAL, thickness=0.6, labels=[percentage(share) for share in shares], words=words)
    reach = 0.0, 1.15 * largest
    across = Axis(reach, "share of the variance", ticks=linear_ticks(0.0, min(reach[1], 1.0), percentage))
    along = Axis((len(words) - 0.4, -0.6), ticks=places(effects["setting"].tolist())[:1], grid=False)
    caption, notes = caption_effects(cost), say_effects(cost, effects["share"].sum())
    return Chart([Panel(across, along, [bars])], caption=caption, notes=notes, height=1.3 + 0.42 * len(words))


def _name_end(setting: str, value: str, samples: int | None) -> str:
    is_full = setting == label("batch_size") and samples is not None and value == text(samples)
    return FULL if is_full else shorten(value, 14)
