"""The performance budget: pairs of variants, and the required ratio of their speeds."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import pandas as pd

from sgdbench.store.evidence import with_interval
from sgdbench.timing.paired import noise_warning, ratio, take_turns
from sgdbench.timing.problem import Problem, UnavailableError, classic, exponential, many, wide
from sgdbench.timing.roof import make_roof
from sgdbench.timing.speed import ROOFED_VARIANTS, estimate_columns
from sgdbench.timing.variants import VARIANTS_BY_NAME
from sgdbench.timing.verify import NotVerifiedError, no_compilation, verify

TARGET_COLUMNS = ["what", "variant", "against", "verified", *with_interval("faster"), "target", "met"]
TARGET_COLUMNS += [*with_interval("share"), "note"]


class Target(NamedTuple):
    """A row of the budget: the minimum ratio by which `ours` should be faster than `other` per sample-update.

    The problems are created on demand, and may differ: a slow contestant gets less work, and lanes get many runs. If
    `other` is `ROOF`, the ratio is the share of the roof of `ours`.
    """

    what: str
    ours: str
    ours_on: Callable[[], Problem]
    other: str
    other_on: Callable[[], Problem]
    least: float


# JAX is fastest with a thousand runs. With the epochs of the lesson, the overhead per call and block is negligible.
MANY_RUNS = partial(many, runs=1024, epochs=100)
FLOAT32_RUNS = partial(many, runs=1024, epochs=100, dtype="float32")
EXPONENTIAL_RUNS = partial(many, exponential, runs=1024, epochs=100)
# Without noise adam eventually divides one vanishing number by another, and rounding decides where it goes.
ADAM_RUNS = partial(many, runs=1024, epochs=100, optimizer="adam", noise=0.1)
# A share per thread is long enough that starting it is negligible.
RUNS_FOR_ALL_CORES = partial(many, runs=4096, epochs=100)
SHUFFLED_RUN = partial(classic, 100, 16, shuffle=True)
# A call should take at least ten milliseconds, so that its overhead is at most 1 %; with 784 inputs two epochs do.
WIDE_RUNS = {inputs: partial(wide, inputs, epochs=2 if inputs == 784 else 20) for inputs in (10, 64, 784)}
WIDE_BATCHES = {inputs: partial(of, batch_size=32) for inputs, of in WIDE_RUNS.items()}
WIDE_RUN = {inputs: partial(wide, inputs, runs=1, epochs=20) for inputs in WIDE_RUNS}

ROOF = "its roof"

TARGETS = (
    Target("sample by sample", "fused", classic, "C", classic, 1.5),
    Target("sample by sample, fused multiply-add", "fused-fma", classic, "C", classic, 1.9),
    Target("many runs, one core", "lanes", MANY_RUNS, "JAX, many runs", MANY_RUNS, 3.5),
    Target("many runs, one core", "lanes-fma", MANY_RUNS, "JAX, many runs", MANY_RUNS, 6),
    Target("many runs, one core, as a share", "lanes", MANY_RUNS, ROOF, MANY_RUNS, 0.85),
    Target("many runs in float32 and in float64, one core", "lanes", FLOAT32_RUNS, "lanes", MANY_RUNS, 1.9),
    Target("many runs, all cores", "lanes, all cores", RUNS_FOR_ALL_CORES, "lanes", RUNS_FOR_ALL_CORES, 1.9),
    # The order costs no time: it is drawn while the batches of the previous epoch wait for each other.
    Target("batches of 16, a fresh order each epoch", "fused", SHUFFLED_RUN, "C", SHUFFLED_RUN, 1.5),
    Target("a*exp(b*x) + c, many runs, one core", "lanes", EXPONENTIAL_RUNS, "JAX, many runs", EXPONENTIAL_RUNS, 3),
    # 2.6 on Zen 5, whose divider is never idle: a square root and a division per parameter take the 5.2 cycles.
    # 1.9 on Zen 4, where vectors of 512 bits, which JAX does not use, do no more per cycle than those of 256.
    # 2.1 on a Xeon with AVX-512, whose divider is busy for 206 of 290 cycles of 32 updates and the other units for 202.
    Target("adam, many runs, one core", "lanes", ADAM_RUNS, "JAX, many runs", ADAM_RUNS, 2),
    Target("adam, many runs, one core", "lanes-fma", ADAM_RUNS, "JAX, many runs", ADAM_RUNS, 3),
    *(
        Target(f"w @ x + b of {inputs} inputs, many runs, one core", "lanes", WIDE_RUNS[inputs], other, of, least)
        for inputs, against_one, against_many in ((10, 14, 2), (64, 14, 2), (784, 9, 1.3))
        for other, of, least in (
            ("scikit-learn", WIDE_RUN[inputs], against_one),
            ("JAX, many runs", WIDE_RUNS[inputs], against_many),
        )
    ),
    *(
        Target(f"w @ x + b of {inputs} inputs, one run", "fused", WIDE_RUN[inputs], "C", WIDE_RUN[inputs], 1.0)
        for inputs in (64, 784)
    ),
    *(
        Target(
            f"w @ x + b of {inputs} inputs in batches of 32, many runs, one core",
            "lanes-fma",
            WIDE_BATCHES[inputs],
            "JAX, many runs",
            WIDE_BATCHES[inputs],
            least,
        )
        for inputs, least in ((64, 1.2), (784, 1.0))
    ),
    Target("sample by sample", "fused", classic, "lesson", partial(classic, 1), 1500),
    Target("sample by sample", "fused", classic, "NumPy scalars", partial(classic, 1), 100),
)


def measure_target(target: Target, *, seconds: float) -> dict[str, Any]:
    """Verify both and time them in turns, for about as many seconds; return the row of `targets_table`."""
    ours, other = target.ours_on(), target.other_on()
    row: dict[str, Any] = {"what": target.what, "variant": target.ours, "against": target.other, "target": target.least}
    calls: dict[str, Callable[[], object]] = {}
    for turn, name, problem in (("ours", target.ours, ours), ("other", target.other, other)):
        try:
            calls[turn] = (
                make_roof(target.ours, problem) if name == ROOF else verify(VARIANTS_BY_NAME[name], problem)[0]
            )
        except UnavailableError as reason:
            return row | {"note": f"{name}: {reason}"}
        except NotVerifiedError as reason:
            return row | {"verified": False, "note": f"{name}: {reason}"}
    if target.ours in ROOFED_VARIANTS and target.other != ROOF:
        with suppress(UnavailableError):
            calls["roof"] = make_roof(target.ours, ours)
    with no_compilation():
        timings = take_turns(calls, baseline="ours", seconds=seconds)
    faster = ratio(timings, "other", "ours").scaled(ours.sample_updates / other.sample_updates)
    measured = {"verified": True, "met": faster.ratio >= target.least, "note": noise_warning(timings) or ""}
    if "roof" in calls:
        measured |= estimate_columns("share", ratio(timings, "roof", "ours"))
    return row | measured | estimate_columns("faster", faster)


def targets_table(*, seconds: float, progress: Callable[[int], None] = lambda done: None) -> pd.DataFrame:
    """Measure every row of the budget, for about `seconds` each; `progress` is called with the number of rows done.

    The columns are `what`, `variant`, `against`, `verified` (missing if one of the two cannot run), `faster` (the ratio
    of speeds) with its 95 % interval, `target` (the minimum), `met` (missing if not measured), `share` (of the roof of
    the variant, timed in the same turns; missing if it has none) with its interval, and `note`, why it was not
    measured, or a warning.
    """
    rows = []
    for done, target in enumerate(TARGETS, start=1):
        rows.append(measure_target(target, seconds=seconds))
        progress(done)
    return pd.DataFrame(rows, columns=TARGET_COLUMNS).astype({"verified": "boolean", "met": "boolean"})
