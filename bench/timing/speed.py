"""The speed table: every variant verified, timed in turns with the others, and its compile time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.timing.paired import Ratio, Timings, noise_floor, noise_warning, ratio, ratio_of, take_turns
from bench.timing.problem import Errors, FailedError, Problem, UnavailableError
from bench.timing.roof import make_roof
from bench.timing.variants import Call, Variant
from bench.timing.verify import NotVerifiedError, no_compilation, verify
from bench.timing.workload import BASELINE, problem_for
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.train.trainer import compile_kernel

LOADS = 5
ROOFED = ("fused", "fused-fma", "lanes", "lanes-fma")
"""The kernels that make updates one by one, in one thread."""


class Speed(NamedTuple):
    """What was measured.

    Attributes
    ----------
    table : DataFrame
        One row per variant, in the registry's order: `variant`, `ours`, `threads`, `verified` (missing where it did not
        run), the largest `error` against the reference (relative where what is expected exceeds 1), of the final
        parameters `error_absolute`, `error_relative` and `error_ulp`, and of the losses `error_loss`, relative; and of
        what is verified `ns`, `ns_low`, `ns_high` (of a sample-update, the median and its 95 % interval),
        `updates_per_second` (sample-updates), `to_reference`, `to_reference_low`, `to_reference_high` and `to_c`,
        `to_c_low`, `to_c_high` (how many times as fast), `share`, `share_low`, `share_high` (the time of the roof
        divided by that of the variant, where roofs are measured), `compile_seconds` (with nothing cached),
        `load_seconds` (cached) and `break_even` (sample-updates that repay the compile time, compared with the
        reference); `note`, why there are no more columns.
    rounds : DataFrame
        What the table is made of: `variant`, `round`, `ns`.
    baseline : str or None
        The variant that was timed twice in each round: `fused`, or else the first of those that are verified; None
        where there is none.
    noise : Ratio or None
        The baseline against itself: what differs by less differs by chance.
    warning : str or None
        If the machine is too noisy for small differences.
    """

    table: pd.DataFrame
    rounds: pd.DataFrame
    baseline: str | None
    noise: Ratio | None
    warning: str | None


class Contestant(NamedTuple):
    """A verified variant and what it is given to do."""

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
    """Verify variants on one problem, and time those that give what the reference gives.

    Parameters
    ----------
    variants : sequence of Variant
        `fused` should be among them: the noise of the machine is measured with it.
    problem : Problem
        One run, for those that train one at a time; slow ones get a part of it.
    batch : Problem
        Many runs of the same kind, for those that train them side by side.
    seconds : float
        About how long to measure, after everything is compiled and verified.
    roofs : bool
        Whether to measure the roofs of kernels too (`bench.timing.roof`), which are compiled in each process.
    progress : callable
        Called with the number of variants that are ready to be timed.

    Raises
    ------
    RuntimeError
        If something was compiled while the clock was running.
    """
    contestants: dict[str, Contestant] = {}
    failures: dict[str, dict[str, Any]] = {}
    above: dict[str, Callable[[], object]] = {}
    notes: dict[str, str] = {}
    for done, variant in enumerate(variants, start=1):
        own = problem_for(variant, problem, batch)
        try:
            contestants[variant.name] = Contestant(variant, own, *verify(variant, own))
        except FailedError as reason:
            failures[variant.name] = {"verified": None, "note": f"not measured: {reason}"}
        except UnavailableError as reason:
            failures[variant.name] = {"verified": None, "note": str(reason)}
        except NotVerifiedError as reason:
            failures[variant.name] = {"verified": False, "note": str(reason)} | _error_columns(reason.errors)
        if roofs and variant.name in contestants and variant.name in ROOFED:
            try:
                above[roof_of(variant.name)] = make_roof(variant.name, own)
            except UnavailableError as reason:
                notes[variant.name] = str(reason)
        progress(done)
    baseline = BASELINE if BASELINE in contestants else next(iter(contestants), None)
    timings = _timings(contestants, above, baseline, seconds)
    compiled: dict[str | None, dict[str, float]] = {}
    rows = [
        failures[variant.name]
        if timings is None or variant.name in failures
        else {"note": notes.get(variant.name, "")}
        | _make_row(contestants[variant.name], contestants, timings, compiled)
        for variant in variants
    ]
    named = [
        {"variant": variant.name, "ours": variant.ours, "threads": variant.threads} | row
        for variant, row in zip(variants, rows, strict=True)
    ]
    table = pd.DataFrame(named, columns=COLUMNS).astype({"verified": "boolean", "note": "str"})
    if timings is None:
        return Speed(table, pd.DataFrame(columns=ROUNDS), None, None, None)
    return Speed(table, _long_rounds(contestants, timings), baseline, noise_floor(timings), noise_warning(timings))


COLUMNS = [
    "variant",
    "ours",
    "threads",
    "verified",
    *("error", "error_absolute", "error_relative", "error_ulp", "error_loss"),
    *("ns", "ns_low", "ns_high", "updates_per_second"),
    *("to_reference", "to_reference_low", "to_reference_high"),
    *("to_c", "to_c_low", "to_c_high"),
    *("share", "share_low", "share_high"),
    *("compile_seconds", "load_seconds", "break_even"),
    "note",
]
ROUNDS = ["variant", "round", "ns"]


def roof_of(variant: str) -> str:
    """Return the name of the roof of a variant among the calls that are timed."""
    return f"the roof of {variant}"


def _timings(
    contestants: Mapping[str, Contestant],
    roofs: Mapping[str, Callable[[], object]],
    baseline: str | None,
    seconds: float,
) -> Timings | None:
    """Return the times of contestants and roofs, which take turns; None without contestants."""
    if baseline is None:
        return None
    with no_compilation():
        calls: dict[str, Callable[[], object]] = {name: contestant.call for name, contestant in contestants.items()}
        return take_turns(calls | dict(roofs), baseline=baseline, seconds=seconds)


def _error_columns(errors: Errors | None) -> dict[str, float]:
    """Return how far a result is from the reference's, as part of a row."""
    if errors is None:
        return {}
    return {
        "error": errors.largest,
        "error_absolute": errors.absolute,
        "error_relative": errors.relative,
        "error_ulp": errors.ulp,
        "error_loss": errors.loss,
    }


def _make_row(
    contestant: Contestant,
    all_: Mapping[str, Contestant],
    timings: Timings,
    compiled: dict[str | None, dict[str, float]],
) -> dict[str, Any]:
    """Return a variant's row; `compiled` has the compile times of the kernels that rows before have asked for."""
    variant, problem = contestant.variant, contestant.problem
    updates = problem.sample_updates
    seconds = timings.of(variant.name)
    low, median, high = ratio_of(seconds, np.ones(seconds.size), paired=True).scaled(1e9 / updates)
    row: dict[str, Any] = {
        "verified": True,
        **_error_columns(contestant.errors),
        "ns": median,
        "ns_low": low,
        "ns_high": high,
        "updates_per_second": 1e9 / median,
    }
    for name, column in (("reference", "to_reference"), ("C", "to_c")):
        if name in all_ and name != variant.name:
            faster = ratio(timings, name, variant.name).scaled(updates / all_[name].problem.sample_updates)
            row |= {column: faster.ratio, f"{column}_low": faster.low, f"{column}_high": faster.high}
    if roof_of(variant.name) in timings.names:
        share = ratio(timings, roof_of(variant.name), variant.name)
        row |= {"share": share.ratio, "share_low": share.low, "share_high": share.high}
    if variant.kernel not in compiled:
        compiled[variant.kernel] = compile_times(variant, problem)
    row |= compiled[variant.kernel]
    if variant.kernel and "to_reference" in row:
        slower = row["to_reference"] * median - median
        row["break_even"] = 1e9 * row["compile_seconds"] / slower if slower > 0 else np.nan
    return row


def compile_times(variant: Variant, problem: Problem) -> dict[str, float]:
    """Return what a kernel of ours costs before it trains.

    Returns
    -------
    dict
        `compile_seconds`, with nothing cached, as it was when this machine compiled it, and `load_seconds`, from the
        cache on disk, measured now; nothing for what is not compiled by numba.
    """
    if not variant.kernel or variant.kernel == "reference":
        return {}
    kernel = compile_kernel(variant.kernel, problem.model, make_loss(problem.loss), make_optimizer(problem.optimizer))
    return {
        "compile_seconds": kernel.cold_seconds,
        "load_seconds": float(np.median([_timed(kernel.load) for _ in range(LOADS)])),
    }


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _long_rounds(contestants: Mapping[str, Contestant], timings: Timings) -> pd.DataFrame:
    """Return the timings in ns per sample-update, long."""
    parts = [
        pd.DataFrame(
            {
                "variant": name,
                "round": np.arange(len(timings.seconds)),
                "ns": 1e9 * timings.of(name) / contestant.problem.sample_updates,
            }
        )
        for name, contestant in contestants.items()
    ]
    return pd.concat(parts, ignore_index=True)
