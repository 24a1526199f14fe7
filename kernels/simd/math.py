"""Functions on LLVM vectors, within 4 units in the last place (ULP): sign, and calls of a vector library.

exp and tanh are written out in `sgdbench.kernels.simd.exp`, because a call spills all registers; on AVX-512 so are
expm1, log and log1p. The others come from glibc's vector math library if it is present (Linux on x86-64); otherwise
they are the scalar functions, element by element.
"""

import math
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types

from sgdbench.kernels.base.numba_internals import features_of
from sgdbench.kernels.simd.vector import INDEX, Emit, Vector, concatenate, split

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


def sign(_context: Any, builder: Any, _sig: Any, x: ir.Value) -> ir.Value:
    """Emit the sign: -1, 1, nan for nan, and 0 for 0 and for -0, which the addition turns into 0."""
    return (Vector(builder, x) + 0.0).replace(1.0, ">", 0.0).replace(-1.0, "<", 0.0).value


def count_arguments(function: Callable[..., Any]) -> int:
    """Return the number of arguments of a function of the library."""
    return function.nin if isinstance(function, np.ufunc) else 1


def library_emitter(function: Callable[..., Any]) -> Emit:
    """Return the emitter of calls of a library function, or of the scalar function if the library lacks it."""
    elementwise = elementwise_emitter(function)

    def emit(context: Any, builder: Any, sig: Any, *args: ir.Value) -> ir.Value:
        letter, width = _instruction_set(features_of(context))
        if function.__name__ not in LIBRARY_FUNCTIONS or args[0].type.count % width:
            return elementwise(context, builder, sig, *args)
        if len(args) == 1:
            # The library takes three to eight times as long with nan, which diverged runs keep.
            (x,) = args
            nan = builder.fcmp_unordered("uno", x, x)
            harmless = builder.select(nan, ir.Constant(x.type, 0.5), x)
            return builder.select(nan, x, _call_library(builder, _symbol(function, letter, width), width, harmless))
        return _call_library(builder, _symbol(function, letter, width), width, *args)

    return emit


def _call_library(builder: Any, symbol: str, width: int, *args: ir.Value) -> ir.Value:
    """Emit calls of a library function, each for `width` elements."""
    vector = ir.VectorType(ir.DoubleType(), width)
    function = builder.module.declare_intrinsic(symbol, fnty=ir.FunctionType(vector, [vector] * len(args)))
    # Without this attribute, which llvmlite does not know, LLVM keeps calls whose result is unused, such as derivatives
    # where only the loss is recorded: a fifth of the time of a*sin(w*x + p) + c.
    set.add(function.attributes, "willreturn")
    parts = zip(*(split(builder, arg, width) for arg in args), strict=True)
    return concatenate(builder, [builder.call(function, part, attrs=("readnone", "nounwind")) for part in parts])


def _symbol(function: Callable[..., Any], letter: str, width: int) -> str:
    """Return the name of glibc's version of a function that takes `width` doubles at a time."""
    return f"_ZGV{letter}N{width}{'v' * count_arguments(function)}_{IN_LIBRARY[function]}"


def _instruction_set(features: list[str]) -> tuple[str, int]:
    """Return the letter of an instruction set in those names, and the width of its vectors."""
    if "+avx512f" in features:
        return "e", 8
    return ("d", 4) if "+avx2" in features else ("b", 2)


def elementwise_emitter(function: Callable[..., Any]) -> Emit:
    """Return the emitter of the scalar function, element by element."""

    def emit(context: Any, builder: Any, _sig: Any, *args: ir.Value) -> ir.Value:
        typing = context.typing_context
        scalar = typing.resolve_value_type(function).get_call_type(typing, [types.float64] * len(args), {})
        call = context.get_function(function, scalar)
        result = ir.Constant(args[0].type, ir.Undefined)
        for place in range(args[0].type.count):
            at = ir.Constant(INDEX, place)
            value = call(builder, [builder.extract_element(arg, at) for arg in args])
            result = builder.insert_element(result, value, at)
        return result

    return emit


def _find_library_functions() -> tuple[str, ...]:
    """Load the library permanently, before any machine code that calls it; return those of its functions we use."""
    try:
        llvm.load_library_permanently(LIBRARY)
    except RuntimeError:
        return ()
    return tuple(function.__name__ for function in IN_LIBRARY if llvm.address_of_symbol(_symbol(function, "b", 2)))


# The digest of a kernel includes these: code that calls the library must not be loaded where it is missing.
LIBRARY_FUNCTIONS = _find_library_functions()
