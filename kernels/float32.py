"""Numbers of single precision as a numba type, with the promotion of NumPy: one, or many of them side by side.

numba makes float64 of a float32 and a Python number, and so of every rule with a constant in it. A `Float32` stays one:
a number of double precision is rounded to float32 where it meets one, as NumPy does with a Python float
(`kernels.weak`). What is computed of options and clocks alone, such as ``1 - beta**t``, is in double precision.

Of width 1 it is a float in a register, and takes part in the arithmetic of wider ones. Of width w it is the LLVM vector
``<w x float>``; see `kernels.lanes`. The functions here stand in a kernel in the place of those of the same name in
`kernels.lanes`, `kernels.tuples` and `kernels.compiled_functions`. Arrays that a run is recorded in are of float64 all
the same; what is read of them is rounded, and what is written is exact.
"""

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.datamodel import models, register_default
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast
from numba.np.arrayobj import make_array

from kernels import functions, lanes, tuples
from kernels.compiled_functions import _choice, _comparison, _extreme, _number
from kernels.lane_math import Emit
from kernels.lane_vector import INDEX, shuffle
from kernels.weak import Weak


class Float32(types.Type):
    """The numba type of `width` floats in one value."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Float32({width})")


@register_default(Float32)
class _Float32Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, kind: Float32) -> None:
        super().__init__(dmm, kind, _of_width(ir.FloatType(), kind.width))


def _of_width(element: ir.Type, width: int) -> ir.Type:
    return element if width == 1 else ir.VectorType(element, width)


def _repeat(builder: Any, number: ir.Value, width: int) -> ir.Value:
    """Emit a number in every element of a vector."""
    if width == 1:
        return number
    undefined = ir.Constant(_of_width(number.type, width), ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INDEX, 0))
    return shuffle(builder, first, first, [0] * width)


@lower_cast(types.Number, Float32)
def _round(context: Any, builder: Any, fromty: Any, toty: Float32, value: ir.Value) -> ir.Value:
    number = context.cast(builder, value, fromty, types.float64)
    return _repeat(builder, builder.fptrunc(number, ir.FloatType()), toty.width)


@lower_cast(Float32, Float32)
def _widen(_context: Any, builder: Any, fromty: Float32, toty: Float32, value: ir.Value) -> ir.Value:
    return value if fromty.width == toty.width else _repeat(builder, value, toty.width)


def _common(kinds: Iterable[types.Type]) -> Float32 | None:
    """Return what an elementwise function of these gives; None where there is no Float32, or nothing that fits."""
    found = {kind for kind in kinds if isinstance(kind, Float32)}
    wide = {kind for kind in found if kind.width > 1}
    fits = all(isinstance(kind, Float32 | types.Number) for kind in kinds)
    if not (found and fits) or len(wide) > 1:
        return None
    return wide.pop() if wide else found.pop()


def _define(function: Callable[..., Any], arity: int, emit: Emit) -> None:
    """Teach numba `function`."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
            kind = _common(args) if len(args) == arity and not kws else None
            return None if kind is None else signature(*[kind] * (arity + 1))

    @lower_builtin(function, *[Float32] * arity)
    def _lower(_context: Any, builder: Any, _sig: Any, args: Any) -> ir.Value:
        return emit(builder, *args)


def _instruction(name: str) -> Emit:
    return lambda builder, *args: getattr(builder, name)(*args)


def _llvm(name: str) -> Emit:
    """Return what emits a call of LLVM's own function of that name."""

    def emit(builder: Any, *args: ir.Value) -> ir.Value:
        kind = args[0].type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
        declared = ir.FunctionType(kind, [kind] * len(args))
        return builder.call(cgutils.get_or_insert_function(builder.module, declared, f"{name}.{suffix}"), args)

    return emit


def _sign(builder: Any, u: ir.Value) -> ir.Value:
    """Emit the sign: -1, 1, nan for nan, and 0 for 0 and for -0."""
    zero = _number(u, 0.0)
    rest = builder.select(builder.fcmp_ordered("==", u, zero), zero, u)
    negative = builder.select(builder.fcmp_ordered("<", u, zero), _number(u, -1.0), rest)
    return builder.select(builder.fcmp_ordered(">", u, zero), _number(u, 1.0), negative)


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
_define(np.sign, 1, _sign)


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    """``array[i] = number``, in double precision."""

    def generic(self, args: tuple[types.Type, ...], kws: dict[str, Any]) -> Any:
        """Return the types, for a number and an array of float64."""
        array, index, value = args
        fits = isinstance(array, types.Array) and array.ndim == 1 and array.dtype == types.float64
        if fits and isinstance(index, types.Integer) and value == Float32(1):
            return signature(types.none, array, types.intp, value)
        return None


@lower_builtin(operator.setitem, types.Array, types.Integer, Float32)
def _set_item(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
    data = make_array(sig.args[0])(context, builder, args[0]).data
    _store(builder, args[2], builder.gep(data, [args[1]]))
    return context.get_dummy_value()


def _load(builder: Any, place: ir.Value, width: int) -> ir.Value:
    """Emit the load of a Float32 from the address of its first element, be that a float or a double."""
    kind = _of_width(place.type.pointee, width)
    double = isinstance(place.type.pointee, ir.DoubleType)
    value = builder.load(builder.bitcast(place, kind.as_pointer()), align=8 if double else 4)
    return builder.fptrunc(value, _of_width(ir.FloatType(), width)) if double else value


def _store(builder: Any, value: ir.Value, place: ir.Value) -> None:
    """Emit the store of a Float32 as doubles, to the address of the first of them."""
    width = value.type.count if isinstance(value.type, ir.VectorType) else 1
    doubles = builder.fpext(value, _of_width(ir.DoubleType(), width))
    builder.store(doubles, builder.bitcast(place, doubles.type.as_pointer()), align=8)


def _places(context: Any, builder: Any, array: types.Array, args: Any, kinds: Iterable[Float32]) -> list[ir.Value]:
    """Return the addresses of numbers of these kinds, one behind the other at the beginning of array[row]."""
    parts = make_array(array)(context, builder, args[0])
    start = builder.mul(args[1], builder.extract_value(parts.shape, 1))
    found, column = [], 0
    for kind in kinds:
        found.append(builder.gep(parts.data, [builder.add(start, ir.Constant(start.type, column))]))
        column += kind.width
    return found


def _elementwise(emit: Emit, *kinds: types.Type) -> Any:
    """Return type and code of a function."""
    kind = _common(kinds)
    if kind is None:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return emit(builder, *(context.cast(builder, arg, given, kind) for arg, given in zip(args, kinds, strict=True)))

    return signature(kind, *kinds), codegen


if config.DISABLE_JIT:

    def _rounded(function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of programs whose conditions are numbers of float32, too."""

        def rounded(*operands: Any) -> Any:
            return np.float32(function(*operands))

        return rounded

    COMPILED = {name: _rounded(function) for name, function in functions.FUNCTIONS.items()}
    as_scalar = np.frompyfunc(Weak, 1, 1)

    def as_float32(number: Any) -> Any:
        """Return a number rounded to float32; numbers side by side as they are."""
        return np.float32(number)

    def read_lane(array: Any, index: int, width: int) -> Any:
        """array[index : index + width]."""
        return array.reshape(-1)[index : index + width].astype(np.float32)

    def write_repeated(number: Any, array: Any, width: int) -> None:
        """Write a number to array[:width], in double precision."""
        array[:width] = float(number)

    def broadcast(number: float, width: int) -> Any:
        """Return a number, in every element of a lane."""
        return np.full(width, number, np.float32)

    def load(array: Any, row: Any, like: Any) -> Any:
        """Return the beginning of a row, as a tuple of the same form as `like`."""
        widths = [np.size(element) for element in like]
        ends = np.cumsum(widths)
        cells = [array[row, end - width : end] for end, width in zip(ends, widths, strict=True)]
        pairs = zip(cells, like, strict=True)
        return tuple(np.float32(cell[0]) if np.ndim(one) == 0 else cell.astype(np.float32) for cell, one in pairs)

    def scale(s: Any, number: Any) -> Any:
        """Return every element times a number."""
        return tuple(u * np.float32(number) for u in s)

    write_lane, store, sum_lanes = lanes.write_lane, tuples.store, tuples.sum_lanes
else:
    scale = tuples.scale

    @intrinsic
    def as_scalar(typingctx: Any, number: Any) -> Any:
        """Return a number of double precision as it is: here it is rounded where it meets a Float32."""
        return types.float64(types.float64), lambda _context, _builder, _sig, args: args[0]

    @intrinsic
    def as_float32(typingctx: Any, number: Any) -> Any:
        """Return a number as a Float32; numbers side by side as they are."""
        kind = number if isinstance(number, Float32) else Float32(1)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            return context.cast(builder, args[0], sig.args[0], kind)

        return kind(types.unliteral(number)), codegen

    @intrinsic(prefer_literal=True)
    def read_lane(typingctx: Any, array: Any, index: Any, width: Any) -> Any:
        """array[index : index + width] as a lane; width is a literal."""
        if not isinstance(width, types.IntegerLiteral):
            return None
        kind = Float32(width.literal_value)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            data = make_array(sig.args[0])(context, builder, args[0]).data
            return _load(builder, builder.gep(data, [args[1]]), kind.width)

        return kind(array, types.intp, width), codegen

    @intrinsic
    def write_lane(typingctx: Any, lane: Any, array: Any, index: Any) -> Any:
        """Write a lane to array[index : index + width]."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            data = make_array(sig.args[1])(context, builder, args[1]).data
            _store(builder, args[0], builder.gep(data, [args[2]]))
            return context.get_dummy_value()

        return types.void(lane, array, types.intp), codegen

    @intrinsic(prefer_literal=True)
    def write_repeated(typingctx: Any, number: Any, array: Any, width: Any) -> Any:
        """Write a number to array[:width], in double precision."""
        if not isinstance(width, types.IntegerLiteral):
            return None

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            data = make_array(sig.args[1])(context, builder, args[1]).data
            lane = _repeat(builder, args[0], width.literal_value)
            builder.store(lane, builder.bitcast(data, lane.type.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(types.float64, array, width), codegen

    @intrinsic(prefer_literal=True)
    def broadcast(typingctx: Any, number: Any, width: Any) -> Any:
        """Return a number, in every element of a lane; width is a literal."""
        if not isinstance(width, types.IntegerLiteral):
            return None
        kind = Float32(width.literal_value)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            return context.cast(builder, args[0], sig.args[0], kind)

        return kind(types.unliteral(number), width), codegen

    @intrinsic
    def sum_lanes(typingctx: Any, of: Any) -> Any:
        """Return the sum of each lane, neighbours first."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            sums = [lanes.sum_of_lane(builder, builder.extract_value(args[0], i)) for i in range(len(of))]
            return context.make_tuple(builder, sig.return_type, sums)

        return types.UniTuple(Float32(1), len(of))(of), codegen

    @intrinsic
    def load(typingctx: Any, array: Any, row: Any, like: Any) -> Any:
        """Return the beginning of a row, as a tuple of the same form as `like`."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            places = _places(context, builder, array, args, like)
            elements = [_load(builder, place, kind.width) for place, kind in zip(places, like, strict=True)]
            return context.make_tuple(builder, sig.return_type, elements)

        return like(array, types.intp, like), codegen

    @intrinsic
    def store(typingctx: Any, array: Any, row: Any, s: Any) -> Any:
        """Write a tuple to the beginning of a row."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            for i, place in enumerate(_places(context, builder, array, args, s)):
                _store(builder, builder.extract_value(args[2], i), place)
            return context.get_dummy_value()

        return types.void(array, types.intp, s), codegen

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
        """Return the larger one, the first of equals, nan of any nan."""
        return _elementwise(_extreme(">"), a, b)

    @intrinsic
    def minimum(typingctx: Any, a: Any, b: Any) -> Any:
        """Return the smaller one, the first of equals, nan of any nan."""
        return _elementwise(_extreme("<"), a, b)

    COMPILED = {"less": less, "less_equal": less_equal, "where": where, "maximum": maximum, "minimum": minimum}
    """The functions by the names that programs give them."""

IN_PLACE_OF = (
    (lanes.read_lane, read_lane),
    (lanes.write_lane, write_lane),
    (tuples.load, load),
    (tuples.scale, scale),
    (tuples.store, store),
    (tuples.sum_lanes, sum_lanes),
)
"""What `kernels.loops` names, and what stands in its place in a kernel of float32."""
