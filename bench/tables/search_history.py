"""How a search for settings went: the best value so far against what was spent, with a grid as the yardstick."""

import numpy as np
import pandas as pd

from kernels.run import Floats

# Of the grids visited in a random order, these shares have found something better by then.
SHARES = (0.1, 0.5, 0.9)


def search_history(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials in the order in which they were asked for, with the best value so far.

    Parameters
    ----------
    trials : DataFrame
        As `TuneResult.trials`.

    Returns
    -------
    DataFrame
        `trial`, counted from 1; `family`, `state`, `value`; `spent`, the samples that all runs up to this trial have
        seen; `best`, the lowest value of the complete trials so far, infinite before the first of them.
    """
    values = np.where(trials["state"] == "complete", trials["value"].to_numpy(float), np.inf)
    return pd.DataFrame(
        {
            "trial": np.arange(1, len(trials) + 1),
            "family": trials["family"],
            "state": trials["state"],
            "value": trials["value"],
            "spent": np.cumsum(trials["samples"].to_numpy(np.int64)),
            "best": np.minimum.accumulate(values),
        }
    ).reset_index(drop=True)


def grid_in_random_order(choices: pd.DataFrame) -> pd.DataFrame:
    """Return the best value that a grid has shown after so many of its choices, if they are tried in a random order.

    After k of n choices, the best of them is at most the i-th lowest with probability 1 - C(n-i, k) / C(n, k).

    Parameters
    ----------
    choices : DataFrame
        `value` and `samples` of each choice, as from `bench.tables.trial_value.choice_values`.

    Returns
    -------
    DataFrame
        `tried`, the number k; `spent`, the samples of k choices on average; and the quantiles of the best value among
        them, `low`, `median` and `high`: in a tenth, a half and nine tenths of all orders it is at most that.
    """
    values = np.sort(choices["value"].to_numpy(float))
    n = values.size
    rows = {name: np.empty(n) for name in ("low", "median", "high")}
    for tried in range(1, n + 1):
        within = _chance_within(n, tried)
        for name, share in zip(rows, SHARES, strict=True):
            rows[name][tried - 1] = values[int(np.argmax(within >= share - 1e-12))]
    counts = np.arange(1, n + 1)
    return pd.DataFrame({"tried": counts, "spent": counts * choices["samples"].mean(), **rows})


def _chance_within(n: int, tried: int) -> Floats:
    """Return how likely one of the i lowest of n values is among so many that are drawn, for i from 1 to n."""
    place = np.arange(n, dtype=float)
    # C(n-i, k) / C(n, k), factor by factor: none of the i lowest is drawn.
    missed: Floats = np.cumprod(np.clip((n - place - tried) / (n - place), 0.0, 1.0))
    return 1.0 - missed


def regret(best: Floats, lowest: float, *, logarithmic: bool) -> Floats:
    """Return how far the best values so far are from the lowest one known.

    Parameters
    ----------
    best : array
    lowest : float
    logarithmic : bool
        Whether values are logarithms to base 10; then it is a ratio, 1 at best, and else a difference, 0 at best.
        Infinite where nothing was found.
    """
    found = np.full(np.shape(best), np.inf)
    known = np.isfinite(best)
    with np.errstate(over="ignore"):
        found[known] = 10 ** (best[known] - lowest) if logarithmic else best[known] - lowest
    return found
