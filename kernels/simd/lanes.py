"""SIMD vectors as a numba type, so that source written for a float compiles for many floats at once.

A `Lane` of width w is the LLVM vector ``<w x double>`` or ``<w x float>``. It supports + - * / with numbers and other
lanes, and the functions that models, losses and optimizers use; LLVM splits it into registers. With the JIT off, a
slice of a NumPy array takes its place.

A single float32 is a lane of width 1, because numba promotes a float32 with a Python number to float64. A number of
double precision is rounded to float32 where it meets a lane of float32, as NumPy does with a Python float
(`sgdbench.kernels.base.weak_scalars`); functions of options and clocks alone, such as ``1 - beta**t``, stay in double
precision. The arrays that record a run are float64, which represents float32 exactly.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from sgdbench.kernels.base.numba_internals import AbstractTemplate, infer_global, make_array
from sgdbench.kernels.base.run import CACHE_LINE
from sgdbench.kernels.base.weak_scalars import WeakScalar
from sgdbench.kernels.simd import division
from sgdbench.kernels.simd import exp as lane_exp
from sgdbench.kernels.simd import log as lane_log
from sgdbench.kernels.simd import math as lane_math
from sgdbench.kernels.simd.vector import INDEX, Emit, convert, llvm_function, on_avx512, repeat, shuffle, vector

LLVM = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
BYTES = {ir.DoubleType(): 8, ir.FloatType(): 4}
# Registers wider than the stack alignment straddle two cache lines on the stack, in some processes and not in others.
# Functions with lanes longer than a cache line, which may have to be spilled, therefore align their stack.
ALIGNED = f"alignstack({CACHE_LINE})"


class Lane(types.Type):
    """The numba type of `width` numbers in one value, all float64 or all float32."""

    def __init__(self, width: int, element: types.Float) -> None:
        self.width, self.element = width, element
        super().__init__(name=f"Lane({width}, {element})")

    @property
    def number(self) -> types.Type:
        """The type of one of its numbers."""
        return self.element if self.element == types.float64 else Lane(1, self.element)


@register_model(Lane)
class _LaneModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, lane: Lane) -> None:
        super().__init__(dmm, lane, vector(LLVM[lane.element], lane.width))


def common_lane(kinds: Iterable[types.Type]) -> Lane | None:
    """Return the result type of an elementwise function of these types; None if there is no lane or no match."""
    kinds = set(kinds)
    lanes = {kind for kind in kinds if isinstance(kind, Lane)}
    widest = {lane for lane in lanes if lane.width > 1} or lanes
    fits = len(widest) == 1 and len({lane.element for lane in lanes}) == 1
    return widest.pop() if fits and all(isinstance(kind, types.Number) for kind in kinds - lanes) else None


@lower_cast(types.Number, Lane)
def _from_number(context: Any, builder: Any, fromty: Any, toty: Lane, value: ir.Value) -> ir.Value:
    number = context.cast(builder, value, fromty, types.float64)
    return repeat(builder, convert(builder, number, LLVM[toty.element]), toty.width)


@lower_cast(Lane, Lane)
def _from_lane(_context: Any, builder: Any, fromty: Lane, toty: Lane, value: ir.Value) -> ir.Value:
    value = convert(builder, value, LLVM[toty.element])
    return value if fromty.width == toty.width else repeat(builder, value, toty.width)


def _define(function: Callable[..., Any], arity: int, emit: Emit, *elements: types.Float) -> None:
    """Register `function` in numba for lanes of these elements, or of all; scalar operands are broadcast first."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
            lane = common_lane(args) if len(args) == arity and not kws else None
            return lane(*[lane] * arity) if lane and lane.element in (elements or LLVM) else None

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
_define(operator.truediv, 2, division.divide)
_define(operator.neg, 1, _instruction("fneg"))
_define(np.negative, 1, _instruction("fneg"))
_define(np.sqrt, 1, division.sqrt)
_define(np.absolute, 1, _llvm("llvm.fabs"))
_define(abs, 1, _llvm("llvm.fabs"))
_define(np.minimum, 2, _llvm("llvm.minimum"))
_define(np.maximum, 2, _llvm("llvm.maximum"))
_define(np.sign, 1, lane_math.sign)
_define(np.exp, 1, on_avx512(lane_exp.exp_avx512, lane_exp.exp), types.float64)
_define(np.tanh, 1, on_avx512(lane_exp.tanh_avx512, lane_exp.tanh), types.float64)
# The operator is C's pow, element by element, with the same bits as for a float.
_define(operator.pow, 2, lane_math.elementwise_emitter(operator.pow), types.float64)
_ON_AVX512 = {np.expm1: lane_exp.expm1_avx512, np.log: lane_log.log_avx512, np.log1p: lane_log.log1p_avx512}
for _function in lane_math.IN_LIBRARY:
    _arity, _emit = lane_math.count_arguments(_function), lane_math.library_emitter(_function)
    _emit = on_avx512(_ON_AVX512[_function], _emit) if _function in _ON_AVX512 else _emit
    _define(_function, _arity, _emit, types.float64)


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    """``array[i] = number``, where numba knows the number as a lane of width 1."""

    def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
        """Return the types, for an array of float64."""
        array, index, value = args
        fits = isinstance(array, types.Array) and array.ndim == 1 and array.dtype == types.float64
        if fits and isinstance(index, types.Integer) and isinstance(value, Lane) and value.width == 1:
            return types.none(array, types.intp, value)
        return None


@lower_builtin(operator.setitem, types.Array, types.Integer, Lane)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
    store_lane(builder, args[2], place_in(context, builder, sig.args[0], *args[:2]))
    return context.get_dummy_value()


def _first(context: Any, builder: Any, kind: types.Type, array: ir.Value) -> ir.Value:
    """Return the address of the first element of a contiguous array."""
    return array if isinstance(kind, types.CPointer) else make_array(kind)(context, builder, array).data


def place_in(context: Any, builder: Any, kind: types.Type, array: ir.Value, index: ir.Value) -> ir.Value:
    """Return the address of array[index] in a contiguous array."""
    return builder.gep(_first(context, builder, kind, array), [index])


def load_lane(builder: Any, place: ir.Value, lane: Lane) -> ir.Value:
    """Emit the load of a lane from the address of its first element, converted if necessary."""
    stored = place.type.pointee
    address = builder.bitcast(place, vector(stored, lane.width).as_pointer())
    return convert(builder, builder.load(address, align=BYTES[stored]), LLVM[lane.element])


def store_lane(builder: Any, value: ir.Value, place: ir.Value) -> None:
    """Emit the store of a lane to the address of its first element, converted if necessary."""
    stored = place.type.pointee
    value = convert(builder, value, stored)
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=BYTES[stored])


def in_kernels(emitted: Callable[..., Any], *, prefer_literal: bool = False) -> Callable[[Any], Any]:
    """Return a decorator that replaces a function by an intrinsic (`numba.extending.intrinsic`), unless JIT is off.

    numba takes at least 13 ms to compile a helper function for every type, and next to nothing for an intrinsic.
    """
    return lambda plain: plain if config.DISABLE_JIT else intrinsic(prefer_literal=prefer_literal)(emitted)


def _read_lane(typingctx: Any, array: Any, index: Any, width: Any) -> Any:
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value, array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        if lane.width * BYTES[LLVM[lane.element]] > CACHE_LINE:
            set.add(builder.function.attributes, ALIGNED)
        return load_lane(builder, place_in(context, builder, sig.args[0], *args[:2]), lane)

    return lane(array, types.intp, width), codegen


@in_kernels(_read_lane, prefer_literal=True)
def read_lane(array: Any, index: int, width: int) -> Any:
    """Return array[index : index + width] as a lane of the array's type; width is a literal."""
    return array.reshape(-1)[index : index + width].copy()


def _align_stack(typingctx: Any, number: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        if isinstance(number, Lane) and number.width * BYTES[LLVM[number.element]] > CACHE_LINE:
            set.add(builder.function.attributes, ALIGNED)
        return context.get_dummy_value()

    return types.void(number), codegen


@in_kernels(_align_stack)
def align_stack(number: Any) -> None:
    """Align the stack of the calling function, for lanes of this width that functions inlined in it read.

    The alignment that these request is lost when they are inlined.
    """


def _read_spaced(typingctx: Any, array: Any, index: Any, step: Any, width: Any) -> Any:
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value, array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        value, place = ir.Constant(vector(LLVM[lane.element], lane.width), ir.Undefined), args[1]
        for k in range(lane.width):
            number = builder.load(place_in(context, builder, sig.args[0], args[0], place))
            value, place = builder.insert_element(value, number, ir.Constant(INDEX, k)), builder.add(place, args[2])
        return value

    return lane(array, types.intp, types.intp, width), codegen


@in_kernels(_read_spaced, prefer_literal=True)
def read_spaced(array: Any, index: int, step: int, width: int) -> Any:
    """Return array[index], array[index + step], ... as a lane of the array's type; width is a literal."""
    return array.reshape(-1)[index : index + step * width : step].copy()


def _read_samples(typingctx: Any, array: Any, places: Any, index: Any, width: Any, in_order: Any) -> Any:
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value, array.dtype)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        kind = sig.args[0]
        with builder.if_else(builder.icmp_signed("!=", args[4], ir.Constant(args[4].type, 0))) as (then, otherwise):
            with then:
                together = load_lane(builder, place_in(context, builder, kind, args[0], args[2]), lane)
                first = builder.block
            with otherwise:
                scattered = ir.Constant(vector(LLVM[lane.element], lane.width), ir.Undefined)
                for k in range(lane.width):
                    at = builder.add(args[2], ir.Constant(args[2].type, k))
                    place = builder.load(place_in(context, builder, sig.args[1], args[1], at))
                    number = place_in(context, builder, kind, args[0], builder.zext(place, args[2].type))
                    scattered = builder.insert_element(scattered, builder.load(number), ir.Constant(INDEX, k))
                other = builder.block
        value = builder.phi(together.type)
        value.add_incoming(together, first)
        value.add_incoming(scattered, other)
        return value

    return lane(array, places, types.intp, width, types.int64), codegen


@in_kernels(_read_samples, prefer_literal=True)
def read_samples(array: Any, places: Any, index: int, width: int, in_order: int) -> Any:
    """Return the numbers at places[index], places[index + 1], ... as a lane; with `in_order` they are consecutive."""
    return array[index : index + width].copy() if in_order else array[places[index : index + width]]


def _write_lane(typingctx: Any, lane: Any, array: Any, index: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        store_lane(builder, args[0], place_in(context, builder, sig.args[1], *args[1:]))
        return context.get_dummy_value()

    return types.void(lane, array, types.intp), codegen


@in_kernels(_write_lane)
def write_lane(lane: Any, array: Any, index: int) -> None:
    """Write a lane to array[index : index + width]."""
    array.reshape(-1)[index : index + (lane.size if isinstance(lane, np.ndarray) else 1)] = lane


def _broadcast(typingctx: Any, number: Any, width: Any) -> Any:
    if not isinstance(width, types.IntegerLiteral):
        return None
    lane = Lane(width.literal_value, number.element if isinstance(number, Lane) else types.float64)
    return lane(types.unliteral(number), width), _cast_first


@in_kernels(_broadcast, prefer_literal=True)
def broadcast(number: Any, width: int) -> Any:
    """Return a lane with a number in every element; width is a literal."""
    return np.full(width, number)


def _wait_for(typingctx: Any, number: Any, earlier: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return division.wait_for(context, builder, *args)

    return number(number, earlier), codegen


@in_kernels(_wait_for)
def wait_for(number: Any, earlier: Any) -> Any:
    """Return a lane whose computation starts only after another one; see `sgdbench.kernels.simd.division`."""
    return number


def _as_float32(typingctx: Any, number: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        # A function that rounds the lanes it reads became 3 % slower with an aligned stack.
        set.discard(builder.function.attributes, ALIGNED)
        return _cast_first(context, builder, sig, args)

    return Lane(number.width if isinstance(number, Lane) else 1, types.float32)(types.unliteral(number)), codegen


@in_kernels(_as_float32)
def as_float32(number: Any) -> Any:
    """Return a number, or the numbers of a lane, rounded to float32."""
    return np.float32(number)


def _as_scalar(typingctx: Any, number: Any) -> Any:
    return types.float64(types.float64), _cast_first


as_scalar = in_kernels(_as_scalar)(np.frompyfunc(WeakScalar, 1, 1))
"""Returns a number of double precision that is rounded where it meets one of float32."""


def _cast_first(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
    """Emit the first argument, cast to the return type of the signature."""
    return context.cast(builder, args[0], sig.args[0], sig.return_type)


def sum_of_lane(builder: Any, lane: ir.Value) -> ir.Value:
    """Emit the sum of a lane's elements, neighbours first: ((0+1)+(2+3))+((4+5)+(6+7)) for eight elements.

    Every element is added to its neighbour in place. Separating even and odd elements would make LLVM use horizontal
    additions, which are slow: a tenth of the time of a batch of 16.
    """
    width = lane.type.count
    distance = 1
    while distance < width:
        neighbours = shuffle(builder, lane, lane, [place ^ distance for place in range(width)])
        lane, distance = builder.fadd(lane, neighbours), 2 * distance
    return builder.extract_element(lane, ir.Constant(INDEX, 0))
