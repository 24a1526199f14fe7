"""How close a kernel is to the limit: cycles of an update, measured, against bounds from its compiled loop.

An update cannot take less than the chain of operations from the parameters to the parameters (`latency`), nor less than
the additions and multiplications take in the units of the processor (`units`), nor than the divider is busy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numba
import numpy as np
import pandas as pd

from bench.system.environment import environment
from bench.timing.clock import CYCLES, make_clock
from bench.timing.cores import CORES, FOR_ADDING, FOR_MULTIPLYING, Core
from bench.timing.machine_code import Loop, update_loop
from bench.timing.paired import ratio, ratio_of, take_turns
from bench.timing.problem import Problem
from bench.timing.schedule import ideal_cycles
from bench.timing.verify import no_compilation
from kernels.assembly import assembly
from kernels.block import allocate_block, compile_kernel
from kernels.lane_width import lane_width
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.run import (
    MAX_EPOCHS,
    NO_LOWEST,
    Data,
    Hyperparameters,
    Record,
    allocate_scratch,
    option_values,
)
from kernels.specialize import Kernel

BOUNDED = ("fused", "fused-fma", "lanes", "lanes-fma")
"""The kernels that make updates one by one."""
COLUMNS = [
    *("variant", "runs", "ns", "cycles", "cycles_low", "cycles_high"),
    *("latency", "units", "divider", "bound", "limit", "share", "share_low", "share_high", "ideal"),
    *("ghz", "processor", "note"),
]
# A leg of so many samples is long enough that the loss at its end does not count, which is taken over as many samples
# as an epoch has; and so many legs make a call.
LEG, EVALUATED, LEGS = 8192, 8, 8
NARROW, WIDE = "clock", "clock beside lanes"


class Bounds(NamedTuple):
    """What an update takes at least, in cycles."""

    latency: float
    units: float
    divider: float

    @property
    def limit(self) -> str:
        """The name of the largest."""
        return max(self._fields, key=lambda name: float(getattr(self, name)))


def bounds_of(loop: Loop, core: Core, runs: int = 1) -> Bounds:
    """Return what an update takes at least on a processor.

    Parameters
    ----------
    loop : Loop
        That makes the updates.
    core : Core
    runs : int
        How many it trains side by side.

    Raises
    ------
    ValueError
        If it calls or branches, or has vectors that the processor has not.
    """
    if not loop.is_straight:
        raise ValueError("no bound: there are calls or branches in the loop")
    updates = loop.samples * runs
    return Bounds(
        loop.chain(lambda one: core.latency(one.kind)) / updates,
        _cycles_in_units(loop, core) / updates,
        sum(core.divider_cycles(one.kind, one.width) for one in loop.instructions) / updates,
    )


def _cycles_in_units(loop: Loop, core: Core) -> float:
    """Return how long the ports are busy with additions and multiplications, were they shared out at best."""
    ports = core.ports_for(wide=loop.is_wide)
    add = sum(core.port_cycles(one.width) for one in loop.instructions if one.kind == "add")
    multiply = sum(core.port_cycles(one.width) for one in loop.instructions if one.kind in {"multiply", "fma"})
    return max(
        add / sum(port in FOR_ADDING for port in ports),
        multiply / sum(port in FOR_MULTIPLYING for port in ports),
        (add + multiply) / len(ports),
    )


def find_refusal(problem: Problem) -> str | None:
    """Return why there can be no table of limits, in words; None if there can be one."""
    if numba.config.DISABLE_JIT:
        return "not measured, because numba's JIT is off"
    if not llvm.get_process_triple().startswith("x86_64"):
        return f"not measured, because cycles are known for x86-64 and this is {llvm.get_process_triple()}"
    if problem.dtype != "float64":
        return f"not measured, because bounds are for float64 and this is {problem.dtype}"
    return "not measured, because bounds are for updates sample by sample" if problem.batch_size > 1 else None


def limits_table(problem: Problem, kernels: Sequence[str] = BOUNDED, *, seconds: float = 4.0) -> pd.DataFrame:
    """Measure updates sample by sample in cycles, and hold them against what they take at least.

    What is timed are legs of 8,192 updates on the problem's samples, repeated, from its first start at its first rate:
    the loss at the end of a leg, which other measurements contain once an epoch, is that of 8 samples.

    Parameters
    ----------
    problem : Problem
    kernels : sequence of str
        Among `BOUNDED`.
    seconds : float
        About how long to measure, after everything is compiled.

    Returns
    -------
    DataFrame
        One row per kernel: `variant`, `runs` side by side; of an update of one of them `ns`, and `cycles` with its 95 %
        interval; the bounds `latency`, `units` and `divider`; the largest of them, `bound`, and which it is, `limit`;
        `share`, the bound divided by the cycles, with its interval; `ideal`, the cycles on an ideal machine that has
        these units and latencies (`bench.timing.schedule`); `ghz`, the clock that was measured beside it; `processor`;
        and `note`, why there are no bounds or no times.

    Raises
    ------
    ValueError
        Where `find_refusal` has a reason.
    """
    if reason := find_refusal(problem):
        raise ValueError(f"limits: {reason}")
    processor = llvm.get_host_cpu_name()
    name = f"{environment()['processor']} ({processor})"
    compiled = {kernel: _compile(kernel, problem) for kernel in kernels}
    calls: dict[str, Callable[[], object]] = {NARROW: make_clock(lanes=False), WIDE: make_clock(lanes=True)}
    widths = {kernel: _width(kernel, problem) for kernel in kernels}
    calls |= {kernel: _make_call(kernel, made.train, problem) for kernel, made in compiled.items()}
    for kernel in compiled:
        if calls[kernel]() != (MAX_EPOCHS, LEGS):
            del calls[kernel]
    with no_compilation():
        timings = take_turns(calls, baseline=NARROW, seconds=seconds)
    rows = []
    for kernel, made in compiled.items():
        runs = widths[kernel]
        about = {"variant": kernel, "runs": runs, "processor": name}
        if kernel not in calls:
            rows.append(about | {"note": "not measured: the run does not stay finite"})
            continue
        clock, updates = NARROW if runs == 1 else WIDE, LEG * LEGS * runs
        cycles = ratio(timings, kernel, clock).scaled(CYCLES / updates)
        taken = timings.of(kernel)
        row: dict[str, Any] = {
            **about,
            "ns": ratio_of(taken, np.ones(taken.size), paired=True).scaled(1e9 / updates).ratio,
            **dict(zip(("cycles_low", "cycles", "cycles_high"), cycles, strict=True)),
            "ghz": 1e-9 * CYCLES / float(np.median(timings.of(clock))),
        }
        rows.append(row | _bound_columns(made, runs, processor, row))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"note": "str"})


def _bound_columns(kernel: Kernel, runs: int, processor: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bounds and the share, or a note on why there are none."""
    if processor not in CORES:
        return {"note": f"unknown processor {processor}: no bound"}
    try:
        loop = update_loop(assembly(kernel))
        bounds = bounds_of(loop, CORES[processor], runs)
    except ValueError as reason:
        return {"note": str(reason)}
    bound = max(bounds)
    return {
        "ideal": ideal_cycles(loop, CORES[processor]) / (loop.samples * runs),
        **bounds._asdict(),
        "bound": bound,
        "limit": bounds.limit,
        "share": bound / row["cycles"],
        "share_low": bound / row["cycles_high"],
        "share_high": bound / row["cycles_low"],
        "note": "",
    }


def _compile(kernel: str, problem: Problem) -> Kernel:
    return compile_kernel(kernel, problem.model, make_loss(problem.loss), make_optimizer(problem.optimizer))


def _width(kernel: str, problem: Problem) -> int:
    """Return how many runs a kernel trains side by side."""
    return lane_width(kernel, problem.dtype, problem.model.program, make_loss(problem.loss))


def _make_call(kernel: str, train: Callable[..., tuple[int, int]], problem: Problem) -> Callable[[], object]:
    """Return a call of a kernel that makes `LEGS` legs of `LEG` updates, and hardly anything else.

    The samples of a leg stand where an epoch's are in visiting order, and those that the loss is taken over are few. As
    no leg begins an epoch, nothing is shuffled.
    """
    loss, optimizer = make_loss(problem.loss), make_optimizer(problem.optimizer)
    start, rate, runs = problem.inits[:1], problem.rates[0, 0], _width(kernel, problem)
    marks = 1 + LEG * np.arange(LEGS + 1)
    epochs = marks[-1] // EVALUATED + 1
    few, leg = (
        (tuple(np.resize(column, size) for column in problem.x), np.resize(problem.y, size))
        for size in (EVALUATED, LEG + 1)
    )
    none = tuple(np.empty(0) for _ in problem.x), np.empty(0)
    rates = np.full(epochs if runs == 1 else (epochs, runs), rate)
    plan = Hyperparameters(rates, option_values(loss, optimizer), 1, True, True, 0, -np.inf, marks)
    given = Data(*few, *leg, *none)
    # So few losses come from no factor.
    data = given
    scratch = allocate_scratch(start.shape[1], runs)
    memory = optimizer.initial_memory(start)
    trajectory, losses = np.empty((LEGS + 1, start.shape[1])), np.empty(LEGS + 1)

    def alone() -> tuple[int, int]:
        trajectory[0] = start[0]
        return train(data, plan, Record(losses, trajectory, memory[0].copy()), scratch, 0, LEGS)

    if runs == 1:
        return alone
    # Made once: that alone takes 2 % of the time of a call.
    starts, memories = (np.repeat(row, runs, 0) for row in (start, memory))
    block = allocate_block(starts, memories, np.tile(NO_LOWEST, (runs, 1)), (LEGS + 1, 0))

    def side_by_side() -> tuple[int, int]:
        block.now[:], block.memory_now[:], block.status[:] = starts.T, memories.T, MAX_EPOCHS
        return train(data, plan, block, scratch, 0, LEGS)

    return side_by_side
