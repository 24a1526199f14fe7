"""The chart of the outcome at each learning rate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.charts.chart import Axis, Chart, Key, Layer, Line, Panel, Points, Rule, Ticks
from bench.charts.choices import in_grid_order
from bench.charts.colors import colors_of
from bench.charts.loss_axis import OUT_OF_VIEW, PLAIN, LossAxis, rate_bands, rate_limits
from bench.charts.ticks import Says, format_limit, linear_ticks, log_ticks
from bench.tables.costs import COST_NAMES
from bench.tables.formatting import duration, shorten, text
from bench.tables.outcomes import SPREAD
from bench.tables.rank import varies
from bench.tables.words import describe_choice, format_count
from kernels.base.run import Floats

SHIFT = 0.012  # decades between the optimizers at one learning rate
CAPTION = (
    "against learning rate, with the best other settings for each rate. An optimizer with a wide, low line needs less "
    "tuning."
)


def rate_chart(
    outcomes: pd.DataFrame,
    measure: str,
    *,
    shown: LossAxis = PLAIN,
    target: float | None = None,
    samples: int | None = None,
) -> Chart:
    """Return the chart of a measure of outcomes, such as `samples` or `final_loss`, against the learning rate.

    There is a group of layers for each optimizer, which has the best of its other settings at each rate: its line is
    the median over starts and seeds, and thin lines reach from 10 to 90 %. A flat line is an optimizer whose rate need
    not be tuned. Where most runs diverge or miss the target, the line leaves the view at the top and a mark stands at
    the learning rate; it leaves without a mark where the loss is far above nearly all others.

    `outcomes` are those of the choices (`bench.tables.outcomes`). A batch of all `samples` is called full.
    """
    shown = shown.held_out if measure == "validation_loss" else shown
    bands = rate_bands(outcomes, measure, shown)
    if not np.isfinite(bands["low"]).any():
        return Chart((), notes=f"No {COST_NAMES[measure]} to show: no choice of settings has a finite one.")
    limits = bottom, top = rate_limits(bands, measure, shown)
    words = _describe_points(outcomes, bands, measure, target, samples)
    says = duration if measure == "seconds" else None
    colors, layers = colors_of(bands["optimizer"]), list[Layer]()
    for place, (name, band) in enumerate(bands.groupby("optimizer", observed=True)):
        # Side by side, so that no range hides another. A filled band around one lost run would cover all the rest.
        rates = band["lr"].to_numpy() * 10 ** (SHIFT * (place - (len(colors) - 1) / 2))
        own = {"color": colors[name], "group": text(str(name))}
        layers += _draw_optimizer(
            rates, band, own, limits, place, words=[words[row] for row in band.index], is_target=target is not None
        )
    level = shown.place_target(target) if measure == "final_loss" else None
    if level is not None and bottom <= level <= top:
        layers.insert(0, Rule(level))
    medians, failed = bands["median"].to_numpy(), ~np.isfinite(bands["median"])
    few, many = bands["runs"].min(), bands["runs"].max()
    runs = many if few == many else f"{few} to {many}"
    sentences = (
        (many > 1, f"Medians, and thin lines from 10 to 90 %, of {runs} runs."),
        (target is not None, "Filled markers are rates at which every run reached the target."),
        ((np.isfinite(medians) & (medians > top)).any(), f"Medians above {format_limit(top)} are out of view."),
        (
            bool((bands["low"] < bottom).any() and measure.endswith("loss")),
            f"{shown.quantity} below {format_limit(bottom)} are drawn at the bottom.",
        ),
    )
    marks = (
        (failed & (bands["lost"] >= 0.5), Key("most diverged", "ink", "cross")),
        (failed & (bands["lost"] < 0.5), Key("most missed the target", "ink", "square")),
    )
    keys = [Key(shorten(name), colors[name]) for name in in_grid_order(colors, outcomes["optimizer"])]
    keys += [key for there, key in marks if there.any()]
    if target is not None and measure == "final_loss":
        below = "" if level is not None and level >= bottom else ", below"
        keys.append(Key(f"target {text(target)}{below}", "target", "dashes"))
    loss = shown.name("final " if measure == "final_loss" else "")
    along = _outcome_axis(limits, loss if "loss" in measure else COST_NAMES[measure], says)
    return Chart(
        [Panel(_rate_axis(bands["lr"]), along, layers)],
        keys,
        legend="optimizer",
        caption=f"{COST_NAMES[measure].capitalize()} {CAPTION}",
        notes=" ".join(sentence for applies, sentence in sentences if applies),
    )


def _draw_optimizer(
    rates: Floats,
    band: pd.DataFrame,
    own: Mapping[str, Any],
    limits: tuple[float, float],
    place: int,
    *,
    words: Sequence[str],
    is_target: bool,
) -> list[Layer]:
    """Return the ranges, the line, the markers and the marks of failures of one optimizer, the first lowest."""
    bottom, top = limits
    low, median, high = np.nan_to_num(band[list(SPREAD)].to_numpy(float), nan=np.inf).clip(bottom, OUT_OF_VIEW * top).T
    gaps = np.full(len(rates), np.nan)
    layers: list[Layer] = []
    if (band["runs"] > 1).any():
        ends = np.column_stack([low, high, gaps]).ravel()
        layers.append(Line(np.repeat(rates, 3), ends, width=1.5, opacity=0.5, **own))
    layers.append(Line(rates, median, **own))
    failed = ~np.isfinite(band["median"].to_numpy(float))
    full = (band["converged"] == band["runs"]).to_numpy() | (not is_target)
    # The height of a mark of failure: one below the other, so that those of all optimizers are seen.
    height = top ** (0.98 - 0.03 * place) * bottom ** (0.02 + 0.03 * place)
    diverged = (band["lost"] >= 0.5).to_numpy()
    for chosen, marker in (
        (~failed & full, "dot"),
        (~failed & ~full, "circle"),
        (failed & diverged, "cross"),
        (failed & ~diverged, "square"),
    ):
        if chosen.any():
            heights = np.where(failed, height, median)[chosen]
            said = [word for word, is_own in zip(words, chosen, strict=True) if is_own]
            layers.append(Points(rates[chosen], heights, size=5, marker=marker, words=said, **own))
    return layers


def _describe_points(
    outcomes: pd.DataFrame, bands: pd.DataFrame, measure: str, target: float | None, samples: int | None
) -> dict[Any, str]:
    """Return the words about each row of the bands, by its index, which it shares with the outcomes."""
    constant = [name for name in ("schedule", "shuffle", "dtype") if name in outcomes and not varies(outcomes, name)]
    says = duration if measure == "seconds" else text
    words = {}
    for index, row in outcomes.loc[bands.index].drop(columns=constant).iterrows():
        low, median, high = (says(row[f"{measure}_{end}"]) for end in SPREAD)
        runs = format_count(row["runs"], "run")
        reached = "" if target is None else f"{row['converged']} of {runs} reached the target\n"
        spread = f"{COST_NAMES[measure]}: {median} (10\N{EN DASH}90 %: {low} to {high})"
        words[index] = f"{text(describe_choice(row, samples))}\n{reached}{spread}"
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
