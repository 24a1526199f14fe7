"""The functions of `sgdbench.kernels.model.functions` for numba, on floats and on lanes, with the same bits."""

import math
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic

from sgdbench.kernels.model.functions import FUNCTIONS
from sgdbench.kernels.simd.lanes import Lane, common_lane
from sgdbench.kernels.simd.vector import Emit


def _elementwise(emit: Emit, *kinds: types.Type) -> Any:
    """Return type and code of a function on floats, or on lanes if any operand is a lane."""
    lane = common_lane(kinds)
    if lane is None and any(isinstance(kind, Lane) or not isinstance(kind, types.Number) for kind in kinds):
        return None
    kind = lane or types.float64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        operands = [context.cast(builder, arg, have, kind) for arg, have in zip(args, sig.args, strict=True)]
        return emit(builder, *operands)

    return kind(*kinds), codegen


def _comparison(relation: str) -> Emit:
    """Return the emitter of 1 where the relation holds, else 0; LLVM recovers the condition."""

    def emit(builder: Any, u: ir.Value, v: ir.Value) -> ir.Value:
        holds = builder.fcmp_ordered(relation, u, v)
        return builder.select(holds, ir.Constant(u.type, 1.0), ir.Constant(u.type, 0.0))

    return emit


def _choice(builder: Any, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_unordered("!=", condition, ir.Constant(condition.type, 0.0)), a, b)


def _extreme(relation: str) -> Emit:
    """Return the emitter of b where it is beyond a or nan, else a. The inner choice is one instruction on x86."""

    def emit(builder: Any, a: ir.Value, b: ir.Value) -> ir.Value:
        chosen = builder.select(builder.fcmp_ordered(relation, b, a), b, a)
        return builder.select(builder.fcmp_unordered("uno", b, b), b, chosen)

    return emit


@intrinsic
def less(typingctx: Any, u: Any, v: Any) -> Any:
    """Return 1 where u < v, else 0."""
    return _elementwise(_comparison("<"), u, v)


@intrinsic
def less_equal(typingctx: Any, u: Any, v: Any) -> Any:
    """Return 1 where u <= v, else 0."""
    return _elementwise(_comparison("<="), u, v)


@intrinsic
def where(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition is not 0, else b."""
    return _elementwise(_choice, condition, a, b)


@intrinsic
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the larger number, the first if they are equal, and nan if either is nan."""
    return _elementwise(_extreme(">"), a, b)


@intrinsic
def minimum(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the smaller number, the first if they are equal, and nan if either is nan."""
    return _elementwise(_extreme("<"), a, b)


_INTRINSICS = (less, less_equal, where, maximum, minimum)
COMPILED = FUNCTIONS if config.DISABLE_JIT else {one.__name__: one for one in (*_INTRINSICS, math.erf)}
"""The functions by the names that programs give them."""
erf = COMPILED["erf"]
if config.DISABLE_JIT:
    globals().update(COMPILED)
