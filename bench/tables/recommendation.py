"""The choice to take among those that are equally good."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.run_costs import COST_NAMES, LOSSES, choice_columns
from kernels.base.run import Floats

# Updates that differ by a smaller factor count as equally many.
ALIKE = 1.1


def recommend(
    table: pd.DataFrame,
    *,
    reliable: NDArray[np.bool_],
    cheap: NDArray[np.bool_],
    updates: tuple[Floats, Floats],
    cost: str,
) -> tuple[int, str] | None:
    """Choose among the choices that are tied with the best one; return a row of `table`, and the reason in a sentence.

    The candidates are those that are tied and `cheap`. What decides is counted, not timed: the same runs lead to the
    same choice on every machine. In turn it keeps

    - the one with the fewest updates, and those that do not need more by at least a tenth: samples in larger batches
      take less time. `updates` are the ends of their interval, NaN where they are not known;
    - of these the one farthest from the edge of stability, whose learning rate can be multiplied and divided by the
      largest factor without leaving the range of `reliable` rates around it, with the other settings the same. So both
      of its neighbours on the grid are reliable, if there is such a candidate, and of one range it is the one closest
      to the geometric middle;
    - of these the first.

    The table has the choices, best first, with `tied` and `updates`. None where no choice is tied.
    """
    if not table["tied"].any():
        return None
    candidates = np.flatnonzero(table["tied"].to_numpy(bool) & cheap)
    known = cost not in ("updates", "seconds")
    fewest = _fewest(candidates, table["updates"].to_numpy(float), updates) if known else candidates
    factors = rate_factors(table, reliable)[fewest]
    chosen = int(fewest[np.argmax(factors)])
    tied = int(table["tied"].sum())
    among = "Of the choices tied in the sweep,"  # of which fresh seeds may leave fewer
    if candidates.size < tied:
        among += f" {candidates.size:,} cost nearly the same; of these"
    if 1 < fewest.size < candidates.size:
        among += f" {fewest.size:,} take the fewest updates; of these"
    if len(table) == 1:
        reason = "It is the only choice."
    elif tied == 1:
        reason = "No other choice is tied with it in the sweep."
    elif candidates.size == 1:
        reason = f"Of the choices tied in the sweep, it ranks first by {COST_NAMES[cost]}, compared run by run."
    elif fewest.size == 1:
        reason = f"{among} it takes the fewest updates."
    elif factors.max() > factors.min():
        # A run that is ranked by its loss fails where it diverges, however high the loss is elsewhere.
        failing, outcome = ("diverging", "do not diverge either") if cost in LOSSES else ("failing", "succeed as well")
        reason = (
            f"{among} its learning rate is farthest from {failing}: "
            f"rates up to {factors.max():.3g} times higher and lower {outcome}."
        )
    else:
        reason = f"{among} it ranks first."
    return chosen, reason


def rate_factors(table: pd.DataFrame, good: NDArray[np.bool_]) -> Floats:
    """Return the factor by which each learning rate can be multiplied and divided and stay among good ones.

    Choices that differ in their rates alone form a range. The factor is 1 for a choice next to one that is not good or
    at the end of the grid.
    """
    others = [name for name in choice_columns(table) if name != "lr"]
    groups = table.groupby(others, observed=True, sort=False, dropna=False).ngroup().to_numpy()
    rates = table["lr"].to_numpy(float)
    order = np.lexsort([rates, groups])
    group, rate, fine = groups[order], rates[order], good[order]
    # A stretch of good rates ends with its group and with a rate that is not good, which is a stretch by itself.
    starts = np.concatenate([[True], (np.diff(group) != 0) | ~fine[1:] | ~fine[:-1]])
    stretch = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    last = np.append(first[1:], rate.size) - 1
    factors = np.empty(rate.size)
    # Grids are rounded, and factors that differ by rounding are equal.
    factors[order] = np.round(np.minimum(rate[last[stretch]] / rate, rate / rate[first[stretch]]), 6)
    return factors


def _fewest(candidates: NDArray[np.intp], updates: Floats, bounds: tuple[Floats, Floats]) -> NDArray[np.intp]:
    """Return the candidates that may take the fewest updates, all of them where updates are not known."""
    low, high = (bound[candidates] for bound in bounds)
    known = updates[candidates]
    if not np.isfinite(known).any():
        return candidates
    alike: NDArray[np.bool_] = low <= ALIKE * high[np.nanargmin(known)]
    return candidates[alike]
