"""Steps in the speed of a benchmark over time, and drifts, which are none.

A history is a row of times, one for each commit, in the order of commits. Nothing is assumed about their noise but that
it is independent from commit to commit: what counts is a test of ranks.
"""

from collections.abc import Iterator
from itertools import pairwise
from math import comb
from typing import NamedTuple

import numpy as np

from bench.timing.paired import CONFIDENCE, FEWEST, Ratio
from kernels.base.run import Floats

# Two levels, each of as many commits as an interval needs.
SHORTEST = 2 * FEWEST
# Up to this many pairs the distribution of ranks is computed. For more it is the normal one, with its wider tails.
EXACT_PAIRS = 10_000
# Logarithms are clipped this many median deviations from their median, so that no single value attracts a step.
REACH = 5.0
# Candidates are splits, and stretches in the middle: two tests in place of one.
KINDS = 2


def find_steps(times: Floats, *, tests: int = 1) -> list[int]:
    """Return the places at which a new level begins, in order: at least 5 apart, and as far from both ends.

    Candidates are those of circular binary segmentation (A. B. Olshen, E. S. Venkatraman, R. Lucito, M. Wigler,
    Biostatistics 5, 2004): the split, or the stretch in the middle, that differs most from the rest by least squares,
    and then the same in each part. One counts if a two-sided Mann-Whitney test tells its sides apart, its p-value
    multiplied by the number of places where it could have been, and by `tests`, the number of histories that are
    searched (Bonferroni). So at most 5 of 100 histories without a step show one, whatever the distribution of the
    noise, if it is independent.
    """
    logs = np.log(times)
    level = (1 - CONFIDENCE) / tests
    cuts = sorted(_search(logs, 0, level))
    while cuts:
        ends = [0, *cuts, logs.size]
        p_values = []
        # A step was found beside others that have been added or dropped since, so it is placed and tested once more.
        for i in range(1, len(ends) - 1):
            part = logs[ends[i - 1] : ends[i + 1]]
            place = _best_split(part)
            ends[i] = ends[i - 1] + place
            p_values.append(_splits(part.size) * _test(part[:place], part[place:]))
        cuts = ends[1:-1]
        weakest = int(np.argmax(p_values))
        if p_values[weakest] <= level:
            break
        del cuts[weakest]
    return cuts


def fewest_commits(tests: int) -> int:
    """Return the length of the shortest history in which a step can be found, if it is in the middle."""
    size = SHORTEST
    while KINDS * _splits(size) * 2 / comb(size, size // 2) > (1 - CONFIDENCE) / tests:
        size += 1
    return size


class Drift(NamedTuple):
    """A history that gets slower or faster all the time, by a `ratio` from the first commit to the last.

    The `times` are those of the line, which is straight in the logarithms.
    """

    ratio: Ratio
    times: Floats


def find_drift(times: Floats, cuts: list[int]) -> Drift | None:
    """Return the drift of a history if a line fits it better than the levels between steps.

    Both are fitted to the logarithms, levels by medians, the line by the slope of Theil and Sen. Fits are compared by
    Schwarz's criterion for Laplace's distribution, in which single large deviations count for less: a line has two
    parameters, levels and their steps have one each.
    """
    from scipy.stats import theilslopes  # noqa: PLC0415 (heavy)

    logs = np.log(times)
    last = logs.size - 1
    slope, intercept, low, high = theilslopes(logs, alpha=CONFIDENCE)
    line = intercept + slope * np.arange(logs.size)
    misfit_of_line = np.abs(logs - line).sum()
    misfit_of_levels = sum(np.abs(part - np.median(part)).sum() for part in np.split(logs, cuts))
    more_parameters = len(cuts) + 1 + len(cuts) - 2
    allowed = np.exp(more_parameters * np.log(logs.size) / (2 * logs.size))
    if misfit_of_line > allowed * misfit_of_levels:
        return None
    return Drift(Ratio(*(float(np.exp(last * change)) for change in (low, slope, high))), np.exp(line))


def _search(logs: Floats, first: int, level: float) -> Iterator[int]:
    """Yield the places of steps in a part of a history that begins at `first`."""
    found = [
        (p_value, places)
        for places, count in _candidates(logs)
        if (p_value := KINDS * count * _test_against_rest(logs, places)) <= level
    ]
    if not found:
        return
    _, places = min(found)
    yield from (first + place for place in places)
    ends = [0, *places, logs.size]
    for begin, end in pairwise(ends):
        yield from _search(logs[begin:end], first + begin, level)


def _candidates(logs: Floats) -> Iterator[tuple[list[int], int]]:
    """Yield the best split, and the best stretch in the middle, with the number of those that there are of its kind."""
    size = logs.size
    if size < SHORTEST or np.ptp(logs) == 0:
        return
    yield [_best_split(logs)], _splits(size)
    clipped = _clip(logs)
    sums = np.concatenate([[0.0], np.cumsum(clipped - clipped.mean())])
    best, places, count = -1.0, [0, 0], 0
    for length in range(FEWEST, size - 2 * FEWEST + 1):
        starts = np.arange(FEWEST, size - length - FEWEST + 1)
        gains = (sums[starts + length] - sums[starts]) ** 2 / (length * (size - length))
        count += gains.size
        if gains.max() > best:
            start = int(starts[gains.argmax()])
            best, places = float(gains.max()), [start, start + length]
    if count:
        yield places, count


def _clip(logs: Floats) -> Floats:
    middle = np.median(logs)
    reach = REACH * np.median(np.abs(logs - middle))
    return logs.clip(middle - reach, middle + reach) if reach else logs


def _best_split(logs: Floats) -> int:
    """Return the place at which two means fit best; no part is shorter than 5."""
    clipped = _clip(logs)
    places = np.arange(FEWEST, logs.size - FEWEST + 1)
    sums = np.cumsum(clipped - clipped.mean())[places - 1]
    return int(places[np.argmax(sums**2 / (places * (logs.size - places)))])


def _splits(size: int) -> int:
    """Return the number of places at which a part can be split."""
    return size - SHORTEST + 1


def _test_against_rest(logs: Floats, places: list[int]) -> float:
    """Return the p-value of what is before a place, or between two, against the rest."""
    begin, end = (0, *places)[-2:]
    return _test(logs[begin:end], np.concatenate([logs[:begin], logs[end:]]))


def _test(one: Floats, other: Floats) -> float:
    """Return the p-value of the two-sided Mann-Whitney test."""
    from scipy.stats import mannwhitneyu  # noqa: PLC0415 (heavy)

    method = "exact" if one.size * other.size <= EXACT_PAIRS else "asymptotic"
    return float(mannwhitneyu(one, other, method=method).pvalue)
