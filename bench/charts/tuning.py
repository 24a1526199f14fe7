"""The charts of a search for settings: its course against its cost, and the value of each setting."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Band, Chart, Key, Layer, Line, Panel, Points, panel_columns, stairs
from sgdbench.charts.colors import NEUTRAL, colors_of
from sgdbench.charts.ticks import linear_ticks, log_ticks
from sgdbench.kernels.base.run import Floats
from sgdbench.tables import formatting
from sgdbench.tables.chart_words import (
    HISTORY_CAPTION,
    NO_SLICES,
    NO_TRIALS,
    caption_slices,
    join_sentences,
    say_history,
    say_slices,
    title_slice,
)
from sgdbench.tables.formatting import shorten
from sgdbench.tables.search import HOPELESS

MOST_SLICES = 6  # settings whose values are shown one by one
WIDE = 8.0  # a setting whose largest value is so many times its smallest one has a logarithmic axis


def history_chart(
    steps: pd.DataFrame, grid: pd.DataFrame | None, names: Mapping[str, str], *, label: str, logarithmic: bool
) -> Chart:
    """Return the chart of the value of each trial and the best one so far against the samples spent, beside the grid.

    Frames come from `sgdbench.tables.search`; `names` are the names of the families, and `label` describes the values,
    which may be logarithms to base 10.
    """
    shown = _worth_showing(steps, logarithmic)
    if shown.empty:
        return Chart((), caption=HISTORY_CAPTION, notes=NO_TRIALS)
    colors, most = colors_of(names.values()), shown["value"].max()
    layers, keys, spent = list[Layer](), list[Key](), [shown["spent"].to_numpy(float)]
    if grid is not None:
        low, median, high = (_scaled(grid[name].clip(upper=most), logarithmic) for name in ("low", "median", "high"))
        spent.append(grid["spent"].to_numpy(float))
        (x, low), (_, median), (_, high) = (stairs(spent[-1], values) for values in (low, median, high))
        layers += [Band(x, low, high, NEUTRAL, opacity=0.18), Line(x, median, NEUTRAL, width=1.5)]
        keys.append(Key("grid, random order", NEUTRAL))
    for state, marker, size, opacity in (("pruned", "cross", 3.0, 0.35), ("complete", "dot", 3.5, 0.75)):
        for family, name in names.items():
            own = shown[(shown["state"] == state) & (shown["family"] == family)]
            if own.empty:
                continue
            values = _scaled(own["value"], logarithmic)
            layers.append(Points(own["spent"].to_numpy(float), values, colors[name], size, marker, opacity))
            keys += [Key(shorten(name), colors[name], marker)] if marker == "dot" else []
    in_view = steps[steps["best"] <= most]
    best = stairs(in_view["spent"].to_numpy(float), _scaled(in_view["best"], logarithmic))
    layers.append(Line(*best, width=1.5))
    keys.append(Key("best so far", "ink"))
    ends = [values for layer in layers for values in _heights(layer)]
    across = _axis(np.concatenate(spent), "samples trained on, all runs together", log=True)
    return Chart(
        [Panel(across, _axis(np.concatenate(ends), label, log=logarithmic), layers)],
        keys,
        caption=HISTORY_CAPTION,
        notes=join_sentences(*say_history(len(steps) - len(shown), has_grid=grid is not None)),
    )


def slices_chart(
    values: pd.DataFrame, shares: Mapping[str, float], *, label: str, logarithmic: bool, name: str
) -> Chart:
    """Return the chart of the value of the trials of one optimizer against each setting, the most important first.

    `values` has `value`, `state`, and a column for each setting; settings that are numbers and vary are shown. `shares`
    are their shares of the main effects, as far as these are known.
    """
    caption = caption_slices(name)
    shown = _worth_showing(values, logarithmic)
    numbers = shown.drop(columns=["value", "state"]).select_dtypes("number")
    varied = [str(one) for one, column in numbers.items() if column.min() < column.max()]
    listed = sorted(varied, key=lambda one: -shares.get(one, 0.0))[:MOST_SLICES]
    if not listed:
        return Chart((), caption=caption, notes=NO_SLICES)
    heights, complete = _scaled(shown["value"], logarithmic), (shown["state"] == "complete").to_numpy()
    pruned = (shown["state"] == "pruned").to_numpy()
    best = int(np.argmin(np.where(complete, heights, np.inf)))
    along, color, panels = _axis(heights, label, log=logarithmic), colors_of([name])[name], []
    for setting in listed:
        places = shown[setting].to_numpy(float)
        finite = places[np.isfinite(places)]
        across = _axis(
            finite,
            shorten(formatting.label(setting), 24),
            log=bool(finite.min() > 0 and finite.max() > WIDE * finite.min()),
        )
        layers = [
            Points(places[best : best + 1], heights[best : best + 1], "ink", 9.0, "circle"),
            Points(places[pruned], heights[pruned], "data", 2.5, opacity=0.7),
            Points(places[complete], heights[complete], color, 3.2, opacity=0.7),
        ]
        panels.append(Panel(across, along, layers, title_slice(shares[setting]) if setting in shares else ""))
    notes = join_sentences(*say_slices(name, has_shares=bool(shares)))
    return Chart(panels, caption=caption, notes=notes, columns=panel_columns(len(panels)))


def _worth_showing(trials: pd.DataFrame, logarithmic: bool) -> pd.DataFrame:
    """Return the trials, except diverged and hopeless ones."""
    values = trials["value"].to_numpy(float)
    most = values.min(initial=np.inf) + HOPELESS if logarithmic else np.inf
    return trials.iloc[np.flatnonzero(np.isfinite(values) & (values <= most))]


def _scaled(values: "pd.Series[Any]", logarithmic: bool) -> Floats:
    numbers = values.to_numpy(float)
    return 10**numbers if logarithmic else numbers


def _heights(layer: Layer) -> list[Floats]:
    if isinstance(layer, Band):
        return [np.asarray(layer.low), np.asarray(layer.high)]
    return [np.asarray(layer.y)] if isinstance(layer, Line | Points) else []


def _axis(values: Floats, title: str, *, log: bool) -> Axis:
    """Return an axis from the lowest to the highest of some values, with a margin."""
    low, high = float(values.min()), float(values.max())
    if log:
        factor = max((high / low) ** 0.05, 1.05)
        return Axis((low / factor, high * factor), title, log=True, ticks=log_ticks(low / factor, high * factor))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Axis((low - margin, high + margin), title, ticks=linear_ticks(low - margin, high + margin))
