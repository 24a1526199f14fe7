"""The speed of the variants."""

from collections.abc import Hashable, Mapping
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.charts.colors import PALETTE
from bench.plots.style import DASHES, INK, STYLE, WIDTH, empty_figure, log_scale, panels
from bench.tables.formatting import shorten, text

OURS, OTHERS = PALETTE[0], "#757575"
HATCH = "////"
BASELINES = ("reference", "C")


@rc_context(STYLE)
def speed_bars(speed: pd.DataFrame) -> Figure:
    """Draw the time of a sample-update of each variant, the fastest on top, with its 95 % interval.

    On a logarithmic axis only the ends of bars can be compared, not their lengths. Lines go up from the ends of
    `reference` and of C. A speedup is stated only for verified results; the bars of other results are hatched. Shares
    of the roof, where they were measured, stand to the right. Variants that were not measured are listed below. `speed`
    is a table as from `bench.timing.speed.speed`.
    """
    ns = speed["ns"].astype("Float64").to_numpy(float, na_value=np.nan)
    missing = speed[~np.isfinite(ns)]
    measured = speed[np.isfinite(ns)].sort_values("ns", kind="stable").reset_index(drop=True)
    if measured.empty:
        return empty_figure(f"No speed to show: nothing was measured. {_describe_missing(missing)}".strip())
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.2 + 0.3 * len(measured))
    log_scale(axis, "x")
    numbers = measured[["ns", "ns_low", "ns_high"]].to_numpy(float)
    low, high = float(numbers.min()), float(numbers.max())
    left, right = low / (high / low) ** 0.06 / 1.5, high * (high / low) ** 0.06 * 1.5
    for place, row in enumerate(measured.to_dict("records")):
        _draw_bar(axis, place, row, left, right)
    axis.set_yticks(range(len(measured)), [shorten(name) for name in measured["variant"]])
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.set(xlim=(left, right), ylim=(len(measured) - 0.4, -0.6), xlabel="ns per sample-update")
    _draw_baselines(axis, measured)
    _write_shares(axis, measured)
    handles = [Patch(color=OURS, label="sgdbench")] if measured["ours"].any() else []
    if not measured["ours"].all():
        handles.append(Patch(color=OTHERS, label="others"))
    if measured["verified"].fillna(False).ne(True).any():
        handles.append(Patch(facecolor="white", edgecolor=INK, hatch=HATCH, label="results not verified"))
    figure.legend(handles=handles, loc="outside upper left", ncols=3, handlelength=1.2, handleheight=0.8)
    if len(missing):
        figure.supxlabel(_describe_missing(missing), x=0.01, ha="left", fontsize=9)
    return figure


def _draw_bar(axis: Axes, place: int, row: Mapping[Hashable, Any], left: float, right: float) -> None:
    """Draw the bar of a variant with its interval and a label, on an axis from left to right."""
    verified = pd.notna(row["verified"]) and bool(row["verified"])
    color = OURS if row["ours"] else OTHERS
    look: Any = {"color": color, "edgecolor": "white", "linewidth": 0, "hatch": "" if verified else HATCH}
    axis.barh(place, row["ns"] - left, left=left, height=0.7, **look)
    axis.plot([row["ns_low"], row["ns_high"]], [place, place], color=INK, linewidth=1.5, marker="|", markersize=6)
    label = f"{text(row['ns'], 3)} ns{_describe_speedup(row) if verified else ', not verified'}"
    # A long bar has more room inside.
    inside = np.log(row["ns"] / left) > 0.55 * np.log(right / left)
    axis.annotate(
        label,
        (row["ns_low" if inside else "ns_high"], place),
        xytext=(-5 if inside else 5, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center",
        fontsize=9,
        color="white" if inside else INK,
        bbox={"facecolor": color if inside else "white", "edgecolor": "none", "pad": 1},
    )


def _describe_speedup(row: Mapping[Hashable, Any]) -> str:
    """Return the speedup over C or, for a variant slower than C, over the reference."""
    for column, name, least in (("to_c", "C", 1.0), ("to_reference", "the reference", 0.0)):
        if row["variant"] not in BASELINES and pd.notna(row[column]) and row[column] >= least:
            return f", {text(row[column], 3)} times as fast as {name}"
    return ""


def _draw_baselines(axis: Axes, measured: pd.DataFrame) -> None:
    """Draw a line to the top from the end of each bar that others are compared with."""
    for name, ns in measured.loc[measured["variant"].isin(BASELINES), ["variant", "ns"]].to_numpy():
        axis.axvline(ns, color=INK, linewidth=1, linestyle=DASHES, zorder=0.5)
        axis.annotate(name, (ns, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9)


def _write_shares(axis: Axes, measured: pd.DataFrame) -> None:
    """Write the shares of the roof to the right of the axis, where roofs were measured."""
    shares = measured["share"].dropna()
    look: Any = {"xytext": (8, 0), "textcoords": "offset points", "fontsize": 9}
    for place, share in shares.items():
        axis.annotate(f"{share:.2f}", (1, place), xycoords=("axes fraction", "data"), va="center", **look)
    if len(shares):
        axis.annotate("of the\nroof", (1, 1), xycoords="axes fraction", va="bottom", **look)


def _describe_missing(missing: pd.DataFrame) -> str:
    reasons = [
        f"{shorten(row['variant'])} ({shorten(row['note'] or 'reason unknown', 60)})"
        for row in missing.head(6).to_dict("records")
    ]
    more = f" and {len(missing) - 6} more" if len(missing) > 6 else ""
    return fill(f"Not measured: {', '.join(reasons)}{more}.", 110) if reasons else ""
