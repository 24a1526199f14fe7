"""The chart of the outcome at each learning rate."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.charts.chart import Axis, Chart, Key, Layer, Line, Panel, Points, Ticks
from sgdbench.charts.choices import in_grid_order
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import OUT_OF_VIEW, PLAIN, LossAxis, target_keys, target_layers
from sgdbench.charts.ticks import Says, format_limit, format_time, linear_ticks, log_axis
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import (
    FULL_MARKERS,
    caption_rates,
    describe_rate,
    describe_spread,
    join_sentences,
    say_drawn_at_bottom,
    say_no_rate,
    say_out_of_view,
    say_rate_ranges,
)
from sgdbench.tables.costs import COST_NAMES
from sgdbench.tables.formatting import duration, shorten, text
from sgdbench.tables.outcomes import ALL_STARTS, SPREAD
from sgdbench.tables.rank import constant_settings

# Losses this many times as high as nearly all the others are out of view: they would flatten these.
FAR_ABOVE = 30.0
SHIFT = 0.012  # decades between the optimizers at one learning rate
FAILURES = {"cross": "most diverged", "square": "most missed the target"}


class RateChoices(NamedTuple):
    """The best choice of each optimizer at each learning rate, which the charts of all measures share.

    Attributes
    ----------
    outcomes : DataFrame
        The outcomes of these choices, in the order of their rates.
    rows : dict of str to array
        The rows of each optimizer, in the order in which the grid has them.
    words : list of str
        Each choice in words and, where there is a `target`, how many of its runs reached that.
    target : float or None
        The loss to be reached.
    across : Axis
        The axis of the rates.
    """

    outcomes: pd.DataFrame
    rows: dict[str, NDArray[np.intp]]
    words: list[str]
    target: float | None
    across: Axis


def rate_choices(outcomes: pd.DataFrame, *, target: float | None = None, samples: int | None = None) -> RateChoices:
    """Return the best choices by rate among outcomes (`sgdbench.tables.outcomes`); a batch of all `samples` is full."""
    over_starts = outcomes[outcomes["start"] == ALL_STARTS]
    best = over_starts.drop_duplicates(["optimizer", "lr"]).sort_values("lr", ignore_index=True)
    rows = {str(name): np.asarray(own) for name, own in best.groupby("optimizer", observed=True).indices.items()}
    names = in_grid_order(rows, outcomes["optimizer"])
    varying = best.drop(columns=constant_settings(outcomes)).to_dict("records")
    words = [describe_rate(row, samples, has_target=target is not None) for row in varying]
    return RateChoices(best, {name: rows[name] for name in names}, words, target, _rate_axis(best["lr"]))


def rate_chart(choices: RateChoices, measure: str, *, shown: LossAxis = PLAIN) -> Chart:
    """Return the chart of a measure of choices, such as `samples` or `final_loss`, against the learning rate.

    There is a group of layers for each optimizer, which has the best of its other settings at each rate: its line is
    the median over starts and seeds, and thin lines reach from 10 to 90 %. A flat line is an optimizer whose rate need
    not be tuned. Where most runs diverge or miss the target, the line leaves the view at the top and a mark stands at
    the learning rate; it leaves without a mark where the loss is far above nearly all others.
    """
    shown, target = shown.held_out if measure == "validation_loss" else shown, choices.target
    best = choices.outcomes
    spreads = _place_spreads(best, measure, shown)
    low, medians, _ = spreads.T
    if not np.isfinite(low).any():
        return Chart((), notes=say_no_rate(measure))
    limits = bottom, top = _rate_limits(spreads, measure, shown)
    says = format_time if measure == "seconds" else None
    words = _describe_points(choices, measure, duration if measure == "seconds" else text)
    rates, counts = best["lr"].to_numpy(), best["runs"].to_numpy()
    failed, diverged = ~np.isfinite(medians), (best["diverged"] / counts >= 0.5).to_numpy()
    full = (best["converged"] == counts).to_numpy() | (target is None)
    marks = {
        "dot": ~failed & full,
        "circle": ~failed & ~full,
        "cross": failed & diverged,
        "square": failed & ~diverged,
    }
    aim = target if measure == "final_loss" else None
    colors, layers = colors_of(choices.rows), list[Layer](target_layers(shown, aim, limits))
    for place, (name, rows) in enumerate(choices.rows.items()):
        # Side by side, so that no range hides another. A filled band around one lost run would cover all the rest.
        shifted = rates[rows] * 10 ** (SHIFT * (place - (len(colors) - 1) / 2))
        own = {"color": colors[name], "group": text(name)}
        layers += _draw_spreads(shifted, spreads[rows], limits, own, ranges=bool((counts[rows] > 1).any()))
        # The height of a mark of failure: one below the other, so that those of all optimizers are seen.
        height = top ** (0.98 - 0.03 * place) * bottom ** (0.02 + 0.03 * place)
        heights = np.where(failed[rows], height, medians[rows].clip(bottom, OUT_OF_VIEW * top))
        for marker, is_marked in marks.items():
            if (chosen := is_marked[rows]).any():
                labels = [words[row] for row in rows[chosen]]
                layers.append(Points(shifted[chosen], heights[chosen], size=5, marker=marker, words=labels, **own))
    is_loss = measure.endswith("loss")
    notes = join_sentences(
        counts.max() > 1 and say_rate_ranges(counts.min(), counts.max()),
        target is not None and FULL_MARKERS,
        (np.isfinite(medians) & (medians > top)).any() and say_out_of_view(format_limit(top)),
        is_loss and (low < bottom).any() and say_drawn_at_bottom(shown.quantity, format_limit(bottom)),
    )
    keys = [Key(shorten(name), colors[name]) for name in choices.rows]
    keys += [Key(FAILURES[marker], "ink", marker) for marker in FAILURES if marks[marker].any()]
    keys += target_keys(shown, aim, bottom)
    loss = shown.name("final " if measure == "final_loss" else "")
    along = log_axis(limits, loss if is_loss else COST_NAMES[measure], top, says)
    return Chart(
        [Panel(choices.across, along, layers)],
        keys,
        legend="optimizer",
        caption=caption_rates(measure),
        notes=notes,
    )


def _draw_spreads(
    rates: Floats, spreads: Floats, limits: tuple[float, float], own: Mapping[str, Any], *, ranges: bool
) -> list[Line]:
    """Return the line of medians of one optimizer and, with several runs, the line of the ranges below it."""
    bottom, top = limits
    low, median, high = np.nan_to_num(spreads, nan=np.inf).clip(bottom, OUT_OF_VIEW * top).T
    line = Line(rates, median, **own)
    if not ranges:
        return [line]
    ends = np.column_stack([low, high, np.full(len(rates), np.nan)]).ravel()
    return [Line(np.repeat(rates, 3), ends, width=1.5, opacity=0.5, **own), line]


def _describe_points(choices: RateChoices, measure: str, says: Says) -> list[str]:
    """Return the words about the measure of each choice."""
    spreads = _place_spreads(choices.outcomes, measure, PLAIN).tolist()
    described = [describe_spread(measure, *map(says, spread)) for spread in spreads]
    return [f"{about}\n{words}" for about, words in zip(choices.words, described, strict=True)]


def _rate_axis(column: pd.Series) -> Axis:
    """Return the axis of learning rates, with ticks at these, as many as there is room for."""
    rates = np.unique(column)
    low, high = float(rates[0]), float(rates[-1])
    margin = max((high / low) ** 0.04, 1.05)
    choices = {tuple(_apart(rates, (high / low) ** (1 / most))): None for most in (16, 10, 7, 5, 3, 2)}
    ticks = [Ticks(values, [text(value) for value in values]) for values in choices]
    linear = Axis((0.0, 1.04 * high), "learning rate", ticks=linear_ticks(0.0, 1.04 * high))
    return Axis((low / margin, high * margin), "learning rate", log=True, ticks=ticks, linear=linear)


def _apart(rates: Floats, factor: float) -> list[float]:
    """Return sorted rates, each at least `factor` times the one before; rates between them are omitted."""
    separate: list[float] = []
    for rate in rates.tolist():
        if not separate or rate >= separate[-1] * factor * (1 - 1e-9):
            separate.append(rate)
    return separate


def _place_spreads(outcomes: pd.DataFrame, measure: str, shown: LossAxis) -> Floats:
    """Return the quantiles `SPREAD` of a measure, shape (rows, 3), those of losses placed on the axis."""
    spreads = outcomes[[f"{measure}_{name}" for name in SPREAD]].to_numpy(float)
    return shown.place(spreads) if measure.endswith("loss") else spreads


def _rate_limits(spreads: Floats, measure: str, shown: LossAxis) -> tuple[float, float]:
    """Return the limits of an axis on which spreads of a measure are drawn."""
    low, median, _ = spreads.T
    if not measure.endswith("loss") or not np.isfinite(low).any():
        return PLAIN.limits(spreads, np.inf, None)
    finite = median[np.isfinite(median)]
    usual = finite if finite.size else low[np.isfinite(low)]
    return shown.limits(spreads, FAR_ABOVE * np.quantile(usual, 0.9, method="lower"), None)
