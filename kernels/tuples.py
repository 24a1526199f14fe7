"""Tuples of numbers or lanes, element by element: what numba has no operators for.

With the JIT off these are the plain functions that they seem to be. For numba they are intrinsics: a compiled helper
function takes it 13 ms and more, for every type anew, and an intrinsic next to nothing.
"""

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import config
from numba.core.typing.templates import signature
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from kernels.lanes import Lane, load_lane, store_lane, sum_of_lane


def add(s: Any, t: Any) -> Any:
    """Return the sums of the elements."""
    return tuple(u + v for u, v in zip(s, t, strict=True))


def scale(s: Any, number: Any) -> Any:
    """Return every element times a number."""
    return tuple(u * number for u in s)


def sum_lanes(lanes: Any) -> Any:
    """Return the sum of each lane, neighbours first."""
    while len(lanes[0]) > 1:
        lanes = [lane[::2] + lane[1::2] for lane in lanes]
    return tuple(lane[0] for lane in lanes)


def all_finite(s: Any) -> Any:
    """Return whether no element is infinite or nan."""
    return bool(np.isfinite(s).all())


def load(array: Any, row: Any, like: Any) -> Any:
    """Return the beginning of a row, as a tuple of the same form as `like`."""
    widths = [np.size(element) for element in like]
    ends = np.cumsum(widths)
    cells = [array[row, end - width : end] for end, width in zip(ends, widths, strict=True)]
    return tuple(cell[0] if np.ndim(element) == 0 else cell.copy() for cell, element in zip(cells, like, strict=True))


def store(array: Any, row: Any, s: Any) -> None:
    """Write a tuple to the beginning of a row."""
    cells = np.concatenate([np.atleast_1d(element) for element in s])
    array[row, : cells.size] = cells


def _numbers(typingctx: Any, function: Any, *kinds: types.Type) -> Any:
    """Return type and code of `function` on each element; what is not a tuple takes part in all of them."""

    def part(kind: types.Type, i: int) -> types.Type:
        return kind[i] if isinstance(kind, types.BaseTuple) else kind

    resolve = typingctx.resolve_value_type(function).get_call_type
    calls = [resolve(typingctx, [part(kind, i) for kind in kinds], {}) for i in range(len(kinds[0]))]

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        elements = []
        for i, call in enumerate(calls):
            operands = [
                builder.extract_value(arg, i) if isinstance(kind, types.BaseTuple) else arg
                for arg, kind in zip(args, kinds, strict=True)
            ]
            cast = [
                context.cast(builder, operand, part(kind, i), wanted)
                for operand, kind, wanted in zip(operands, kinds, call.args, strict=True)
            ]
            elements.append(context.get_function(function, call)(builder, cast))
        return context.make_tuple(builder, sig.return_type, elements)

    return signature(types.BaseTuple.from_types([call.return_type for call in calls]), *kinds), codegen


def _place(context: Any, builder: Any, array: types.Array, args: Any, column: int) -> ir.Value:
    """Return the address of array[row, column] in a contiguous array, with (array, row) first in `args`."""
    parts = make_array(array)(context, builder, args[0])
    width = builder.extract_value(parts.shape, 1)
    offset = builder.add(builder.mul(args[1], width), ir.Constant(width.type, column))
    return builder.gep(parts.data, [offset])


def _width(kind: types.Type) -> int:
    return kind.width if isinstance(kind, Lane) else 1


if not config.DISABLE_JIT:

    @intrinsic
    def add(typingctx: Any, s: Any, t: Any) -> Any:
        """Return the sums of the elements."""
        return _numbers(typingctx, operator.add, s, t)

    @intrinsic
    def scale(typingctx: Any, s: Any, number: Any) -> Any:
        """Return every element times a number."""
        return _numbers(typingctx, operator.mul, s, number)

    @intrinsic
    def sum_lanes(typingctx: Any, lanes: Any) -> Any:
        """Return the sum of each lane, neighbours first."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            sums = [sum_of_lane(builder, builder.extract_value(args[0], i)) for i in range(len(lanes))]
            return context.make_tuple(builder, sig.return_type, sums)

        return types.UniTuple(types.float64, len(lanes))(lanes), codegen

    @intrinsic
    def all_finite(typingctx: Any, s: Any) -> Any:
        """Return whether no element is infinite or nan."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            finite = ir.Constant(ir.IntType(1), 1)
            for i in range(len(s)):
                element = builder.extract_value(args[0], i)
                # u - u is 0 for a finite u, and nan otherwise.
                difference = builder.fsub(element, element)
                finite = builder.and_(finite, builder.fcmp_ordered("ord", difference, difference))
            return finite

        return types.boolean(s), codegen

    @intrinsic
    def load(typingctx: Any, array: Any, row: Any, like: Any) -> Any:
        """Return the beginning of a row, as a tuple of the same form as `like`."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            elements = []
            for i, kind in enumerate(like):
                place = _place(context, builder, array, args, i * _width(kind))
                elements.append(load_lane(builder, place, kind) if isinstance(kind, Lane) else builder.load(place))
            return context.make_tuple(builder, sig.return_type, elements)

        return like(array, types.intp, like), codegen

    @intrinsic
    def store(typingctx: Any, array: Any, row: Any, s: Any) -> Any:
        """Write a tuple to the beginning of a row."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
            for i, kind in enumerate(s):
                place, value = (
                    _place(context, builder, array, args, i * _width(kind)),
                    builder.extract_value(args[2], i),
                )
                if isinstance(kind, Lane):
                    store_lane(builder, value, place)
                else:
                    builder.store(value, place)
            return context.get_dummy_value()

        return types.void(array, types.intp, s), codegen
