"""Refinement: learning rates between and beyond those of a grid, near the best choices."""

import numpy as np
import pandas as pd

from sgdbench.engine.plan import join_plans, plan_choices
from sgdbench.engine.problem import Problem
from sgdbench.kernels.base.run import Floats
from sgdbench.study.grid import Grid
from sgdbench.tables.costs import choice_columns, rows_alike
from sgdbench.tables.rank import leaders

# The factor between rates if a single one was tried.
RATE_FACTOR = 2.0


def refined_plan(plan: pd.DataFrame, ranked: pd.DataFrame, grid: Grid, problem: Problem) -> pd.DataFrame | None:
    """Return a plan with more learning rates for the best choice of each optimizer, with its other settings.

    The best choice is the recommended one, and for other optimizers the first.

    The gaps between the best rate and its neighbours are halved, geometrically. If it is the lowest or the highest, the
    rate as far beyond it as its neighbour is on the other side is added too. Return None if the best choice of each
    optimizer is inside the range and tied with its neighbours.
    """
    added = []
    choices, kinds = choice_columns(ranked), [{"dtype": dtype} for dtype in grid.dtype] or [{}]
    for row in leaders(ranked).to_dict("records"):
        others = [name for name in choices if name != "lr"]
        alike = rows_alike(ranked, row, others)
        rates = np.sort(alike["lr"].to_numpy(float))
        tied = set(alike.loc[alike["tied"], "lr"])
        settings = {name: row[name] for name in choices}
        more = new_rates(rates, row["lr"], tied)
        # In every precision, so that choices that differ only in precision can be compared.
        added += [settings | {"lr": rate} | kind for rate in more for kind in kinds]
    if not added:
        return None
    return join_plans([plan, plan_choices(pd.DataFrame(added), grid, problem)])


def new_rates(rates: Floats, best: float, tied: set[float]) -> list[float]:
    """Return the rates to add around the best of sorted ones; none if it is inside and tied with its neighbours."""
    place = int(np.searchsorted(rates, best))
    neighbours = [*rates[:place][-1:], *rates[place + 1 :][:1]]
    if not neighbours:
        return [_round(best / RATE_FACTOR), _round(best * RATE_FACTOR)]
    halfway = [_round(float(np.sqrt(best * near))) for near in neighbours]
    if len(neighbours) == 1:
        halfway.append(_round(best * best / neighbours[0]))
    elif tied.issuperset(neighbours):
        return []
    return [rate for rate in halfway if rate not in rates]


def _round(rate: float) -> float:
    """Return a rate to twelve significant digits, as in grids."""
    return float(f"{rate:.12g}")
