"""The history of a search for settings: its best value so far by samples spent, beside a grid in a random order."""

import numpy as np
import pandas as pd

from bench.tables.run_costs import CHOICES

# The quantiles over random orders of the grid.
SHARES = (0.1, 0.5, 0.9)


def search_history(trials: pd.DataFrame) -> pd.DataFrame:
    """Return `TuneResult.trials` with the best value so far.

    `spent` are the samples that all runs up to a trial have seen, those of trials with the same settings once, and
    `best` is the lowest value of the complete trials so far, infinite before the first of them.
    """
    seen = trials.groupby(CHOICES)["samples"].cummax()
    new = seen - seen.groupby([trials[name] for name in CHOICES]).shift(fill_value=0)
    values = np.where(trials["state"] == "complete", trials["value"].to_numpy(float), np.inf)
    return trials.assign(spent=new.cumsum(), best=np.minimum.accumulate(values))


def grid_in_random_order(choices: pd.DataFrame) -> pd.DataFrame:
    """Return the best value among the first k choices of a grid in a random order, for each k.

    Of n choices in all, the best of the first k is at most the i-th lowest with probability 1 - C(n-i, k) / C(n, k).
    `choices` are those of `bench.tables.trial_value.choice_values`. The result has `spent`, the samples of k choices on
    average, and `low`, `median` and `high`: in a tenth, a half and nine tenths of all orders, the best value is at most
    that.
    """
    values, place = np.sort(choices["value"].to_numpy(float)), np.arange(len(choices), dtype=float)
    n, rows = values.size, []
    for tried in range(1, n + 1):
        # C(n-i, k) / C(n, k), factor by factor: none of the i lowest is drawn.
        missed = np.cumprod(np.clip((n - place - tried) / (n - place), 0.0, 1.0))
        rows.append([values[int(np.argmax(1.0 - missed >= share - 1e-12))] for share in SHARES])
    spent = np.arange(1, n + 1) * choices["samples"].mean()
    return pd.DataFrame(rows, columns=["low", "median", "high"]).assign(spent=spent)
