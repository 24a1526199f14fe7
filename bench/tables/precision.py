"""Whether precision matters, by a ranking of choices in float64 and in float32."""

import numpy as np
import pandas as pd

from bench.tables.formatting import text
from bench.tables.phrases import describe_success, format_count
from bench.tables.ranking import recommended_choice, varies
from bench.tables.run_costs import choice_columns, find_choices, rows_alike
from bench.tables.ties import INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN


def describe_precision(ranked: pd.DataFrame, target: float | None) -> str:
    """Return a sentence or two on whether precision matters, for the best choice and for all; empty if it is one.

    No effect on the best choice is shown if the same settings in the other precision are indistinguishable from it.
    """
    if "dtype" not in ranked or not varies(ranked, "dtype"):
        return ""
    best, others = recommended_choice(ranked), [name for name in choice_columns(ranked) if name != "dtype"]
    all_pairs = _describe_pairs(ranked, others)
    alike = rows_alike(ranked[ranked["dtype"] != best["dtype"]], best, others)
    if not best["tied"] or alike.empty or alike["verdict"].iloc[0] == TOO_FEW_RUNS:
        return all_pairs
    rival = alike.iloc[0]
    ends = [f"with {row['dtype']}, {describe_success(row, target)}" for row in (best, rival)]
    effect = {INDISTINGUISHABLE: "These runs show no effect of precision on", WITHIN: "Precision matters little for"}
    matters = effect.get(rival["verdict"], "Precision matters for")
    return f"{matters} the best choice: {'; '.join(ends)}. {all_pairs}".rstrip()


def _describe_pairs(ranked: pd.DataFrame, others: list[str]) -> str:
    """Return a sentence on how many choices succeed more or less often in float32 than in float64."""
    single, double = (ranked[ranked["dtype"] == dtype].reset_index(drop=True) for dtype in ("float32", "float64"))
    places = find_choices(single, double, others).to_numpy(float)
    paired = np.isfinite(places)
    if not paired.any():
        return ""
    difference = (
        single["success"].to_numpy(float)[paired] - double["success"].to_numpy(float)[places[paired].astype(int)]
    )
    fewer, more = int((difference < 0).sum()), int((difference > 0).sum())
    whole = format_count(int(paired.sum()), "choice")
    if not fewer + more:
        return f"{f'Each of {whole}' if paired.sum() > 1 else 'The choice'} has as many successful runs in both."
    return f"In {text(fewer)} of {whole} fewer runs succeed in float32 than in float64, and in {text(more)} more."
