"""After the ranking: which choices to run again on fresh seeds, and what these say.

Whatever came first in a ranking is worse on new seeds than it was there: with many choices, the first is one of the
lucky ones among the good. Seeds that had no part in the selection give figures without that bias.
"""

from collections.abc import Sequence

import pandas as pd

from bench.tables.choice_ranking import cost_of, summarize
from bench.tables.intervals import CONFIDENCE, check_share
from bench.tables.run_costs import check_columns, choice_columns, find_choices, run_costs

# So many of the tied choices are run again.
MOST = 20


def winners(ranked: pd.DataFrame, *, most: int = MOST) -> pd.DataFrame:
    """Return the choices to be run again on fresh seeds.

    These are the recommended one, the first `most` of those that are tied with the best, and the best of each optimizer
    and of each batch size, even if it is not good, because it is what they are judged by.

    Parameters
    ----------
    ranked : DataFrame
        As from `bench.tables.choice_ranking.ranking`.
    most : int
        At least 1.

    Returns
    -------
    DataFrame
        Rows of `ranked`, in its order.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1, not {most}")
    chosen = ranked["recommended"] | (ranked["tied"] & (ranked["tied"].cumsum() <= most))
    for name in ("optimizer", "batch_size"):
        if name in ranked:
            chosen |= ~ranked[name].duplicated()
    return ranked[chosen].reset_index(drop=True)


def confirm(
    ranked: pd.DataFrame,
    fresh: pd.DataFrame,
    cost: str = "samples",
    *,
    by: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Add to a ranking what runs on fresh seeds say.

    Parameters
    ----------
    ranked : DataFrame
        As from `bench.tables.choice_ranking.ranking`.
    fresh : DataFrame
        Runs of some of its choices, with seeds that the ranking has not seen; columns as for `ranking`.
    cost, by, confidence
        As they were for the ranking.

    Returns
    -------
    DataFrame
        `ranked` with `confirmed_runs`, `confirmed_converged`, and `confirmed_` in front of `success`, `samples`,
        `updates`, `seconds` and `final_loss` with their `_low` and `_high`; missing for choices without fresh runs.
        The order and the ties remain as they were.
    """
    check_share("confidence", confidence)
    by = choice_columns(fresh) if by is None else by
    check_columns(fresh, cost, by)
    runs = run_costs(fresh, by)
    summary = summarize(runs, cost_of(ranked, cost), confidence)
    places = find_choices(ranked, summary, by)
    found = (
        summary.drop(columns=list(by))
        .astype({"runs": "Int64", "converged": "Int64", "diverged": "Int64"})
        .add_prefix("confirmed_")
    )
    return ranked.join(found.reindex(places).set_axis(ranked.index))


def is_confirmed(choice: pd.Series) -> bool:
    """Return whether a row of a ranking was trained again on fresh seeds."""
    return "confirmed_runs" in choice and bool(pd.notna(choice["confirmed_runs"]))
