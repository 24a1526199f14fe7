"""A search for settings and the grid beside it, as one ranking: fresh seeds decide between their best choices."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from bench.store.evidence import read_tables
from bench.store.results import StoredSweep
from bench.store.tuning import StoredSearch
from bench.tables.excess import add_excess
from bench.tables.ranked_runs import RankedRuns
from bench.tables.run_costs import CHOICES, find_choices
from bench.tables.ties import TOO_FEW_RUNS
from bench.tables.trial_value import rank_trials
from bench.tables.winners import MOST, confirm, winners

GRID = "the grid"
"""The family of the best choice of the grid, among those of the trials."""


@dataclass(frozen=True, eq=False)
class RankedSearch(RankedRuns):
    """The runs of the trials that were trained to their end, and of the best choice of the grid, ranked.

    `of_grid` is the ranking of this choice alone, from `join_grid`.
    """

    tuning: StoredSearch
    of_grid: pd.DataFrame

    rivals: ClassVar[str] = "family"

    def rank(self, cost: str) -> pd.DataFrame:
        """Return the choices of trials by a cost, and that of the grid below them, until fresh seeds decide."""
        of_trials = self.frame.head(len(self.tuning.result.frame))
        ranked = rank_trials(of_trials, self.tuning.trials, cost, floor=self.floor)
        if self.of_grid.empty:
            return ranked
        texts = dict.fromkeys(("optimizer", "schedule"), object)
        return pd.concat([ranked.astype(texts), self.of_grid.astype(texts)], ignore_index=True)


def rank_search(tuning: StoredSearch) -> RankedSearch:
    """Return the runs of a search with those of the best choice of its grid, ranked."""
    runs = RankedRuns(tuning.result, read_tables(tuning.result.run.folder))
    joined, of_grid = join_grid(tuning, runs.floor)
    return RankedSearch(joined, runs.evidence, tuning, of_grid)


def join_grid(tuning: StoredSearch, floor: float) -> tuple[StoredSweep, pd.DataFrame]:
    """Return the runs of a search with those of the best choice of its grid, and a ranking of this choice alone.

    The ranking is empty, and there are no such runs, where there is no grid, where it is not done, or where its best
    choice was not trained again on fresh seeds. These alone compare it with trials: it may have other seeds.
    """
    result, grid, confirmation = tuning.result, tuning.grid, tuning.result.confirmation
    if grid is None or len(grid.frame) < grid.planned or grid.frame.empty or confirmation is None:
        return result, pd.DataFrame()
    ranked = RankedRuns(grid, {}).choices
    fresh = add_excess(confirmation.frame, result.yardstick, floor, result.frame)
    best = confirm(ranked, fresh, floor=floor)[ranked.columns].head(1)
    again = confirmation.frame[CHOICES].drop_duplicates()
    own = find_choices(grid.frame, best, CHOICES).notna()
    if (
        find_choices(best, again, CHOICES).isna().all()
        or grid.frame[own]["config_id"].isin(result.frame["config_id"]).any()
    ):
        return result, pd.DataFrame()
    return tuning.with_grid_runs(own.to_numpy(bool)), best.assign(
        ratio=float("nan"), verdict=TOO_FEW_RUNS, recommended=False, reason="", family=GRID
    )


def choices_to_confirm(tuning: StoredSearch) -> pd.DataFrame:
    """Return the choices that are trained again with fresh seeds; none where no trial was trained to its end.

    They are the first of those that are tied, the first of each optimizer, and those of the grid that a sweep of it
    would train again.
    """
    if tuning.result.frame.empty:
        return pd.DataFrame(columns=CHOICES)
    runs = RankedRuns(tuning.result, {})
    ranked = rank_trials(runs.frame, tuning.trials, floor=runs.floor)
    leading = ranked["tied"] & (ranked["tied"].cumsum() <= MOST)
    chosen = [ranked[leading | ~ranked["family"].duplicated()][CHOICES]]
    if tuning.grid is not None and len(tuning.grid.frame):
        chosen.append(winners(RankedRuns(tuning.grid, {}).choices)[CHOICES])
    joined = pd.concat([part.astype({"optimizer": object, "schedule": object}) for part in chosen])
    return joined.drop_duplicates().reset_index(drop=True)
