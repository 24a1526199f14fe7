"""Sums of the elements of lanes, neighbours first, as NumPy's add.reduce adds eight running sums."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from sgdbench.kernels.simd.lanes import in_kernels, sum_of_lane
from sgdbench.kernels.simd.vector import shuffle


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
    """Return a lane with the sums of as many lanes as each has elements, neighbours first as in `sum_lanes`."""
    return np.array(sum_lanes(lanes))
