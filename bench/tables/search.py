"""Searches for settings: the value of a trial, their history, and their best choices beside those of a grid."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.store.evidence import read_tables
from sgdbench.store.results import StoredSweep
from sgdbench.store.tuning import StoredSearch
from sgdbench.tables.confirm import MOST, RankedRuns, confirm, winners
from sgdbench.tables.costs import CHOICES, add_excess, find_choices, ranking_loss
from sgdbench.tables.rank import ranking
from sgdbench.tables.ties import TOO_FEW_RUNS

HOPELESS = 4.0
"""A trial whose value, a logarithm, exceeds the best one by this much is hopeless, whatever its value is."""


def trial_value(
    samples: NDArray[np.integer],
    converged: NDArray[np.bool_],
    losses: Floats,
    target: float | None,
    floor: float,
    *,
    nonnegative: bool = True,
) -> float:
    """Return the value of a trial from its runs, none of which diverged.

    With a target it is the base-10 logarithm of the samples per success: the samples that all runs have seen per run
    that reached the target, an estimate of the expected running time of N. Hansen, A. Auger, R. Ros, S. Finck, P.
    Pošík, Comparing results of 31 algorithms from the black-box optimization benchmarking BBOB-2009 (GECCO 2010). If no
    run reached the target it is the logarithm of all samples plus 1 and the mean logarithm of the distance from the
    losses to the target: higher than with one success, and lower for losses nearer to the target. Without a target it
    is the mean base-10 logarithm of the losses, or the mean of losses that may be negative.

    `samples` and `losses` have one entry per run: the samples seen until it reached the target or ended, and the finite
    loss of the parameters that it keeps. Below `floor`, differences of losses are rounding.
    """
    if target is None:
        return float(np.mean(np.log10(np.maximum(losses, floor)) if nonnegative else losses))
    spent, successes = max(float(np.sum(samples)), 1.0), int(np.count_nonzero(converged))
    if successes:
        return math.log10(spent / successes)
    with np.errstate(divide="ignore"):  # logarithms, because the quotient may be too large for a float
        excess = np.log(np.maximum(losses / 2 - target / 2, 0)) + math.log(2) - math.log(max(abs(target), floor))
    distance = np.logaddexp(0.0, excess) / math.log(10)
    return math.log10(spent) + 1 + float(np.mean(distance))


def choice_values(frame: pd.DataFrame, target: float | None, floor: float, *, nonnegative: bool = True) -> pd.DataFrame:
    """Return the value that each choice of settings in a frame has as a trial.

    The runs were fully trained. There is one row per choice: its settings, `value`, which is infinite if a run
    diverged, and the `samples` that its runs have seen in total.
    """
    rows = []
    losses = ranking_loss(frame) if target is None else "final_loss"
    for key, runs in frame.groupby(CHOICES, observed=True, sort=False):
        samples, ended = runs["samples_seen"].to_numpy(), runs[losses].to_numpy(float)
        converged, value = (runs["status"] == "converged").to_numpy(), math.inf
        if not (runs["status"] == "diverged").any():
            value = trial_value(samples, converged, ended, target, floor, nonnegative=nonnegative)
        rows.append(dict(zip(CHOICES, key, strict=True)) | {"value": value, "samples": int(samples.sum())})
    return pd.DataFrame(rows, columns=[*CHOICES, "value", "samples"])


def rank_trials(runs: pd.DataFrame, trials: pd.DataFrame, cost: str = "samples", *, floor: float) -> pd.DataFrame:
    """Rank the choices of the fully trained trials, and recommend one.

    Each trial has its own settings, so neighbouring rates are not comparable. The column `family` is the optimizer as
    given to the search.
    """
    ranked, distinct = ranking(runs, cost, floor=floor, by_rates=False), trials.drop_duplicates(CHOICES)
    places = find_choices(ranked, distinct, CHOICES).to_numpy(int)
    return ranked.assign(family=distinct["family"].to_numpy(object)[places])


# The quantiles over random orders of the grid.
SHARES = (0.1, 0.5, 0.9)


def search_history(trials: pd.DataFrame) -> pd.DataFrame:
    """Return `TuneResult.trials` with the best value so far.

    `spent` are the samples that all runs up to a trial have seen, counting those of trials with the same settings once,
    and `best` is the lowest value of the complete trials so far, infinite before the first of them.
    """
    trained = trials.groupby(CHOICES)["samples"].cummax()
    new = trained - trained.groupby([trials[name] for name in CHOICES]).shift(fill_value=0)
    values = np.where(trials["state"] == "complete", trials["value"].to_numpy(float), np.inf)
    return trials.assign(spent=new.cumsum(), best=np.minimum.accumulate(values))


def grid_in_random_order(choices: pd.DataFrame) -> pd.DataFrame:
    """Return the best value among the first k choices of a grid in a random order, for each k.

    Of n choices in all, the best of the first k is at most the i-th lowest with probability 1 - C(n-i, k) / C(n, k).
    `choices` are from `sgdbench.tables.search.choice_values`. The result has `spent`, the average samples of k choices,
    and `low`, `median` and `high`: in a tenth, a half and nine tenths of all orders, the best value is at most that.
    """
    values, place = np.sort(choices["value"].to_numpy(float)), np.arange(len(choices), dtype=float)
    n, rows = values.size, []
    for tried in range(1, n + 1):
        # C(n-i, k) / C(n, k), factor by factor: none of the i lowest is drawn.
        missed = np.cumprod(np.clip((n - place - tried) / (n - place), 0.0, 1.0))
        rows.append([values[int(np.argmax(1.0 - missed >= share - 1e-12))] for share in SHARES])
    spent = np.arange(1, n + 1) * choices["samples"].mean()
    return pd.DataFrame(rows, columns=["low", "median", "high"]).assign(spent=spent)


GRID = "the grid"
"""The family of the best choice of the grid, among those of the trials."""


@dataclass(frozen=True, eq=False)
class RankedSearch(RankedRuns):
    """The runs of the fully trained trials, and of the best choice of the grid, ranked.

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

    The ranking is empty, and there are no such runs, if there is no grid, if it is not complete, or if its best choice
    was not confirmed on fresh seeds. Only these compare it with trials, because its other seeds may differ.
    """
    result, grid, confirmation = tuning.result, tuning.grid, tuning.result.confirmation
    if grid is None or len(grid.frame) < grid.planned or grid.frame.empty or confirmation is None:
        return result, pd.DataFrame()
    ranked = RankedRuns(grid, {}).choices
    fresh = add_excess(confirmation.frame, result.optimum, floor, result.frame)
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
    """Return the choices to train again with fresh seeds; none if no trial was fully trained.

    They are the first of the tied ones, the first of each optimizer, and those of the grid that a sweep of it would
    train again.
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
