"""The leading choices once more, with seeds that had no part in choosing them.

The best of many choices is best by merit and by luck, and its figures are too good on average. The same choices on
fresh seeds give figures without that bias.

They are few runs, which are recorded finely: the samples to a target are known to one twentieth of them.
"""

from collections.abc import Iterable
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import pandas as pd

from bench.engine.problem import Problem
from bench.engine.recording import record_settings, settle_record
from bench.engine.train import Executor, train_in_threads, train_plan
from bench.store.results import CONFIRMATION
from bench.study.grid import Grid
from bench.study.run_settings import choice_settings
from bench.tables.run_costs import choice_columns
from bench.tables.winners import winners

# From a mark to the next, 5 % more samples.
PER_DECADE = 50
# Samples on which the losses at all marks that are added may be evaluated: about a second of lanes.
EVALUATED = 1e10


def confirm_choices(
    problem: Problem,
    grid: Grid,
    ranked: pd.DataFrame,
    folder: Path,
    study: str,
    *,
    seeds: int,
    executor: Executor = train_in_threads,
) -> None:
    """Train the leading choices from the starts of a grid with fresh seeds, into a folder within that of the run.

    Parameters
    ----------
    problem : Problem
    grid : Grid
        What was tried.
    ranked : DataFrame
        As from `bench.tables.ranking.ranking`; `bench.tables.winners.winners` says which of them are trained.
        Where no run succeeded there is nothing to confirm.
    folder : path
        That of the run. What is there from an earlier time is not trained again.
    study : str
        The study as a TOML text, for the record.
    seeds : int
        How many.
    executor : Executor
        Where they are trained.
    """
    if ranked["tied"].any():
        train_on_fresh_seeds(
            problem, winners(ranked), fresh_seeds(grid.seed, seeds), grid, folder, study, executor=executor
        )


def train_on_fresh_seeds(
    problem: Problem,
    choices: pd.DataFrame,
    seeds: list[int],
    grid: Grid,
    folder: Path,
    study: str,
    *,
    executor: Executor = train_in_threads,
) -> None:
    """Train choices of settings from the starts of a grid with some seeds; see `confirm_choices`."""
    rows, settings, own = plan_choices(choices, seeds, grid, problem), problem.settings, folder / CONFIRMATION
    # With patience, which marks there are decides where a run ends; without a target, they decide nothing.
    if settings.target is not None and settings.patience is None:
        n = problem.y.size
        more = EVALUATED / (len(rows) * n)
        record = settle_record(settings.record, n, settings.epochs, own, finest=PER_DECADE, more=more)
        problem = replace(problem, clock=replace(problem.clock, record=record))
    train_plan(problem, rows, own, study, resume=True, executor=executor)
    record_settings(own, settings.epochs)


def fresh_seeds(used: Iterable[int], size: int) -> list[int]:
    """Return the first seeds, from 0, that are not among those used."""
    used = set(used)
    return list(islice((seed for seed in count() if seed not in used), size))


def plan_choices(choices: pd.DataFrame, seeds: list[int], grid: Grid, problem: Problem) -> pd.DataFrame:
    """Return the rows of a plan: each of the choices, from each start of a grid, with each of the seeds."""
    parts = [
        Grid(init=grid.init, seed=seeds, **choice_settings(row)).frame(problem.model, problem.y.size)
        for row in choices[choice_columns(choices)].to_dict("records")
    ]
    return join_plans(parts)


def join_plans(plans: list[pd.DataFrame]) -> pd.DataFrame:
    """Put plans one below the other; texts become categories of all of them."""
    texts = [name for name in plans[0] if isinstance(plans[0][name].dtype, pd.CategoricalDtype)]
    joined = pd.concat([plan.astype(dict.fromkeys(texts, object)) for plan in plans], ignore_index=True)
    kinds = {name: pd.CategoricalDtype(pd.Index(joined[name].unique())) for name in texts}
    return joined.astype(kinds)
