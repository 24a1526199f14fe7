"""After the ranking: which choices to train again on fresh seeds, and what these runs decide.

The first choice of a ranking does worse on new seeds: among many choices, it is one of the lucky ones of the good.
Seeds that had no part in the selection give figures without that bias.
"""

import numpy as np
import pandas as pd

from bench.store.evidence import read_tables
from bench.store.results import SweepResult
from bench.tables.optimizer_comparison import compare_with, find_best
from bench.tables.phrases import describe_choice
from bench.tables.ranking import cost_of, leaders, recommended_choice, summarize
from bench.tables.run_costs import LOSS_FLOOR, RunCosts, check_columns, choice_columns, find_choices, run_costs
from kernels.base.run import Floats

# The most tied choices that are run again.
MOST = 20


def winners(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the choices to be trained again on fresh seeds, rows of `ranked` in its order.

    These are the recommended one, the first `MOST` of those that are tied with the best, and the best of each optimizer
    and of each batch size, even if it is not good, because these are compared.
    """
    chosen = ranked["recommended"] | (ranked["tied"] & (ranked["tied"].cumsum() <= MOST))
    chosen |= ~ranked["optimizer"].duplicated() | ~ranked["batch_size"].duplicated()
    return ranked[chosen].reset_index(drop=True)


def confirmation_of(
    result: SweepResult, ranked: pd.DataFrame, asked: pd.DataFrame | None, rivals: str = "optimizer"
) -> SweepResult | None:
    """Return the runs of the leading choices of a ranking on fresh seeds; None where there are none, or not all.

    Nor where the sweep has gone on since, with more epochs or starts, the same seeds, or other choices that lead.
    `asked` are the settings on record in the folder of the sweep.
    """
    confirmation = result.confirmation
    if confirmation is None or asked is None:
        return None
    runs, by = confirmation.frame, choice_columns(confirmation.frame)
    confirmed = read_tables(confirmation.run.folder).get("settings")
    is_about_this = (
        len(runs) == confirmation.planned
        and confirmed is not None
        and asked["epochs"].equals(confirmed["epochs"])
        and bool((result.frame["epochs"] <= asked["epochs"].max()).all())  # on record once all are trained
        and set(runs["init"]) == set(result.frame["init"])
        and set(runs["seed"]).isdisjoint(result.frame["seed"])
        and bool(find_choices(leaders(ranked, rivals), runs[by].drop_duplicates(), by).notna().all())
    )
    return confirmation if is_about_this else None


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

    The best choice of an optimizer remains so unless fresh seeds show that another of its choices is better
    (`bench.tables.optimizer_comparison.find_best`), which then stands for it. The recommended choice remains so unless
    they show that the best one of another optimizer is better. So nearly all reported choices were selected by other
    runs; those that were not are the best of a handful, and beyond chance. Fresh seeds also decide which of the best
    choices are tied. If the best choice of an optimizer is not tied, none of its choices is, and no choice is that
    fresh seeds show to be worse than the recommended one, nor one whose runs cost the same as those of a choice that
    they rule out.

    `fresh` are runs of some choices with seeds that the ranking has not seen, and `rivals` is the column whose values
    are compared, each at its best choice. The figures have `confirmed_` in front of `runs`, `converged`, `diverged`,
    `success` and the costs with their `_low` and `_high`; they are missing for choices without fresh runs.
    `leading` tells which choice stands for each of the rivals. A batch of all `samples` is called full.
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
    selected = recommended_choice(ranked)
    decided = _decide(confirmed, _FreshRuns(ranked, runs, runs.ranked_by(cost), floor), rivals)
    if decided["recommended"].idxmax() != selected.name:
        reason = f"Trained again, the choice that came first was ruled out: {describe_choice(selected, samples)}."
        decided["reason"] = np.where(decided["recommended"], reason, "")
    return decided


class _FreshRuns:
    """The runs on fresh seeds of some choices of a ranking, by the labels of its rows."""

    def __init__(self, ranked: pd.DataFrame, runs: RunCosts, cost: str, floor: float) -> None:
        self.runs, self.cost, self.costs = runs, cost, runs.comparable(cost, floor)
        self.rows = find_choices(ranked, runs.choices, choice_columns(runs.choices)).dropna().astype(int)

    def best_of(self, labels: pd.Index) -> pd.Index:
        """Return the best of some choices, by itself: the first, unless these runs show that another is better."""
        rows = self.rows[labels].to_numpy().astype(np.intp)
        errors = self.runs.errors_of(self.cost, rows)
        return labels[[find_best(self.costs[rows], errors=errors, pairs=self.runs.pairs)]]

    def with_equals(self, labels: pd.Index) -> pd.Index:
        """Return some choices and those whose runs cost the same, such as with a schedule that differs later on."""
        equal = (self.costs[:, np.newaxis] == self.costs[self.rows[labels]]).all(axis=2).any(axis=1)
        found: pd.Index = self.rows.index[equal[self.rows]]
        return found

    def compared(self, labels: pd.Index, best: pd.Index, *verdicts: str) -> pd.Index:
        """Return those of some choices whose comparison with the best one ends in one of these verdicts."""
        rows, place = self.rows[labels].to_numpy().astype(np.intp), int(np.argmax(labels.isin(best)))
        errors = self.runs.errors_of(self.cost, rows)
        found = compare_with(self.costs[rows], place, errors=errors, pairs=self.runs.pairs)
        return labels[found["verdict"].sort_index().isin(verdicts)]


def _decide(ranked: pd.DataFrame, fresh: _FreshRuns, rivals: str) -> pd.DataFrame:
    """Recommend the best of the best choices of the rivals, and tie with it those that do not differ from it."""
    again, names = ranked.index.intersection(fresh.rows.index), ranked[rivals]
    tops = leaders(ranked, rivals).index.intersection(again, sort=False)
    if tops.empty or not ranked["recommended"][tops[0]]:
        return ranked.assign(leading=False)
    leading = tops[:0]
    for top in tops:
        leading = leading.append(fresh.best_of(again[names[again] == names[top]].drop(top).insert(0, top)))
    best = fresh.best_of(leading)
    different = names[fresh.compared(leading, best, "worse", "better", "fails")]
    alike, worse = fresh.compared(leading, best, "no difference found"), fresh.compared(again, best, "worse", "fails")
    # Ruled out among fewer choices, of which fewer pairs tell more.
    ruled_out = tops.difference(leading).append(leading[:1].difference(best))
    ties = ranked["tied"] & ~names.isin(different) & ~ranked.index.isin(worse.append(fresh.with_equals(ruled_out)))
    recommended = ranked.index.isin(best)
    return ranked.assign(
        recommended=recommended,
        tied=recommended | ties | ranked.index.isin(alike.difference(ruled_out)),
        leading=ranked.index.isin(leading),
    )


def is_confirmed(choice: pd.Series) -> bool:
    """Return whether a row of a ranking was trained again on fresh seeds."""
    return "confirmed_runs" in choice and bool(pd.notna(choice["confirmed_runs"]))


def are_same(runs: pd.DataFrame, starts: Floats, samples: int) -> bool:
    """Return whether the runs of a choice are the same for each of several seeds: nothing that matters is drawn.

    They begin at `starts`, shape (runs, P). The order within a batch of all `samples` changes rounding alone.
    """
    ordered = ~runs["shuffle"].astype(bool) | (runs["batch_size"] == samples)
    ends = runs.assign(
        final_loss=[f"{loss:.9g}" for loss in runs["final_loss"]], start=[start.tobytes() for start in starts]
    )
    distinct = ends.groupby("init", observed=True)[["seed", "start", "final_loss"]].nunique()
    one_end = distinct["seed"].gt(1) & distinct["start"].eq(1) & distinct["final_loss"].eq(1)
    return bool(len(runs)) and bool(ordered.all()) and bool(one_end.all())
