"""The conclusions of a run: five short sentences for a terminal, and all of them for a report."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from bench.data.scaling import Scaling
from bench.data.units import describe_residual_units, in_table_units, write_params
from bench.tables.formatting import duration, shorten_exponent, text
from bench.tables.phrases import (
    describe_choice,
    describe_estimate,
    describe_rival,
    describe_success,
    format_count,
    format_share,
    name_settings,
    success_cost,
)
from bench.tables.precision import describe_precision
from bench.tables.ranking import edge_of_rates, recommended_choice, runs_of, varies
from bench.tables.safe_rates import describe_divergence, describe_safe_rates
from bench.tables.seconds import KERNEL
from bench.tables.ties import BETTER, INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN
from bench.tables.winners import is_confirmed
from kernels import Model
from kernels.losses.loss import Loss
from kernels.model.param_columns import params_of_row

# How many tied choices, and how many optimizers besides the first one, are named.
MAX_TIES, MAX_OPTIMIZERS = 2, 4
# How the verdict on one tied choice, and on several, is said.
_TIES = {
    BETTER: ("is better, and not shown to be the best", "are better, and none is shown to be the best"),
    INDISTINGUISHABLE: tuple(f"{verb} statistically indistinguishable from it" for verb in ("is", "are")),
    WITHIN: tuple(f"{verb} {WITHIN} of it" for verb in ("is", "are")),
    TOO_FEW_RUNS: tuple(f"{verb} too few runs to be compared with it" for verb in ("has", "have")),
}
LOWER_RATES = "Lower learning rates would help."
# Parameters that a sentence names.
MOST_NAMED = 12


def headline(
    ranked: pd.DataFrame,
    target: float | None,
    compared: pd.DataFrame | None = None,
    compared_on: str = "",
    *,
    finer: bool = False,
    same: bool = False,
    samples: int | None = None,
    named: Collection[str] = (),
    beyond: str = "--refine 2",
    chosen_in: str = "the sweep",
    if_all_diverged: str = LOWER_RATES,
) -> dict[str, str]:
    """Return short sentences on the best choice, its ties, its figures on fresh seeds, the edge of the grid, rivals.

    `ranked` is a ranking, or what `bench.tables.winners.confirm` made of it. `compared` are the optimizers on the fresh
    seeds `compared_on`; the fresh runs are `finer` where they were recorded at more marks than those of the sweep, and
    the `same` for every seed where nothing in runs of the best choice is drawn.
    A batch of all `samples` is called full. Choices have the settings in which they differ, and those that are `named`.
    Rates `beyond` those that were tried come from the option or the argument of this name. `chosen_in` is what ranked
    the choices, and `if_all_diverged` follows where every run diverged.
    """
    best = recommended_choice(ranked)
    if (ranked["diverged"] == ranked["runs"]).all():
        return {"Best choice": f"None: every run diverged. {if_all_diverged}"}
    sentences = {
        "Best choice": f"{_name_differences(best, ranked, samples, named)}: {describe_success(best, target)}.",
        "Ties": _describe_ties(ranked, best, samples, named),
        "Confirmed": _describe_confirmation(best, target, chosen_in, finer=finer, same=same)
        if is_confirmed(best)
        else "",
        "Edge of the grid": _describe_edge(ranked, best, beyond),
        "Optimizers": "" if compared is None else _describe_optimizers(compared, compared_on),
    }
    return {about: sentence for about, sentence in sentences.items() if sentence}


def verdict(
    frame: pd.DataFrame,
    ranked: pd.DataFrame,
    target: float | None,
    short: dict[str, str],
    samples: int | None = None,
) -> dict[str, str]:
    """Return all conclusions that need only the tables: the best choice, how robust it is, and what fails.

    `short` are the sentences of `headline`, of which the best choice is described in full.
    """
    best = recommended_choice(ranked)
    sentences = dict(short)
    if not (ranked["diverged"] == ranked["runs"]).all():
        sentences["Best choice"] = _describe_best(best, runs_of(frame, best), target, samples)
    if precision := describe_precision(ranked, target):
        sentences["Precision"] = precision
    if target is not None:
        sentences["Robustness"] = _describe_robustness(ranked, target)
        sentences["Safe learning rates"] = describe_safe_rates(frame, samples)
    sentences["Divergence"] = describe_divergence(frame, samples)
    return sentences


def advise_if_all_diverged(seen: "pd.Series[Any]") -> str:
    """Return the advice for runs all of which diverged, once they had seen these numbers of samples."""
    if seen.eq(0).all():
        return "The loss is not finite where runs start: no rate helps, but other starts, another model or data might."
    return LOWER_RATES


def describe_progress(done: int, planned: int) -> str:
    """Return a sentence on how much of an unfinished run is done; empty if it is complete."""
    if done >= planned:
        return ""
    return f"{text(done)} of {text(planned)} configurations are trained so far."


def describe_solution(run: pd.Series, model: Model, scaling: Scaling | None, criterion: Loss) -> str:
    """Return a sentence on the parameters and the loss of a choice's best run, in the table's units where known."""
    trained = params_of_row(model, run)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling, criterion)
    units = " in the table's own units" if scaling and not note else ""
    values = format_count(params.size, "parameter")
    if params.size <= MOST_NAMED:
        written = map(shorten_exponent, write_params(model, params, None if note else scaling, 6))
        values = ", ".join(f"{name} = {value}" for name, value in zip(model.params, written, strict=True))
    loss_units = " in the table's own units" if scaling and note and criterion.degree else ""
    loss_units = " in standardized units" if describe_residual_units(criterion, scaling) else loss_units
    lowest = shorten_exponent(f"{loss:.6g}")
    sentence = f"The best run of this choice has {values}{units}, with loss {lowest}{loss_units}."
    return f"{sentence} {note}" if note else sentence


def describe_units(center: str, *, losses: bool, residuals: str) -> str:
    """Return sentences on the units of a study whose data were standardized.

    `center` says which columns were centered, `losses` whether targets were scaled too, and the sentence `residuals` in
    which units a loss is that has no counterpart in the table's.
    """
    columns, numbers = ("data", "starts, losses and") if losses else ("inputs", "starts and")
    sizes = {"both": "mean 0 and standard deviation 1", "none": "a root mean square of 1"}
    size = sizes.get(center, "standard deviation 1 or, where they are not centered, a root mean square of 1")
    about = (
        f"The {columns} were standardized. Learning rates, {numbers} parameters refer to columns with {size} unless "
        "stated otherwise."
    )
    return f"{about} {residuals}".rstrip()


def _name_differences(row: pd.Series, ranked: pd.DataFrame, samples: int | None, named: Collection[str]) -> str:
    """Return the settings of a choice that vary between choices: "sgd, learning rate 0.8, batch size 1"."""
    words = name_settings(row, samples)
    varying = [phrase for name, phrase in words.items() if name in named or varies(ranked, name)]
    return ", ".join(varying or [words["optimizer"], words["lr"]])


def _describe_best(best: pd.Series, own: pd.DataFrame, target: float | None, samples: int | None) -> str:
    """Return the best choice with all of its settings, its costs in all currencies, and why it is recommended."""
    sentence, cost = f"{describe_choice(best, samples)}: {describe_success(best, target)}", success_cost(best, target)
    has_median = bool(np.isfinite(best[cost]))
    if cost == "samples" and has_median:
        sentence += f", {describe_estimate(best, 'updates')} updates"
        if np.isfinite(best["seconds"]):
            sentence += f", {describe_estimate(best, 'seconds', duration)} with the kernel {KERNEL}"
    over = f"{format_count(own['init'].nunique(), 'start')} and {format_count(own['seed'].nunique(), 'seed')}"
    return f"{sentence}; {'medians ' if has_median else ''}over {over}. {best['reason']}".rstrip()


def _describe_ties(ranked: pd.DataFrame, best: pd.Series, samples: int | None, named: Collection[str]) -> str:
    """Return which other choices are as good as the best one, or nearly, and how many have too few runs to tell."""
    others = ranked[ranked["tied"] & (ranked.index != best.name)]
    sentences = []
    for word, comparison in _TIES.items():
        alike = others[others["verdict"] == word]
        if alike.empty:
            continue
        chosen = [] if word == TOO_FEW_RUNS else [row for _, row in alike.head(MAX_TIES).iterrows()]
        listed = [_name_differences(row, ranked, samples, named) for row in chosen]
        if listed and len(alike) > MAX_TIES:
            listed.append(f"{text(len(alike) - MAX_TIES)} more")
        one, several = comparison
        counted = f"{format_count(len(alike), 'other choice')} {one if len(alike) == 1 else several}"
        sentences.append(f"{counted}{': ' if listed else ''}{'; '.join(listed)}.")
    return " ".join(sentences)


def _describe_confirmation(best: pd.Series, target: float | None, chosen_in: str, *, finer: bool, same: bool) -> str:
    cost = success_cost(best, target, "confirmed_")
    before = text(best[cost])
    # Losses at fewer marks find the target later, never sooner, and losses at the end are the same.
    finer = finer and cost == "samples" and not best["samples"] <= best["confirmed_samples"]
    if cost == "samples" or best["converged"]:
        counted = cost != "samples" or not np.isfinite(best["samples"])
        before = f"{format_share(best['converged'], best['runs'])} did" if counted else f"after {before}"
    elif np.isinf(best[cost]):
        before = f"{format_share(best['diverged'], best['runs'])} diverged"
    less_often = ", which evaluated losses less often," if finer else ""
    on = "Nothing that its runs depend on is drawn, so all seeds give the same:" if same else "On fresh seeds,"
    return f"{on} {describe_success(best, target, 'confirmed_')}; in {chosen_in}{less_often} {before}."


def _describe_edge(ranked: pd.DataFrame, best: pd.Series, beyond: str) -> str:
    """Return a sentence on a best rate that is the lowest or highest of those tried; empty where it is neither."""
    if not (edge := edge_of_rates(ranked, best)):
        return ""
    end, tried = edge
    return f"{text(best['lr'])} is the {end} of {tried} learning rates; {beyond} goes beyond it."


def _describe_optimizers(compared: pd.DataFrame, seeds: str) -> str:
    """Return how the optimizers compare with that of the best choice, each at its own best choice."""
    first, *others = [row for _, row in compared.iterrows()]
    tried = compared["tried"].unique().tolist()
    counts = f"the best of its {text(tried[0])} choices" if len(tried) == 1 else "its own best choice"
    parts = [f"{row['optimizer']} {describe_rival(row)}" for row in others[:MAX_OPTIMIZERS]]
    more = f"; {text(len(others) - MAX_OPTIMIZERS)} more" if len(others) > MAX_OPTIMIZERS else ""
    each = "" if tried == [1] else f", each at {counts}"
    return f"Compared with {first['optimizer']}{each}, on {seeds}: {'; '.join(parts)}{more}."


def _describe_robustness(ranked: pd.DataFrame, target: float) -> str:
    share = ranked["converged"] / ranked["runs"]
    converged, runs = int(ranked["converged"].sum()), int(ranked["runs"].sum())
    always, never = int((share == 1).sum()), int((share == 0).sum())
    return (
        f"{text(converged)} of {format_count(runs, 'run')} reached the target loss {text(target)}. Of "
        f"{format_count(len(ranked), 'choice')} of settings, {text(always)} reached it in every run and "
        f"{text(never)} in none."
    )
