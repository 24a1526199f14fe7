"""The verdict in at most five short lines, for a terminal; `bench.tables.verdict` has the whole of it."""

import pandas as pd

from bench.tables.formatting import text
from bench.tables.phrases import describe_estimate, describe_order, describe_rival, describe_ties, format_share
from bench.tables.ranking import cost_of, edge_of_rates, recommended_choice, varies
from bench.tables.winners import is_confirmed

# How many tied choices, and how many optimizers besides the first one, are named.
MAX_TIES, MAX_OPTIMIZERS = 2, 4


def headline(ranked: pd.DataFrame, target: float | None, compared: pd.DataFrame | None = None) -> dict[str, str]:
    """Return the best choice, its ties, what fresh seeds say, the edge of the grid, and how optimizers compare.

    Parameters
    ----------
    ranked, target
        As for `bench.tables.verdict.verdict`.
    compared : DataFrame, optional
        The optimizers compared on fresh seeds, as from `bench.tables.optimizer_comparison.compare_optimizers`.

    Returns
    -------
    dict
        A short sentence for each of these subjects of which there is something to say.
    """
    best = recommended_choice(ranked)
    if (ranked["diverged"] == ranked["runs"]).all():
        return {"Best choice": "none: every run diverged. Lower learning rates would help."}
    lines = {
        "Best choice": f"{_settings(best, ranked)}: {_success(best, target)}.",
        "Ties": _ties(ranked, best),
        "Confirmed": _confirmation(best, target),
        "Edge of the grid": _edge(ranked, best),
    }
    if compared is not None:
        lines["Optimizers"] = _optimizers(compared)
    return {about: line for about, line in lines.items() if line}


def _settings(row: pd.Series, ranked: pd.DataFrame) -> str:
    """Return what distinguishes a choice from the others that were tried: "sgd, learning rate 0.8, batch size 1"."""
    words = {
        "optimizer": str(row["optimizer"]),
        "lr": f"learning rate {text(row['lr'])}",
        "batch_size": f"batch size {text(row['batch_size'])}",
        "schedule": str(row["schedule"]),
        "shuffle": describe_order(row["shuffle"]),
        "dtype": str(row.get("dtype")),
    }
    varying = [phrase for name, phrase in words.items() if name in ranked and varies(ranked, name)]
    return ", ".join(varying or [words["optimizer"], words["lr"]])


def _success(row: pd.Series, target: float | None, prefix: str = "") -> str:
    runs, converged = int(row[f"{prefix}runs"]), row[f"{prefix}converged"]
    if target is not None and converged:
        samples = describe_estimate(row, f"{prefix}samples", text)
        return f"{format_share(converged, runs)} runs reached the target, after {samples} samples"
    missed = "" if target is None else "no run reached the target; "
    if f"{prefix}validation_loss" in row:
        return f"{missed}loss on held-out samples {describe_estimate(row, f'{prefix}validation_loss', text)}"
    return f"{missed}final loss {describe_estimate(row, f'{prefix}final_loss', text)}"


def _ties(ranked: pd.DataFrame, best: pd.Series) -> str:
    others = ranked[ranked["tied"] & (ranked.index != best.name)]
    if others.empty:
        return ""
    named = "; ".join(_settings(row, ranked) for _, row in others.head(MAX_TIES).iterrows())
    more = f"; {text(len(others) - MAX_TIES)} more" if len(others) > MAX_TIES else ""
    return f"{describe_ties(len(others))}: {named}{more}."


def _confirmation(best: pd.Series, target: float | None) -> str:
    if not is_confirmed(best):
        return ""
    if target is not None and best["confirmed_converged"]:
        reached = format_share(best["confirmed_converged"], int(best["confirmed_runs"]))
        samples = describe_estimate(best, "confirmed_samples", text)
        return f"{reached} runs on fresh seeds, after {samples} samples."
    return f"on fresh seeds, {_success(best, target, 'confirmed_')}."


def _edge(ranked: pd.DataFrame, best: pd.Series) -> str:
    """Say that a better learning rate may lie beyond those that were tried; empty where the best one is inside."""
    if not (edge := edge_of_rates(ranked, best)):
        return ""
    end, tried = edge
    return f"{text(best['lr'])} is the {end} of {tried} rates; --refine 2 goes beyond it."


def _optimizers(compared: pd.DataFrame) -> str:
    first, *others = [row for _, row in compared.iterrows()]
    cost = cost_of(compared, "samples")
    parts = [f"{row['optimizer']} {describe_rival(row, cost)}" for row in others[:MAX_OPTIMIZERS]]
    more = f"; {text(len(others) - MAX_OPTIMIZERS)} more" if len(others) > MAX_OPTIMIZERS else ""
    return f"compared with {first['optimizer']}, {'; '.join(parts)}{more}."
