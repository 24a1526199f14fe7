"""The plan of a sweep: a row per configuration to train."""

from contextlib import suppress

import numpy as np
import pandas as pd

from sgdbench.engine.problem import Problem
from sgdbench.store.evidence import read_table_of
from sgdbench.store.results import REFINED_COLUMN, match_precision, read_plan
from sgdbench.store.run_folder import OUT_ADVICE, Run
from sgdbench.study.grid import Grid
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.formatting import text
from sgdbench.tables.words import format_count

# A message names at most this many values of a setting.
MAX_VALUES_NAMED = 3


def plan_choices(choices: pd.DataFrame, repeats: Grid, problem: Problem) -> pd.DataFrame:
    """Return the rows of a plan: each choice from each start of a grid with each of its seeds."""
    columns = choice_columns(choices)
    dtype = "float64" if "dtype" in columns else None
    each = Grid(init=repeats.init, seed=repeats.seed, dtype=dtype).frame(problem.model, problem.y.size)
    plan = pd.concat([each] * len(choices), ignore_index=True)
    for name in columns:
        values = np.repeat(choices[name].to_numpy(), len(each))
        is_text = isinstance(each[name].dtype, pd.CategoricalDtype)
        plan[name] = pd.Categorical(values, pd.unique(values)) if is_text else values
    return plan.astype({"lr": float, "batch_size": np.int64, "shuffle": bool})


def join_plans(plans: list[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate plans; texts become categories of all of them."""
    texts = [name for name in plans[0] if isinstance(plans[0][name].dtype, pd.CategoricalDtype)]
    joined = pd.concat([plan.astype(dict.fromkeys(texts, object)) for plan in plans], ignore_index=True)
    kinds = {name: pd.CategoricalDtype(pd.Index(joined[name].unique())) for name in texts}
    return joined.astype(kinds)


def extend_plan(run: Run, plan: pd.DataFrame, grid: Grid, problem: Problem) -> pd.DataFrame:
    """Return the plan of a sweep with the learning rates that its folder holds from earlier rounds of refinement.

    The plan has ids and begins with the rows of the grid. The refined learning rates are planned for all starts and
    seeds of the grid, so that choices stay comparable. A grid that lacks configurations of an earlier grid with results
    in the folder raises a ValueError: its report would no longer show them.
    """
    before = _planned_before(run)
    dropped = before[~before["config_id"].isin(plan["config_id"])]
    if len(dropped):
        # Schedules that depend on the total epochs get other ids with more epochs. An unknown rule is not in the grid.
        with suppress(ValueError):
            ids = problem.with_ids(dropped.drop(columns="config_id"))["config_id"]
            dropped = dropped[~ids.isin(plan["config_id"])]
    if lost := int((~dropped[REFINED_COLUMN]).sum()):
        remaining = before[before["config_id"].isin(plan["config_id"])]
        values = _describe_dropped(dropped[~dropped[REFINED_COLUMN]], remaining if len(remaining) else plan)
        raise ValueError(
            f"{run.folder} holds {format_count(lost, 'configuration')} that this grid does not have{values}: choose "
            f"{OUT_ADVICE}, or add them to the grid"
        )
    if len(dropped):
        choices = match_precision(dropped, plan)
        choices = choices[choice_columns(choices)].drop_duplicates()
        more = problem.with_ids(plan_choices(choices, grid, problem))
        plan = join_plans([plan, more]).drop_duplicates("config_id", ignore_index=True)
    return plan.assign(**{REFINED_COLUMN: np.arange(len(plan)) >= grid.size})


def _planned_before(run: Run) -> pd.DataFrame:
    """Return the rows of the plan in a folder that have results there; none if the plan is missing or damaged."""
    stored = run.configurations(["config_id"])["config_id"]
    none = pd.DataFrame(columns=["config_id", REFINED_COLUMN]).astype({REFINED_COLUMN: bool})
    if stored.empty:
        return none
    try:
        plan = read_plan(run)
        if REFINED_COLUMN not in plan:  # folders of an older version only record whether learning rates were refined
            rounds = read_table_of(run.folder, "settings").get("refine", default=pd.Series([0]))
            plan[REFINED_COLUMN] = bool(rounds.max() > 0)
    except ValueError:
        return none
    return plan[plan["config_id"].isin(stored)]


def _describe_dropped(dropped: pd.DataFrame, others: pd.DataFrame) -> str:
    """Return the values of each setting that only the dropped configurations have, in parentheses."""
    named = []
    for name in [*choice_columns(dropped), "init", "seed"]:
        if values := [value for value in dropped[name].unique() if value not in set(others.get(name, ()))]:
            more = f" and {text(len(values) - MAX_VALUES_NAMED)} more" if len(values) > MAX_VALUES_NAMED else ""
            listed = [text(value if isinstance(value, float) else str(value)) for value in values[:MAX_VALUES_NAMED]]
            named.append(f"{name} {', '.join(listed)}{more}")
    return f" ({'; '.join(named)})" if named else ""
