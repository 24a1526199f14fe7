"""All sentences about charts: their captions and notes, and the words about a point, a line or a cell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.tables.costs import COST_NAMES
from bench.tables.formatting import MISSING, duration, percentage, text
from bench.tables.words import (
    describe_choice,
    describe_range,
    describe_ratio,
    format_count,
    format_share,
    name_settings,
)

CURVES_CAPTION = (
    "Loss curves of each optimizer at its best choice: medians, and bands from 10 to 90 % of the runs. A band is drawn "
    "no higher and no lower than its line goes."
)
HELD_OUT_CURVES_CAPTION = f"{CURVES_CAPTION} Dashed: medians on the held-out samples."
FULL_MARKERS = "Filled markers are rates at which every run reached the target."


def join_sentences(*sentences: str | bool | np.bool) -> str:
    """Return sentences as one text; `False` is one that does not apply."""
    return " ".join(sentence for sentence in sentences if isinstance(sentence, str) and sentence)


def say_diverged(diverged: int, runs: int) -> str:
    """Say how many of the runs of a chart diverged."""
    return f"{diverged:,} of {format_count(runs, 'run')} diverged."


def say_part(shown: int, total: int, nouns: str) -> str:
    """Say how many of the starts or optimizers are in a chart; nothing if all are."""
    return f"{shown} of {total} {nouns}." if shown < total else ""


def say_drawn_at_bottom(losses: str, bottom: str) -> str:
    """Say what becomes of losses below the limit of an axis."""
    return f"{losses} below {bottom} are drawn at the bottom."


def say_no_curve(runs: int, diverged: int) -> str:
    """Say why there are no loss curves."""
    return f"No loss curve to show: none of {runs:,} runs has a finite loss at two checkpoints. {diverged:,} diverged."


def say_curves(fewest: int, most: int) -> str:
    """Say what the lines and the bands of loss curves are, and the number of runs."""
    return f"Median and 10\N{EN DASH}90 % of {describe_range(fewest, most)} runs."


def describe_point(point: Mapping[Any, Any], *, held_out: bool = False) -> str:
    """Return the words about a point of a loss band (`bench.tables.loss_bands`), or of its held-out losses."""
    times = format_count(point["samples"], "sample"), format_count(point["updates"], "update")
    timed = f", {duration(point['seconds'])}" if pd.notna(point.get("seconds")) else ""
    about = f"{text(str(point['optimizer']))}, {', '.join(times)}{timed}"
    if held_out:
        return f"{about}\nmedian on held-out samples {text(point['held_out'])}"
    spread = f"10\N{EN DASH}90 %: {text(point['low'])} to {text(point['high'])}"
    return f"{about}\nmedian {text(point['median'])}\n{spread}"


def caption_rates(measure: str) -> str:
    """Return the caption of the chart of a measure against the learning rate."""
    return (
        f"{COST_NAMES[measure].capitalize()} against learning rate, with the best other settings for each rate. An "
        "optimizer with a wide, low line needs less tuning."
    )


def say_no_rate(measure: str) -> str:
    """Say why there is no chart of a measure against the learning rate."""
    return f"No {COST_NAMES[measure]} to show: no choice of settings has a finite one."


def say_rate_ranges(fewest: int, most: int) -> str:
    """Say what the lines against the learning rate are, and the number of runs."""
    return f"Medians, and thin lines from 10 to 90 %, of {describe_range(fewest, most)} runs."


def say_out_of_view(top: str) -> str:
    """Say that some medians are above the limit of an axis."""
    return f"Medians above {top} are out of view."


def describe_rate(row: Mapping[Any, Any], samples: int | None, *, has_target: bool) -> str:
    """Return the best choice at a learning rate and, if there is a target, how many of its runs reached it."""
    reached = f"\n{row['converged']} of {format_count(row['runs'], 'run')} reached the target" if has_target else ""
    return f"{text(describe_choice(row, samples))}{reached}"


def describe_spread(measure: str, low: str, median: str, high: str) -> str:
    """Return the median and the range of a measure."""
    return f"{COST_NAMES[measure]}: {median} (10\N{EN DASH}90 %: {low} to {high})"


def caption_maps(measure: str) -> str:
    """Return the caption of the maps of a measure by learning rate and batch size."""
    is_loss = measure.endswith("loss")
    best, failure = ("lower", "have no finite loss") if is_loss else ("faster", "did not reach the target")
    return (
        f"{COST_NAMES[measure].capitalize()} by learning rate and batch size; darker is {best}. Crosses mark cells "
        f"most of whose runs diverged; in white ones most {failure}."
    )


def caption_of_map(outcomes: pd.DataFrame, *, target: float | None) -> str:
    """Return how many of the cells of a map succeed and fail."""
    cells = format_count(len(outcomes), "cell")
    full = int((outcomes["converged"] == outcomes["runs"]).sum())
    lost = int((2 * outcomes["diverged"] >= outcomes["runs"]).sum())
    success = f"Every run reaches the target in {text(full)} of {cells}." if target is not None else ""
    failure = f"Most runs diverge in {text(lost)}{'' if success else f' of {cells}'}." if lost else ""
    return " ".join(filter(None, [success, failure, "Select a cell to see its loss curves."]))


def say_map_medians(fewest: int, most: int) -> str:
    """Say that the cells of maps are medians, and the number of runs."""
    return f"Medians of {describe_range(fewest, most)} runs."


def say_best_optimizers(shown: int, total: int) -> str:
    """Say how many of the optimizers have maps; nothing if all have."""
    return f"The best {say_part(shown, total, 'optimizers')}" if shown < total else ""


def describe_cell(map_name: str, rate: str, size: str, said: str) -> str:
    """Return a cell of a map, and what is `said` about its runs."""
    return f"{map_name}, learning rate {rate}, batch size {size}: {said}."


def describe_cell_runs(row: Mapping[Any, Any], target: float | None) -> str:
    """Return what became of the runs of an outcome (`bench.tables.outcomes`)."""
    parts = []
    if target is not None:
        needed = ""
        if np.isfinite(row["samples_median"]):
            costs = [format_count(row[f"{name}_median"], name.removesuffix("s")) for name in ("samples", "updates")]
            timed = np.isfinite(row.get("seconds_median", np.nan))
            costs += [duration(row["seconds_median"])] if timed else []
            needed = f" after a median of {', '.join(costs[:2])}{f' or {costs[2]}' if timed else ''}"
        parts.append(f"{row['converged']} of {format_count(row['runs'], 'run')} reached the target{needed}")
    parts.append(f"median final loss {text(row['final_loss_median'])}")
    if "validation_loss_median" in row:
        parts[-1] += f", {text(row['validation_loss_median'])} on held-out samples"
    parts += [f"{row['diverged']} diverged"] if row["diverged"] else []
    return "; ".join(parts)


def caption_optimizers(seeds: str) -> str:
    """Return the caption of the comparison of optimizers on `seeds`, such as "20 fresh seeds"."""
    return f"Optimizers compared, each at its own best choice, on {seeds}."


def say_ratios(cost: str, seeds: str, *, with_intervals: bool) -> str:
    """Say what the ratios of the comparison of optimizers are."""
    intervals = (
        "with intervals, all of which hold with a confidence of 95 %."
        if with_intervals
        else "(too few runs for intervals)."
    )
    return (
        f"{cost[0].upper()}{cost[1:]} of each optimizer at its own best choice, on {seeds}: medians of the ratios of "
        f"paired runs {intervals}"
    )


def describe_comparison(row: pd.Series, samples: int | None) -> str:
    """Return a line with a verdict and its numbers, and one with the choice."""
    ratio = describe_ratio(row)
    times = "a ratio of 1" if ratio == "1" else f"{ratio} times"
    said = row["verdict"] if row["verdict"] in ("best", "fails") else f"{row['verdict']}, {times}"
    succeeded = f"; {format_share(row['converged'], row['runs'])} runs succeed" if row["converged"] else ""
    settings = [*name_settings(row.drop("optimizer"), samples).values(), f"best of {text(row['tried'])}"]
    return f"{said}{succeeded}\n{', '.join(settings)}"


def caption_effects(cost: str) -> str:
    """Return the caption of the chart of how much each setting matters."""
    return f"How much of the differences in {cost} each setting explains by itself."


def say_effects(cost: str, share: float) -> str:
    """Say how the effects of settings on the `cost` were computed, and which share they explain together."""
    penalty = "the longest run" if cost.startswith("samples") else "the median"
    return (
        f"Main effects on the logarithm of the {cost} over the whole grid (analysis of variance); a run that "
        f"fails counts as ten times {penalty}. "
        f"Together they explain {percentage(share)}: the rest is combinations of settings, and chance."
    )


def describe_effect(share: float, best: str, worst: str, factor: str) -> str:
    """Return the share that a setting explains, its best and its worst value, and their factor."""
    ends = f"best {best}, worst {worst}: {factor} times" if best != MISSING else "no difference"
    return f"{percentage(share)}; {ends}"
