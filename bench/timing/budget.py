"""The performance budget: what is compared with what, and by how much it should be faster."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from bench.timing.limits import find_refusal, limits_table
from bench.timing.paired import Ratio, noise_warning, ratio, take_turns
from bench.timing.problem import Problem, UnavailableError, classic, exponential, many
from bench.timing.variants import BY_NAME, Call
from bench.timing.verify import NotVerifiedError, no_compilation, verify

COLUMNS = ["what", "variant", "against", "verified", "faster", "faster_low", "faster_high", "target", "met", "note"]


class Target(NamedTuple):
    """A row of the budget: how many times as fast `ours` should be as `other`, for a sample-update, at least.

    The problems are made when they are asked for, and may differ: a slow contestant is given less to do, and lanes are
    given many runs. Where `other` is `BOUND`, it is the share of the speed that is possible.
    """

    what: str
    ours: str
    ours_on: Callable[[], Problem]
    other: str
    other_on: Callable[[], Problem]
    least: float


class TargetResult(NamedTuple):
    """How many times as fast it was, or else the `note` why that was not measured.

    It is `verified` if both give what the reference gives; None where one of them cannot run.
    """

    faster: Ratio | None
    verified: bool | None
    note: str


# JAX likes a thousand runs best; the epochs are enough that what a call costs by itself does not count.
BATCH_OF_RUNS = partial(many, runs=1024, epochs=40)
SINGLE = partial(many, runs=1024, epochs=40, dtype="float32")
DECAYS = partial(many, exponential, runs=1024, epochs=40)
# Without noise adam divides one vanishing number by another in the end, and a rounding decides where it goes.
ADAMS = partial(many, runs=1024, epochs=40, optimizer="adam", noise=0.1)
# A share for each thread is long enough that its start does not count.
LONG = partial(many, runs=4096, epochs=100)
SHUFFLED = partial(classic, 100, 16, shuffle=True)

# Nobody can be faster: what is missing to 1 is all that could be gained.
BOUND = "the bound of this processor"

TARGETS = (
    Target("sample by sample", "fused", classic, "C", classic, 1.4),
    Target("sample by sample, fused multiply-add", "fused-fma", classic, "C", classic, 1.9),
    Target("many runs, one core", "lanes", BATCH_OF_RUNS, "C", classic, 22),
    Target("many runs, one core", "lanes", BATCH_OF_RUNS, "JAX, many runs", BATCH_OF_RUNS, 3.5),
    Target("many runs, one core, as a share", "lanes", BATCH_OF_RUNS, BOUND, BATCH_OF_RUNS, 0.85),
    Target("many runs in float32 and in float64, one core", "lanes", SINGLE, "lanes", BATCH_OF_RUNS, 1.8),
    Target("many runs, all cores", "lanes, all cores", LONG, "lanes", LONG, 1.85),
    # 1.40 on Zen 5: 43 % is the shuffle, faster than C's with the same draws, and the rest the latency of a batch.
    Target("batches of 16, a fresh order each epoch", "fused", SHUFFLED, "C", SHUFFLED, 1.5),
    Target("a*exp(b*x) + c, many runs, one core", "lanes", DECAYS, "JAX, many runs", DECAYS, 3),
    Target("a*exp(b*x) + c, many runs, one core", "lanes", DECAYS, "JAX, vmap and grad", DECAYS, 8),
    # 2.6 on Zen 5, whose divider is never idle: a square root and a division for each parameter take the 5.2 cycles.
    Target("adam, many runs, one core", "lanes", ADAMS, "JAX, many runs", ADAMS, 3),
    Target("sample by sample", "fused", classic, "lesson", partial(classic, 1), 1500),
    Target("sample by sample", "fused", classic, "NumPy scalars", partial(classic, 1), 100),
)


def measure_target(target: Target, *, seconds: float) -> TargetResult:
    """Verify both and time them in turns.

    Parameters
    ----------
    target : Target
    seconds : float
        About how long.
    """
    if target.other == BOUND:
        return _measure_share(target, seconds=seconds)
    ours, other = target.ours_on(), target.other_on()
    calls: dict[str, Call] = {}
    for turn, name, problem in (("ours", target.ours, ours), ("other", target.other, other)):
        try:
            calls[turn] = verify(BY_NAME[name], problem)[0]
        except UnavailableError as reason:
            return TargetResult(None, None, f"{name}: {reason}")
        except NotVerifiedError as reason:
            return TargetResult(None, False, f"{name}: {reason}")
    with no_compilation():
        timings = take_turns(calls, baseline="ours", seconds=seconds)
    faster = ratio(timings, "other", "ours").scaled(ours.sample_updates / other.sample_updates)
    return TargetResult(faster, True, noise_warning(timings) or "")


def targets_table(*, seconds: float, progress: Callable[[int], None] = lambda done: None) -> pd.DataFrame:
    """Measure every row of the budget.

    Parameters
    ----------
    seconds : float
        About how long for each.
    progress : callable
        Called with the number of rows done.

    Returns
    -------
    DataFrame
        `what`, `variant`, `against`, `verified` (missing where one of the two cannot run), `faster`, `faster_low`,
        `faster_high` (how many times as fast, with the 95 % interval), `target` (at least), `met` (missing where it was
        not measured) and `note`.
    """
    rows = []
    for done, target in enumerate(TARGETS, start=1):
        faster, verified, note = measure_target(target, seconds=seconds)
        row: dict[str, Any] = {"what": target.what, "variant": target.ours, "against": target.other}
        if faster:
            row |= {"faster": faster.ratio, "faster_low": faster.low, "faster_high": faster.high}
        met = faster.ratio >= target.least if faster else pd.NA
        rows.append(row | {"verified": verified, "target": target.least, "met": met, "note": note})
        progress(done)
    return pd.DataFrame(rows, columns=COLUMNS).astype({"verified": "boolean", "met": "boolean"})


def _measure_share(target: Target, *, seconds: float) -> TargetResult:
    """Verify a kernel, and measure its updates against what they take at least; see `bench.timing.limits`."""
    problem = target.ours_on()
    if refusal := find_refusal(problem):
        return TargetResult(None, None, refusal)
    try:
        verify(BY_NAME[target.ours], problem)
    except NotVerifiedError as reason:
        return TargetResult(None, False, f"{target.ours}: {reason}")
    limits = limits_table(problem, [target.ours], seconds=seconds)
    if limits["share"].isna().all():
        return TargetResult(None, None, limits["note"].iloc[0])
    low, share, high = limits[["share_low", "share", "share_high"]].to_numpy(float)[0]
    return TargetResult(Ratio(low, share, high), True, "")
