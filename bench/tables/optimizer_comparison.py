"""A fair comparison of optimizers: each at its best tried choice."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import (
    LOSS_FLOOR,
    check_columns,
    choice_columns,
    describe,
    find_choices,
    run_costs,
)
from sgdbench.tables.intervals import CONFIDENCE, Pairs, median_interval, row_medians
from sgdbench.tables.rank import cost_of, leaders, summarize
from sgdbench.tables.ties import BEST, BETTER, ROUNDING, SUCCESS_SHARE, classify, fails_more_often, rank_choices


def compare_optimizers(frame: pd.DataFrame, ranked: pd.DataFrame, *, floor: float = LOSS_FLOOR) -> pd.DataFrame:
    """Compare the optimizers, each at its own best choice of the other settings, with that of the recommended choice.

    The choices are those of the ranking `ranked`. An optimizer for which more choices were tried is more likely to have
    a lucky one among them, for which fresh runs as `frame` compensate. A `frame` that lacks a column, or a run of an
    optimizer's best choice, raises a ValueError.

    There is one row per optimizer, that of the recommended choice first: `optimizer`, its other settings, `tried`, the
    number of choices tried; the columns of the ranking from `runs` to the intervals of the losses; `cost`, by which
    they are compared (`RunCosts.compared_by`); and the columns of `compare_with`.
    """
    by = choice_columns(frame)
    check_columns(frame, "samples")
    cost = cost_of(ranked, "samples")
    tops = leaders(ranked)
    runs = run_costs(frame[find_choices(frame, tops, by).notna().to_numpy()], by)
    lacking = find_choices(tops, runs.choices, by).isna().to_numpy()
    if lacking.any():
        choice = describe(tops[by].iloc[int(np.argmax(lacking))])
        raise ValueError(f"frame must have runs of the best choice of each optimizer, and it has none of {choice}")
    order = find_choices(tops, runs.choices, by).to_numpy(int)
    table, cost = summarize(runs, cost), runs.ranked_by(cost)
    table.insert(0, "optimizer", table.pop("optimizer"))
    table.insert(len(by), "tried", table["optimizer"].map(ranked["optimizer"].value_counts()).astype(int))
    table = table.iloc[order].reset_index(drop=True)
    exact = runs.distinguishable(cost, floor)[order]
    verdicts = compare_with(runs.comparable(cost, floor)[order], 0, exact=exact, pairs=runs.pairs)
    table["cost"] = runs.compared_by(cost)
    return table.join(verdicts).loc[verdicts.index].reset_index(drop=True)


def compare_with(
    costs: Floats,
    best: int,
    *,
    exact: Floats | None = None,
    errors: tuple[Floats, Floats] | None = None,
    pairs: Pairs | None = None,
) -> pd.DataFrame:
    """Compare a few rivals with the one in the row `best`.

    `costs` have the shape (rivals, pairs): positive, infinite for a run that failed, NaN for one that was not made. The
    `exact` ones, in which no difference is negligible, decide whether rivals differ at all. `errors` are the ends of an
    interval, relative to its middle, by which all costs of a rival may be off. `pairs` are the starts and seeds;
    dependent pairs count as fewer (`sgdbench.tables.intervals`).

    The best comes first, then the others by their ratio, last those that fail; the index is the row in `costs`. `ratio`
    is the median over the pairs of the cost relative to that of the best, ignoring pairs in which both failed; its
    interval from `ratio_low` to `ratio_high` is missing if there are fewer than six pairs for two rivals, or eight for
    four; and `verdict` is "best", or a word of `ties.classify`: a rival "fails" if half of its runs or more fail, or
    clearly more than of the most successful one; its cost differs if the interval does not include 1; and the runs are
    too few if there is none.
    """
    # The rest of the error probability is for the conclusion that a rival fails.
    confidence = _for_each_pair(1 - (1 - SUCCESS_SHARE) * (1 - CONFIDENCE), len(costs))
    with np.errstate(invalid="ignore"):
        ratios = costs / costs[best]  # NaN where both failed
        low, high = median_interval(ratios, confidence, pairs)
        ends = (low, high) if exact is None else median_interval(exact / exact[best], confidence, pairs)
    if errors is not None:
        low, high = low * errors[0] / errors[1][best], high * errors[1] / errors[0][best]
        low[best] = high[best] = 1.0
    # As printed: an interval whose end rounds to 1 includes 1, unless the interval is no wider than the rounding.
    ratio, low, high = (
        np.array([float(f"{value:.3g}") for value in values]) for values in (row_medians(ratios), low, high)
    )
    unseen = (low == 1) & (high == 1) & ((ends[0] > 1 + ROUNDING) | (ends[1] < 1 - ROUNDING))
    differs, fails = (low > 1) | (high < 1) | unseen, _fails(costs, pairs)
    verdict = classify(ratio, differs=differs, fails=fails, unknown=np.isnan(low))
    if np.isfinite(costs[best]).any():
        verdict[best] = BEST
    table = pd.DataFrame({"ratio": ratio, "ratio_low": low, "ratio_high": high, "verdict": verdict})
    return table.iloc[np.lexsort([ratio, fails, np.arange(len(costs)) != best])]


def find_best(costs: Floats, *, errors: tuple[Floats, Floats] | None = None, pairs: Pairs | None = None) -> int:
    """Return the row of the best of a few rivals: the first one, unless these runs show that another is better.

    A rival is beaten if it fails and others do not, or if another is better (`ties.classify`). If the first is beaten,
    the best is the highest-ranking rival (`ties.rank_choices`) that is not. If every rival that does not fail is
    beaten, from different starts, these runs do not decide between them. Parameters are those of `compare_with`.
    """
    fails = _fails(costs, pairs)
    beaten = fails & ~fails.all()
    for row in np.flatnonzero(~beaten).tolist():
        beaten[row] = compare_with(costs, row, errors=errors, pairs=pairs)["verdict"].eq(BETTER).any()
        if not beaten[0]:
            return 0
    candidates = ~fails if beaten.all() else ~beaten
    order = rank_choices(costs, np.zeros(len(costs))).order
    return 0 if candidates[0] else int(order[candidates[order]][0])


def _for_each_pair(confidence: float, rivals: int) -> float:
    """Return the confidence of one comparison such that all comparisons of two rivals have the given one jointly.

    Whichever rival is the best, the others are then compared with it at that confidence (Bonferroni).
    """
    return 1 - (1 - confidence) / max(1, rivals * (rivals - 1) // 2)


def _fails(costs: Floats, pairs: Pairs | None) -> NDArray[np.bool_]:
    """Return which rivals fail in half of their runs or more, or clearly more often than the most successful one."""
    succeeded, trained = np.isfinite(costs), ~np.isnan(costs)
    mostly: NDArray[np.bool_] = 2 * np.count_nonzero(succeeded, axis=1) > np.count_nonzero(trained, axis=1)
    return ~mostly | fails_more_often(costs, confidence=_for_each_pair(CONFIDENCE, len(costs)), pairs=pairs)
