"""Optimizers compared fairly: each at the best of the choices that were tried for it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.choice_ranking import cost_of, ranking, summarize
from bench.tables.intervals import CONFIDENCE, check_share, median_interval, row_medians
from bench.tables.run_costs import LOSS_FLOOR, check_columns, choice_columns, describe, find_choices, run_costs
from bench.tables.ties import SUCCESS_MARGIN, fails_more_often, rank_choices, tied_with_best
from kernels.run import Floats

# Costs that differ by no more than this share are not said to differ.
DIFFERENCE = 0.01


def compare_optimizers(
    frame: pd.DataFrame,
    cost: str = "samples",
    *,
    ranked: pd.DataFrame | None = None,
    by: Sequence[str] | None = None,
    confidence: float = CONFIDENCE,
    tolerance: float = DIFFERENCE,
    success_margin: float = SUCCESS_MARGIN,
    floor: float = LOSS_FLOOR,
) -> pd.DataFrame:
    """Compare the optimizers, each at its own best choice of the other settings.

    An optimizer for which more choices were tried is more likely to have a lucky one among them. Fresh seeds mend that:
    give the ranking as `ranked` and the fresh runs as `frame`.

    Parameters
    ----------
    frame : DataFrame
        As for `bench.tables.choice_ranking.ranking`.
    cost : str
        What is compared: "samples", "updates", "seconds" or "final_loss", as there.
    ranked : DataFrame, optional
        The ranking that says which choice of each optimizer is the best; without it, that of `frame`.
    by : sequence of str
        The columns that make up a choice, `optimizer` among them.
    confidence : float
        Of each interval; and that none of them is called slower if there is no difference. So where there are many
        optimizers, an interval that does not contain 1 may go with "no difference found".
    tolerance : float
        By how much costs may differ, as a share, and still count as equal.
    success_margin, floor : float
        As for `ranking`.

    Returns
    -------
    DataFrame
        One row per optimizer, best first: `optimizer`, the other columns of `by`, `tried`, the number of choices tried;
        the columns of the ranking from `runs` to `final_loss_high`; `ratio`, the median over the pairs of runs of its
        cost relative to that of the best optimizer, where a failed run is infinitely expensive and pairs in which both
        failed do not count; its interval from `ratio_low` to `ratio_high`, missing for fewer than five pairs; and
        `verdict`:

        - "best" for the first one;
        - "fails" if half of its runs or more fail, or clearly more than of the best one;
        - "slower" if its cost is clearly higher;
        - "no difference found" otherwise.

    Raises
    ------
    ValueError
        As `ranking` does; if `optimizer` is not in `by`, or `frame` has no run of an optimizer's best choice.
    """
    by = choice_columns(frame) if by is None else by
    check_columns(frame, cost, by)
    check_share("tolerance", tolerance)
    if "optimizer" not in by:
        raise ValueError(f"by must have 'optimizer' among its columns, not only {', '.join(map(repr, by))}")
    if ranked is None:
        ranked = ranking(frame, cost, by=by, confidence=confidence, success_margin=success_margin, floor=floor)
    cost = cost_of(ranked, cost)
    tops = ranked.drop_duplicates("optimizer")
    runs = run_costs(frame[find_choices(frame, tops, by).notna().to_numpy()], by)
    lacking = find_choices(tops, runs.choices, by).isna().to_numpy()
    if lacking.any():
        choice = describe(tops[list(by)].iloc[int(np.argmax(lacking))])
        raise ValueError(f"frame must have runs of the best choice of each optimizer, and it has none of {choice}")
    table = summarize(runs, cost, confidence)
    table.insert(0, "optimizer", table.pop("optimizer"))
    table.insert(len(by), "tried", table["optimizer"].map(ranked["optimizer"].value_counts()).astype(int))
    verdicts = judge(
        runs.comparable(cost, floor),
        row_medians(runs.comparable("final_loss", floor)),
        confidence=confidence,
        tolerance=tolerance,
        success_margin=success_margin,
        errors=runs.timing_errors if cost == "seconds" else None,
    )
    return table.join(verdicts).loc[verdicts.index].reset_index(drop=True)


def judge(
    costs: Floats,
    tiebreak: Floats,
    *,
    confidence: float = CONFIDENCE,
    tolerance: float = DIFFERENCE,
    success_margin: float = SUCCESS_MARGIN,
    errors: tuple[Floats, Floats] | None = None,
) -> pd.DataFrame:
    """Compare a few rivals, each with the one that turns out to be the best.

    Parameters
    ----------
    costs : array, shape (rivals, pairs)
        Positive; infinite for a run that failed, NaN for one that was not made.
    tiebreak : array, shape (rivals,)
        What decides, the smaller the better, where everything else is equal.
    confidence, tolerance, success_margin : float
        As for `compare_optimizers`.
    errors : tuple of array, shape (rivals,), optional
        The ends of an interval, relative to its middle, by which all costs of a rival may be off.

    Returns
    -------
    DataFrame
        `ratio`, `ratio_low`, `ratio_high` and `verdict` of each rival, best first; the index is its row in `costs`.
    """
    ranks = rank_choices(costs, tiebreak, success_margin)
    best = ranks.order[0]
    with np.errstate(invalid="ignore"):
        ratios = costs / costs[best]  # NaN where both failed
    low, high = median_interval(ratios, confidence)
    if errors is not None:
        low, high = low * errors[0] / errors[1][best], high * errors[1] / errors[0][best]
        low[best] = high[best] = 1.0
    # Any of them might have come first, so that there are as many times more comparisons to go wrong.
    strict = {"confidence": 1 - (1 - confidence) / len(costs), "success_margin": success_margin}
    dearer = ~tied_with_best(costs, ranks, tolerance=tolerance, **strict) & ~(low <= 1)
    succeeded, made = np.isfinite(costs), ~np.isnan(costs)
    mostly = 2 * np.count_nonzero(succeeded, axis=1) > np.count_nonzero(made, axis=1)
    fails = ~mostly | fails_more_often(costs, **strict)
    verdict = np.select([fails, dearer], ["fails", "slower"], "no difference found")
    if succeeded[best].any():
        verdict[best] = "best"
    table = pd.DataFrame({"ratio": row_medians(ratios), "ratio_low": low, "ratio_high": high, "verdict": verdict})
    return table.iloc[ranks.order]
