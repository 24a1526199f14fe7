"""The chart of the speed of the variants."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Bars, Chart, Key, Layer, Line, Panel, Points, Rule
from sgdbench.charts.colors import PALETTE
from sgdbench.charts.ticks import log_ticks, places
from sgdbench.tables.chart_words import (
    NO_SPEED,
    SPEED_CAPTION,
    describe_time,
    join_sentences,
    say_baselines,
    say_not_measured,
)
from sgdbench.tables.formatting import shorten

UNVERIFIED = "results not verified"
# The legend, and the colors of the bars of each entry.
COLORS = {"sgdbench": PALETTE[0], "others": "#757575", UNVERIFIED: "missed"}
BASELINES = ("reference", "C")
MOST_MISSING = 6  # variants that were not measured and are named


def speed_chart(speed: pd.DataFrame) -> Chart:
    """Return the chart of the time of a sample-update of each variant, the fastest on top, with its 95 % interval.

    Lines go up from the ends of `reference` and of C. A speedup is stated only for verified results; the bars of other
    results are hollow. `speed` is a table as from `sgdbench.timing.speed.speed`.
    """
    ns = speed["ns"].astype("Float64").to_numpy(float, na_value=np.nan)
    missing = _describe_missing(speed[~np.isfinite(ns)])
    measured = speed[np.isfinite(ns)].sort_values("ns", kind="stable").reset_index(drop=True)
    if measured.empty:
        return Chart((), caption=SPEED_CAPTION, notes=join_sentences(NO_SPEED, missing))
    values, low, high = measured[["ns", "ns_low", "ns_high"]].to_numpy(float).T
    margin = (high.max() / low.min()) ** 0.06 * 1.5
    limits = float(low.min() / margin), float(high.max() * margin)
    verified = measured["verified"].fillna(False).to_numpy(bool)
    kinds = np.where(verified, np.where(measured["ours"], "sgdbench", "others"), UNVERIFIED)
    rows = np.arange(float(len(measured)))
    layers: list[Layer] = [Rule(float(ns), upright=True) for ns in values[measured["variant"].isin(BASELINES)]]
    layers += [
        Bars(rows[kinds == kind], values[kinds == kind], color) for kind, color in COLORS.items() if kind in kinds
    ]
    ends = np.column_stack([low, high, np.full(len(rows), np.nan)])  # a break after each interval
    layers.append(Line(ends.ravel(), np.repeat(rows, 3), width=3.0))
    words = [_describe_time(row) for row in measured.to_dict("records")]
    layers.append(Points([limits[1]] * len(rows), rows, size=0.0, words=words, beside=True))
    across = Axis(limits, "ns per sample-update", log=True, ticks=log_ticks(*limits))
    along = Axis((len(rows) - 0.4, -0.6), ticks=places([shorten(name) for name in measured["variant"]])[:1], grid=False)
    dashed = [name for name in BASELINES if name in measured["variant"].to_numpy()]
    return Chart(
        [Panel(across, along, layers)],
        [Key(kind, color, "box") for kind, color in COLORS.items() if kind in kinds],
        caption=SPEED_CAPTION,
        notes=join_sentences(say_baselines(dashed), missing),
        height=1.2 + 0.3 * len(rows),
    )


def _describe_time(row: Mapping[Hashable, Any]) -> str:
    """Return the time of a variant, its speedup over C or, if slower than C, over the reference, and its share."""
    verified = pd.notna(row["verified"]) and bool(row["verified"])
    compared = [
        (name, row[column])
        for column, name, least in (("to_c", "C", 1.0), ("to_reference", "the reference", 0.0))
        if row["variant"] not in BASELINES and pd.notna(row[column]) and row[column] >= least
    ]
    share = row["share"] if pd.notna(row["share"]) else None
    return describe_time(row["ns"], compared[:1], share, verified=verified)


def _describe_missing(missing: pd.DataFrame) -> str:
    """Return the variants that were not measured, with the reasons; empty if there are none."""
    reasons = {row["variant"]: row["note"] for row in missing.head(MOST_MISSING).to_dict("records")}
    return say_not_measured(reasons, max(len(missing) - MOST_MISSING, 0))
