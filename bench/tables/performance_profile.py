"""Performance profiles: optimizers over several problems, and how often each is within a factor of the best.

E. D. Dolan and J. J. Moré, Benchmarking optimization software with performance profiles, Mathematical Programming 91
(2002). A profile rho(tau) is the share of instances that a solver solves at a cost of at most tau times that of the
best solver on the same instance. An instance here is a problem from one start with one fresh seed.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import choice_columns, find_choices, rows_alike, run_costs
from sgdbench.tables.intervals import Pairs, median_interval, row_medians, share_interval
from sgdbench.tables.rank import leaders

# Costs that differ by at most this share are equal.
EQUAL = 0.01
# A rate is good if every run succeeds there, at a median cost of at most this many times that of the best rate.
GOOD = 2.0


def cost_ratios(ranked: pd.DataFrame, fresh: pd.DataFrame) -> pd.DataFrame:
    """Return the costs of the optimizers on one problem, relative to the best one run by run.

    `ranked` is the problem's ranking by samples to the target, and `fresh` are runs of the best choice of each
    optimizer, with seeds that had no part in choosing it. The result has a row per optimizer and a column per start and
    seed: infinite if a run missed the target, NaN in instances that no optimizer solves.
    """
    tops = leaders(ranked)
    choices = choice_columns(fresh)
    runs = run_costs(fresh[find_choices(fresh, tops, choices).notna().to_numpy()], choices)
    costs = np.maximum(runs.costs["samples"], 1.0)
    best = costs.min(axis=0)
    ratios = np.divide(costs, best, out=np.full_like(costs, np.nan), where=np.isfinite(best))
    return pd.DataFrame(
        ratios,
        index=pd.Index(runs.choices["optimizer"].astype(str), name="optimizer"),
        columns=pd.MultiIndex.from_arrays(runs.pairs, names=Pairs._fields),
    )


def good_rates(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return for each optimizer the widest range of good learning rates around its best one on one problem.

    `ranked` is as for `cost_ratios`, and all rates have the other settings of the best one. The result has one row per
    optimizer: `optimizer`, `best`, the rate of its best choice, `lowest` and `highest`, between which every rate tried
    is good, and `decades`, the logarithm of their quotient; missing if no rate is good.
    """
    rows, others = [], [name for name in choice_columns(ranked) if name != "lr"]
    for name, group in ranked.groupby("optimizer", observed=True, sort=False):
        best = group.iloc[0]
        by_rate = rows_alike(group, best, others).sort_values("lr")
        cost = by_rate["samples"].to_numpy(float, na_value=np.inf)
        every = (by_rate["converged"] == by_rate["runs"]).to_numpy(bool)
        rates = by_rate["lr"].to_numpy(float)
        place = int(np.searchsorted(rates, best["lr"]))
        good = every & (cost <= GOOD * cost[place])
        stretch = np.cumsum(~good)
        around = rates[good & (stretch == stretch[place])] if good[place] else np.array([np.nan])
        rows.append((str(name), float(best["lr"]), around[0], around[-1], np.log10(around[-1] / around[0])))
    return pd.DataFrame(rows, columns=["optimizer", "best", "lowest", "highest", "decades"])


def performance_profile(ratios: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the profile of each optimizer over several problems with equal weights.

    `ratios` are the `cost_ratios` by problem. The result has `optimizer`, `tau` and `share`, the steps of a piecewise
    constant function: at each `tau` the share of instances that are solved at no more than tau times the cost of the
    best optimizer.
    """
    finite = np.concatenate([table.to_numpy().ravel() for table in ratios.values()])
    taus = np.unique(np.concatenate([[1.0], finite[np.isfinite(finite)]]))
    names = next(iter(ratios.values())).index
    shares = np.mean(
        [[_share_within(table.loc[name].to_numpy(), taus) for name in names] for table in ratios.values()], axis=0
    )
    steps = pd.DataFrame(
        {"optimizer": np.repeat(names, taus.size), "tau": np.tile(taus, len(names)), "share": shares.ravel()}
    )
    changes = steps["share"].ne(steps.groupby("optimizer", sort=False)["share"].shift())
    return steps[changes].reset_index(drop=True)


def profile_summary(ratios: Mapping[str, pd.DataFrame], rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the optimizers over all problems, best first: how often each wins, comes close and succeeds.

    `ratios` and `rates` are the `cost_ratios` and the `good_rates` by problem. Columns are `optimizer`; the shares of
    instances in which it is the best one but for 1 %, `won`, within twice the best, `within_2`, within ten times,
    `within_10`, and `solved`, each with Wilson's interval, `_low` and `_high`; `ratio`, the median over all instances
    with its interval; `decades`, the mean width of the range of good rates, 0 where no rate is good. Instances of a
    seed from several starts may count as fewer (`sgdbench.tables.intervals`). The order is by the mean of the shares
    within 1, 2, 4, ... 64 times the best.
    """
    together = pd.concat(ratios, axis=1, names=["problem"])
    values = together.to_numpy(float)
    columns = together.columns.to_frame(index=False)
    pairs = Pairs(
        *(columns.groupby(["problem", name], sort=False).ngroup().to_numpy().astype(np.intp) for name in Pairs._fields)
    )
    solved = ~np.isnan(values)
    table = pd.DataFrame({"optimizer": together.index})
    for name, bound in (("won", 1 + EQUAL), ("within_2", 2.0), ("within_10", 10.0), ("solved", np.finfo(float).max)):
        within = values <= bound
        count, of = within.sum(axis=1), np.maximum(solved.sum(axis=1), 1)
        low, high = share_interval(np.where(solved, within, np.nan), pairs)
        table = table.assign(**{name: count / of, f"{name}_low": low, f"{name}_high": high})
    low, high = median_interval(values, pairs=pairs)
    widths = pd.concat([one.set_index("optimizer")["decades"].fillna(0.0) for one in rates.values()], axis=1)
    table = table.assign(ratio=row_medians(values), ratio_low=low, ratio_high=high)
    table["decades"] = table["optimizer"].map(widths.mean(axis=1))
    score = np.mean([(values <= 2.0**power + EQUAL).sum(axis=1) for power in range(7)], axis=0)
    return table.iloc[np.argsort(-score, kind="stable")].reset_index(drop=True)


def problem_ratios(ratios: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the median ratio of each optimizer, a column for each problem; infinite where it mostly fails."""
    return pd.DataFrame({name: pd.Series(row_medians(table.to_numpy()), table.index) for name, table in ratios.items()})


def _share_within(ratios: Floats, taus: Floats) -> Floats:
    """Return the share of the ratios up to each tau, ignoring instances that no optimizer solves."""
    ordered = np.sort(ratios[~np.isnan(ratios)])
    return np.searchsorted(ordered, taus * (1 + 1e-12), side="right") / max(ordered.size, 1)
