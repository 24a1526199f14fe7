"""What AVX-512 has for functions on lanes, register by register."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from kernels.lane_math import Emit
from kernels.lane_vector import Vector, call, concatenate, constant, features_of, split

WIDTH = 8
"""The doubles in a register."""
MASK, AS_ROUNDED = ir.IntType(WIDTH), ir.Constant(ir.IntType(32), 4)
EVERY = ir.Constant(MASK, -1)


def on_avx512(function: Callable[[Vector], Vector], otherwise: Emit) -> Emit:
    """Return what emits a function in registers of AVX-512 where the processor has them.

    The intermediate results of one register are dead before the next begins, and the processor does them side by side
    all the same. Stage by stage, for all registers at once, they would have to be spilled.
    """

    def emit(context: Any, builder: Any, sig: Any, x: ir.Value) -> ir.Value:
        if "+avx512f" not in features_of(context) or x.type.count % WIDTH:
            return otherwise(context, builder, sig, x)
        return concatenate(builder, [function(Vector(builder, part)).value for part in split(builder, x, WIDTH)])

    return emit


def bits_of(x: Vector) -> ir.Value:
    """Return the bits of the elements, as whole numbers."""
    bits: ir.Value = x.builder.bitcast(x.value, ir.VectorType(ir.IntType(64), WIDTH))
    return bits


def look_up(table: tuple[float, ...], places: ir.Value, builder: Any) -> Vector:
    """Return the elements of a table of sixteen at the last four bits of whole numbers, out of two registers."""
    kind = ir.VectorType(ir.DoubleType(), WIDTH)
    low, high = (ir.Constant(kind, list(half)) for half in (table[:WIDTH], table[WIDTH:]))
    return Vector(builder, call(builder, "llvm.x86.avx512.vpermi2var.pd.512", kind, low, places, high))


def scale(value: Vector, k: Vector, kept: ir.Value | None = None) -> Vector:
    """Return value * 2**floor(k), rounded once, and 0 where it is not to be `kept`."""
    which = EVERY if kept is None else value.builder.bitcast(kept, MASK)
    return _masked("scalef", value, k.value, constant(value.value.type, 0.0), which)


def exponent(x: Vector) -> Vector:
    """Return the exponent of 2 of each element; it is infinite where that is 0 or infinite."""
    return _masked("getexp", x, constant(x.value.type, 0.0), EVERY)


def mantissa(x: Vector) -> Vector:
    """Return each element times the power of two that brings it between 3/4 and 3/2, and nan if it is negative."""
    return _masked("getmant", x, ir.Constant(ir.IntType(32), 0b1011), constant(x.value.type, 0.0), EVERY)


def _masked(name: str, x: Vector, *others: ir.Value) -> Vector:
    args = [x.value, *others, AS_ROUNDED]
    return Vector(x.builder, call(x.builder, f"llvm.x86.avx512.mask.{name}.pd.512", x.value.type, *args))
