"""All sentences about runs, for terminal, page, Markdown and notebook: the `sgdbench.tables.facts` in words."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.compile.kinds import KERNELS
from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.train.attainable_loss import ARRIVED_SHARE
from sgdbench.kernels.train.attainable_loss import format_share as format_percent
from sgdbench.tables import facts
from sgdbench.tables.costs import COST_NAMES, KERNEL, LOSSES
from sgdbench.tables.facts import FULL
from sgdbench.tables.formatting import MISSING, duration, format_three_digits, percentage, shorten_exponent, text
from sgdbench.tables.ties import BETTER, FAILS, INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN, WORSE

# Descriptions of the statuses of runs.
ENDINGS = {
    "converged": "reached the target",
    "max_epochs": "ran all epochs",
    "stopped": "stopped early",
    "diverged": "diverged",
}
# The remark after the ratio of a rival, by its verdict.
_REMARKS = {
    INDISTINGUISHABLE: " (statistically indistinguishable)",
    WITHIN: f" ({WITHIN})",
    TOO_FEW_RUNS: " (too few runs for an interval)",
    WORSE: "",
}
# The words for the verdict on one tied choice, and on several.
_TIES = {
    BETTER: ("is better, and not shown to be the best", "are better, and none is shown to be the best"),
    INDISTINGUISHABLE: tuple(f"{verb} statistically indistinguishable from it" for verb in ("is", "are")),
    WITHIN: tuple(f"{verb} {WITHIN} of it" for verb in ("is", "are")),
    TOO_FEW_RUNS: tuple(f"{verb} too few runs to be compared with it" for verb in ("has", "have")),
}
# Captions below tables.
TABLE_CAPTIONS = {
    "best": (
        "Medians, with 95 % intervals where there are enough runs; ∞ where half of them or more fail. The recommended "
        "choice comes first, the others by rank. Each is indistinguishable from it if the paired interval of their "
        "costs includes no difference, within 5 % if a difference is shown and is small, or else worse."
    ),
    "speed": (
        "Medians with 95 % confidence intervals. The results of each variant were compared with those of the reference "
        "before it was timed. Break-even is the number of sample-updates that repay the compile time (cold), compared "
        "with the reference."
    ),
    "theory": (
        "The predicted edge is the learning rate above which training diverges, from the matrix of one epoch. The "
        "columns after it are observed in the first epochs of the runs, of which those that reach their target count "
        "as stable; both agree where they are at most a step of the grid apart."
    ),
    "rates": (
        "The factor by which an epoch multiplies the distance to the solution, predicted from the matrix of one epoch "
        "and measured in the runs."
    ),
}
ROOF_CAPTION = (
    "The roof is the arithmetic of a kernel by itself, timed in the same turns; the share is its time divided by the "
    "kernel's."
)
_QUANTITY = re.compile(r"(-?[\d,]+(?:\.\d+)?)( \S+)?")
# At most this many rivals, ranges of rates, settings with diverged runs and cheapest optimizers are listed.
MOST_RIVALS, MOST_RANGES, MOST_DIVERGED, MOST_CHEAPEST = 4, 8, 3, 3
# The criterion that decides between choices that are about equally good.
MARGIN = "widest safety margin in learning rate"
FIGURES = {"rmse": "RMSE", "r2": "R²"}
_UNITS = {"": "", "table": " in the table's own units", "standardized": " in standardized units"}


NO_BEST_CHOICE = "No best choice: every run diverged"
NOT_ARRIVED = "The best choice so far: it has not arrived"
SWEEP_IN_PYTHON = "This run was made by a sweep in Python."
DAMAGED_STUDY = "The study of this run, run.toml, has been changed since it was written, and is ignored."


def describe_endings(statuses: "pd.Series[str]") -> str:
    """Return how many runs ended with each status: "14 reached the target, 2 diverged"; empty if there are none."""
    counts = statuses.value_counts()
    return ", ".join(f"{text(int(counts[status]))} {how}" for status, how in ENDINGS.items() if counts.get(status))


def status_words(target: float | None) -> dict[str, str]:
    """Return the words for statuses in a table of runs that says which of them reached the target, if there is one."""
    return {"max_epochs": ENDINGS["max_epochs"] if target is None else "target missed"}


def describe_end(status: str, samples: int, target: float | None, *, has_patience: bool) -> str:
    """Return how a run that is played ends after this many samples, whose parameters it keeps if it has patience."""
    if has_patience:
        return "kept, as the loss on held-out samples was lowest here"
    missed = {} if target is None else {"max_epochs": "target missed"}
    endings = {"converged": "target reached", "diverged": f"diverged by {format_count(samples, 'sample')}"}
    return (endings | missed).get(status, "")


def describe_run(row: Mapping[str, Any]) -> str:
    """Return how a run ended: "reached the target: 1,600 samples seen, loss 9.8e-6"."""
    samples = format_count(row["samples_seen"], "sample")
    return f"{ENDINGS[row['status']]}: {samples} seen, loss {text(row['final_loss'])}"


def describe_choice(row: "pd.Series | Mapping[Any, Any]", samples: int | None = None) -> str:
    """Return the settings of a row: "sgd, learning rate 0.8, batch size 1, schedule halve(10), shuffled"."""
    return ", ".join(name_settings(row, samples).values())


def describe_ruled_out(choice: pd.Series, samples: int | None = None) -> str:
    """Return why the first choice of a ranking, ruled out on fresh seeds, is not the recommended one."""
    return f"Trained again, the choice that came first was ruled out: {describe_choice(choice, samples)}."


def describe_centering(center: str | None, problem: str = "") -> str:
    """Return which columns are not centered, or not scaled at all (None), and why; empty if all of them are centered.

    A `problem` of the data is a reason not to scale any of them.
    """
    without = "the model has no parameters for a shift"
    return {
        "both": "",
        "x": f"y is scaled and not centered: {without} of it.",
        "y": f"The inputs are scaled and not centered: {without} of them.",
        "none": f"Columns are scaled and not centered: {without} of them.",
        None: f"Columns stay as they are: {problem or f'{without} or another unit of them'}.",
    }[center]


def describe_fewer_epochs(epochs: int, usual: int, rows: int, params: int) -> str:
    """Return why a study has fewer epochs than usual."""
    size = f"{format_count(rows, 'sample')} and {format_count(params, 'parameter')}"
    return f"{epochs} instead of {usual}{' at constant rates' * (epochs < 10)}, because there are {size}."


def describe_batch_size(size: float, samples: int | None) -> str:
    """Return a batch size as text: "full" if it is all the samples."""
    return FULL if size == samples else text(size)


def name_settings(row: "pd.Series | Mapping[Any, Any]", samples: int | None = None) -> dict[str, str]:
    """Return the settings that a row has in words, by column; a batch of all `samples` is called full."""
    as_words: dict[str, Callable[[Any], str]] = {
        "optimizer": str,
        "lr": lambda lr: f"learning rate {text(lr)}",
        "batch_size": lambda size: f"batch size {describe_batch_size(size, samples)}",
        "schedule": lambda schedule: f"schedule {schedule}",
        "shuffle": describe_order,
        "dtype": str,
    }
    return {name: describe(row[name]) for name, describe in as_words.items() if name in row}


def describe_order(shuffled: bool | str) -> str:
    """Return the order of the samples in a word."""
    if isinstance(shuffled, str):
        return "shuffled in blocks"
    return "shuffled" if shuffled else "not shuffled"


def format_count(number: float, noun: str) -> str:
    """Return a number with its noun: "1 epoch", "2.5 epochs"."""
    number = int(number) if number == int(number) else number
    return f"{text(number)} {noun}{'' if number == 1 else 's'}"


def format_share(part: int, total: int) -> str:
    """Return a share in words: "all 25", "both", "3 of 25", "1 of 1"."""
    if part == total > 1:
        return "both" if total == 2 else f"all {text(int(total))}"
    return f"{text(int(part))} of {text(int(total))}"


def describe_range(low: float, high: float) -> str:
    """Return a range as text: "0.1 to 2", or "0.1" for a single value."""
    return text(low) if low == high else f"{text(low)} to {text(high)}"


def format_estimate(value: float, low: float, high: float, as_text: Callable[[float], str]) -> str:
    """Return a value with its interval: "12.7 ± 0.4" if that is symmetric to the digits shown, else "100 [98, 125]".

    The value stands alone if it is infinite, an end is missing, or the interval is a point to the digits shown.
    """
    if pd.isna(low) or pd.isna(high) or np.isinf(value):
        return as_text(value)
    shown = [as_text(number) for number in (value, low, high)]
    if len(set(shown)) == 1:
        return shown[0]
    return _format_symmetric(*shown) or f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _format_symmetric(value: str, low: str, high: str) -> str | None:
    """Return a value and the half width of its interval; None if the interval is not symmetric or units differ."""
    matches = [part for end in (value, low, high) if (part := _QUANTITY.fullmatch(end))]
    if len(matches) < 3 or len({part[2] for part in matches}) > 1:
        return None
    middle, lower, upper = (Decimal(part[1].replace(",", "")) for part in matches)
    half = middle - lower
    if not half == upper - middle > 0:
        return None
    rounded = half.quantize(middle)  # the ends may show more decimals, such as 0.980 beside 1.01
    reach = f"{rounded if rounded == half else half:,}"
    number, unit = matches[0].groups()
    return f"({number} ± {reach}){unit}" if unit else f"{number} ± {reach}"


def describe_estimate(row: pd.Series, name: str, as_text: Callable[[float], str] = text) -> str:
    """Return a value with the interval in the columns `_low` and `_high`: "100 [100, 125]", "12 ± 1"."""
    return format_estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], as_text)


def describe_ratio_of_times(a: str, b: str, ratio: float, low: float, high: float) -> str:
    """Return a sentence on which of two is faster, such as "lanes is 12.7 ± 0.4 times as fast as C" with a full stop.

    `ratio` is the time of b divided by that of a, with its interval. If it includes 1, no difference was found.
    """
    if low > 1:
        return f"{a} is {format_estimate(ratio, low, high, format_three_digits)} times as fast as {b}."
    if high < 1:
        return f"{b} is {format_estimate(1 / ratio, 1 / high, 1 / low, format_three_digits)} times as fast as {a}."
    takes = f"{b} takes {format_estimate(ratio, low, high, format_three_digits)} times as long as {a}"
    if pd.isna(low):
        return f"{takes}; there are too few measurements for an interval."
    return f"No difference was found: {takes}."


def say_untimed(variant: str, reason: str) -> str:
    """Say why a variant was not timed."""
    return f"{variant} was not timed: {reason}"


def say_no_roof(variants: str, reason: str) -> str:
    """Say why variants have no roof."""
    return f"{variants}: no roof, because {reason}"


def say_unmeasured(variant: str, rival: str, reason: str) -> str:
    """Say why a row of the performance budget was not measured."""
    return f"{variant} against {rival}: {reason}"


def describe_target(row: Mapping[Any, Any]) -> str:
    """Return whether a row of the performance budget (`sgdbench.timing.budget`) reached its target."""
    faster, target = row["faster"], row["target"]
    if pd.isna(faster):
        return MISSING if pd.isna(row["verified"]) else "not verified"
    if faster >= target:
        return "yes"
    # The factor that the arithmetic of the variant alone would reach.
    limit = faster / row["share"]
    if limit < target:
        return f"no: {format_three_digits(limit)} at the roof"
    short = 100 * (1 - faster / target)
    return f"no, {f'{short:.0f}' if short >= 1 else 'less than 1'} % short"


def describe_verified(row: Mapping[Any, Any]) -> str:
    """Return how far the results of a variant are from those of the reference."""
    error, losses = row["error"], row["error_loss"]
    if not row["verified"]:
        return "no" if pd.isna(error) else f"no: off by {error:.3g}"
    agreement = "bit for bit" if error == 0 else f"within {error:.1g}"
    # These kernels may compute losses from a factor of the samples.
    fuses = row["variant"] in KERNELS and KERNELS[row["variant"]].fma
    return f"{agreement}, losses {losses:.1g}" if fuses and np.isfinite(losses) else agreement


def name_places(model: Model) -> str:
    """Return where `sgdbench.analysis.curvature.edges_of_runs` computes edges of stability."""
    if model.is_linear:
        return "near the lowest loss"
    return "where runs start" if model.hidden else "where runs start or near the lowest loss"


def describe_film(expression: str, losses: Floats, epochs: float, diverged: int | None) -> str:
    """Return how the curve and the losses of a run change; if it `diverged`, in which epoch."""
    first, last = map(text, losses[[0, -1]].tolist())
    curve = f"The curve {expression}"
    lost = "" if diverged is None else f" and is no longer finite in epoch {text(diverged)}"
    if losses.size == 1:
        return f"{curve} where it starts; the loss is {first} there{lost}."
    if lost:
        return f"{curve} moves away from the data; the loss grows from {first} to {last}{lost}."
    where = "from its start onto the data" if losses[-1] < losses[0] else "away from the data"
    return f"{curve} moves {where}; the loss goes from {first} to {last} in {format_count(round(epochs, 2), 'epoch')}."


def is_improvement(cost: str) -> bool:
    """Return whether choices are compared by their improvement over a constant, or over the median run."""
    return cost.startswith("improvement")


def shown_ratio(row: pd.Series) -> tuple[float, float, float]:
    """Return a ratio of costs, or of improvements, with the ends of its interval: costs are inverse improvements."""
    ratio, low, high = row[["ratio", "ratio_low", "ratio_high"]].to_numpy(float)
    if is_improvement(row["cost"]):
        with np.errstate(divide="ignore"):
            ratio, high, low = 1 / np.array([ratio, low, high])
    return float(ratio), float(low), float(high)


def describe_ratio(row: pd.Series) -> str:
    """Return a ratio of costs, or of improvements, with its interval to three digits: "2.5 [2.1, 2.9]"."""
    return format_estimate(*shown_ratio(row), lambda value: text(value, 3))


def describe_median(estimate: facts.Estimate, as_text: Callable[[float], str] = text) -> str:
    """Return an estimate with its interval."""
    return format_estimate(*estimate, as_text)


def describe_outcome(found: facts.Outcome) -> str:
    """Return how many runs of a choice reached the target and after how many samples, or otherwise their median loss.

    If half of the runs or more failed, there is no median.
    """
    noun = "run" if found.runs == 1 else "runs"
    if found.cost == "samples":
        reached = f"{format_share(found.converged, found.runs)} {noun} reached the target"
        if np.isinf(found.median.value):
            return f"{reached}, too few for a median of their samples"
        return f"{reached}, {'median' if found.runs > 1 else 'after'} {describe_median(found.median)} samples"
    missed = "no run reached the target; " if found.has_target else ""
    if np.isinf(found.median.value):
        return f"{missed}{format_share(found.diverged, found.runs)} {noun} diverged"
    return f"{missed}{COST_NAMES[found.cost]} {describe_median(found.median)}"


def describe_seeds(seeds: facts.Seeds) -> str:
    """Return the seeds on which choices are compared."""
    if seeds.kind == "same":
        return "runs that are the same for all seeds"
    counted = "fresh seeds" if seeds.number is None else format_count(seeds.number, "fresh seed")
    return (
        f"the {format_count(seeds.number or 0, 'seed')} by which the choices were selected"
        if seeds.kind == "selected"
        else counted
    )


def describe_rival(rival: facts.Rival, *, several: bool = True) -> str:
    """Return how a rival compares with the best choice: "needs 2.5 [2.1, 2.9] times the samples".

    At a ratio of 1 it "needs as many samples". It is one of `several` rivals, or the only one.
    """
    cost, is_loss = rival.cost, rival.cost != "samples"
    if rival.verdict == FAILS:
        succeeded = format_share(rival.succeeded, rival.runs)
        return f"{'ends at a finite loss' if is_loss else 'reaches the target'} in {succeeded} runs"
    if is_improvement(cost):
        same, verb, what = f"the same {COST_NAMES[cost]}", "has", f"times the {COST_NAMES[cost]}"
    elif cost == "distance":
        same, verb, what = "as far above the lowest loss", "ends", "times as far above the lowest loss"
    elif is_loss:
        same, verb, what = "the same loss", "ends at", "times the loss"
    else:
        same, verb, what = "as many samples", "needs", "times the samples"
    if rival.verdict == BETTER:  # although it is not the best
        short = "improves less" if is_improvement(cost) else "ends higher" if is_loss else "needs more"
        remark = f" (but {short} than another)" if several else ""
    else:
        remark = _REMARKS[rival.verdict]
    ratio = describe_median(rival.ratio, lambda value: text(value, 3))
    same = f"about {same}" if rival.verdict == WITHIN else same
    if ratio == "1":
        return f"{verb} {same}{remark}"
    if ratio.startswith("1 "):
        return f"{verb} {same}, at a ratio of {ratio}{remark}"
    return f"{verb} {ratio} {what}{remark}"


def name_best_choice(conclusions: Iterable[Any]) -> str:
    """Return a sentence with the optimizer, rate and batch size of the best choice, or why there is none."""
    best = next(fact for fact in conclusions if isinstance(fact, facts.BestChoice | facts.NoChoice))
    if isinstance(best, facts.NoChoice):
        return _say_no_choice(best).removeprefix("None: ")
    return f"{', '.join(list(name_settings(best.settings).values())[:3])}."


def say_recommendation(fact: facts.Recommendation) -> str:
    """Return why a choice is recommended."""
    if fact.choices == 1:
        return "It is the only choice."
    if fact.alike == 1:
        return f"It ranks first by {COST_NAMES[fact.cost]}, compared run by run."
    among = f"{fact.alike:,} choices are about equally good; "
    if fact.unit and 1 < fact.fewest < fact.alike:
        among += f"{fact.fewest:,} of these take the fewest {fact.unit}; "
    if fact.unit and fact.fewest == 1:
        return f"{among}of these it takes the fewest {fact.unit}."
    if fact.factor == 1:
        return f"{among}of these it ranks first."
    # A run that is ranked by its loss fails only if it diverges, however high the loss is otherwise.
    outcome = "do not diverge either" if fact.cost in LOSSES else "succeed as well"
    return f"{among}of these it has the {MARGIN}: rates up to {fact.factor:.3g} times higher and lower {outcome}."


def describe_sample(starts: int, seeds: facts.Seeds) -> str:
    """Return the starts and the seeds that figures are based on."""
    counted = format_count(starts, "start")
    if seeds.kind == "same":
        return f"{counted}; every seed gives the same result"
    return f"{counted} and {format_count(seeds.number or 0, 'fresh seed' if seeds.kind == 'fresh' else 'seed')}"


def describe_no_choice(fact: facts.NoChoice) -> str:
    """Return advice for the case that every run or trial diverged."""
    if fact.at_start:
        return "The loss is not finite at the start, so no rate helps: change the starts, the model or the data."
    return "Lower learning rates would help."


def describe_progress(done: int, planned: int) -> str:
    """Return a sentence on how much of an unfinished run is done; empty if it is complete."""
    return "" if done >= planned else f"{text(done)} of {text(planned)} configurations are trained so far."


def sentences(conclusions: Iterable[Any], *, short: bool = False) -> dict[str, str]:
    """Return sentences on facts by subject, in this order; those on the best choice in full, or `short`."""
    phrases: dict[str, str] = {}
    for fact in conclusions:
        about, say = _SAID[type(fact)]
        sentence = _say_best_choice_shortly(fact) if short and isinstance(fact, facts.BestChoice) else say(fact)
        about = about.format(fact)
        about = f"{about[0].upper()}{about[1:]}"
        phrases[about] = f"{phrases[about]} {sentence}" if about in phrases else sentence
    return phrases


def _say_no_choice(fact: facts.NoChoice) -> str:
    if not fact.diverged:
        return f"None: no {fact.of} has been trained to its end."
    return f"None: every {fact.of} diverged. {describe_no_choice(fact)}"


def _say_best_choice_shortly(fact: facts.BestChoice) -> str:
    named = ", ".join(words for name, words in name_settings(fact.settings).items() if name in fact.differing)
    return f"{named}: {describe_outcome(fact.outcome)}."


def _say_best_choice(fact: facts.BestChoice) -> str:
    """Return the best choice with all of its settings, its costs in all currencies, and why it is recommended."""
    updates = f", {describe_median(fact.updates)} updates" if fact.updates else ""
    seconds = f", {describe_median(fact.seconds, duration)} with the kernel {KERNEL}" if fact.seconds else ""
    over = f"over {format_count(fact.starts, 'start')} and {format_count(fact.seeds, 'seed')}"
    is_said = fact.outcome.cost == "samples" and fact.outcome.runs > 1
    medians = "medians " if np.isfinite(fact.outcome.median.value) and not is_said else ""
    settings, outcome = describe_choice(fact.settings), describe_outcome(fact.outcome)
    return f"{settings}: {outcome}{updates}{seconds}; {medians}{over}. {fact.reason}".rstrip()


def _say_ties(fact: facts.Ties) -> str:
    phrases = []
    for alike in fact.groups:
        listed = [", ".join(name_settings(settings).values()) for settings in alike.named]
        if listed and alike.count > len(listed):
            listed.append(f"{text(alike.count - len(listed))} more")
        counted = f"{format_count(alike.count, 'other choice')} {_TIES[alike.verdict][alike.count > 1]}"
        phrases.append(f"{counted}{': ' if listed else ''}{'; '.join(listed)}.")
    return " ".join(phrases)


def _say_confirmation(fact: facts.Confirmation) -> str:
    before, median = fact.before, fact.before.median.value
    if before.cost == "samples" and np.isfinite(median):
        ended = f"the median was {text(median)}"
    elif before.cost == "samples" or before.converged:
        ended = f"{format_share(before.converged, before.runs)} did"
    else:
        ended = f"{format_share(before.diverged, before.runs)} diverged" if np.isinf(median) else text(median)
    others = "" if fact.same else f"{format_count(before.runs, 'other run')} and "
    fewer = f", with {others}fewer checkpoints," if fact.finer else ""
    on = "Deterministic, every seed gives the same result:" if fact.same else "On fresh seeds,"
    return f"{on} {describe_outcome(fact.fresh)}; in {fact.chosen_in}{fewer} {ended}."


def _say_edge(fact: facts.Edge) -> str:
    return f"{text(fact.lr)} is the {fact.end} of {fact.tried} learning rates; {fact.beyond} goes beyond it."


def _say_rivals(fact: facts.Rivals) -> str:
    counts = "each at its own best choice, " if fact.tried is None else f"best of {text(fact.tried)} choices each, "
    parts = [f"{rival.name} {describe_rival(rival)}" for rival in fact.others[:MOST_RIVALS]]
    more = f"; {text(len(fact.others) - MOST_RIVALS)} more" if len(fact.others) > MOST_RIVALS else ""
    compared_on = f"{'' if fact.tried == 1 else counts}{describe_seeds(fact.on)}"
    return f"Relative to {fact.first} ({compared_on}): {'; '.join(parts)}{more}."


def _say_tuned_rivals(fact: facts.TunedRivals) -> str:
    phrases = "; ".join(f"{rival.name} {describe_rival(rival)}" for rival in fact.others)
    return f"Relative to {fact.first}: {phrases}."


def _say_against_grid(fact: facts.AgainstGrid) -> str:
    compared = f"the best choice of {fact.rival_of} {describe_rival(fact.rival, several=False)}"
    settings = describe_choice(fact.settings)
    return f"The best choice is that of {fact.of}. On {describe_seeds(fact.on)} {compared}: {settings}."


def _say_search(fact: facts.Search) -> str:
    if not fact.trials:
        return "No trial has been trained to its end yet."
    given_up = "".join(f", {text(count)} {state}" for state, count in fact.given_up.items())
    spent = text(fact.samples, 3)
    return f"{format_count(fact.trials, 'trial')} by {fact.sampler}{given_up}; trained on {spent} samples in all."


def _say_precision(fact: facts.Precision) -> str:
    phrases, choices = [], format_count(fact.pairs, "choice")
    if fact.verdict is not None:
        effect = {
            INDISTINGUISHABLE: "These runs show no effect of precision on",
            WITHIN: "Precision matters little for",
        }
        ends = "; ".join(f"with {dtype}, {describe_outcome(outcome)}" for dtype, outcome in fact.ends.items())
        phrases.append(f"{effect.get(fact.verdict, 'Precision matters for')} the best choice: {ends}.")
    if fact.fewer + fact.more:
        phrases.append(
            f"In {text(fact.fewer)} of {choices} fewer runs succeed in float32 than in float64, and in "
            f"{text(fact.more)} more."
        )
    elif fact.pairs:
        phrases.append(
            f"{f'Each of {choices}' if fact.pairs > 1 else 'The choice'} has as many successful runs in both."
        )
    return " ".join(phrases)


def _say_robustness(fact: facts.Robustness) -> str:
    return (
        f"{text(fact.converged)} of {format_count(fact.runs, 'run')} reached the target loss {text(fact.target)}. Of "
        f"{format_count(fact.choices, 'choice')} of settings, {text(fact.always)} reached it in every run and "
        f"{text(fact.never)} in none."
    )


def _describe_rates(good: facts.RateRange) -> str:
    """Return an optimizer with a range of rates: "sgd at 0.1 to 0.4 (3 of 5 rates; batch size 8, shuffled)"."""
    optimizer, *others = name_settings(good.settings).values()
    rates = f"{text(good.rates)} of {format_count(good.tried, 'rate')}"
    return f"{optimizer} at {describe_range(good.lowest, good.highest)} ({rates}; {', '.join(others)})"


def _say_safe_rates(fact: facts.SafeRates) -> str:
    if not fact.ranges:
        return "At no learning rate did every start and seed reach the target."
    named = list(map(_describe_rates, fact.ranges))
    if (more := len(named) - MOST_RANGES) > 1:
        named[MOST_RANGES:] = [f"{text(more)} more"]
    never = f" There is no such learning rate for {', '.join(fact.never)}." if fact.never else ""
    return f"Every start and seed reached the target with {'; '.join(named)}.{never}"


def _say_divergence(fact: facts.Divergence) -> str:
    if not fact.diverged:
        return "No run diverged."
    named = [f"{format_count(part.runs, 'run')} with {_describe_rates(part)}" for part in fact.ranges[:MOST_DIVERGED]]
    if others := sum(part.runs for part in fact.ranges[MOST_DIVERGED:]):
        named.append(f"{format_count(others, 'run')} with other settings")
    return f"{text(fact.diverged)} of {format_count(fact.runs, 'run')} diverged: {'; '.join(named)}."


def _say_solution(fact: facts.Solution) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in fact.params.items())
    values, lowest = values or format_count(fact.count, "parameter"), shorten_exponent(f"{fact.loss:.6g}")
    return (
        f"The best run of this choice has {values}{_UNITS[fact.units]}, with loss {lowest}{_UNITS[fact.loss_units]}. "
        f"{fact.note}"
    ).rstrip()


def _say_units(fact: facts.Units) -> str:
    columns, numbers = ("data", "starts, losses and") if fact.losses else ("inputs", "starts and")
    sizes = {"both": "mean 0 and standard deviation 1", "none": "a root mean square of 1"}
    size = sizes.get(fact.center, "standard deviation 1 or, where they are not centered, a root mean square of 1")
    return (
        f"The {columns} were standardized. Learning rates, {numbers} parameters refer to columns with {size} unless "
        f"stated otherwise. {fact.residuals}"
    ).rstrip()


def _say_lowest_loss(fact: facts.LowestLoss) -> str:
    attainable = fact.attainable
    if not np.isfinite(attainable.loss):
        return f"Unknown ({attainable.note})."
    lowest = f"{text(attainable.loss, 6)}, found by {attainable.method}"
    note = f" ({attainable.note})" if attainable.note else ""
    if np.isnan(attainable.improvement):
        return f"The lowest loss is {lowest}{note}; it is not below the loss of {attainable.baseline}."
    if not np.isfinite(fact.loss):
        return f"The lowest loss is {lowest}{note}."
    return f"{_describe_end(fact, lowest)}{note}."


def _describe_end(fact: facts.LowestLoss | facts.Shortfall, lowest: str) -> str:
    """Return how far above the lowest loss, a text, the best choice ends, as a sentence without its full stop."""
    baseline = fact.attainable.baseline
    if (left := fact.attainable.remaining(fact.loss)) >= 1:
        over = text(fact.attainable.constant_loss, 4)
        return f"The best choice is no better than {baseline}, whose loss is {over}; the lowest loss is {lowest}"
    return (
        f"{format_percent(left).capitalize()} of the achievable improvement over {baseline} is still missing; the "
        f"lowest loss is {lowest}"
    )


def _name_target(target: float, *, standardized: bool) -> str:
    """Return a target that is advised; one in standardized units as the key of a study, as --target has the table's."""
    return f"run.target = {text(target)} in standardized units" if standardized else text(target)


def settling_schedule(epochs: int) -> str:
    """Return the schedule that is advised where noise keeps runs of this length from settling: ten halvings."""
    return f"halve({max(1, epochs // 10)})"


def _describe_advice(advice: facts.Advice, baseline: str) -> str:
    about = advice.about
    if advice.change == "rates":
        way = "higher" if about["end"] == "highest" else "lower"
        beyond = f" than the {about['end']} of {about['tried']}, with {about['beyond']}" if about["end"] else ""
        return f"{way} learning rates{beyond}{', as the loss rose' if about['risen'] else ''}"
    if advice.change == "target":
        share = about["leaves"]
        leaves = f"leaves {format_percent(share)}" if share < 1 else f"is no lower than the loss of {baseline}"
        named = about["advised"] and _name_target(about["advised"], standardized=about["standardized"])
        such = f", such as {named}" if named else ""
        return f"a lower target{such}, as runs stop at this one, which {leaves}"
    if advice.change == "schedule":
        larger = ", or larger batches" if about["larger"] else ""
        schedule = settling_schedule(about["epochs"])
        return f"a schedule that lowers the rate, such as {schedule}{larger}, as it no longer falls"
    return {
        "decay": "less weight decay, which keeps the parameters from the lowest loss",
        "epochs": "more epochs, as the loss was still falling",
        "slower schedule": "a schedule that lowers the rate more slowly, as the loss no longer falls",
        "starts": "other starts, as they lead to different places",
        "standardize": "standardized inputs, which are of different sizes",
        "others": f"other rates{' or' if about.get('is_linear') else ','} optimizers"
        f"{'' if about.get('is_linear') else ' or starts'}",
    }[advice.change]


def _say_shortfall(fact: facts.Shortfall) -> str:
    is_finite = np.isfinite(fact.attainable.remaining(fact.loss))
    rises = "Most runs of the best choice end higher than they start"
    end = _describe_end(fact, text(fact.attainable.loss, 4)) if is_finite else rises
    return f"{end}. Try {'; '.join(_describe_advice(one, fact.attainable.baseline) for one in fact.advice)}."


def say_unreachable_target(fact: facts.UnreachableTarget) -> str:
    """Return a sentence that no run can reach a target."""
    target, lowest = text(fact.target), text(fact.lowest)
    if target == lowest:  # ten digits tell apart what differs by more than rounding
        target, lowest = f"{fact.target:.10g}", f"{fact.lowest:.10g}"
    advised = fact.advised and _name_target(fact.advised, standardized=fact.standardized)
    leaves = f"; {advised} leaves 1 % of the improvement" if advised else ""
    return f"The target {target} is below the lowest loss that was found, {lowest}: no run can reach it{leaves}."


def _say_test_rows(fact: facts.OnTestRows) -> str:
    phrases = []
    for name, estimate in fact.figures.items():
        called = f"median {fact.loss}" if name == "loss" else FIGURES.get(name, name)
        phrases.append(f"{called} {describe_median(estimate)}{fact.units if name == 'rmse' else ''}")
    counted = f"{format_count(fact.runs, 'run')} of the best choice{' on fresh seeds' if fact.fresh else ''}"
    if "[" in "".join(phrases) or "±" in "".join(phrases):
        counted = f"intervals over {counted}"  # the rows are the same for all
    return f"{', '.join(phrases)}; {counted}, on {format_count(fact.rows, 'row')} unused in training and selection."


def _say_no_gain(fact: facts.NoGain) -> str:
    return (
        f"On the {fact.rows} the best choice ends at {text(fact.loss, 4)}, and the best constant for these rows at "
        f"{text(fact.constant, 4)}: it predicts them no better than a constant."
    )


def _say_no_skill(fact: facts.NoSkill) -> str:
    """Return a sentence that an accuracy is no higher than the share of the most frequent class."""
    return (
        f"On the {fact.rows} the accuracy is {text(fact.accuracy, 4)}, no higher than that of always predicting the "
        f"most frequent class, {text(fact.share, 4)}."
    )


def _say_metric(fact: facts.Metric) -> str:
    phrases = ", ".join(f"{text(value)} on {name}" for name, value in fact.figures.items())
    return f"{phrases}, of the best run of this choice."


def say_check(fact: facts.ReferenceCheck | facts.NotChecked) -> str:
    """Return how closely the kernels agree with the reference."""
    if isinstance(fact, facts.NotChecked):
        if fact.yet:
            return "Not checked yet: the check follows when all configurations are trained."
        return "Not checked: `sgdbench run` trains some runs again with the reference, and a sweep in Python does not."
    agreement = f"differs by at most {text(fact.error)}" if fact.error else "is the same to the last bit"
    if np.isfinite(fact.loss_error):
        agreement += f", and by {text(fact.loss_error)} relative to it where it is not close to 0"
    until = "" if fact.epoch is None else f" up to epoch {text(fact.epoch)}"
    return (
        f"{text(fact.checked)} of {format_count(fact.configurations, 'configuration')}, drawn at random, "
        f"{'was' if fact.checked == 1 else 'were'} trained again with the plain NumPy reference. Every loss{until} "
        f"{agreement}."
    )


def _say_leading_optimizer(fact: facts.LeadingOptimizer) -> str:
    unsolved = f" No optimizer solves {format_count(fact.unsolved, 'other instance')}." if fact.unsolved else ""
    return (
        f"{fact.optimizer} leads: it solves {percentage(fact.solved)} of {format_count(fact.instances, 'instance')} of "
        f"{format_count(fact.problems, 'problem')} on fresh seeds, and {percentage(fact.within_2)} with at most twice "
        f"the samples of the best optimizer.{unsolved}"
    )


def _say_fewest_samples(fact: facts.FewestSamples) -> str:
    if not fact.optimizers:
        return "No optimizer reaches the target in most of its runs on fresh seeds."
    others = len(fact.optimizers) - MOST_CHEAPEST
    more = f", and {format_count(others, 'other')}" if others > 0 else ""
    return f"{', '.join(fact.optimizers[:MOST_CHEAPEST])}{more}."


def _say_widest_rates(fact: facts.WidestRates) -> str:
    if not fact.decades:
        return "No optimizer has two neighboring learning rates that are both good on any problem."
    listed = ", ".join(f"{optimizer} ({width:.2g})" for optimizer, width in fact.decades.items())
    return f"{listed}, in decades of learning rates, on average over the problems."


def _say_left_out(fact: facts.LeftOut) -> str:
    lacks = {
        "target": "no target was set",
        "success": "no run of the grid reached the target",
        "fresh seeds": "no run was made on fresh seeds",
    }
    named = [f"{', '.join(names)}, where {lacks[lack]}" for lack, names in fact.problems.items()]
    return f"{'; '.join(named)}."


# Why a fit falls short, by the problem.
_PROBLEMS = {
    "scale": "The columns are not on one scale, so no learning rate suits them all",
    "low rate": "The learning rate {lr} is too low",
    "high rate": "The learning rate {lr} is too high{stable}",
    "decay": "Weight decay keeps the parameters from the lowest loss",
    "start": "From this start the run does not come near the lowest loss",
    "epochs": "More epochs are needed",
    "schedule": "The schedule lowers the learning rate too soon",
    "steps": "The steps are too long for the parameters to settle",
    "single samples": "The noise of single samples keeps the parameters on the move",
    "small batches": "The noise of small batches keeps the parameters on the move",
    "order": "Every epoch ends with the same rows",
}


def say_fit_advice(fact: facts.FitAdvice) -> str:
    """Return why a fit fell short, and what helps."""
    if fact.problem == "not finite":
        return "The loss is not finite at the start, so no rate helps: change the start, the model or the data."
    if fact.problem == "overfits":
        return "The loss on held-out rows no longer falls: more --epochs would not lower it."
    is_above = fact.stable and fact.lr > fact.stable
    stable = f": by theory, rates up to about {text(fact.stable, 2)} are stable{fact.where}" if is_above else ""
    problem = _PROBLEMS.get(fact.problem, "").format(lr=text(fact.lr), stable=stable)
    if not fact.changes:
        return (
            f"{f'{problem}. ' if problem else ''}None of {fact.tried} other settings that were tried leaves less than "
            f"{format_percent(ARRIVED_SHARE)} of the achievable improvement."
        )
    left = f"{format_percent(fact.left)} of the achievable improvement is left"
    outcome = left if np.isfinite(fact.left) else f"the loss is then {text(fact.loss)}"
    return f"{problem}. Try {_write_options(fact.changes)} (tried: {outcome})."


def _write_options(changes: facts.Settings) -> str:
    """Return changes of the settings as options of `sgdbench fit`."""
    options = []
    for name, value in changes.items():
        option = f"--{name.replace('_', '-')}"
        quoted = f'"{value}"' if isinstance(value, str) and shlex.quote(value) != value else value
        options.append(option if value is True else f"{option} {quoted}")
    return " ".join(options)


# The subject of each fact, and the sentence on it.
_SAID: dict[type, tuple[str, Callable[[Any], str]]] = {
    facts.OnTestRows: ("On test rows", _say_test_rows),
    facts.NoGain: ("No gain", _say_no_gain),
    facts.NoSkill: ("No gain in accuracy", _say_no_skill),
    facts.Shortfall: ("Not arrived", _say_shortfall),
    facts.UnreachableTarget: ("Not arrived", say_unreachable_target),
    facts.NoChoice: ("Best choice", _say_no_choice),
    facts.BestChoice: ("Best choice", _say_best_choice),
    facts.Ties: ("Ties", _say_ties),
    facts.Confirmation: ("Confirmed", _say_confirmation),
    facts.Edge: ("Edge of the grid", _say_edge),
    facts.Rivals: ("Optimizers", _say_rivals),
    facts.TunedRivals: ("Optimizers, each tuned", _say_tuned_rivals),
    facts.AgainstGrid: ("Against the grid", _say_against_grid),
    facts.Search: ("Search", _say_search),
    facts.Precision: ("Precision", _say_precision),
    facts.Robustness: ("Robustness", _say_robustness),
    facts.SafeRates: ("Safe learning rates", _say_safe_rates),
    facts.Divergence: ("Divergence", _say_divergence),
    facts.Solution: ("Solution", _say_solution),
    facts.Units: ("Units", _say_units),
    facts.LowestLoss: ("Lowest loss", _say_lowest_loss),
    facts.Losses: ("Loss", lambda fact: f"Losses are the mean {fact.records}."),
    facts.Metric: ("{0.name}", _say_metric),
    facts.LeadingOptimizer: ("Over all", _say_leading_optimizer),
    facts.NothingCompared: ("Over all", lambda _: "There is nothing to compare."),
    facts.FewestSamples: ("Fewest samples: {0.problem}", _say_fewest_samples),
    facts.WidestRates: ("Widest good rates", _say_widest_rates),
    facts.LeftOut: ("Not compared", _say_left_out),
    Categories: ("Categories", lambda fact: f"{fact}."),
    Classes: ("Classes", lambda fact: f"{fact}."),
}


def title_missed_target(target: float) -> str:
    """Return the heading of a best choice whose runs missed the target."""
    return f"The best choice; no run reached the target loss {text(target)}"


def say_medians(sample: str, *, with_intervals: bool) -> str:
    """Say over which starts and seeds the figures of the best choice are medians."""
    return f"Medians{' with 95 % intervals' if with_intervals else ''} over {sample}."


def say_rows_on_page(rows: int, configurations: int) -> str:
    """Say how many configurations are in the page's table; nothing if all are."""
    if rows == configurations:
        return ""
    return (
        f"This page holds {text(rows)} of {text(configurations)} configurations, evenly spaced; "
        "tables/configurations.csv has all of them."
    )


def say_constant_settings(settings: Sequence[str]) -> str:
    """Name the settings that all configurations share; nothing if there are none."""
    return f"Constant settings: {', '.join(settings)}." if settings else ""


def say_played(seed: int, seeds: int, starts: tuple[int, int], choices: tuple[int, int]) -> Iterator[str]:
    """Say which runs the page plays: the seed, and how many starts and choices of how many."""
    if seeds > 1:
        yield f"The run has seed {seed}, one of {text(seeds)} seeds."
    played, total = starts
    if played < total:
        first = f"{text(played)} of" if played > 1 else "of"
        yield f"The page plays the first {first} {text(total)} starts."
    played, total = choices
    if played < total:
        yield f"The page plays {text(played)} of {text(total)} choices of settings."


def say_no_study(*, damaged: bool) -> str:
    """Say why a report has no data."""
    return "The study of this run is damaged." if damaged else "The sweep was made without a study."


def say_unreadable_data(error: Exception) -> str:
    """Say that the data of a run cannot be read."""
    return f"The data can no longer be read: {error}."


def say_changed_data(file: str) -> str:
    """Say which file has changed since the run."""
    return f"The data have changed since the run: {file} has other samples."


def say_other_rule(name: str) -> str:
    """Say that a rule of this name differs from the one that the run was trained with."""
    return f"The {name} has changed since the run, whose source is in rules.json: fits with it end elsewhere."


def say_no_stable_rates(most: int, params: int) -> str:
    """Say why the largest stable rates of a model with vectors were not predicted."""
    return (
        f"Stable rates are predicted for models with vectors of up to {most} parameters; for the {text(params)} of "
        "this one that would take long."
    )
