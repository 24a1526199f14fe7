"""The roof: how long the arithmetic of some runs takes by itself, measured on the processor that trains them.

A roof is a kernel that only does as many additions, multiplications, divisions and square roots as the runs need. For
runs side by side they are independent vector operations, without latency, loads or stack access. A single run waits in
each update for the one before, so its roof is the longest chain of operations from a number to itself. The counts are
lower bounds (`sgdbench.timing.operations`), so no kernel is faster than its roof.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sgdbench.kernels.compile.kinds import KERNELS, doubles_in_register, takes_factor
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.simd.division import has_fast_divider
from sgdbench.kernels.simd.lanes import Lane, read_lane, write_lane
from sgdbench.kernels.simd.vector import REGISTER, llvm_function
from sgdbench.timing.operations import count_sections, longest_chain
from sgdbench.timing.problem import Problem, UnavailableError

STATEMENTS = {
    "add": "{0} = {0} + zero",
    "multiply": "{0} = {0} * one",
    "fma": "{0} = multiply_add({0}, one, zero)",
    "divide": "{0} = divide(one, {0})",
    "sqrt": "{0} = sqrt({0})",
}
# The minimum number of operations per loop iteration, with which counting iterations takes no time of its own.
MIN_OPERATIONS = 48
# The maximum: numba's compile time grows with its square, to 24 s for three thousand.
MAX_OPERATIONS = 1000
# A dependent division takes as long as about this many additions.
RELATIVE_LATENCY = {"divide": 4, "sqrt": 4}

Loop = tuple[list[str], int]


@intrinsic
def divide(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a / b by the processor's divider, which kernels avoid where other operations are as good."""
    kind = b if isinstance(b, Lane) else types.float64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return builder.fdiv(context.cast(builder, args[0], a, kind), args[1])

    return kind(a, b), codegen


@intrinsic
def sqrt(typingctx: Any, x: Any) -> Any:
    """Return the square root by the processor's divider."""
    return x(x), lambda context, builder, sig, args: llvm_function(builder, "llvm.sqrt", args[0])


@intrinsic
def multiply_add(typingctx: Any, x: Any, factor: Any, summand: Any) -> Any:
    """Return x * factor + summand, rounded once."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        others = (context.cast(builder, arg, types.float64, x) for arg in args[1:])
        return llvm_function(builder, "llvm.fma", args[0], *others)

    return x(x, factor, summand), codegen


def make_roof(kernel: str, problem: Problem) -> Callable[[], object]:
    """Return a compiled call with the arithmetic that a kernel needs for a problem, or raise UnavailableError."""
    kind = KERNELS[kernel]
    if numba.config.DISABLE_JIT:
        raise UnavailableError("numba's JIT is off")
    if problem.dtype != "float64":
        raise UnavailableError(f"operations on {problem.dtype} are not measured")
    if kind.width > 1:
        width, registers = vector_registers()
        losses = not takes_factor(kernel, problem.model, make_loss(problem.loss), problem.epochs + 1)
        sections = count_sections(problem, fma=kind.fma, losses=losses)
        if any(shares_divisions(kernel, counts) for counts, _ in sections):
            raise UnavailableError("divisions and square roots are shared between the divider and other units")
        loops = [independent(counts, turns * problem.runs // width, registers) for counts, turns in sections]
        return compile_loops(loops, width, registers)
    if problem.model.by_row:
        raise UnavailableError("neither the latencies nor the units alone limit one run of a model with vectors")
    if problem.batch_size > 1:
        raise UnavailableError("in batches neither the latencies nor the units alone limit one run")
    return compile_loops([dependent(longest_chain(problem, fma=kind.fma), problem.updates)], 1, 1)


def shares_divisions(kernel: str, operations: Counter[str]) -> bool:
    """Return whether lanes compute some of the quotients and roots without the divider."""
    shared = {"sqrt"} if has_fast_divider() or not KERNELS[kernel].fma else {"sqrt", "divide"}
    return doubles_in_register() == REGISTER and not shared.isdisjoint(operations)


def vector_registers() -> tuple[int, int]:
    """Return how many doubles a vector register has, and how many registers to use: some are left for constants."""
    width = doubles_in_register()
    has_32 = width == 8 or not llvm.get_process_triple().startswith("x86_64")
    return width, 24 if has_32 else 12


def independent(counts: Counter[str], turns: int, registers: int) -> Loop:
    """Return a loop over operations that wait for each other as little as the number of registers permits.

    Each register has operations of one kind, so that the compiler fuses only the intended ones. The loop is a list of
    statements, the body of an iteration, and the number of iterations. With very many operations an iteration has a
    part of them.
    """
    parts = -(-counts.total() // MAX_OPERATIONS)
    counts, turns = Counter({kind: max(1, round(count / parts)) for kind, count in counts.items()}), turns * parts
    repeats = -(-MIN_OPERATIONS // counts.total())
    shares = Counter(dict.fromkeys(counts, 1))
    for _ in range(registers - len(counts)):
        shares[max(counts, key=lambda kind: counts[kind] * RELATIVE_LATENCY.get(kind, 1) / shares[kind])] += 1
    placed, first = [], 0
    for kind, count in counts.items():
        total = count * repeats
        placed += [(i / total, STATEMENTS[kind].format(f"v_{first + i % shares[kind]}")) for i in range(total)]
        first += shares[kind]
    return [statement for _, statement in sorted(placed)], turns // repeats


def dependent(chain: Sequence[str], turns: int) -> Loop:
    """Return a loop over operations each of which waits for the one before; see `independent`."""
    repeats = -(-MIN_OPERATIONS // len(chain))
    return [STATEMENTS[kind].format("v_0") for kind in chain] * repeats, turns // repeats


def compile_loops(loops: Sequence[Loop], width: int, registers: int) -> Callable[[], object]:
    """Return a call of the loops, one after another, on vectors of `width` doubles, or on scalars for 1.

    All numbers are arguments with the values 0 and 1, which the compiler cannot know: nothing overflows, and divisions
    and square roots of other numbers take as long.
    """
    read, write = "cells[{0}]", "cells[{0}] = v_{1}"
    if width > 1:
        read, write = f"read_lane(cells, {{0}}, {width})", "write_lane(v_{1}, cells, {0})"
    lines = ["def roof(cells, one, zero, turns):"]
    lines += [f"    v_{k} = {read.format(k * width)}" for k in range(registers)]
    for place, (body, _) in enumerate(loops):
        lines += [f"    for _ in range(turns[{place}]):", *(f"        {statement}" for statement in body)]
    lines += [f"    {write.format(k * width, k)}" for k in range(registers)]
    scope: dict[str, Any] = {"read_lane": read_lane, "write_lane": write_lane}
    scope |= {"divide": divide, "sqrt": sqrt, "multiply_add": multiply_add}
    exec("\n".join(lines), scope)  # noqa: S102 (our own text)
    signature = types.void(types.float64[::1], types.float64, types.float64, types.int64[::1])
    compiled = numba.njit(signature, error_model="numpy")(scope["roof"])
    return partial(compiled, np.ones(width * registers), 1.0, 0.0, np.array([turns for _, turns in loops]))
