"""Prefetching of samples into the caches."""

from typing import Any

from llvmlite import ir
from numba import types

from sgdbench.kernels.simd.lanes import in_kernels, place_in
from sgdbench.kernels.simd.vector import call

TO_READ_DATA_IN_ALL_CACHES = (0, 3, 1)
"""The last arguments of LLVM's prefetch."""


def _prefetch(typingctx: Any, x: Any, y: Any, place: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        # Inlined into a loop over samples, it would compute addresses for every batch, used or not.
        builder.function.attributes.add("noinline")
        how = [ir.Constant(ir.IntType(32), number) for number in TO_READ_DATA_IN_ALL_CACHES]
        columns = [builder.extract_value(args[0], i) for i in range(len(x))]
        for kind, column in zip((*x, y), (*columns, args[1]), strict=True):
            address = place_in(context, builder, kind, column, args[2])
            call(builder, "llvm.prefetch.p0", ir.VoidType(), builder.bitcast(address, ir.IntType(8).as_pointer()), *how)
        return context.get_dummy_value()

    return types.void(x, y, types.intp), codegen


@in_kernels(_prefetch)
def prefetch(x: Any, y: Any, place: int) -> None:
    """Start loading the cache lines of the sample at a place, which need not exist; the caller is not inlined."""
