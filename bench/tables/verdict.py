"""The conclusions of a run in plain sentences, for a terminal or a report."""

import numpy as np
import pandas as pd

from bench.data.scaling import Scaling
from bench.data.units import in_table_units
from bench.tables.formatting import duration, text
from bench.tables.phrases import (
    describe_choice,
    describe_estimate,
    describe_rival,
    describe_ties,
    format_count,
    format_share,
)
from bench.tables.precision import describe_precision
from bench.tables.ranking import cost_of, edge_of_rates, recommended_choice, runs_of
from bench.tables.safe_rates import describe_divergence, describe_safe_rates, safe_rates
from bench.tables.seconds import KERNEL
from bench.tables.winners import is_confirmed
from kernels import Model
from kernels.losses import make_loss
from kernels.losses.loss import Loss

SQUARED = make_loss("squared")
# So many tied choices are named.
MAX_NAMED = 3


def verdict(
    frame: pd.DataFrame,
    ranked: pd.DataFrame,
    model: Model,
    target: float | None,
    scaling: Scaling | None,
    compared: pd.DataFrame | None = None,
    compared_on: str = "",
    criterion: Loss = SQUARED,
    *,
    finer: bool = False,
) -> dict[str, str]:
    """Return the conclusions of a run: the best choice, how sure that is, how robust it is, and what fails.

    Parameters
    ----------
    frame : DataFrame
        One row per configuration, as `bench.tables.ranking` describes it.
    ranked : DataFrame
        As from `bench.tables.ranking.ranking`, and where there are fresh runs as from
        `bench.tables.winners.confirm`.
    model : Model
    target : float or None
        The loss at which the runs stopped.
    scaling : Scaling or None
        The scaling of the data if they were standardized.
    compared : DataFrame, optional
        The optimizers on fresh seeds, as from `bench.tables.optimizer_comparison.compare_optimizers`.
    compared_on : str
        The seeds that it is about, in words.
    criterion : Loss
        The loss that was trained.
    finer : bool
        Whether the fresh runs were recorded at more marks than those of the sweep.

    Returns
    -------
    dict
        Sentences by subject.
    """
    best = recommended_choice(ranked)
    own = runs_of(frame, best)
    sentences = {"Best choice": _describe_best(best, own, ranked, target)}
    if ties := _describe_ties(ranked, best):
        sentences["Ties"] = ties
    if is_confirmed(best):
        sentences["Confirmed"] = _describe_confirmation(best, target, finer=finer)
    if edge := _describe_edge(ranked, best):
        sentences["Edge of the grid"] = edge
    if compared is not None:
        sentences["Optimizers"] = _describe_optimizers(compared, compared_on)
    if precision := describe_precision(ranked, target):
        sentences["Precision"] = precision
    sentences["Robustness"] = _describe_robustness(ranked, target)
    if target is not None:
        sentences["Safe learning rates"] = describe_safe_rates(safe_rates(frame))
    sentences["Divergence"] = describe_divergence(frame)
    sentences["Solution"] = _describe_end(own, model, scaling, criterion)
    if scaling:
        whole = (scaling.y_mean, scaling.y_scale) != (0.0, 1.0)
        what, losses = ("data", "losses ") if whole else ("inputs", "")
        sentences["Units"] = (
            f"The {what} were standardized. Learning rates, starts, {losses}and parameters refer to columns with mean "
            "0 and standard deviation 1 unless stated otherwise."
        ).replace("starts, and", "starts and")
    return sentences


def describe_progress(done: int, planned: int) -> str:
    """Return a sentence on how much of an unfinished run is done; empty if it is complete."""
    if done >= planned:
        return ""
    return f"{text(done)} of {text(planned)} configurations are trained so far."


def _describe_best(best: pd.Series, own: pd.DataFrame, ranked: pd.DataFrame, target: float | None) -> str:
    if (ranked["diverged"] == ranked["runs"]).all():
        return "None: every run diverged."
    named = describe_choice(best)
    over = f"{format_count(own['init'].nunique(), 'start')} and {format_count(own['seed'].nunique(), 'seed')}"
    if target is None or not best["converged"]:
        missed = "" if target is None else f"No run reached the target loss {text(target)}. "
        loss = describe_loss(best)
        return f"{missed}{named}: a median {loss}, over {over}. {best['reason']}".rstrip()
    reached = format_share(best["converged"], best["runs"])
    return (
        f"{named}: {reached} runs, over {over}, reached the target loss {text(target)}, after a median of "
        f"{describe_costs(best)}. {best['reason']}"
    )


def describe_loss(best: pd.Series, prefix: str = "") -> str:
    """Return the loss by which choices are ranked where there is no target: "final loss of 1.25 [1, 1.5]"."""
    if f"{prefix}validation_loss" in best:
        return f"loss on held-out samples of {describe_estimate(best, f'{prefix}validation_loss', text)}"
    return f"final loss of {describe_estimate(best, f'{prefix}final_loss', text)}"


def describe_costs(best: pd.Series, prefix: str = "") -> str:
    """Return the cost of reaching the target in samples, updates and, where it is known, seconds."""
    samples = describe_estimate(best, f"{prefix}samples", text)
    words = f"{samples} samples, {describe_estimate(best, f'{prefix}updates', text)} updates"
    if np.isfinite(best[f"{prefix}seconds"]):
        words += f", {describe_estimate(best, f'{prefix}seconds', duration)} with the kernel {KERNEL}"
    return words


def _describe_ties(ranked: pd.DataFrame, best: pd.Series) -> str:
    others = ranked[ranked["tied"] & (ranked.index != best.name)]
    if others.empty:
        return ""
    named = [describe_choice(row) for _, row in others.head(MAX_NAMED).iterrows()]
    more = f"; and {format_count(len(others) - MAX_NAMED, 'more choice')}" if len(others) > MAX_NAMED else ""
    return f"{describe_ties(len(others))}: {'; '.join(named)}{more}. More seeds may separate them."


def _describe_confirmation(best: pd.Series, target: float | None, *, finer: bool) -> str:
    runs = int(best["confirmed_runs"])
    if target is None or not best["confirmed_converged"]:
        name = "validation_loss" if "validation_loss" in best else "final_loss"
        loss = describe_loss(best, "confirmed_")
        return (
            f"On fresh seeds, {format_count(runs, 'run')} of this choice had a median {loss}; in the sweep it was "
            f"{text(best[name])}."
        )
    reached = format_share(best["confirmed_converged"], runs)
    coarser = ", whose losses were evaluated less often," if finer else ""
    return (
        f"On fresh seeds, {reached} runs of this choice reached the target, after a median of "
        f"{describe_costs(best, 'confirmed_')}. In the sweep{coarser} the median was {text(best['samples'])} samples."
    )


def _describe_edge(ranked: pd.DataFrame, best: pd.Series) -> str:
    """Say that the best learning rate is the lowest or the highest that was tried; empty where it is neither."""
    if not (edge := edge_of_rates(ranked, best)):
        return ""
    end, tried = edge
    beyond = "above" if end == "highest" else "below"
    return (
        f"The best learning rate, {text(best['lr'])}, is the {end} of the {tried} that were tried with these "
        f"settings: a better one may lie {beyond} it. --refine 2 adds such rates."
    )


def _describe_optimizers(compared: pd.DataFrame, seeds: str) -> str:
    """Say how the optimizers compare with that of the best choice, each at its own best choice."""
    first, *others = [row for _, row in compared.iterrows()]
    cost = cost_of(compared, "samples")
    tried = compared["tried"].unique()
    if tried.tolist() == [1]:
        counts = "each at its only choice"
    elif tried.size == 1:
        counts = f"each at the best of its {text(int(tried[0]))} choices"
    else:
        named = ", ".join(f"{text(int(row['tried']))} for {row['optimizer']}" for _, row in compared.iterrows())
        counts = f"each at its best choice of {named}"
    parts = "; ".join(f"{row['optimizer']} {describe_rival(row, cost)}" for row in others)
    return f"Compared with {first['optimizer']}, {counts}, on {seeds}: {parts}."


def _describe_robustness(ranked: pd.DataFrame, target: float | None) -> str:
    share = ranked["converged"] / ranked["runs"]
    if target is None:
        return "The run has no target; choices are ranked by their losses."
    converged, runs = int(ranked["converged"].sum()), int(ranked["runs"].sum())
    always, never = int((share == 1).sum()), int((share == 0).sum())
    return (
        f"{text(converged)} of {format_count(runs, 'run')} reached the target. Of "
        f"{format_count(len(ranked), 'choice')} of settings, {text(always)} reached it in every run and "
        f"{text(never)} in none."
    )


def _describe_end(winner: pd.DataFrame, model: Model, scaling: Scaling | None, criterion: Loss) -> str:
    ended = winner[np.isfinite(winner["final_loss"])]
    if ended.empty:
        return "No run of the best choice ended at finite parameters."
    run = ended.loc[ended["final_loss"].idxmin()]
    trained = run[[f"param_{name}" for name in model.params]].to_numpy(float)
    params, loss, note = in_table_units(model, trained, run["final_loss"], scaling, criterion)
    units = " in the table's own units" if scaling and not note else ""
    values = ", ".join(f"{name} = {value:.6g}" for name, value in zip(model.params, params, strict=True))
    loss_units = " in the table's own units" if scaling and note and criterion.degree else ""
    sentence = f"The best run of this choice has {values}{units}, with loss {loss:.6g}{loss_units}."
    return f"{sentence} {note}" if note else sentence
