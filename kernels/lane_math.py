"""exp, log, sin and their like on LLVM vectors, within 4 units in the last place (ULP) of the true value.

exp and tanh are written out in vector instructions, because a call spills all registers: an update of a*exp(b*x) + c in
32 lanes takes 1.8 ns with the exp of glibc's vector math library, and 1.0 ns with this one. The other functions come
from that library where it is present, on Linux on x86-64; elsewhere they are the scalar functions, element by element.

What emits a function here has the arguments ``(context, builder, signature, *vectors)``, as numba calls it.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils

Emit = Callable[..., ir.Value]
INDEX = ir.IntType(32)

LIBRARY = "libmvec.so.1"
IN_LIBRARY: dict[Callable[..., Any], str] = {
    np.log: "log",
    np.log1p: "log1p",
    np.expm1: "expm1",
    np.sinh: "sinh",
    np.cosh: "cosh",
    math.erf: "erf",
    np.sin: "sin",
    np.cos: "cos",
    np.tan: "tan",
    np.arcsin: "asin",
    np.arccos: "acos",
    np.arctan: "atan",
    np.power: "pow",
}

LOG2_E = 1.4426950408889634
# ln(2) in two parts. The first has 32 bits: its product with a whole number of up to 21 bits is exact.
LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42feep-1"), float.fromhex("0x1.a39ef35793c76p-33")
BIAS = 1023  # of the exponent of a double
# Doubles of this size are whole numbers: to add it is to round.
ROUNDER = 1.5 * 2.0**52 + 2 * BIAS
# (exp(r) - 1 - r) / r**2 in rising powers of r. Up to |r| = ln(2)/2 that gives exp(r) with a relative error of 3.7e-18
# at most, the least there is for this degree (Remez' algorithm in 50 digits).
EXP = (
    0.5000000000000011,
    0.16666666666666413,
    0.041666666666530267,
    0.008333333333494338,
    0.0013888888943597944,
    0.00019841269506766388,
    2.4801493135891248e-05,
    2.755758627893524e-06,
    2.7630234036733407e-07,
    2.5000068172121073e-08,
)


class _Vector:
    """An LLVM vector with operators, so that a formula reads as one; numbers take part in it.

    A multiplication and an addition may become one FMA in any kernel, since the result is an approximation in any case.
    (To ask for one with llvm.fma is to call a slow function where the processor has none.)
    """

    def __init__(self, builder: Any, value: ir.Value) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "_Vector | float") -> "_Vector":
        return self._combine("fadd", other)

    def __sub__(self, other: "_Vector | float") -> "_Vector":
        return self._combine("fsub", other)

    def __mul__(self, other: "_Vector | float") -> "_Vector":
        return self._combine("fmul", other)

    def __truediv__(self, other: "_Vector | float") -> "_Vector":
        return self._combine("fdiv", other)

    def _combine(self, instruction: str, other: "_Vector | float") -> "_Vector":
        operand = other.value if isinstance(other, _Vector) else _constant(self.value.type, other)
        return _Vector(self.builder, getattr(self.builder, instruction)(self.value, operand, flags=("contract",)))

    def replace(self, new: float, relation: str, limit: float) -> "_Vector":
        """Return `new` in place of the elements that are "<" or ">" than a limit; nan is neither."""
        beyond = self.builder.fcmp_ordered(relation, self.value, _constant(self.value.type, limit))
        return _Vector(self.builder, self.builder.select(beyond, _constant(self.value.type, new), self.value))


def exp(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit exp(x), within 1.1 ULP. It is 0 below -746, and infinite above 710."""
    u, s, t = _exp_parts(_Vector(builder, x).replace(-746.0, "<", -746.0).replace(710.0, ">", 710.0))
    return ((u * s + s) * t).value


def tanh(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit tanh(x) = e / (e + 2) with e = exp(2|x|) - 1 and the sign of x, within 3 ULP. It is 1 from 20 on."""
    size = _Vector(builder, llvm_function(builder, "llvm.fabs", x)).replace(20.0, ">", 20.0)
    u, s, t = _exp_parts(size * 2.0)
    power = s * t
    e = u * power + (power - 1.0)
    return llvm_function(builder, "llvm.copysign", (e / (e + 2.0)).value, x)


def _exp_parts(x: _Vector) -> tuple[_Vector, _Vector, _Vector]:
    """u, s and t with exp(x) = (1 + u) * s * t, for x from -746 to 710.

    With x = k*ln(2) + r and k whole, u is exp(r) - 1, and s*t is 2**k: two factors, since 2**k alone can be out of
    range where exp(x) is not.
    """
    shifted = x * LOG2_E + ROUNDER
    k = shifted - ROUNDER
    r = x - k * LN2_HIGH - k * LN2_LOW
    square = r * r
    # In pairs of terms, which need not wait for each other.
    polynomial, *pairs = [r * odd + even for even, odd in zip(EXP[-2::-2], EXP[::-2], strict=True)]
    for pair in pairs:
        polynomial = polynomial * square + pair
    u = polynomial * square + r

    # The last bits of `shifted` are k + 2*BIAS, the sum of the two biased exponents.
    builder, whole = x.builder, ir.VectorType(ir.IntType(64), x.value.type.count)
    both = builder.bitcast(shifted.value, whole)
    half = builder.lshr(both, _constant(whole, 1))
    s, t = (
        _Vector(builder, builder.bitcast(builder.shl(exponent, _constant(whole, 52)), x.value.type))
        for exponent in (half, builder.sub(both, half))
    )
    return u, s, t


def sign(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit the sign: -1, 1, nan for nan, and 0 for 0 and for -0, which the addition makes 0."""
    return (_Vector(builder, x) + 0.0).replace(1.0, ">", 0.0).replace(-1.0, "<", 0.0).value


def llvm_function(builder: Any, name: str, *args: ir.Value) -> ir.Value:
    """Emit a call of LLVM's own function of that name."""
    vector = args[0].type
    kind = ir.FunctionType(vector, [vector] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"{name}.v{vector.count}f64"), args)


def count_arguments(function: Callable[..., Any]) -> int:
    """Return how many arguments a function of the library has."""
    return function.nin if isinstance(function, np.ufunc) else 1


def library_emitter(function: Callable[..., Any]) -> Emit:
    """Return what emits calls of a function in the library, or else of the scalar function."""

    def emit(context: Any, builder: Any, _sig: Any, *args: ir.Value) -> ir.Value:
        letter, width = _instruction_set(context.codegen().magic_tuple()[2].split(","))
        if function.__name__ not in LIBRARY_FUNCTIONS or args[0].type.count % width:
            return _call_elementwise(function, context, builder, *args)
        if len(args) == 1:
            # The library takes three to eight times as long where there is a nan, and runs that diverged stay nan.
            (x,) = args
            nan = builder.fcmp_unordered("uno", x, x)
            harmless = builder.select(nan, _constant(x.type, 0.5), x)
            return builder.select(nan, x, _call_library(builder, _symbol(function, letter, width), width, harmless))
        return _call_library(builder, _symbol(function, letter, width), width, *args)

    return emit


def _call_library(builder: Any, symbol: str, width: int, *args: ir.Value) -> ir.Value:
    """Emit the calls of a function in the library, for `width` elements at a time."""
    vector = ir.VectorType(ir.DoubleType(), width)
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * len(args)), symbol)
    # Otherwise LLVM keeps calls whose result nobody needs, such as those of the derivatives where only the loss is
    # wanted (a fifth of the time of a*sin(w*x + p) + c). llvmlite does not know the attribute.
    set.add(function.attributes, "willreturn")
    parts = zip(*(_split(builder, arg, width) for arg in args), strict=True)
    return _concatenate(builder, [builder.call(function, part, attrs=("readnone", "nounwind")) for part in parts])


def _symbol(function: Callable[..., Any], letter: str, width: int) -> str:
    """Return the name in glibc's library of a function that takes `width` doubles at a time."""
    return f"_ZGV{letter}N{width}{'v' * count_arguments(function)}_{IN_LIBRARY[function]}"


def _instruction_set(features: list[str]) -> tuple[str, int]:
    """Its letter in those names, and the width of its vectors, for a processor with these features."""
    if "+avx512f" in features:
        return "e", 8
    return ("d", 4) if "+avx2" in features else ("b", 2)


def elementwise_emitter(function: Callable[..., Any]) -> Emit:
    """Return what emits the scalar function, element by element."""
    return lambda context, builder, _sig, *args: _call_elementwise(function, context, builder, *args)


def _call_elementwise(function: Callable[..., Any], context: Any, builder: Any, *args: ir.Value) -> ir.Value:
    """Emit the scalar function, element by element."""
    typing = context.typing_context
    scalar = typing.resolve_value_type(function).get_call_type(typing, [types.float64] * len(args), {})
    call = context.get_function(function, scalar)
    result = ir.Constant(args[0].type, ir.Undefined)
    for place in range(args[0].type.count):
        at = ir.Constant(INDEX, place)
        value = call(builder, [builder.extract_element(arg, at) for arg in args])
        result = builder.insert_element(result, value, at)
    return result


def _split(builder: Any, vector: ir.Value, width: int) -> list[ir.Value]:
    """Return the parts of a vector, of that width each."""
    return [
        shuffle(builder, vector, vector, range(first, first + width)) for first in range(0, vector.type.count, width)
    ]


def _concatenate(builder: Any, parts: list[ir.Value]) -> ir.Value:
    """Return one vector of two, four, eight, ... parts."""
    while len(parts) > 1:
        places = range(2 * parts[0].type.count)
        parts = [shuffle(builder, low, high, places) for low, high in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def shuffle(builder: Any, low: ir.Value, high: ir.Value, places: Iterable[int]) -> ir.Value:
    """Emit the vector of the elements at `places`, counted through two vectors."""
    mask = [ir.Constant(INDEX, place) for place in places]
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(INDEX, len(mask)), mask))


def _constant(kind: ir.VectorType, number: float) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _find_library_functions() -> tuple[str, ...]:
    """Load the library, for good, and tell which functions it has; older ones have fewer.

    Machine code from the disk cache may call them, so this comes before any of it is loaded.
    """
    try:
        llvm.load_library_permanently(LIBRARY)
    except RuntimeError:
        return ()
    return tuple(function.__name__ for function in IN_LIBRARY if llvm.address_of_symbol(_symbol(function, "b", 2)))


# Part of what tells one kernel from another: code that calls the library must not be loaded where it is missing.
LIBRARY_FUNCTIONS = _find_library_functions()
