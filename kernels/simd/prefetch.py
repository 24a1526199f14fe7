"""Loading samples into the caches of a core before they are needed."""

from typing import Any

from llvmlite import ir
from numba import types

from kernels.base.run import CACHE_LINE
from kernels.simd.lanes import in_kernels, place_in
from kernels.simd.vector import INDEX, call

LINES = 2
"""The cache lines of each column that are loaded at a time."""
PREFETCHED = LINES * CACHE_LINE // 8
"""The samples in them, of double precision."""
TO_READ_DATA_IN_ALL_CACHES = (0, 3, 1)
"""The last arguments of LLVM's prefetch."""


def _prefetch(typingctx: Any, x: Any, y: Any, place: Any) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        how = [ir.Constant(ir.IntType(32), number) for number in TO_READ_DATA_IN_ALL_CACHES]
        columns = [builder.extract_value(args[0], i) for i in range(len(x))]
        for kind, column in zip((*x, y), (*columns, args[1]), strict=True):
            first = builder.bitcast(place_in(context, builder, kind, column, args[2]), ir.IntType(8).as_pointer())
            for line in range(LINES):
                address = builder.gep(first, [ir.Constant(INDEX, line * CACHE_LINE)])
                call(builder, "llvm.prefetch.p0", ir.VoidType(), address, *how)
        return context.get_dummy_value()

    return types.void(x, y, types.intp), codegen


@in_kernels(_prefetch)
def prefetch(x: Any, y: Any, place: int) -> None:
    """Begin to load the samples from a place on, `PREFETCHED` of them; there may be fewer, or none."""
