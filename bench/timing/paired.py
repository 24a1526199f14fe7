"""Ratios of the times of calls: rounds in which all calls take turns, and valid intervals.

The speed of the machine drifts while it measures, and a slow sample has slow neighbours. The calls are therefore timed
in rounds, in a random order in each, and compared round by round: common influences cancel in the ratio, and the rest
affects calls at random.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from functools import cache as once
from itertools import repeat
from typing import NamedTuple

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats

CONTROL_SUFFIX = " again"
CONFIDENCE = 0.95
# With this many resamples, an end of an interval varies by a fiftieth of its width.
RESAMPLES = 4999
# This many values are resampled at once: they stay in the cache, which is up to four times as fast.
RESAMPLED_AT_A_TIME = 100_000
# With fewer rounds the intervals no longer hold.
MIN_ROUNDS = 5
# Rounds grow by this factor before the intervals are evaluated again: a measurement that is evaluated after every round
# stops when they are narrow by chance.
ROUNDS_GROWTH = 1.5
# Two criteria for the length of a sample; and a length that an interruption alone cannot cause.
SAMPLE_SECONDS, SAMPLE_TICKS = 1e-3, 1000
UNINTERRUPTED_SECONDS = 0.1
# A call after others with which it shares no code found its caches cold, for up to 3 ms: 2 % of this.
WARM_SECONDS = 0.15
# A clock that has not moved after this many readings, or in this many calls, will not move.
MAX_READINGS, MAX_CALLS = 100_000, 2**24
MEASURED_TICKS = 10
# More samples than this are resampled in groups: one by one would take long, and the interval is narrow anyway.
MAX_RESAMPLED = 500
# Half the width of an interval, relative to the ratio, that is narrow enough.
NARROW_HALF_WIDTH = 0.01
# The accepted apparent difference of a call from itself.
ACCEPTED_NOISE = 0.02


class Timings(NamedTuple):
    """Seconds per call, round by round, shape (rounds, names), and the number of calls per sample.

    The last of the `names` is the baseline's with " again": it is timed once more.
    """

    names: tuple[str, ...]
    seconds: Floats
    loops: tuple[int, ...]

    def of(self, name: str) -> Floats:
        """Return the seconds per call of one name, shape (rounds,)."""
        return self.seconds[:, self.names.index(name)]


class Ratio(NamedTuple):
    """A ratio of times, with its 95 % interval."""

    low: float
    ratio: float
    high: float

    def scaled(self, factor: float) -> "Ratio":
        """Return the ratio if a call of the numerator does as much as `factor` calls of the denominator."""
        return Ratio(*(factor * bound for bound in self))

    @property
    def precision(self) -> float:
        """Half the width of the interval, relative to the ratio."""
        return (self.high - self.low) / (2 * self.ratio)


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    baseline: str | None = None,
    rounds: int = 20,
    seconds: float = 10.0,
    sample_seconds: float = SAMPLE_SECONDS,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Time calls against each other in rounds.

    The `calls` are warm, their results are verified, and they are compared with the `baseline`, by default the first.
    In each round every call is timed once and the baseline twice, in a random order. A sample has as many calls as take
    `sample_seconds` (shorter ones are more easily hit by an interruption as a whole) and a thousand ticks of the clock.
    It is preceded by another call, so that no call pays for the caches that others have left, unless a call takes so
    long that this hardly matters. Garbage is not collected while the clock runs.

    Timing ends after `rounds` rounds, or later, when every ratio to the baseline is known to 1 %, and earlier when the
    time is used up, but never with fewer than 5 rounds. It takes at most about `seconds`, unless sizing the samples and
    5 rounds take longer. No calls, an unknown baseline, a name that the baseline's second turn needs, fewer than 5
    rounds, a time or a sample that is not positive, and a clock that does not move raise a ValueError.
    """
    baseline = _baseline(calls, baseline)
    if rounds < MIN_ROUNDS:
        raise ValueError(f"rounds must be at least {MIN_ROUNDS}, not {rounds}")
    for name, value in (("seconds", seconds), ("sample_seconds", sample_seconds)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value:g}")
    begun = clock()
    least = max(sample_seconds, SAMPLE_TICKS * _clock_resolution(clock))
    sized = {name: _size_sample(name, call, least, clock) for name, call in calls.items()}
    names, turns = (*calls, baseline + CONTROL_SUFFIX), (*calls.values(), calls[baseline])
    sizes = (*sized.values(), sized[baseline])
    loops = tuple(size.loops for size in sizes)
    rng = np.random.default_rng(seed)
    done: list[Floats] = []
    look, started = rounds, clock()
    while True:
        row = np.empty(len(names))
        for turn in rng.permutation(len(names)):
            row[turn] = _sample(turns[turn], sizes[turn], clock) / loops[turn]
        done.append(row)
        now = clock()
        if len(done) >= MIN_ROUNDS and now + (now - started) / len(done) > begun + seconds:
            break
        if len(done) == look:
            timings = Timings(names, np.array(done), loops)
            if all(ratio(timings, name, baseline).precision <= NARROW_HALF_WIDTH for name in names if name != baseline):
                break
            look = math.ceil(ROUNDS_GROWTH * look)
    return Timings(names, np.array(done), loops)


def ratio(timings: Timings, slow: str, fast: str) -> Ratio:
    """Return the time of `slow` relative to `fast`: the median ratio over the rounds, with its 95 % interval."""
    return ratio_of(timings.of(slow), timings.of(fast), paired=True)


def ratio_of(numerator: Floats, denominator: Floats, *, paired: bool) -> Ratio:
    """Return the ratio of two times, with an interval that is valid even for few samples.

    With pairs it is the median of their ratios, in which common influences cancel. The ratio of the medians would keep
    them: on the machines that the tests simulate, its interval is twice as wide. Without pairs it is the ratio of the
    medians, and the interval covers variation within the two sets, but not between them: on a busy machine, a call that
    was timed 20 times and then 20 times more differed from itself in 60 cases of 100.

    The interval is that of the percentile bootstrap, on the logarithms, with three corrections. A resample's median is
    estimated as a weighted mean of its sorted samples, because the middle one jumps (F. E. Harrell, C. E. Davis,
    Biometrika 69, 1982). The interval is widened by the ratio of Student's t to the normal distribution, which matters
    for few samples (T. C. Hesterberg, The American Statistician 69, 2015). And autocorrelated samples count for less:
    with an autocorrelation of r, n of them count as n (1 - r) / (1 + r) (G. V. Bayley, J. M. Hammersley, Supplement to
    the Journal of the Royal Statistical Society 8, 1946). With these, 96 of 100 simulated intervals hold, and 4 of 100
    calls differ from themselves; without them it is 93 to 95, and 6 to 8. The exception are influences on one of the
    two alone that last for many rounds: with an autocorrelation of 0.5 from round to round, 90 of 100 hold.

    Both arguments are times in the order in which they were measured, at least 5; in pairs, those at the same index are
    from the same round. Too few, unequal numbers in pairs, and times that are not positive and finite raise a
    ValueError.
    """
    for name, times in (("numerator", numerator), ("denominator", denominator)):
        if times.ndim != 1 or times.size < MIN_ROUNDS:
            raise ValueError(f"{name} must be a row of at least {MIN_ROUNDS} times, not of shape {times.shape}")
        good = np.isfinite(times) & (times > 0)
        if not good.all():
            raise ValueError(f"{name} must hold positive, finite times, not {times[~good][0]:g}")
    if paired and numerator.size != denominator.size:
        raise ValueError(f"pairs must be equally many times of each, not {numerator.size} and {denominator.size}")
    if paired:
        ratios = numerator / denominator
        low, high = _interval(np.log(ratios))
        middle = float(np.median(ratios))
    else:
        low, high = _interval(np.log(numerator), np.log(denominator))
        middle = float(np.median(numerator) / np.median(denominator))
    return Ratio(min(math.exp(low), middle), middle, max(middle, math.exp(high)))


def noise_floor(timings: Timings) -> Ratio:
    """Return the ratio of the baseline to itself: differences within this interval may be noise."""
    control = timings.names[-1]
    return ratio(timings, control, control.removesuffix(CONTROL_SUFFIX))


def noise_warning(timings: Timings) -> str | None:
    """Return a sentence if the baseline may differ from itself by more than 2 %, by either end of the interval."""
    floor = noise_floor(timings)
    reach = max(1 - floor.low, floor.high - 1)
    if reach <= ACCEPTED_NOISE:
        return None
    return (
        f"The machine is noisy: the baseline, timed twice, took {floor.low:.3f} to {floor.high:.3f} times as long the "
        f"second time, so a difference below {100 * reach:.1f} % may be chance."
    )


def _baseline(calls: Mapping[str, Callable[[], object]], baseline: str | None) -> str:
    if not calls:
        raise ValueError("calls must name at least one call to be timed")
    baseline = next(iter(calls)) if baseline is None else baseline
    if baseline not in calls:
        raise ValueError(f"baseline must be one of {', '.join(map(repr, calls))}, not {baseline!r}")
    if baseline + CONTROL_SUFFIX in calls:
        raise ValueError(f"no call can be named {baseline + CONTROL_SUFFIX!r}: the baseline's second turn is")
    return baseline


def _clock_resolution(clock: Callable[[], float]) -> float:
    """Return the smallest step of a clock; 0 if it was not seen to move."""
    steps: list[float] = []
    last = clock()
    for _ in repeat(None, MAX_READINGS):
        now = clock()
        if now > last:
            steps.append(now - last)
            if len(steps) == MEASURED_TICKS:
                break
        last = now
    return min(steps, default=0.0)


class _Size(NamedTuple):
    """The number of calls per sample, and whether another call precedes them."""

    loops: int
    warms: bool


def _size_sample(name: str, call: Callable[[], object], least: float, clock: Callable[[], float]) -> _Size:
    """Return a size for which samples take long enough."""
    loops = 1
    while loops < MAX_CALLS:
        size = _Size(loops, warms=loops > 1)
        seconds = _sample(call, size, clock)
        # An interrupted sample looks long, so another has to confirm it.
        if seconds >= least and (seconds >= UNINTERRUPTED_SECONDS or _sample(call, size, clock) >= least):
            return _Size(loops, warms=seconds < loops * WARM_SECONDS)
        loops *= 2
    raise ValueError(f"the clock is stuck or too coarse: {loops:,} calls of {name!r} took no {least:g} s")


def _sample(call: Callable[[], object], size: _Size, clock: Callable[[], float]) -> float:
    if size.warms:
        call()
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        for _ in repeat(None, size.loops):
            call()
        return clock() - start
    finally:
        if collecting:
            gc.enable()


def _interval(*samples: Floats) -> tuple[float, float]:
    """Return the 95 % interval of a median, or of the difference of two: percentiles of the bootstrap.

    The result is that of `scipy.stats.bootstrap`, whose import would take half as long as measuring.
    """
    groups, rng = [_spread(_group_medians(sample)) for sample in samples], np.random.default_rng(0)
    batch = RESAMPLED_AT_A_TIME // max(group.size for group in groups)
    differences = []
    for done in range(0, RESAMPLES, batch):
        count = min(batch, RESAMPLES - done)
        first, *second = [_median(group[rng.integers(0, group.size, (count, group.size))]) for group in groups]
        differences.append(first - sum(second))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(differences), [tail, 1 - tail])
    return float(low), float(high)


def _group_medians(samples: Floats) -> Floats:
    """Return the medians of groups of neighbours among many samples, of odd size so that they have the same median."""
    size = 2 * (samples.size // MAX_RESAMPLED) + 1
    return np.median(samples[: samples.size // size * size].reshape(-1, size), axis=1)


def _spread(samples: Floats) -> Floats:
    """Move samples away from their median, so that medians of resamples vary as much as medians of new samples would.

    The autocorrelation is computed on ranks, so that a spike does not hide it.
    """
    from scipy import special  # noqa: PLC0415 (heavy)

    n = samples.size
    ranks = pd.Series(samples).rank().to_numpy() - (n + 1) / 2
    power = ranks @ ranks
    r = ranks[1:] @ ranks[:-1] / power if power else 0.0
    r = min(max(r, 0.0), (n - 1) / (n + 1))  # however similar, they count as at least one
    upper = (1 + CONFIDENCE) / 2
    factor: float = special.stdtrit(n - 1, upper) / special.ndtri(upper) * math.sqrt((1 + r) / (1 - r))
    middle = _median(samples)
    spread: Floats = middle + factor * (samples - middle)
    return spread


def _median(samples: Floats) -> Floats:
    """Estimate the median along the last axis with the weights of Harrell and Davis."""
    median: Floats = np.sort(samples, axis=-1) @ _median_weights(samples.shape[-1])
    return median


@once
def _median_weights(n: int) -> Floats:
    """Return the weights of n sorted samples."""
    from scipy import special  # noqa: PLC0415 (heavy)

    weights: Floats = np.diff(special.betainc((n + 1) / 2, (n + 1) / 2, np.linspace(0, 1, n + 1)))
    return weights
