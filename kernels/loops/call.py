"""Calling a kernel by its address: the only place that knows the types of its arguments.

A kernel is compiled for its text, and the run around it (`sgdbench.kernels.loops.driver`) once for all kernels. Both
take the types from here, because a call with other types would crash.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.simd.lanes import in_kernels, place_in
from sgdbench.kernels.simd.prefetch import TO_READ_DATA_IN_ALL_CACHES
from sgdbench.kernels.simd.vector import call

TRAIN_SAMPLES, TRAIN_BATCHES, MEAN_LOSS = 0, 1, 2
"""The tasks of a kernel."""
BYTE = ir.IntType(8).as_pointer()


def signature_of(dtype: str) -> Any:
    """Return the types of a kernel's arguments, in the order of `call_kernel`, for samples of this dtype."""
    element = types.CPointer(types.float64 if dtype == "float64" else types.float32)
    numbers, counts = types.CPointer(types.float64), types.CPointer(types.int64)
    return types.void(
        types.int64,  # task
        numbers,  # cells
        types.CPointer(element),  # columns; y is the last
        types.CPointer(types.uint32),  # places
        types.int64,  # in_order
        types.int64,  # count
        types.int64,  # size
        numbers,  # rates
        numbers,  # settings
        numbers,  # out
        counts,  # counts
        numbers,  # partials
        types.CPointer(element),  # buffers
        types.CPointer(types.uint32),  # drawn
        types.CPointer(types.uint64),  # ahead
    )


def _call_kernel(typingctx: Any, kernel: Any, given: Any) -> Any:
    parameter_types = signature_of("float64").args
    for goal, kind in zip(parameter_types, given.types, strict=True):
        if isinstance(goal, types.CPointer) != isinstance(kind, types.Array):
            raise TypeError(f"a kernel takes {goal}, not {kind}")

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        kinds, values = [context.get_value_type(kind) for kind in parameter_types], []
        for place, (kind, have, goal) in enumerate(zip(kinds, given.types, parameter_types, strict=True)):
            value = builder.extract_value(args[1], place)
            if isinstance(have, types.Array):
                first = place_in(context, builder, have, value, ir.Constant(ir.IntType(64), 0))
                values.append(builder.bitcast(first, kind))
            else:
                values.append(context.cast(builder, value, have, goal))
        function = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(kernel, given), codegen


@in_kernels(_call_kernel)
def call_kernel(kernel: Any, given: Any) -> None:
    """Call a kernel with addresses in place of arrays; where the JIT is off, it is a Python function."""
    kernel(*given)


def addresses(arrays: Sequence[Floats]) -> np.ndarray[Any, Any]:
    """Return the addresses of arrays, which the caller keeps alive; where the JIT is off, the arrays themselves."""
    if not config.DISABLE_JIT:
        return np.array([array.ctypes.data for array in arrays], np.int64)
    objects = np.empty(len(arrays), object)
    for place, array in enumerate(arrays):
        objects[place] = array
    return objects


def _shift(typingctx: Any, address: Any, places: Any, item: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        return builder.add(args[0], builder.mul(args[1], args[2]))

    return types.int64(types.int64, types.int64, types.int64), codegen


@in_kernels(_shift)
def shift(address: Any, places: int, item: int) -> Any:
    """Return an address advanced by `places` items of `item` bytes each."""
    return address[places:]


def _prefetch_address(typingctx: Any, address: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        how = [ir.Constant(ir.IntType(32), number) for number in TO_READ_DATA_IN_ALL_CACHES]
        call(builder, "llvm.prefetch.p0", ir.VoidType(), builder.inttoptr(args[0], BYTE), *how)
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@in_kernels(_prefetch_address)
def prefetch_address(address: Any) -> None:
    """Start loading the cache line of an address."""
