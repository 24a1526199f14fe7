"""Intrinsics on tuples of numbers or lanes, element by element, for which numba has no operators."""

import operator
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from kernels.base.numba_internals import make_array
from kernels.simd.lanes import Lane, in_kernels, load_lane, store_lane, sum_of_lane
from kernels.simd.vector import shuffle


def _elementwise(typingctx: Any, function: Any, *kinds: types.Type) -> Any:
    """Return type and code of `function` on each element; an operand that is no tuple takes part in all of them."""

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

    return types.BaseTuple.from_types([call.return_type for call in calls])(*kinds), codegen


def _add(typingctx: Any, s: Any, t: Any) -> Any:
    return _elementwise(typingctx, operator.add, s, t)


@in_kernels(_add)
def add(s: Any, t: Any) -> Any:
    """Return the sums of the elements."""
    return tuple(u + v for u, v in zip(s, t, strict=True))


def _scale(typingctx: Any, s: Any, number: Any) -> Any:
    return _elementwise(typingctx, operator.mul, s, number)


@in_kernels(_scale)
def scale(s: Any, number: Any) -> Any:
    """Return every element times a number, rounded to the type of the element."""
    return tuple(u * float(number) for u in s)


def _sum_lanes(typingctx: Any, lanes: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        sums = [sum_of_lane(builder, builder.extract_value(args[0], i)) for i in range(len(lanes))]
        return context.make_tuple(builder, sig.return_type, sums)

    return types.UniTuple(lanes[0].number, len(lanes))(lanes), codegen


@in_kernels(_sum_lanes)
def sum_lanes(lanes: Any) -> Any:
    """Return the sum of each lane, neighbours first."""
    while len(lanes[0]) > 1:
        lanes = [lane[::2] + lane[1::2] for lane in lanes]
    return tuple(lane[0] for lane in lanes)


def _sum_each(typingctx: Any, lanes: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        width = lanes[0].width
        even, odd = range(0, 2 * width, 2), range(1, 2 * width, 2)
        parts = [builder.extract_value(args[0], i) for i in range(width)]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [builder.fadd(*(shuffle(builder, u, v, places) for places in (even, odd))) for u, v in pairs]
        return parts[0]

    return lanes[0](lanes), codegen


@in_kernels(_sum_each)
def sum_each(lanes: Any) -> Any:
    """Return a lane of the sums of as many lanes as each has elements, neighbours first as in `sum_lanes`."""
    return np.array(sum_lanes(lanes))


def _all_finite(typingctx: Any, s: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        finite = ir.Constant(ir.IntType(1), 1)
        for i in range(len(s)):
            element = builder.extract_value(args[0], i)
            # u - u is 0 for a finite u, and nan otherwise.
            difference = builder.fsub(element, element)
            finite = builder.and_(finite, builder.fcmp_ordered("ord", difference, difference))
        return finite

    return types.boolean(s), codegen


@in_kernels(_all_finite)
def all_finite(s: Any) -> Any:
    """Return whether no element is infinite or nan."""
    return bool(np.isfinite(s).all())


def _places(
    context: Any, builder: Any, array: types.Array, args: Any, kinds: Iterable[types.Type]
) -> Iterator[tuple[Lane, ir.Value]]:
    """Yield each kind as a lane, with its address: they lie one after the other from array[row, 0] on."""
    parts = make_array(array)(context, builder, args[0])
    start = builder.mul(args[1], builder.extract_value(parts.shape, 1))
    column = 0
    for kind in kinds:
        lane = kind if isinstance(kind, Lane) else Lane(1, types.float64)
        yield lane, builder.gep(parts.data, [builder.add(start, ir.Constant(start.type, column))])
        column += lane.width


def _load(typingctx: Any, array: Any, row: Any, like: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        places = _places(context, builder, array, args, like)
        elements = [load_lane(builder, place, lane) for lane, place in places]
        return context.make_tuple(builder, sig.return_type, elements)

    return like(array, types.intp, like), codegen


@in_kernels(_load)
def load(array: Any, row: Any, like: Any) -> Any:
    """Return the beginning of a row, as a tuple of the same form as `like`."""
    ends = np.cumsum([np.size(element) for element in like])
    cells = [array[row, end - np.size(element) : end] for end, element in zip(ends, like, strict=True)]
    cells = [cell.astype(np.result_type(element)) for cell, element in zip(cells, like, strict=True)]
    return tuple(cell if np.ndim(element) else cell[0] for cell, element in zip(cells, like, strict=True))


def _store(typingctx: Any, array: Any, row: Any, s: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        for i, (_, place) in enumerate(_places(context, builder, array, args, s)):
            store_lane(builder, builder.extract_value(args[2], i), place)
        return context.get_dummy_value()

    return types.void(array, types.intp, s), codegen


@in_kernels(_store)
def store(array: Any, row: Any, s: Any) -> None:
    """Write a tuple to the beginning of a row."""
    cells = np.concatenate([np.atleast_1d(element) for element in s])
    array[row, : cells.size] = cells
