"""A search for settings: how it went, what it spent, and which settings matter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.plots.colors import colors_of
from bench.plots.style import DASHES, FAINT, INK, STYLE, WIDTH, add_caption, empty_figure, log_scale, panels, shorten
from bench.tables.formatting import text
from bench.tables.trial_value import HOPELESS

# Parameters whose values are shown one by one.
MOST_SLICES = 6
GRID = "#6b7785"


@rc_context(STYLE)
def history(steps: pd.DataFrame, names: dict[str, str], *, label: str, logarithmic: bool, grid: float | None) -> Figure:
    """Draw the value of each trial and the best one so far.

    Parameters
    ----------
    steps : DataFrame
        As from `bench.tables.search_history.search_history`.
    names : dict
        From family to what it is called.
    label : str
        What values are.
    logarithmic : bool
        Whether they are logarithms to base 10.
    grid : float or None
        The best value of the grid.
    """
    shown = _worth_showing(steps, logarithmic)
    if shown.empty:
        return empty_figure("No trials to show: all of them diverged.")
    figure, (axis,) = panels(1)
    colors = colors_of(names.values())
    for state, look in (("pruned", {"marker": "x", "s": 9, "linewidths": 0.7}), ("complete", {"s": 12})):
        for family, name in names.items():
            own = shown[(shown["state"] == state) & (shown["family"] == family)]
            known = state == "complete" and len(own)
            axis.scatter(
                own["trial"],
                _scaled(own["value"], logarithmic),
                color=colors[name],
                alpha=0.75 if known else 0.35,
                label=shorten(name) if known else None,
                **look,
            )
    found = steps[steps["best"] <= shown["value"].max()]
    axis.step(found["trial"], _scaled(found["best"], logarithmic), where="post", color=INK, label="best so far")
    if grid is not None and grid <= shown["value"].max():
        axis.axhline(_scaled(grid, logarithmic), color=GRID, linestyle=DASHES, label="best of the grid")
    if logarithmic:
        log_scale(axis)
    axis.set(xlabel="trial", ylabel=label, xlim=(0, len(steps) + 1))
    figure.legend(loc="outside right upper")
    hidden = len(steps) - len(shown)
    add_caption(
        figure,
        "Dots: trained to the end. Crosses: given up early, at what they were worth then.",
        hidden > 0 and f"Not shown: {text(hidden)} that diverged or are far worse.",
    )
    return figure


@rc_context(STYLE)
def regret_by_cost(
    steps: pd.DataFrame, grid: pd.DataFrame | None, *, label: str, logarithmic: bool, sampler: str
) -> Figure:
    """Draw how far the best choice so far is from the best one known, against what was spent.

    Parameters
    ----------
    steps : DataFrame
        `spent` and `regret`, trial by trial.
    grid : DataFrame or None
        `spent`, and `low`, `median` and `high` of the regret of the grid in a random order.
    label : str
        What the regret is.
    logarithmic : bool
        Whether it is a ratio.
    sampler : str
    """
    most = 10.0**HOPELESS if logarithmic else np.finfo(float).max
    found = steps[steps["regret"] <= most]
    if found.empty:
        return empty_figure("No regret to show: no trial was trained to its end.")
    figure, (axis,) = panels(1)
    if grid is not None:
        grid = grid.assign(**{name: np.minimum(grid[name], most) for name in ("low", "median", "high")})
        axis.fill_between(grid["spent"], grid["low"], grid["high"], color=GRID, alpha=0.18, linewidth=0, step="post")
        axis.step(grid["spent"], grid["median"], where="post", color=GRID, label="grid, random order")
    axis.step(found["spent"], found["regret"], where="post", color=INK, linewidth=1.8, label=f"search ({sampler})")
    log_scale(axis, "x")
    if logarithmic:
        log_scale(axis)
    axis.set(xlabel="samples trained on, all runs together", ylabel=label)
    figure.legend(loc="outside right upper")
    add_caption(
        figure,
        "Lower and further left is better.",
        grid is not None and "Band: what nine in ten and one in ten of all orders of the grid have found by then.",
    )
    return figure


@rc_context(STYLE)
def importance(shares: pd.DataFrame, names: dict[str, str]) -> Figure:
    """Draw the share of the differences in value that each parameter explains, optimizer by optimizer.

    Parameters
    ----------
    shares : DataFrame
        `family`, `parameter`, `importance`.
    names : dict
        From family to what it is called.
    """
    if shares.empty:
        return empty_figure("No importance to show: it takes sixteen trials of an optimizer that do not diverge.")
    families = [family for family in names if (shares["family"] == family).any()]
    figure, axes = panels(len(families), share=False)
    colors = colors_of(names.values())
    tallest = max(int((shares["family"] == family).sum()) for family in families)
    figure.set_size_inches(WIDTH, max(2.2, 1.2 + 0.36 * tallest * -(-len(families) // 3)))
    for axis, family in zip(axes, families, strict=True):
        own = shares[shares["family"] == family].sort_values("importance", ascending=False)
        axis.barh(range(len(own)), own["importance"], height=0.6, color=colors[names[family]])
        axis.set_yticks(range(len(own)), [shorten(name, 18) for name in own["parameter"]])
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axis.set(xlim=(0, 1), ylim=(len(own) - 0.4, -0.6))
        axis.set_title(shorten(names[family], 24))
    add_caption(figure, "Shares of the differences in value (functional analysis of variance over all trials).")
    return figure


@rc_context(STYLE)
def slices(values: pd.DataFrame, parameters: Sequence[str], *, label: str, logarithmic: bool, name: str) -> Figure:
    """Draw the value of the trials of one optimizer against each of its parameters.

    Parameters
    ----------
    values : DataFrame
        `value`, `state`, and a column for each of the parameters.
    parameters : sequence of str
        The most important first; those that are numbers are shown.
    label : str
        What values are.
    logarithmic : bool
        Whether they are logarithms to base 10.
    name : str
        What the optimizer is called.
    """
    listed = [one for one in parameters if pd.api.types.is_numeric_dtype(values[one])][:MOST_SLICES]
    shown = _worth_showing(values, logarithmic)
    if shown.empty or not listed:
        return empty_figure("No slices to show: no parameter that is a number, or no trial that did not diverge.")
    figure, axes = panels(len(listed), share=False)
    color = colors_of([name])[name]
    for axis, parameter in zip(axes, listed, strict=True):
        for state, look in (("pruned", {"color": FAINT, "s": 6}), ("complete", {"color": color, "s": 10})):
            own = shown[shown["state"] == state]
            axis.scatter(own[parameter], _scaled(own["value"], logarithmic), linewidths=0, alpha=0.7, **look)
        best = shown.iloc[int(np.argmin(shown["value"].where(shown["state"] == "complete", np.inf)))]
        axis.plot(best[parameter], _scaled(best["value"], logarithmic), "o", color="none", mec=INK, markersize=9)
        _scale_parameter(axis, shown[parameter])
        if logarithmic:
            log_scale(axis)
        axis.set_xlabel(shorten(parameter, 24))
    figure.supylabel(label)
    add_caption(figure, f"{shorten(name)}: the circle is the best trial; gray ones were given up early.")
    return figure


def _worth_showing(trials: pd.DataFrame, logarithmic: bool) -> pd.DataFrame:
    """Return the trials without those that diverged, and those that are hopeless."""
    values = trials["value"].to_numpy(float)
    most = values.min(initial=np.inf) + HOPELESS if logarithmic else np.inf
    return trials.iloc[np.flatnonzero(np.isfinite(values) & (values <= most))]


def _scale_parameter(axis: Axes, values: "pd.Series[float]") -> None:
    """Make the axis of a parameter logarithmic where its values are of several orders of magnitude."""
    if values.min() > 0 and values.max() > 8 * values.min():
        log_scale(axis, "x")


def _scaled(values: Any, logarithmic: bool) -> Any:
    return 10**values if logarithmic else values
