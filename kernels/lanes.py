"""A SIMD vector as a numba type, so that source written for a float compiles for many of them at once.

A `Lane` of width w stands for the LLVM vector `<w x double>`. It takes part in + - * / with floats and other lanes, and
in the functions that models, losses and optimizers are written with; LLVM splits it into what the processor has.
With the JIT off, a slice of a NumPy array plays its part.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast
from numba.np.arrayobj import make_array

from kernels import lane_exp, lane_exp512, lane_log512, lane_math
from kernels.lane_avx512 import on_avx512
from kernels.lane_math import Emit
from kernels.lane_vector import INDEX, llvm_function, shuffle

# Registers that are wider than the stack is aligned lie across two cache lines there, in some processes and not in
# others. So functions with lanes of more doubles than one register holds, which may have to be spilled, align theirs.
NARROW, CACHE_LINE = 8, 64


class Lane(types.Type):
    """The numba type of `width` doubles in one value."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lane({width})")


@register_default(Lane)
class _LaneModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, lane: Lane) -> None:
        super().__init__(dmm, lane, _vector(lane.width))


def _vector(width: int) -> ir.VectorType:
    return ir.VectorType(ir.DoubleType(), width)


@lower_cast(types.Number, Lane)
def _broadcast(context: Any, builder: Any, fromty: Any, toty: Lane, value: ir.Value) -> ir.Value:
    undefined = ir.Constant(_vector(toty.width), ir.Undefined)
    number = context.cast(builder, value, fromty, types.float64)
    first = builder.insert_element(undefined, number, ir.Constant(INDEX, 0))
    return shuffle(builder, first, first, [0] * toty.width)


def _define(function: Callable[..., Any], arity: int, emit: Emit) -> None:
    """Teach numba `function` on lanes; a number among its operands is repeated first."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
            lanes = {arg for arg in args if isinstance(arg, Lane)}
            rest = [arg for arg in args if not isinstance(arg, (Lane, types.Number))]
            if len(args) != arity or len(lanes) != 1 or rest or kws:
                return None
            return signature(*list(lanes) * (arity + 1))

    @lower_builtin(function, *[Lane] * arity)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return emit(context, builder, sig, *args)


def _instruction(name: str) -> Emit:
    return lambda _context, builder, _sig, *args: getattr(builder, name)(*args)


def _llvm(name: str) -> Emit:
    return lambda _context, builder, _sig, *args: llvm_function(builder, name, *args)


_define(operator.add, 2, _instruction("fadd"))
_define(operator.sub, 2, _instruction("fsub"))
_define(operator.mul, 2, _instruction("fmul"))
_define(operator.truediv, 2, _instruction("fdiv"))
_define(operator.neg, 1, _instruction("fneg"))
_define(np.negative, 1, _instruction("fneg"))
_define(np.sqrt, 1, _llvm("llvm.sqrt"))
_define(np.absolute, 1, _llvm("llvm.fabs"))
_define(abs, 1, _llvm("llvm.fabs"))
_define(np.minimum, 2, _llvm("llvm.minimum"))
_define(np.maximum, 2, _llvm("llvm.maximum"))
_define(np.exp, 1, on_avx512(lane_exp512.exp, lane_exp.exp))
_define(np.tanh, 1, on_avx512(lane_exp512.tanh, lane_exp.tanh))
_define(np.sign, 1, lane_math.sign)
# The operator is C's pow, element by element, as it is for a float: with the same bits.
_define(operator.pow, 2, lane_math.elementwise_emitter(operator.pow))
_ON_AVX512 = {np.expm1: lane_exp512.expm1, np.log: lane_log512.log, np.log1p: lane_log512.log1p}
for _function in lane_math.IN_LIBRARY:
    _arity, _emit = lane_math.count_arguments(_function), lane_math.library_emitter(_function)
    _define(_function, _arity, on_avx512(_ON_AVX512[_function], _emit) if _function in _ON_AVX512 else _emit)


def load_lane(builder: Any, place: ir.Value, lane: Lane) -> ir.Value:
    """Emit the load of a lane from the address of its first element."""
    return builder.load(builder.bitcast(place, _vector(lane.width).as_pointer()), align=8)


def store_lane(builder: Any, value: ir.Value, place: ir.Value) -> None:
    """Emit the store of a lane to the address of its first element."""
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=8)


@intrinsic(prefer_literal=True)
def read_lane(typingctx: Any, array: Any, index: Any, width: Any) -> Any:
    """array[index : index + width] as a lane; width is a literal."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        if lane.width > NARROW:
            set.add(builder.function.attributes, f"alignstack({CACHE_LINE})")
        data = make_array(sig.args[0])(context, builder, args[0]).data
        return load_lane(builder, builder.gep(data, [args[1]]), lane)

    return lane(array, types.intp, width), codegen


@intrinsic(prefer_literal=True)
def read_repeated(typingctx: Any, array: Any, index: Any, width: Any, times: Any) -> Any:
    """array[index : index + width], that many times, as one lane; width and times are literals."""
    return _read_parts(array, width, times, lambda size, repeats: list(range(size)) * repeats)


@intrinsic(prefer_literal=True)
def read_last(typingctx: Any, array: Any, index: Any, width: Any, times: Any) -> Any:
    """array[index : index + width] at the end of a lane that many times as wide, of zeros; width, times are literals.

    Without multiplications by 0 and 1, and what is done with the zeros takes fewer instructions.
    """
    return _read_parts(array, width, times, lambda size, repeats: [size] * (size * (repeats - 1)) + list(range(size)))


def _read_parts(array: Any, width: Any, times: Any, places: Callable[[int, int], list[int]]) -> Any:
    """Return type and code of a lane made of some elements of array[index : index + width], and of zeros after them."""
    if not (isinstance(width, types.IntegerLiteral) and isinstance(times, types.IntegerLiteral)):
        return None
    part, repeats = Lane(width.literal_value), times.literal_value

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        data = make_array(sig.args[0])(context, builder, args[0]).data
        lane = load_lane(builder, builder.gep(data, [args[1]]), part)
        zeros = ir.Constant(lane.type, [0.0] * part.width)
        return shuffle(builder, lane, zeros, places(part.width, repeats))

    return Lane(part.width * repeats)(array, types.intp, width, times), codegen


@intrinsic
def write_lane(typingctx: Any, lane: Any, array: Any, index: Any) -> Any:
    """Write a lane to array[index : index + width]."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        data = make_array(sig.args[1])(context, builder, args[1]).data
        store_lane(builder, args[0], builder.gep(data, [args[2]]))
        return context.get_dummy_value()

    return types.void(lane, array, types.intp), codegen


@intrinsic(prefer_literal=True)
def broadcast(typingctx: Any, number: Any, width: Any) -> Any:
    """Return a number, in every element of a lane; width is a literal."""
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return context.cast(builder, args[0], sig.args[0], lane)

    return lane(types.unliteral(number), width), codegen


def sum_of_lane(builder: Any, lane: ir.Value) -> ir.Value:
    """Emit the sum of a lane's elements, neighbours first: ((0+1)+(2+3))+((4+5)+(6+7)) for eight of them.

    Every element is added to its neighbour in place. To take the even and the odd ones apart makes LLVM use horizontal
    additions, which are slow: a tenth of the time of a batch of 16.
    """
    width = lane.type.count
    distance = 1
    while distance < width:
        neighbours = shuffle(builder, lane, lane, [place ^ distance for place in range(width)])
        lane, distance = builder.fadd(lane, neighbours), 2 * distance
    return builder.extract_element(lane, ir.Constant(INDEX, 0))


if config.DISABLE_JIT:

    def read_lane(array: Any, index: int, width: int) -> Any:
        """array[index : index + width]."""
        return array.reshape(-1)[index : index + width].copy()

    def read_repeated(array: Any, index: int, width: int, times: int) -> Any:
        """array[index : index + width], that many times."""
        return np.tile(array.reshape(-1)[index : index + width], times)

    def read_last(array: Any, index: int, width: int, times: int) -> Any:
        """array[index : index + width] behind so many zeros that it is that many times as long."""
        return np.concatenate([np.zeros(width * (times - 1)), array.reshape(-1)[index : index + width]])

    def write_lane(lane: Any, array: Any, index: int) -> None:
        """Write a lane to array[index : index + width]."""
        array.reshape(-1)[index : index + len(lane)] = lane

    def broadcast(number: float, width: int) -> Any:
        """Return a number, in every element of a lane."""
        return np.full(width, number)
