"""After the ranking: which choices to train again on fresh seeds, and what these runs decide.

The first choice of a ranking does worse on new seeds: among many choices, it is one of the lucky ones of the good.
Seeds that had no part in the selection give figures without that bias.
"""

import numpy as np
import pandas as pd

from bench.tables.optimizer_comparison import compare_with, find_best
from bench.tables.phrases import describe_choice
from bench.tables.ranking import cost_of, leaders, recommended_choice, summarize
from bench.tables.run_costs import LOSS_FLOOR, RunCosts, check_columns, choice_columns, find_choices, run_costs

# The most tied choices that are run again.
MOST = 20


def winners(ranked: pd.DataFrame, *, most: int = MOST) -> pd.DataFrame:
    """Return the choices to be trained again on fresh seeds, rows of `ranked` in its order.

    These are the recommended one, the first `most` of those that are tied with the best, and the best of each optimizer
    and of each batch size, even if it is not good, because these are compared.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, not {most}")
    chosen = ranked["recommended"] | (ranked["tied"] & (ranked["tied"].cumsum() <= most))
    for name in ("optimizer", "batch_size"):
        if name in ranked:
            chosen |= ~ranked[name].duplicated()
    return ranked[chosen].reset_index(drop=True)


def confirm(
    ranked: pd.DataFrame,
    fresh: pd.DataFrame,
    cost: str = "samples",
    *,
    rivals: str = "optimizer",
    floor: float = LOSS_FLOOR,
    samples: int | None = None,
) -> pd.DataFrame:
    """Add the figures of runs on fresh seeds to a ranking, and let them decide between the optimizers' best choices.

    The recommended choice remains so unless fresh seeds show that the best one of another optimizer is better
    (`bench.tables.optimizer_comparison.find_best`), which is then recommended. So nearly all reported choices were
    selected by other runs; those that were not are the best of a handful, and beyond chance. Fresh seeds also decide
    which of the best choices are tied, and if the best choice of an optimizer is not tied, none of its choices is.

    `fresh` are runs of some choices with seeds that the ranking has not seen, and `rivals` is the column whose values
    are compared, each at its best choice. The figures have `confirmed_` in front of `runs`, `converged`, `diverged`,
    `success` and the costs with their `_low` and `_high`; they are missing for choices without fresh runs. A batch of
    all `samples` is called full.
    """
    by = choice_columns(fresh)
    check_columns(fresh, cost)
    runs = run_costs(fresh, by)
    cost = cost_of(ranked, cost)
    summary = summarize(runs, cost)
    places = find_choices(ranked, summary, by)
    found = (
        summary.drop(columns=by)
        .astype({"runs": "Int64", "converged": "Int64", "diverged": "Int64"})
        .add_prefix("confirmed_")
    )
    confirmed = ranked.join(found.reindex(places).set_axis(ranked.index))
    if rivals not in ranked:
        return confirmed
    selected = recommended_choice(ranked)
    decided = _decide(confirmed, runs, cost, rivals, floor)
    if decided["recommended"].idxmax() != selected.name:
        reason = f"Fresh seeds ruled out the choice that came first before: {describe_choice(selected, samples)}."
        decided["reason"] = np.where(decided["recommended"], reason, "")
    return decided


def _decide(ranked: pd.DataFrame, runs: RunCosts, cost: str, rivals: str, floor: float) -> pd.DataFrame:
    """Recommend the best of the best choices of the rivals, and tie with it those that do not differ from it."""
    costs = runs.comparable(cost, floor)
    # Once the selected choice is ruled out, the first one of its optimizer is a rival: the third round is the last.
    while True:
        tops = leaders(ranked, rivals)
        places = find_choices(tops, runs.choices, choice_columns(runs.choices)).to_numpy(float)
        tops, rows = tops[np.isfinite(places)], places[np.isfinite(places)].astype(np.intp)
        if tops.empty or not tops["recommended"].iloc[0]:
            return ranked
        errors = runs.errors_of(cost, rows)
        best = find_best(costs[rows], errors=errors, pairs=runs.pairs)
        if best == 0:
            break
        ranked["recommended"] = ranked.index == tops.index[best]
    verdicts = compare_with(costs[rows], 0, errors=errors, pairs=runs.pairs)["verdict"].sort_index()
    different, alike = (
        tops[verdicts.isin(found).to_numpy()] for found in (("worse", "better", "fails"), ("no difference found",))
    )
    ties = ranked["tied"] & ~ranked[rivals].isin(different[rivals])
    ranked["tied"] = ranked["recommended"] | ties | ranked.index.isin(alike.index)
    return ranked


def is_confirmed(choice: pd.Series) -> bool:
    """Return whether a row of a ranking was trained again on fresh seeds."""
    return "confirmed_runs" in choice and bool(pd.notna(choice["confirmed_runs"]))
