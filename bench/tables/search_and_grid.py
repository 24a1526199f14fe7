"""A search for settings and the grid beside it, as one ranking: fresh seeds decide between their best choices."""

import pandas as pd

from bench.store.results import SweepResult
from bench.store.tuning import TuneResult
from bench.tables.excess import add_excess
from bench.tables.ranking import ranking
from bench.tables.run_costs import CHOICES, find_choices
from bench.tables.ties import TOO_FEW_RUNS
from bench.tables.trial_value import rank_trials
from bench.tables.winners import confirm

GRID = "the grid"
"""The family of the best choice of the grid, among those of the trials."""


def join_grid(tuning: TuneResult, floor: float) -> tuple[SweepResult, pd.DataFrame]:
    """Return the runs of a search with those of the best choice of its grid, and a ranking of this choice alone.

    The ranking is empty, and there are no such runs, where there is no grid, where it is not done, or where its best
    choice was not trained again on fresh seeds. These alone compare it with trials: it may have other seeds.
    """
    result, grid, confirmation = tuning.result, tuning.grid, tuning.result.confirmation
    if grid is None or len(grid.frame) < grid.planned or grid.frame.empty or confirmation is None:
        return result, pd.DataFrame()
    ranked = ranking(add_excess(grid.frame, grid.yardstick, floor), floor=floor)
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


def rank_with_grid(
    runs: pd.DataFrame, trials: pd.DataFrame, of_grid: pd.DataFrame, cost: str = "samples", *, floor: float
) -> pd.DataFrame:
    """Rank the choices of trials, and put that of the grid, from `join_grid`, below them, until fresh seeds decide."""
    ranked = rank_trials(runs, trials, cost, floor=floor)
    if of_grid.empty:
        return ranked
    texts = dict.fromkeys(("optimizer", "schedule"), object)
    return pd.concat([ranked.astype(texts), of_grid.astype(texts)], ignore_index=True)
