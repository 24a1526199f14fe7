"""Confirmation after the ranking: which choices to train again on fresh seeds, and what these runs decide.

The first choice of a ranking does worse on new seeds: among many choices, it is a lucky one of the good ones. Seeds
that had no part in the selection give unbiased figures.
"""

from collections.abc import Hashable, Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.store.evidence import read_tables
from sgdbench.store.results import StoredSweep
from sgdbench.tables.costs import (
    LOSS_FLOOR,
    RunCosts,
    add_excess,
    add_seconds,
    check_columns,
    choice_columns,
    find_choices,
    run_costs,
)
from sgdbench.tables.optimizer_comparison import compare_with, find_best
from sgdbench.tables.rank import cost_of, leaders, ranking, runs_of, summarize
from sgdbench.tables.ties import BEST, BETTER, FAILS, INDISTINGUISHABLE, NOT_TIED, TOO_FEW_RUNS, WITHIN, WORSE
from sgdbench.tables.words import describe_ruled_out

# The maximum number of tied choices that are run again.
MOST = 20
# How strongly a verdict speaks against a choice.
_SEVERITY = {BEST: 0, BETTER: 0, INDISTINGUISHABLE: 1, TOO_FEW_RUNS: 1, WITHIN: 2, WORSE: 3, FAILS: 4}


def winners(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the choices to train again on fresh seeds, as rows of `ranked` in order.

    These are the recommended one, the first `MOST` of those tied with the best, and the best of each optimizer and of
    each batch size, even if it is not good, because these are compared.
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

    The best choice of an optimizer stays unless fresh seeds show that another of its choices is better
    (`sgdbench.tables.optimizer_comparison.find_best`), which then replaces it. The recommended choice stays unless they
    show that the best one of another optimizer is better. Nearly all reported choices were therefore selected by other
    runs; the rest are the best of a handful, and better beyond chance.

    The verdicts of confirmed choices, compared with the recommended one, are those of the fresh runs, unless these are
    too few. The best choices of the optimizers are compared among themselves, and the others among all. A choice has no
    better verdict than the best one of its optimizer. A choice that fresh runs rule out is worse, and so is one whose
    runs cost the same.

    `fresh` are runs of some choices with seeds that the ranking has not seen, and `rivals` is the column whose values
    are compared, each at its best choice, its first row. The figures have the prefix `confirmed_` for `runs`,
    `converged`, `diverged`, `success` and the costs with their `_low` and `_high`; they are missing for choices without
    fresh runs. The recommended choice comes first, then those tied with it, then the others. A batch of all `samples`
    is called full.
    """
    by = choice_columns(fresh)
    check_columns(fresh, cost)
    runs = run_costs(fresh, by)
    cost = cost_of(ranked, cost)
    summary = summarize(runs, cost)
    places = find_choices(ranked, summary, by)
    summaries = (
        summary.drop(columns=by)
        .astype({"runs": "Int64", "converged": "Int64", "diverged": "Int64"})
        .add_prefix("confirmed_")
    )
    confirmed = ranked.join(summaries.reindex(places).set_axis(ranked.index))
    return _decide(confirmed, _FreshRuns(ranked, runs, runs.ranked_by(cost), floor), rivals, samples)


class _FreshRuns:
    """The runs on fresh seeds of some choices of a ranking, by the labels of its rows."""

    def __init__(self, ranked: pd.DataFrame, runs: RunCosts, cost: str, floor: float) -> None:
        self.runs, self.cost = runs, cost
        self.costs, self.exact = runs.comparable(cost, floor), runs.distinguishable(cost, floor)
        self.rows = find_choices(ranked, runs.choices, choice_columns(runs.choices)).dropna().astype(int)

    def best_of(self, labels: pd.Index) -> pd.Index:
        """Return the best of some choices alone: the first, unless these runs show that another is better."""
        rows = self.rows[labels].to_numpy().astype(np.intp)
        errors = self.runs.errors_of(self.cost, rows)
        return labels[[find_best(self.costs[rows], errors=errors, pairs=self.runs.pairs)]]

    def with_equals(self, labels: pd.Index) -> pd.Index:
        """Return some choices and those with equal costs in all runs, such as with a schedule that differs later."""
        equal = (self.costs[:, np.newaxis] == self.costs[self.rows[labels]]).all(axis=2).any(axis=1)
        places: pd.Index = self.rows.index[equal[self.rows]]
        return places

    def verdicts(self, labels: pd.Index, best: Hashable) -> "pd.Series[str]":
        """Return the verdicts of some choices, compared with the best of them, if there are enough runs."""
        rows, place = self.rows[labels].to_numpy().astype(np.intp), int(np.argmax(labels == best))
        errors, exact = self.runs.errors_of(self.cost, rows), self.exact[rows]
        compared = compare_with(self.costs[rows], place, exact=exact, errors=errors, pairs=self.runs.pairs)
        verdicts = compared["verdict"].sort_index().set_axis(labels)
        return verdicts[verdicts != TOO_FEW_RUNS]


def _decide(ranked: pd.DataFrame, fresh: _FreshRuns, rivals: str, samples: int | None) -> pd.DataFrame:
    """Put the best of the rivals' best choices first, and determine how the others compare with it."""
    again, names = ranked.index.intersection(fresh.rows.index), ranked[rivals]
    tops = leaders(ranked, rivals).index.intersection(again, sort=False)
    if tops.empty or not ranked["recommended"][tops[0]]:
        return ranked
    leading = tops[:0]
    for top in tops:
        leading = leading.append(fresh.best_of(again[names[again] == names[top]].drop(top).insert(0, top)))
    best = fresh.best_of(leading)[0]
    # Choices ruled out among fewer ones, where fewer pairs are more informative.
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
        reason = describe_ruled_out(ranked.iloc[0], samples)
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
    """Return whether the runs of a choice are the same for several seeds, because nothing that matters is random.

    They begin at `starts`, shape (runs, P). The order within a batch of all `samples` only changes rounding.
    """
    ordered = ~runs["shuffle"].astype(bool) | (runs["batch_size"] == samples)
    ends = runs.assign(
        final_loss=[f"{loss:.9g}" for loss in runs["final_loss"]], start=[start.tobytes() for start in starts]
    )
    distinct = ends.groupby("init", observed=True)[["seed", "start", "final_loss"]].nunique()
    one_end = distinct["seed"].gt(1) & distinct["start"].eq(1) & distinct["final_loss"].eq(1)
    return bool(len(runs)) and bool(ordered.all()) and bool(one_end.all())


@dataclass(frozen=True, eq=False)
class RankedRuns:
    """The runs of a sweep and the ranking of their choices.

    `evidence` has the measurements made along with the sweep, by name (see `sgdbench.store.evidence`); any may be
    missing. The ranking includes seconds if updates were timed, and runs on fresh seeds if they are in the folder.
    """

    result: StoredSweep
    evidence: Mapping[str, pd.DataFrame]

    # The column of a ranking whose values are compared on fresh seeds, each at its best choice.
    rivals: ClassVar[str] = "optimizer"

    def with_evidence(self, evidence: Mapping[str, pd.DataFrame]) -> Self:
        """Return a copy with further measurements, on which nothing computed so far depends."""
        run_data = copy(self)
        object.__setattr__(run_data, "evidence", evidence)
        return run_data

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per configuration, as described in `sgdbench.tables.rank`."""
        return self._comparable(self.result.frame)

    def _comparable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return runs with the columns by which they are compared: seconds, and distances to the lowest loss."""
        timed = add_seconds(frame, self.evidence.get("costs"))
        return add_excess(timed, self.result.optimum, self.floor, self.result.frame)

    @cached_property
    def floor(self) -> float:
        """The stored loss below which differences are rounding; folders of version 0.2 lack it."""
        return self.result.optimum.rounding or LOSS_FLOOR

    @property
    def samples(self) -> int:
        """The number of samples in the data: a batch of all of them is called full."""
        return self.result.clock.n

    @cached_property
    def fresh(self) -> pd.DataFrame | None:
        """The runs of the leading choices on fresh seeds, like `frame`; None if they are absent or incomplete.

        Also None if the sweep was extended, with more epochs or starts, the same seeds, or other leading choices.
        """
        confirmation, recorded = self.result.confirmation, self.evidence.get("settings")
        if confirmation is None or recorded is None:
            return None
        result, runs, by = self.result, confirmation.frame, choice_columns(confirmation.frame)
        confirmed = read_tables(confirmation.run.folder).get("settings")
        is_about_this = (
            len(runs) == confirmation.planned
            and confirmed is not None
            and recorded["epochs"].equals(confirmed["epochs"])
            and bool((result.frame["epochs"] <= recorded["epochs"].max()).all())  # recorded once all are trained
            and set(runs["init"]) == set(result.frame["init"])
            and set(runs["seed"]).isdisjoint(result.frame["seed"])
            and bool(find_choices(leaders(self.choices, self.rivals), runs[by].drop_duplicates(), by).notna().all())
        )
        return self._comparable(runs) if is_about_this else None

    @cached_property
    def choices(self) -> pd.DataFrame:
        """The ranking by the runs of the sweep alone."""
        return self.rank("samples")

    @property
    def to_confirm(self) -> pd.DataFrame:
        """The choices to train again on fresh seeds; none if no run succeeded, so that none leads."""
        return winners(self.choices) if self.choices["tied"].any() else self.choices.head(0)

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The choices of settings by samples to the target, with the results on fresh seeds."""
        return self.ranked_by("samples")

    def ranked_by(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, as from `sgdbench.tables.confirm.confirm`."""
        if cost == "validation_loss" and self.result.run.identity["validation"] == "none":
            raise ValueError("cost must not be 'validation_loss' where no samples are held out")
        ranked = self.choices if cost == "samples" else self.rank(cost)
        if self.fresh is None:
            return ranked
        return confirm(ranked, self.fresh, cost, rivals=self.rivals, floor=self.floor, samples=self.samples)

    def rank(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, from the runs of the sweep alone."""
        return ranking(self.frame, cost, floor=self.floor)

    def frame_of(self, choice: pd.Series) -> pd.DataFrame:
        """Return the runs by which a choice is judged: those on fresh seeds, if it was confirmed."""
        return self.frame if self.fresh is None or runs_of(self.fresh, choice).empty else self.fresh


def rank_stored(result: StoredSweep) -> RankedRuns:
    """Return the runs of a sweep, with the measurements in its folder, ranked."""
    return RankedRuns(result, read_tables(result.run.folder))
