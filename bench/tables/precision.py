"""Does precision matter? What a ranking of choices in float64 and in float32 says of it."""

import numpy as np
import pandas as pd

from bench.tables.formatting import text
from bench.tables.phrases import describe_estimate, format_count, format_share
from bench.tables.ranking import cost_of, recommended_choice, varies
from bench.tables.run_costs import LOSSES, choice_columns, find_choices


def describe_precision(ranked: pd.DataFrame, target: float | None) -> str:
    """Return a sentence or two on whether precision matters, for the best choice and for all; empty if it is one.

    It does not matter for the best choice if the same settings in the other precision are tied with it.

    Parameters
    ----------
    ranked, target
        As for `bench.tables.verdict.verdict`.
    """
    if "dtype" not in ranked or not varies(ranked, "dtype"):
        return ""
    best, others = recommended_choice(ranked), [name for name in choice_columns(ranked) if name != "dtype"]
    all_pairs = _describe_pairs(ranked, others)
    alike = find_choices(ranked, best.to_frame().T, others).notna() & (ranked["dtype"] != best["dtype"])
    if not best["tied"] or not alike.any():
        return all_pairs
    rival = ranked[alike].iloc[0]
    ends = [f"with {row['dtype']}, {_describe_success(row, target)}" for row in (best, rival)]
    matters = "does not matter" if rival["tied"] else "matters"
    return f"Precision {matters} for the best choice: {'; '.join(ends)}. {all_pairs}".rstrip()


def _describe_success(row: pd.Series, target: float | None) -> str:
    if target is not None and row["converged"]:
        samples = describe_estimate(row, "samples", text)
        return f"{format_share(row['converged'], row['runs'])} runs reached the target, after {samples} samples"
    cost = cost_of(row.to_frame().T, "samples")
    name = cost if cost in LOSSES else "final_loss"
    diverged = f"{format_share(row['diverged'], row['runs'])} runs" if row["diverged"] else "no run"
    missed = "" if target is None else "no run reached the target; "
    what = "loss on held-out samples" if name == "validation_loss" else "final loss"
    return f"{missed}{diverged} diverged; {what} {describe_estimate(row, name, text)}"


def _describe_pairs(ranked: pd.DataFrame, others: list[str]) -> str:
    """Say of how many choices the success depends on the precision."""
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
        return f"Each of {whole} has as many successful runs in both."
    return f"In {text(fewer)} of {whole} fewer runs succeed in float32 than in float64, and in {text(more)} more."
