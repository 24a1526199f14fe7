"""The speed table: every variant is verified and timed in turns with the others, including its compile time."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from timeit import repeat
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.kernels.compile.build import build
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.store.evidence import SPEED_COLUMNS, with_interval
from sgdbench.timing.paired import (
    CONTROL_SUFFIX,
    Ratio,
    Timings,
    noise_floor,
    noise_warning,
    ratio,
    ratio_of,
    take_turns,
)
from sgdbench.timing.problem import Errors, FailedError, Problem, UnavailableError
from sgdbench.timing.roof import make_roof
from sgdbench.timing.variants import Call, Variant
from sgdbench.timing.verify import NotVerifiedError, no_compilation, verify
from sgdbench.timing.workload import BASELINE, problem_for

TIMED_LOADS = 3
ROOFED_VARIANTS = ("fused", "fused-fma", "lanes", "lanes-fma")
"""The kernels that make updates one by one, in one thread."""


class Speed(NamedTuple):
    """Measured speeds.

    Attributes
    ----------
    table : DataFrame
        One row per variant, in the registry's order: `variant`, `ours`, `threads`, `verified` (missing if it did not
        run), the largest `error` against the reference (relative where the expected value exceeds 1), and that of the
        losses, `error_loss`, relative; `note`, why there are no more columns. Verified variants have `ns` per
        sample-update, `updates_per_second` (sample-updates), `to_reference` and `to_c` (ratios of speeds), `share` (the
        time of the roof divided by that of the variant, if roofs are measured), `compile_seconds` (with nothing
        cached), `load_seconds` (cached) and `break_even` (sample-updates that repay the compile time, compared with the
        reference). Medians come with their 95 % intervals, `_low` and `_high`.
    rounds : DataFrame
        The single measurements: `variant`, `round`, `ns`.
    notes : list of tuple of str
        As from `describe_noise`, with `fused` as the baseline, or else the first verified variant; empty if there is
        none.
    """

    table: pd.DataFrame
    rounds: pd.DataFrame
    notes: list[tuple[str, str]]


class Contestant(NamedTuple):
    """A verified variant and the problem for it."""

    variant: Variant
    problem: Problem
    call: Call
    errors: Errors


def speed(
    variants: Sequence[Variant],
    problem: Problem,
    batch: Problem,
    *,
    seconds: float = 20.0,
    roofs: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Speed:
    """Verify variants, and time those that match the reference for about that many seconds.

    Variants that train one run at a time get `problem`, slow ones a part of it; variants that train runs side by side
    get `batch`, many runs of the same kind. `fused` should be among them: the noise of the machine is measured with it.
    With `roofs` those of kernels are measured too (`sgdbench.timing.roof`); they are compiled in each process.
    Compilation while the clock runs raises a RuntimeError. `progress` is called with the number of variants that are
    ready to be timed.
    """
    contestants: dict[str, Contestant] = {}
    roof_calls: dict[str, Callable[[], object]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for done, variant in enumerate(variants, start=1):
        own, name = problem_for(variant, problem, batch), variant.name
        row = rows[name] = {"variant": name, "ours": variant.ours, "threads": variant.threads, "note": ""}
        try:
            contestants[name] = Contestant(variant, own, *verify(variant, own))
            if roofs and name in ROOFED_VARIANTS:
                roof_calls[roof_of(name)] = make_roof(name, own)
        except UnavailableError as reason:
            row["note"] = f"{'not measured: ' if isinstance(reason, FailedError) else ''}{reason}"
        except NotVerifiedError as reason:
            row |= {"verified": False, "note": str(reason)} | _error_columns(reason.errors)
        progress(done)
    baseline = BASELINE if BASELINE in contestants else next(iter(contestants), None)
    if baseline is None:
        return Speed(_make_table(rows.values()), pd.DataFrame(columns=ROUND_COLUMNS), [])
    calls = {name: contestant.call for name, contestant in contestants.items()} | roof_calls
    with no_compilation():
        timings = take_turns(calls, baseline=baseline, seconds=seconds)
    compiled: dict[str | None, dict[str, float]] = {}
    for name, contestant in contestants.items():
        rows[name] |= _measurements(contestant, contestants, timings, compiled)
    ns = {name: 1e9 * timings.of(name) / contestant.problem.sample_updates for name, contestant in contestants.items()}
    long = pd.DataFrame(ns).melt(var_name="variant", value_name="ns", ignore_index=False)
    rounds = long.reset_index(names="round")[ROUND_COLUMNS]
    return Speed(_make_table(rows.values()), rounds, describe_noise(timings))


def describe_noise(timings: Timings) -> list[tuple[str, str]]:
    """Return the apparent difference of the baseline from itself, and a warning if it is large, with their subjects."""
    low, middle, high = (f"{100 * (bound - 1):+.2f}" for bound in noise_floor(timings))
    name, warning = timings.names[-1].removesuffix(CONTROL_SUFFIX), noise_warning(timings)
    noise = ("Noise", f"{name} against itself differs by {middle} % [{low}, {high}].")
    return [noise, ("Careful", warning)] if warning else [noise]


ROUND_COLUMNS = ["variant", "round", "ns"]


def roof_of(variant: str) -> str:
    """Return the name of the roof of a variant among the timed calls."""
    return f"the roof of {variant}"


def _make_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=SPEED_COLUMNS).astype({"verified": "boolean", "note": "str"})


def _error_columns(errors: Errors | None) -> dict[str, float]:
    return {} if errors is None else {"error": errors.largest, "error_loss": errors.loss}


def estimate_columns(name: str, ratio: Ratio) -> dict[str, float]:
    """Return a ratio and its interval as part of a row."""
    return dict(zip(with_interval(name), (ratio.ratio, ratio.low, ratio.high), strict=True))


def _measurements(
    contestant: Contestant,
    all_: Mapping[str, Contestant],
    timings: Timings,
    compiled: dict[str | None, dict[str, float]],
) -> dict[str, Any]:
    """Return the measured part of a variant's row; `compiled` has the compile times of kernels of earlier rows."""
    variant, problem = contestant.variant, contestant.problem
    updates = problem.sample_updates
    seconds = timings.of(variant.name)
    ns = ratio_of(seconds, np.ones(seconds.size), paired=True).scaled(1e9 / updates)
    row: dict[str, Any] = {"verified": True, "updates_per_second": 1e9 / ns.ratio}
    row |= _error_columns(contestant.errors) | estimate_columns("ns", ns)
    for name, column in (("reference", "to_reference"), ("C", "to_c")):
        if name in all_ and name != variant.name:
            faster = ratio(timings, name, variant.name).scaled(updates / all_[name].problem.sample_updates)
            row |= estimate_columns(column, faster)
    if roof_of(variant.name) in timings.names:
        row |= estimate_columns("share", ratio(timings, roof_of(variant.name), variant.name))
    if variant.kernel not in compiled:
        compiled[variant.kernel] = compile_times(variant, problem)
    row |= compiled[variant.kernel]
    if variant.kernel and "to_reference" in row:
        slower = row["to_reference"] * ns.ratio - ns.ratio
        row["break_even"] = 1e9 * row["compile_seconds"] / slower if slower > 0 else np.nan
    return row


def compile_times(variant: Variant, problem: Problem) -> dict[str, float]:
    """Return the time that a kernel takes before it trains; nothing for a variant that numba does not compile.

    `compile_seconds`, with nothing cached, was measured when this machine compiled the kernel; `load_seconds`, from the
    cache on disk, is measured now.
    """
    if not variant.kernel or variant.kernel == "reference":
        return {}
    made_of = variant.kernel, problem.model, make_loss(problem.loss), make_optimizer(problem.optimizer)
    kernel = build(module_of(KernelSpec(*made_of)))
    return {
        "compile_seconds": kernel.cold_seconds,
        "load_seconds": float(np.median(repeat(kernel.load, number=1, repeat=TIMED_LOADS))),
    }
