"""LLVM vectors with operators, so that code that emits a formula reads like the formula; AVX-512 instructions.

A vector of one number is a scalar. The AVX-512 instructions take a register of eight doubles.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from llvmlite import ir

from sgdbench.kernels.base.numba_internals import features_of

Emit = Callable[..., ir.Value]
"""Emits a function; its arguments are ``(context, builder, signature, *values)``, as numba passes them."""

INDEX = ir.IntType(32)
REGISTER = 8
"""The doubles in a register of AVX-512."""
MASK, AS_ROUNDED = ir.IntType(REGISTER), ir.Constant(ir.IntType(32), 4)
EVERY = ir.Constant(MASK, -1)
# Codes of the vfixupimmpd instruction: classes of numbers, and the response "take x".
ZERO, INFINITY, TAKES_X = 2, 5, 1


class Vector:
    """An LLVM vector with operators that accept numbers too.

    A multiplication and an addition may be fused in any kernel, since these results are approximations in any case.
    (llvm.fma would instead call a slow function on processors without the instruction.)
    """

    def __init__(self, builder: Any, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector | float") -> "Vector":
        return self._combine("fadd", other)

    def __sub__(self, other: "Vector | float") -> "Vector":
        return self._combine("fsub", other)

    def __mul__(self, other: "Vector | float") -> "Vector":
        return self._combine("fmul", other)

    def __truediv__(self, other: "Vector | float") -> "Vector":
        return self._combine("fdiv", other)

    def __neg__(self) -> "Vector":
        return Vector(self.builder, self.builder.fneg(self.value))

    def _combine(self, instruction: str, other: "Vector | float") -> "Vector":
        operand = other.value if isinstance(other, Vector) else ir.Constant(self.value.type, other)
        return Vector(self.builder, getattr(self.builder, instruction)(self.value, operand, flags=("contract",)))

    def replace(self, new: float, relation: str, limit: float) -> "Vector":
        """Return `new` in place of the elements that are "<" or ">" than a limit; nan is neither."""
        beyond = self.builder.fcmp_ordered(relation, self.value, ir.Constant(self.value.type, limit))
        return Vector(self.builder, self.builder.select(beyond, ir.Constant(self.value.type, new), self.value))

    def fma(self, factor: "Vector | float", term: "Vector | float") -> "Vector":
        """Return self * factor + term, rounded once; only for processors with an FMA instruction."""
        return self.call("llvm.fma", factor, term)

    def call(self, name: str, *others: "Vector | float") -> "Vector":
        """Return the result of an LLVM intrinsic on this vector and others."""
        args = [other.value if isinstance(other, Vector) else ir.Constant(self.value.type, other) for other in others]
        return Vector(self.builder, llvm_function(self.builder, name, self.value, *args))


def call(builder: Any, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """Emit a call of the LLVM intrinsic with this full name."""
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(builder.module.declare_intrinsic(name, fnty=kind), args)


def llvm_function(builder: Any, name: str, *args: ir.Value) -> ir.Value:
    """Emit a call of the LLVM intrinsic with this name on vectors of doubles or of floats."""
    kind = args[0].type
    width = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
    return call(builder, f"{name}.{width}{element_of(kind).intrinsic_name}", kind, *args)


def vector(element: ir.Type, width: int) -> ir.Type:
    """Return the type of a vector of `width` numbers; for a width of 1, the type of the number."""
    return element if width == 1 else ir.VectorType(element, width)


def element_of(kind: ir.Type) -> ir.Type:
    """Return the type of one number of a vector."""
    return kind.element if isinstance(kind, ir.VectorType) else kind


def repeat(builder: Any, number: ir.Value, width: int) -> ir.Value:
    """Emit a vector with a number in every element."""
    if width == 1:
        return number
    undefined = ir.Constant(vector(number.type, width), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INDEX, 0))
    return shuffle(builder, first, first, [0] * width)


def convert(builder: Any, value: ir.Value, element: ir.Type) -> ir.Value:
    """Emit the same numbers as doubles, or rounded to floats."""
    if element_of(value.type) == element:
        return value
    instruction = builder.fpext if element == ir.DoubleType() else builder.fptrunc
    width = value.type.count if isinstance(value.type, ir.VectorType) else 1
    return instruction(value, vector(element, width))


def split(builder: Any, vector: ir.Value, width: int) -> list[ir.Value]:
    """Return the parts of a vector, each of that width."""
    return [
        shuffle(builder, vector, vector, range(first, first + width)) for first in range(0, vector.type.count, width)
    ]


def concatenate(builder: Any, parts: Sequence[ir.Value]) -> ir.Value:
    """Return one vector of two, four, eight, ... parts."""
    while len(parts) > 1:
        places = range(2 * parts[0].type.count)
        parts = [shuffle(builder, low, high, places) for low, high in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def shuffle(builder: Any, low: ir.Value, high: ir.Value, places: Iterable[int]) -> ir.Value:
    """Emit the vector of the elements at `places`, counted through two vectors."""
    mask = [ir.Constant(INDEX, place) for place in places]
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(INDEX, len(mask)), mask))


def on_avx512(function: Callable[[Vector], Vector], otherwise: Emit) -> Emit:
    """Return the emitter of a function for AVX-512 registers, one after another, if the processor has them.

    Computing all registers stage by stage would spill intermediate results; the processor overlaps several registers
    anyway.
    """

    def emit(context: Any, builder: Any, sig: Any, x: ir.Value) -> ir.Value:
        if "+avx512f" not in features_of(context) or x.type.count % REGISTER:
            return otherwise(context, builder, sig, x)
        return concatenate(builder, [function(Vector(builder, part)).value for part in split(builder, x, REGISTER)])

    return emit


def bits_of(x: Vector) -> ir.Value:
    """Return the bits of the elements as integers."""
    bits: ir.Value = x.builder.bitcast(x.value, ir.VectorType(ir.IntType(64), REGISTER))
    return bits


def look_up(table: tuple[float, ...], places: ir.Value, builder: Any) -> Vector:
    """Return the elements of a table of sixteen, indexed by the last four bits of integers, from two registers."""
    kind = ir.VectorType(ir.DoubleType(), REGISTER)
    low, high = (ir.Constant(kind, list(half)) for half in (table[:REGISTER], table[REGISTER:]))
    return Vector(builder, call(builder, "llvm.x86.avx512.vpermi2var.pd.512", kind, low, places, high))


def scale(value: Vector, k: Vector, mask: ir.Value | None = None) -> Vector:
    """Return value * 2**floor(k), rounded once, and 0 where `mask` is false."""
    which = EVERY if mask is None else value.builder.bitcast(mask, MASK)
    return _masked("scalef", value, k.value, ir.Constant(value.value.type, 0.0), which)


def exponent(x: Vector) -> Vector:
    """Return the binary exponent of each element; it is infinite for 0 and infinity."""
    return _masked("getexp", x, ir.Constant(x.value.type, 0.0), EVERY)


def mantissa(x: Vector) -> Vector:
    """Return each element times the power of two that brings it into [3/4, 3/2], and nan if it is negative."""
    return _masked("getmant", x, ir.Constant(ir.IntType(32), 0b1011), ir.Constant(x.value.type, 0.0), EVERY)


def significand(x: Vector) -> Vector:
    """Return each element times the power of two that brings its size into [1, 2]; 1 and -1 for 0 and infinity."""
    return _masked("getmant", x, ir.Constant(ir.IntType(32), 0), ir.Constant(x.value.type, 0.0), EVERY)


def estimate_reciprocal(x: Vector) -> Vector:
    """Return 1/x with a relative error below 2**-14; its last bits differ between makes of processors."""
    return _estimate("rcp14", x)


def estimate_reciprocal_root(x: Vector) -> Vector:
    """Return 1/sqrt(x) with a relative error below 2**-14, like `estimate_reciprocal`; subnormal x are included."""
    return _estimate("rsqrt14", x)


def _estimate(name: str, x: Vector) -> Vector:
    args = x.value, ir.Constant(x.value.type, 0.0), EVERY
    return Vector(x.builder, call(x.builder, f"llvm.x86.avx512.{name}.pd.512", x.value.type, *args))


def keep_zeros_and_infinity(value: Vector, x: Vector) -> Vector:
    """Return x where it is 0, -0 or inf, else `value`."""
    responses = TAKES_X << 4 * ZERO | TAKES_X << 4 * INFINITY
    table = ir.Constant(ir.VectorType(ir.IntType(64), REGISTER), [responses] * REGISTER)
    return _masked("fixupimm", value, x.value, table, ir.Constant(INDEX, 0), EVERY)


def _masked(name: str, x: Vector, *others: ir.Value) -> Vector:
    args = [x.value, *others, AS_ROUNDED]
    return Vector(x.builder, call(x.builder, f"llvm.x86.avx512.mask.{name}.pd.512", x.value.type, *args))
