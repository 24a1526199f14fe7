"""The best choice on the rows for the test: figures by which nothing was chosen."""

import numpy as np
import pandas as pd

from bench.tables.dependence import Pairs
from bench.tables.formatting import text
from bench.tables.intervals import median_interval, row_medians
from bench.tables.phrases import describe_estimate, format_count

ABOUT_ROWS = ["rows", "constant", "most_frequent"]
NAMES = {"rmse": "RMSE", "r2": "R²"}


def summarize_judged(judged: pd.DataFrame, pairs: Pairs | None = None) -> pd.Series:
    """Return the medians over runs, with their intervals.

    `judged` has one row per run: `config_id`, `samples_seen`, `rows`, the loss of the best `constant` for them, of
    classes the share of the `most_frequent`, `loss`, and a column for each other figure. The result has `runs`, what
    is known about the rows, and each figure with its `_low` and `_high`. A figure that is not a number, as of a run
    that diverged, counts as the worst; one that no run has is left out. `pairs` are the starts and seeds of the runs.
    """
    facts = judged[judged.columns.intersection(ABOUT_ROWS)]
    found: dict[str, float] = {"runs": len(judged), **facts.iloc[0]}
    for name, column in judged.drop(columns=["config_id", "samples_seen", *facts]).items():
        # The share of the variance that is left has a logarithm, which the interval wants.
        values = np.array([1 - column if name == "r2" else column], float)
        if np.isnan(values).all() and name != "loss":
            continue
        values[np.isnan(values)] = 0.0 if name == "accuracy" else np.inf
        bounds = [end[0] for end in median_interval(values, pairs=pairs)]
        middle = row_medians(values)[0]
        low, high = [1 - end for end in bounds[::-1]] if name == "r2" else bounds
        found |= {str(name): 1 - middle if name == "r2" else middle, f"{name}_low": low, f"{name}_high": high}
    return pd.Series(found, dtype=float)


def describe_judged(found: pd.Series, label: str, runs: str, scale: float, units: str) -> str:
    """Return a sentence on the figures of `summarize_judged`.

    `label` is the name of the recorded loss, `runs` says which runs they are of ("of the best choice on fresh seeds"),
    and an RMSE is multiplied by `scale` to be in the `units` (" in the table's units").
    """
    said = [f"median {label} {describe_estimate(found, 'loss', text)}"]
    for name in found.index:
        if f"{name}_low" not in found or name == "loss":
            continue
        scaled = found * scale if name == "rmse" else found
        said.append(f"{NAMES.get(name, name)} {describe_estimate(scaled, name, text)}{units if name == 'rmse' else ''}")
    counted = f"{format_count(int(found['runs']), 'run')} {runs}"
    if "[" in "".join(said) or "±" in "".join(said):
        counted = f"intervals over {counted}"  # the rows are the same for all
    return f"{', '.join(said)}; {counted}, on {format_count(int(found['rows']), 'row')} that decided nothing."
