"""After the ranking: which choices to train again on fresh seeds, and what these runs decide.

The first choice of a ranking does worse on new seeds: among many choices, it is one of the lucky ones of the good.
Seeds that had no part in the selection give figures without that bias.
"""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from bench.tables.optimizer_comparison import compare_with, find_best
from bench.tables.ranking import cost_of, leaders, summarize
from bench.tables.run_costs import LOSS_FLOOR, RunCosts, check_columns, choice_columns, find_choices, run_costs
from bench.tables.ties import BEST, BETTER, FAILS, INDISTINGUISHABLE, NOT_TIED, TOO_FEW_RUNS, WITHIN, WORSE
from bench.tables.words import describe_choice
from kernels.base.run import Floats

# The most tied choices that are run again.
MOST = 20
# How much a verdict speaks against a choice.
_SEVERITY = {BEST: 0, BETTER: 0, INDISTINGUISHABLE: 1, TOO_FEW_RUNS: 1, WITHIN: 2, WORSE: 3, FAILS: 4}


def winners(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the choices to be trained again on fresh seeds, rows of `ranked` in its order.

    These are the recommended one, the first `MOST` of those that are tied with the best, and the best of each optimizer
    and of each batch size, even if it is not good, because these are compared.
    """
    chosen = ranked["recommended"] | (ranked["tied"] & (ranked["tied"].cumsum() <= MOST))
    chosen |= ~ranked["optimizer"].duplicated() | ~ranked["batch_size"].duplicated()
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
    """Add the figures of runs on fresh seeds to a ranking, and let them decide between the best choices.

    The best choice of an optimizer remains so unless fresh seeds show that another of its choices is better
    (`bench.tables.optimizer_comparison.find_best`), which then takes its place. The recommended choice remains so
    unless they show that the best one of another optimizer is better. So nearly all reported choices were selected by
    other runs; those that were not are the best of a handful, and beyond chance.

    The verdicts of choices that were trained again, compared with the recommended one, are those of the fresh runs,
    unless these are too few. The best choices of the optimizers are compared among themselves, and the others among
    all. A choice has no better verdict than the best one of its optimizer. One that fresh runs rule out is worse, and
    so is one whose runs cost the same.

    `fresh` are runs of some choices with seeds that the ranking has not seen, and `rivals` is the column whose values
    are compared, each at its best choice, its first row. The figures have `confirmed_` in front of `runs`, `converged`,
    `diverged`, `success` and the costs with their `_low` and `_high`; they are missing for choices without fresh runs.
    The recommended choice comes first, then those that are tied with it, then the others. A batch of all `samples` is
    called full.
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
    return _decide(confirmed, _FreshRuns(ranked, runs, runs.ranked_by(cost), floor), rivals, samples)


class _FreshRuns:
    """The runs on fresh seeds of some choices of a ranking, by the labels of its rows."""

    def __init__(self, ranked: pd.DataFrame, runs: RunCosts, cost: str, floor: float) -> None:
        self.runs, self.cost = runs, cost
        self.costs, self.exact = runs.comparable(cost, floor), runs.distinguishable(cost, floor)
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

    def verdicts(self, labels: pd.Index, best: Hashable) -> "pd.Series[str]":
        """Return the verdicts of some choices, compared with the best one of them, where there are enough runs."""
        rows, place = self.rows[labels].to_numpy().astype(np.intp), int(np.argmax(labels == best))
        errors, exact = self.runs.errors_of(self.cost, rows), self.exact[rows]
        compared = compare_with(self.costs[rows], place, exact=exact, errors=errors, pairs=self.runs.pairs)
        verdicts = compared["verdict"].sort_index().set_axis(labels)
        return verdicts[verdicts != TOO_FEW_RUNS]


def _decide(ranked: pd.DataFrame, fresh: _FreshRuns, rivals: str, samples: int | None) -> pd.DataFrame:
    """Put the best of the best choices of the rivals first, and say how the others compare with it."""
    again, names = ranked.index.intersection(fresh.rows.index), ranked[rivals]
    tops = leaders(ranked, rivals).index.intersection(again, sort=False)
    if tops.empty or not ranked["recommended"][tops[0]]:
        return ranked
    leading = tops[:0]
    for top in tops:
        leading = leading.append(fresh.best_of(again[names[again] == names[top]].drop(top).insert(0, top)))
    best = fresh.best_of(leading)[0]
    # Ruled out among fewer choices, of which fewer pairs tell more.
    ruled_out = tops.difference(leading).append(leading[:1].difference([best]))
    verdict = ranked["verdict"].copy()
    verdict.update(fresh.verdicts(again, best))
    verdict[fresh.with_equals(ruled_out)] = WORSE
    of_leading = fresh.verdicts(leading, best)
    verdict.update(of_leading)
    verdict[best] = BEST
    of_own = names.astype(object).map(dict(zip(names[of_leading.index], of_leading, strict=True)))
    verdict = verdict.where(verdict.map(_SEVERITY) >= of_own.map(_SEVERITY).fillna(0), of_own)
    place = pd.Series(np.arange(len(ranked), dtype=float), ranked.index)
    place[leading] = np.minimum(place[leading], place[tops].to_numpy() - 0.5)
    first, reason = ranked.index == best, ranked["reason"].iloc[0]
    if best != ranked.index[0]:
        reason = f"Trained again, the choice that came first was ruled out: {describe_choice(ranked.iloc[0], samples)}."
    with np.errstate(invalid="ignore"):
        ratio = ranked["ratio"] / ranked["ratio"][best]
    tied = ~verdict.isin(NOT_TIED)
    order = np.lexsort([place, ~tied, ~first])
    decided = ranked.assign(ratio=ratio, verdict=verdict, tied=tied, recommended=first)
    decided["reason"] = np.where(first, reason, "")
    return decided.iloc[order].reset_index(drop=True)


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
