"""Figures of a search for settings: its course against its cost, and the settings that matter."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.charts.colors import FAINT, colors_of
from bench.plots.style import INK, STYLE, add_caption, empty_figure, log_scale, panels
from bench.tables import formatting
from bench.tables.formatting import percentage, shorten, text
from bench.tables.search import HOPELESS

# Parameters whose values are shown one by one.
MOST_SLICES = 6
GRID = "#6b7785"


@rc_context(STYLE)
def history(
    steps: pd.DataFrame, grid: pd.DataFrame | None, names: dict[str, str], *, label: str, logarithmic: bool
) -> Figure:
    """Draw the value of each trial and the best one so far against the samples spent, beside the grid.

    Frames are those of `bench.tables.search`; `names` are those of the families, and `label` is that of the
    values, which may be logarithms to base 10.
    """
    shown = _worth_showing(steps, logarithmic)
    if shown.empty:
        return empty_figure("No trials to show: all of them diverged.")
    figure, (axis,) = panels(1)
    colors, most = colors_of(names.values()), shown["value"].max()
    if grid is not None:
        low, median, high = (_scaled(np.minimum(grid[name], most), logarithmic) for name in ("low", "median", "high"))
        axis.fill_between(grid["spent"], low, high, color=GRID, alpha=0.18, linewidth=0, step="post")
        axis.step(grid["spent"], median, where="post", color=GRID, label="grid, random order")
    for state, look in (("pruned", {"marker": "x", "s": 9, "linewidths": 0.7}), ("complete", {"s": 12})):
        for family, name in names.items():
            own = shown[(shown["state"] == state) & (shown["family"] == family)]
            known = state == "complete" and len(own)
            axis.scatter(
                own["spent"],
                _scaled(own["value"], logarithmic),
                color=colors[name],
                alpha=0.75 if known else 0.35,
                label=shorten(name) if known else None,
                **look,
            )
    found = steps[steps["best"] <= most]
    axis.step(found["spent"], _scaled(found["best"], logarithmic), where="post", color=INK, label="best so far")
    log_scale(axis, "x")
    if logarithmic:
        log_scale(axis)
    axis.set(xlabel="samples trained on, all runs together", ylabel=label)
    figure.legend(loc="outside right upper")
    hidden = len(steps) - len(shown)
    add_caption(
        figure,
        "Dots: trained to the end. Crosses: given up early, at their value then.",
        grid is not None and "Band: the best of the grid so far in nine of ten and in one of ten random orders.",
        hidden > 0 and f"Not shown: {text(hidden)} that diverged or are far worse.",
    )
    return figure


@rc_context(STYLE)
def slices(values: pd.DataFrame, shares: dict[str, float], *, label: str, logarithmic: bool, name: str) -> Figure:
    """Draw the value of the trials of one optimizer against each of its parameters, the most important first.

    `values` has `value`, `state`, and a column for each of the parameters, of which those are shown that are numbers
    and vary; `shares` are theirs in the main effects, as far as these are known.
    """
    shown = _worth_showing(values, logarithmic)
    numbers = shown.drop(columns=["value", "state"]).select_dtypes("number")
    varied = [str(one) for one, column in numbers.items() if column.min() < column.max()]
    listed = sorted(varied, key=lambda one: -shares.get(one, 0.0))
    if not listed:
        return empty_figure("No slices to show: no setting that is a number varies among the trials to be shown.")
    figure, axes = panels(len(listed[:MOST_SLICES]), sharex=False, sharey=False)
    color = colors_of([name])[name]
    for axis, parameter in zip(axes, listed, strict=False):
        for state, look in (("pruned", {"color": FAINT, "s": 6}), ("complete", {"color": color, "s": 10})):
            own = shown[shown["state"] == state]
            axis.scatter(own[parameter], _scaled(own["value"], logarithmic), linewidths=0, alpha=0.7, **look)
        best = shown.iloc[int(np.argmin(shown["value"].where(shown["state"] == "complete", np.inf)))]
        axis.plot(best[parameter], _scaled(best["value"], logarithmic), "o", color="none", mec=INK, markersize=9)
        if shown[parameter].min() > 0 and shown[parameter].max() > 8 * shown[parameter].min():
            log_scale(axis, "x")
        if logarithmic:
            log_scale(axis)
        axis.set_xlabel(shorten(formatting.label(parameter), 24))
        if parameter in shares:
            axis.set_title(f"{percentage(shares[parameter])} of the main effects")
    figure.supylabel(label)
    add_caption(
        figure,
        f"{shorten(name)}: the circle is the best trial; gray ones were given up early.",
        bool(shares) and "A main effect is what a setting explains by itself (functional analysis of variance).",
    )
    return figure


def _worth_showing(trials: pd.DataFrame, logarithmic: bool) -> pd.DataFrame:
    """Return the trials without those that diverged, and those that are hopeless."""
    values = trials["value"].to_numpy(float)
    most = values.min(initial=np.inf) + HOPELESS if logarithmic else np.inf
    return trials.iloc[np.flatnonzero(np.isfinite(values) & (values <= most))]


def _scaled(values: Any, logarithmic: bool) -> Any:
    return 10**values if logarithmic else values
