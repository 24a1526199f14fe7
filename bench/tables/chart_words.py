"""All sentences about charts: their captions and notes, and the words about a point, a line or a cell."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.tables.costs import COST_NAMES, KERNEL
from sgdbench.tables.formatting import MISSING, duration, percentage, shorten, text
from sgdbench.tables.words import (
    describe_choice,
    describe_range,
    describe_ratio,
    format_count,
    format_share,
    name_settings,
)

BEST_OPTIMIZERS = "The best {shown} of {total} optimizers."
CURVES_CAPTION = (
    "Loss curves of each optimizer at its best choice: medians, and bands from 10 to 90 % of the runs. A band is drawn "
    "no higher and no lower than its line goes."
)
HELD_OUT_CURVES_CAPTION = f"{CURVES_CAPTION} Dashed: medians on the held-out samples."
COMPARED_RUNS_CAPTION = (
    "Median and 10\N{EN DASH}90 % over all starts and seeds of the best choice. A band is drawn no higher and no lower "
    "than its line goes. Losses of standardized data are in standardized units."
)
CONFUSION_CAPTION = "Observed and predicted classes, of the best run of the best choice."
CONFUSION_NOTES = "The darker a cell, the larger its share of the samples of its row."
DRAWN_SAMPLES = "{shown} of {total} samples are drawn."
DRAWN_STARTS = "{shown} of {total} starts."
FIRST_CLASSES = "The first {shown} of {total} classes."
FIRST_UNITS = "The first {shown} of {total} units."
HISTORY_CAPTION = "The value of each trial and the best one so far, against the samples spent."
LARGEST_WEIGHTS = "The {shown} of {total} inputs with the largest weights."
NO_PATHS = "No path over the loss to show: it requires two parameters and a run of two epochs."
NO_SLICES = "No slices to show: no numeric setting varies among the trials to be shown."
NO_SPEED = "No speed to show: nothing was measured."
NO_TRIALS = "No trials to show: all of them diverged."
PROFILE_CAPTION = "How often each optimizer is within a factor of the best one."
RATE_RANGES_CAPTION = "How wide the range of good learning rates is."
RATIO_MAP_CAPTION = "Samples to the target on each problem, relative to the best optimizer."
RATIO_MAP_NOTES = "Medians over the runs on fresh seeds; 1 is the optimizer with the fewest samples in a run."
SPEED_CAPTION = "Time per sample-update with 95 % confidence intervals."
STANDARDIZED_UNITS = "In standardized units."
TIME_OF_A_RUN = f"Time is updates times the measured time of an update with the kernel {KERNEL}."
TIMES_CAPTION = "Time and final loss of each run."
UNITS_DIFFER = "Weights of inputs in different units do not compare."
WEIGHTS_CAPTION = (
    "Weights of the inputs, of the best run of the best choice. Runs are not played, and there are no contours and no "
    "basin: two of many weights say little about a run."
)
FULL_MARKERS = "Filled markers are rates at which every run reached the target."


def join_sentences(*sentences: str | bool | np.bool) -> str:
    """Return sentences as one text; `False` is one that does not apply."""
    return " ".join(sentence for sentence in sentences if isinstance(sentence, str) and sentence)


def say_diverged(diverged: int, runs: int) -> str:
    """Say how many of the runs of a chart diverged."""
    return f"{diverged:,} of {format_count(runs, 'run')} diverged."


def say_part(sentence: str, shown: int, total: int) -> str:
    """Say how much of something a chart shows, by a `sentence` with places for both counts; nothing if it shows all."""
    return sentence.format(shown=text(shown), total=text(total)) if shown < total else ""


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
    """Return the words about a point of a loss band (`sgdbench.tables.loss_bands`), or of its held-out losses."""
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
    return f"Median and 10\N{EN DASH}90 % range of {describe_range(fewest, most)} runs."


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


def describe_cell(map_name: str, rate: str, size: str, said: str) -> str:
    """Return a cell of a map, and what is `said` about its runs."""
    return f"{map_name}, learning rate {rate}, batch size {size}: {said}."


def describe_cell_runs(row: Mapping[Any, Any], target: float | None) -> str:
    """Return what became of the runs of an outcome (`sgdbench.tables.outcomes`)."""
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


def caption_basins(*, has_target: bool) -> str:
    """Return the caption of the maps of starting points."""
    measure = "Samples to the target" if has_target else "Final loss"
    return f"{measure} by starting point, for each optimizer at its best choice."


def say_starts(starts: int, panels: int, fixed: Sequence[str]) -> Iterator[str]:
    """Say how many starts a map has, and the `fixed` parameters such as "c = 3", which all of them share."""
    yield f"{text(starts)} starts{' in each panel' if panels > 1 else ''}."
    if fixed:
        yield f"All start at {', '.join(fixed)}."


def caption_run(*, has_target: bool, in_view: bool) -> str:
    """Return the caption of the loss of one run."""
    if not has_target:
        return "The loss on the training samples."
    return f"The loss. {'Dashed: the target' if in_view else 'The target is below'}."


def say_surface(factor: float, fixed: Sequence[str]) -> Iterator[str]:
    """Say what the lines of a loss surface are, and at which parameters it is cut."""
    yield f"Darker is lower. Each line is {factor:g} times as far above the lowest loss as the next."
    if fixed:
        yield f"Surface at the final value of {', '.join(fixed)}."


def say_paths(most: int, longest: int, moving: int, paths: int, *, is_cut: bool) -> Iterator[str]:
    """Say what is not drawn of the paths of runs: checkpoints, distant parts, runs that do not move."""
    if longest > most:
        yield f"{most} of up to {text(longest)} checkpoints of a path are drawn."
    if is_cut:
        yield "Where a path leaves a panel it goes far beyond."
    if moving < paths:
        yield f"{moving} of {paths} runs: the others do not move."


def say_fits(best: str, farthest: float | None, rounding: float | None, *, has_differences: bool) -> Iterator[str]:
    """Say what is below the fits, how `farthest` several are apart, and the residuals if they are rounding errors."""
    if has_differences:
        several = "" if farthest is None else f" of {shorten(best)}, and the other curves minus it"
        yield f"Below: residuals{several}."
    if farthest is not None:
        yield f"The fits differ by at most {text(farthest, 2)}."
    if rounding is not None:
        yield f"The residuals are errors of rounding: at most {text(rounding, 2)}."


def say_profile(others: int) -> Iterator[str]:
    """Say how a performance profile is read, and how many optimizers are gray."""
    yield "Higher is better. At the left: how often each is the best."
    if others:
        yield f"Gray: {format_count(others, 'other')}."


def say_range_marks(*, some_lack: bool) -> Iterator[str]:
    """Say what the lines and the dots of ranges of learning rates are."""
    yield "Rates at which every run reaches the target, the median at most at twice the samples of the best (dot)."
    if some_lack:
        yield "No dot: at each rate some run misses it."


def describe_time(ns: float, compared: Iterable[tuple[str, float]], share: float | None, *, verified: bool) -> str:
    """Return the time of a variant, its speedups over others if it is verified, and its share of the roof."""
    speedups = [f", {text(factor, 3)} times as fast as {name}" for name, factor in compared]
    of_roof = "" if share is None else f", {share:.2f} of the roof"
    return f"{text(ns, 3)} ns{''.join(speedups) if verified else ', not verified'}{of_roof}"


def say_baselines(names: Sequence[str]) -> str:
    """Say whose times are dashed lines; nothing if there are none."""
    return f"Dashed: the time of {' and of '.join(names)}." if names else ""


def say_not_measured(reasons: Mapping[str, str], more: int) -> str:
    """Say which variants were not measured and why, and how many more; nothing if all were."""
    named = [f"{shorten(name)} ({shorten(reason or 'reason unknown', 60)})" for name, reason in reasons.items()]
    return f"Not measured: {', '.join(named)}{f' and {more} more' if more else ''}." if named else ""


def say_no_time(configurations: int, floor: str) -> str:
    """Say why there is no chart of times; `floor` is the loss that finite ones must exceed."""
    return f"None of {format_count(configurations, 'configuration')} has a time, and a finite loss above {floor}."


def say_timed_runs(shown: int, configurations: int, floor: str, *, above: int) -> str:
    """Say how many configurations the chart of times shows, and how many of them are above the view."""
    counted = format_count(configurations, "configuration")
    which = f"The chart shows all {counted}"
    if shown < configurations:
        which = f"The chart shows {text(shown)} of {counted}, with a time and a finite loss above {floor}"
    return f"{which}{f', {text(above)} of them above the view' if above else ''}."


def describe_timed_run(choice: str, start: str, seed: int, seconds: float, loss: float) -> str:
    """Return the choice, the start, the seed, the time and the loss of a run."""
    return f"{choice}\n{text(str(start))}, seed {seed}\n{duration(seconds)}, loss {text(loss)}"


def say_history(hidden: int, *, has_grid: bool) -> Iterator[str]:
    """Say what the marks of the course of a search are, and how many trials are not shown."""
    yield "Dots: trained to the end. Crosses: given up early, at their value then."
    if has_grid:
        yield "Band: the best of the grid so far in nine of ten and in one of ten random orders."
    if hidden:
        yield f"Not shown: {text(hidden)} that diverged or are far worse."


def caption_slices(optimizer: str) -> str:
    """Return the caption of the values of the trials of an optimizer against each setting."""
    return f"The value of the trials of {text(optimizer)} against each setting, the most important first."


def title_slice(share: float) -> str:
    """Return the title of the panel of a setting with this share of the main effects."""
    return f"{percentage(share)} of the main effects"


def say_slices(optimizer: str, *, has_shares: bool) -> Iterator[str]:
    """Say what the marks of the trials of an optimizer are, and what a main effect is."""
    yield f"{shorten(optimizer)}: the circle is the best trial; gray ones were given up early."
    if has_shares:
        yield "A main effect is what a setting explains by itself (functional analysis of variance)."


def say_favored(label: str) -> str:
    """Say which class the score favors where it is positive."""
    return f"Positive weights speak for {label}."


def caption_fits(*, several_inputs: bool, several_starts: bool, has_classes: bool) -> str:
    """Return the caption of the chart of data and fits."""
    runs = f"the best run of the best choice{' from each start' if several_starts else ''}"
    if not several_inputs:
        return f"The data and the curve fitted by {runs}."
    if has_classes:
        return "Predictions of the best run of the best choice for the samples of each class."
    return f"Predicted against observed values, of {runs}."


def describe_fitted(start: str, samples: int, loss: str) -> str:
    """Return the start of a run, how many samples it has seen, and its loss."""
    return f"{text(str(start))}, {format_count(samples, 'sample')} seen, loss {loss}"


def caption_paths(cost: str) -> str:
    """Return the caption of the paths over the loss surface; `cost` decides which runs are typical."""
    extent = "median number of" if cost == COST_NAMES["samples"] else "lowest"
    return (
        "Paths of the parameters over the loss surface, from the circle to the plus: from each start the run with the "
        f"{extent} {cost}, of all settings."
    )
