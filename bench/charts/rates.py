"""The chart of the outcome at each learning rate."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.charts.chart import Axis, Chart, Key, Layer, Line, Panel, Points, Rule, Ticks
from bench.charts.choices import in_grid_order
from bench.charts.colors import colors_of
from bench.charts.loss_axis import OUT_OF_VIEW, PLAIN, LossAxis, best_by_rate, place_spreads, rate_limits
from bench.charts.ticks import Says, format_limit, linear_ticks, log_ticks
from bench.tables.costs import COST_NAMES
from bench.tables.formatting import duration, shorten, text
from bench.tables.outcomes import SPREAD
from bench.tables.rank import varies
from bench.tables.words import describe_choice, format_count
from kernels.base.run import Floats

SHIFT = 0.012  # decades between the optimizers at one learning rate
FAILURES = {"cross": "most diverged", "square": "most missed the target"}
CAPTION = (
    "against learning rate, with the best other settings for each rate. An optimizer with a wide, low line needs less "
    "tuning."
)


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
    """Return the best choices by rate among `outcomes` (`bench.tables.outcomes`); a batch of all `samples` is full."""
    best = best_by_rate(outcomes).reset_index(drop=True)
    rows = {str(name): np.asarray(own) for name, own in best.groupby("optimizer", observed=True).indices.items()}
    names = in_grid_order(rows, outcomes["optimizer"])
    constant = [name for name in ("schedule", "shuffle", "dtype") if name in outcomes and not varies(outcomes, name)]
    words = []
    for row in best.drop(columns=constant).to_dict("records"):
        reached = f"\n{row['converged']} of {format_count(row['runs'], 'run')} reached the target"
        words.append(f"{text(describe_choice(row, samples))}{'' if target is None else reached}")
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
    spreads = place_spreads(best, measure, shown)
    low, medians, _ = spreads.T
    if not np.isfinite(low).any():
        return Chart((), notes=f"No {COST_NAMES[measure]} to show: no choice of settings has a finite one.")
    limits = bottom, top = rate_limits(spreads, measure, shown)
    says = duration if measure == "seconds" else None
    words = _describe_points(choices, measure, says or text)
    rates, counts = best["lr"].to_numpy(), best["runs"].to_numpy()
    failed, diverged = ~np.isfinite(medians), (best["diverged"] / counts >= 0.5).to_numpy()
    full = (best["converged"] == counts).to_numpy() | (target is None)
    marks = {
        "dot": ~failed & full,
        "circle": ~failed & ~full,
        "cross": failed & diverged,
        "square": failed & ~diverged,
    }
    colors, layers = colors_of(choices.rows), list[Layer]()
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
                said = [words[row] for row in rows[chosen]]
                layers.append(Points(shifted[chosen], heights[chosen], size=5, marker=marker, words=said, **own))
    level = shown.place_target(target) if measure == "final_loss" else None
    if level is not None and bottom <= level <= top:
        layers.insert(0, Rule(level))
    few, many = counts.min(), counts.max()
    runs = many if few == many else f"{few} to {many}"
    sentences = (
        (many > 1, f"Medians, and thin lines from 10 to 90 %, of {runs} runs."),
        (target is not None, "Filled markers are rates at which every run reached the target."),
        ((np.isfinite(medians) & (medians > top)).any(), f"Medians above {format_limit(top)} are out of view."),
        (
            bool((low < bottom).any() and measure.endswith("loss")),
            f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
        ),
    )
    keys = [Key(shorten(name), colors[name]) for name in choices.rows]
    keys += [Key(FAILURES[marker], "ink", marker) for marker in FAILURES if marks[marker].any()]
    if target is not None and measure == "final_loss":
        below = "" if level is not None and level >= bottom else ", below"
        keys.append(Key(f"target {text(target)}{below}", "target", "dashes"))
    loss = shown.name("final " if measure == "final_loss" else "")
    along = _outcome_axis(limits, loss if "loss" in measure else COST_NAMES[measure], says)
    return Chart(
        [Panel(choices.across, along, layers)],
        keys,
        legend="optimizer",
        caption=f"{COST_NAMES[measure].capitalize()} {CAPTION}",
        notes=" ".join(sentence for applies, sentence in sentences if applies),
    )


def _draw_spreads(
    rates: Floats, spreads: Floats, limits: tuple[float, float], own: Mapping[str, Any], *, ranges: bool
) -> list[Line]:
    """Return the line of the medians of one optimizer and, where there are several runs, that of the ranges below."""
    bottom, top = limits
    low, median, high = np.nan_to_num(spreads, nan=np.inf).clip(bottom, OUT_OF_VIEW * top).T
    line = Line(rates, median, **own)
    if not ranges:
        return [line]
    ends = np.column_stack([low, high, np.full(len(rates), np.nan)]).ravel()
    return [Line(np.repeat(rates, 3), ends, width=1.5, opacity=0.5, **own), line]


def _describe_points(choices: RateChoices, measure: str, says: Says) -> list[str]:
    """Return the words about the measure of each choice."""
    spreads = choices.outcomes[[f"{measure}_{end}" for end in SPREAD]].to_numpy(float)
    words = []
    for about, spread in zip(choices.words, spreads.tolist(), strict=True):
        low, median, high = map(says, spread)
        words.append(f"{about}\n{COST_NAMES[measure]}: {median} (10\N{EN DASH}90 %: {low} to {high})")
    return words


def _rate_axis(column: pd.Series) -> Axis:
    """Return the axis of learning rates, with ticks at these, as many as there is room for."""
    rates = np.unique(column)
    low, high = float(rates[0]), float(rates[-1])
    margin = max((high / low) ** 0.04, 1.05)
    choices = {tuple(_apart(rates, (high / low) ** (1 / most))): None for most in (16, 10, 7, 5, 3, 2)}
    ticks = [Ticks(values, [text(value) for value in values]) for values in choices]
    end = 1.04 * high
    linear = Axis((0.0, end), "learning rate", ticks=linear_ticks(0.0, end))
    return Axis((low / margin, high * margin), "learning rate", log=True, ticks=ticks, linear=linear)


def _apart(rates: Floats, factor: float) -> list[float]:
    """Return sorted rates without those that are less than a factor above the last one kept."""
    kept: list[float] = []
    for rate in rates.tolist():
        if not kept or rate >= kept[-1] * factor * (1 - 1e-9):
            kept.append(rate)
    return kept


def _outcome_axis(limits: tuple[float, float], title: str, says: Says | None) -> Axis:
    linear = Axis((0.0, limits[1]), title, ticks=linear_ticks(0.0, limits[1], says))
    return Axis(limits, title, log=True, ticks=log_ticks(*limits, says), linear=linear)
