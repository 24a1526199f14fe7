"""Intervals of medians and shares, and the number of independent runs that the runs of a choice are worth.

Runs with one seed from several starts visit the samples in the same order. If they forget their starts they end alike,
and three starts with twenty seeds are only as informative as twenty runs. The design effect (L. Kish, Survey Sampling,
1965) is the variance of a mean over the runs, relative to that over as many independent ones.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.run import Floats

# The design effect of few seeds is poorly determined: it is averaged with the largest one, or with that of other
# choices, as if there were this many more seeds.
MORE_SEEDS = 2


class Pairs(NamedTuple):
    """The start and the seed of each column of a matrix of runs, as numbers from 0, shape (pairs,) each."""

    starts: NDArray[np.intp]
    seeds: NDArray[np.intp]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Pairs":
        """Return the pairs of the runs of a frame, from its columns `init` and `seed`."""
        return cls(*(pd.factorize(frame[name])[0] for name in ("init", "seed")))


def design_effects(
    values: Floats, pairs: Pairs | None, usual: NDArray[np.bool_] | None = None, unknown: float = 1.0
) -> Floats:
    """Return the design effect of each row of a matrix of runs, from 1 to the number of starts; shape (rows,).

    The `values`, shape (rows, pairs), are finite, or NaN for runs that were not made; without `pairs` runs are
    independent. The starts are given, and the seeds are random: what counts is the difference of a run from the mean of
    its start, and the sums of these over the starts of a seed. If seeds make no difference, the effect is estimated
    from the rows `usual` together, or `unknown` if seeds make none in any of them.
    """
    if pairs is None or not pairs.starts.max(initial=0):
        return np.ones(len(values))
    trained = ~np.isnan(values)
    finite = np.where(trained, values, 0.0)
    means = _sum_groups(finite, pairs.starts) / np.maximum(_sum_groups(trained, pairs.starts), 1)
    rest = np.where(trained, finite - means[:, pairs.starts], 0.0)
    rest[np.abs(rest) <= 1e-9 * np.abs(finite)] = 0.0  # rounding
    among, within = (_sum_groups(rest, pairs.seeds) ** 2).sum(axis=1), (rest**2).sum(axis=1)
    starts, seeds = _sum_groups(trained, pairs.seeds).max(axis=1, initial=1), pairs.seeds.max() + 1
    has_usual = usual is not None and bool(within[usual].any())
    expected = among[usual].sum() / within[usual].sum() if has_usual else starts
    with np.errstate(invalid="ignore", divide="ignore"):
        effects = (seeds * among / within + MORE_SEEDS * expected) / (seeds + MORE_SEEDS)
    return np.asarray(np.clip(np.where(within > 0, effects, expected if has_usual else unknown), 1.0, starts))


def count_independent(counts: Floats | NDArray[np.intp] | int, effects: Floats | float) -> NDArray[np.int64]:
    """Return the number of independent runs that runs count as, given their design effects, rounded down."""
    return np.asarray(np.floor(counts / effects + 1e-9), dtype=np.int64)


def scale_rank(rank: int, of: int, count: int) -> int:
    """Return the place among `count` sorted values at the quantile at which `rank` is among `of` values."""
    return ((2 * rank + 1) * count - of) // (2 * of)


def _sum_groups(values: Floats | NDArray[np.bool_], numbers: NDArray[np.intp]) -> Floats:
    """Return the sums of the columns with each number, shape (rows, numbers)."""
    order = np.argsort(numbers, kind="stable")
    begins = np.searchsorted(numbers[order], np.arange(numbers.max() + 1))
    return np.add.reduceat(values[:, order], begins, axis=1, dtype=np.float64)


CONFIDENCE = 0.95
# The error of an interval may be this multiple of the requested one: that of five values is 6.25 % instead of 5 %.
EXCESS = 1.4


def wilson_interval(successes: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    """Return Wilson's interval at 95 % for a probability, elementwise; at least one trial each.

    E. B. Wilson, Journal of the American Statistical Association 22 (1927). It is within [0, 1] and has a width even
    for no successes and for all, the outcome of most choices of settings.
    """
    from scipy.special import ndtri  # noqa: PLC0415 (heavy; `scipy.stats`, which has this interval, takes 0.4 s more)

    k, n = np.asarray(successes, float), np.asarray(trials, float)
    z, share = float(ndtri(0.5 + 0.5 * CONFIDENCE)), k / n
    middle, width = 2 * k + z**2, z * np.sqrt(4 * k * (1 - share) + z**2)
    low, high = (middle - width) / (2 * (n + z**2)), (middle + width) / (2 * (n + z**2))
    return np.where(k == 0, 0.0, low), np.where(k == n, 1.0, high)


def share_interval(outcomes: Floats, pairs: Pairs | None) -> tuple[Floats, Floats]:
    """Return Wilson's interval for the share of each row of outcomes, 0 or 1; NaN for runs that were not made.

    Runs of a seed from several starts count as fewer (`sgdbench.tables.intervals`), as is usual over the rows: if all
    succeed, a row does not reveal whether they would fail together. If no run of any row differs from the others, a
    seed counts as one run.
    """
    counts, successes = np.maximum(np.count_nonzero(~np.isnan(outcomes), axis=1), 1), np.nansum(outcomes, axis=1)
    several = pairs is not None and pairs.seeds.max(initial=0) > 0
    tells_nothing = several and bool(np.all((successes == 0) | (successes == counts)))
    usual = np.ones(len(outcomes), np.bool_)
    effects = design_effects(outcomes, pairs, usual, unknown=np.inf if tells_nothing else 1.0)
    return wilson_interval(successes / effects, counts / effects)


def row_medians(values: Floats) -> Floats:
    """Return the median of each row, shape (rows,); NaN for a row without values.

    NaN stands for no value. Infinite values count as the largest.
    """
    if not values.shape[1]:
        return np.full(len(values), np.nan)
    ordered, counts = np.sort(values, axis=1), np.count_nonzero(~np.isnan(values), axis=1)
    # An empty row has NaN everywhere.
    rows, lower_places = np.arange(len(values)), np.maximum(counts - 1, 0) // 2
    lower, upper = ordered[rows, lower_places], ordered[rows, counts // 2]
    # Not the mean of two equal values: infinities of both signs would give NaN.
    medians: Floats = np.where(lower == upper, lower, 0.5 * lower + 0.5 * upper)
    return medians


def effects_on_medians(values: Floats, pairs: Pairs | None) -> Floats:
    """Return the design effects on the shares of values below the median of each row, shape (rows,)."""
    middle = row_medians(values)[:, np.newaxis]
    below = np.where(np.isnan(values), np.nan, ((values < middle) + 0.0 + (values <= middle)) / 2)
    return design_effects(below, pairs)


def median_interval(
    values: Floats, confidence: float = CONFIDENCE, pairs: Pairs | None = None
) -> tuple[Floats, Floats]:
    """Return the ends, of shape (rows,), of an interval for the median of the distribution that each row is drawn from.

    The ends are sorted values, as for the sign test. Between two neighbours, one of which has too much confidence and
    the other too little, the end is interpolated on the logarithms (T. P. Hettmansperger, S. J. Sheather, Statistics
    and Probability Letters 4, 1986). This depends little on the distribution: of intervals at 95 %, 94.2 to 95.2 of 100
    held for 6 to 100 values, whether their logarithms were normal, uniform, exponential or Cauchy. If values repeat,
    because costs are counted or recorded at intervals, nothing is interpolated, and more of the intervals hold.

    Five values bound a median with a confidence of at most 93.75 %, from the smallest to the largest, which counts as
    95 %. Fewer do not bound it (four: 87.5 %, three: 75 %, two: 50 %), and there is no interval: NaN. In general there
    is none if the range of the sample misses the median more than 1.4 times as often as requested.

    Negative values have no logarithm and are interpolated themselves; NaN stands for no value. Infinite values count,
    such as those of failed runs: if the median may be infinite because of them, the upper end is.

    Runs of the same seeds from several starts, distinguished by `pairs`, depend on each other: they count as fewer, by
    the design effect on the share of values below the median (`sgdbench.tables.intervals`), and the ends are at the
    same quantiles of the sample. In 2,000 simulations each of 2 to 20 starts with 5 to 20 seeds, 93 to 97 of 100
    intervals held if all or half of the variance was that of seeds, and up to 100 if none was.
    """
    effects = effects_on_medians(values, pairs)
    ordered, counts = np.sort(values, axis=1), np.count_nonzero(~np.isnan(values), axis=1)
    low, high = np.full((2, len(values)), np.nan)
    worth = np.maximum(count_independent(counts, effects), np.minimum(counts, 1))
    for count, independent in np.unique(np.stack([counts, worth], axis=1), axis=0).tolist():
        position = _position(independent, confidence)
        if position is None:
            continue
        rows, (place, weight) = (counts == count) & (worth == independent), position
        outer, inner = (scale_rank(rank, independent, count) for rank in (place, place + 1))
        sample = ordered[rows][:, :count]
        distinct = ~((sample[:, 1:] == sample[:, :-1]) & np.isfinite(sample[:, 1:])).any(axis=1)
        low[rows] = _between(sample[:, outer], sample[:, inner], weight * distinct)
        high[rows] = _between(sample[:, -1 - outer], sample[:, -1 - inner], weight * distinct)
    return low, high


def holm_rejections(p: Floats, level: float) -> NDArray[np.bool_]:
    """Return which of several hypotheses are rejected, so that any true one is with a probability of at most `level`.

    The smallest p-value is compared with level / count, the next one with level / (count - 1) and so on, up to the
    first that is larger (S. Holm, Scandinavian Journal of Statistics 6, 1979).
    """
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / np.arange(p.size, 0, -1)
    rejected = np.empty(p.size, bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected


@cache
def _position(count: int, confidence: float) -> tuple[int, float] | None:
    """Return the place of the lower end in a sorted sample: an index, and the fraction of the way to the next one."""
    from scipy.special import bdtr  # noqa: PLC0415 (heavy)

    def actual(rank: int) -> float:
        """Return the confidence of the interval from the value of this rank to the one of this rank from the end."""
        return 1 - 2 * float(bdtr(rank - 1, count, 0.5))

    if count < 2 or 1 - actual(1) > EXCESS * (1 - confidence):
        return None
    if actual(1) <= confidence:
        return 0, 0.0
    rank = 1
    while actual(rank + 1) >= confidence:
        rank += 1
    excess = (actual(rank) - confidence) / (actual(rank) - actual(rank + 1))
    return rank - 1, (count - rank) * excess / (rank + (count - 2 * rank) * excess)


def _between(start: Floats, end: Floats, weights: Floats) -> Floats:
    """Interpolate on the logarithms, where values may be 0 and infinite; negative values are interpolated directly."""
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.exp((1 - weights) * np.log(start) + weights * np.log(end))
        between = np.where((start < 0) | (end < 0), (1 - weights) * start + weights * end, between)
    return np.where((weights == 0) | (start == end), start, between)
