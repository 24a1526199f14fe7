"""Access to the arrays of one block of runs among several blocks."""

from typing import Any

from llvmlite import ir
from numba import types

from sgdbench.kernels.base.numba_internals import row_of_array
from sgdbench.kernels.simd.lanes import in_kernels


def _block_at(typingctx: Any, blocks: Any, number: Any) -> Any:
    rows = tuple(types.Array(kind.dtype, kind.ndim - 1, "C") for kind in blocks.types)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> ir.Value:
        parts = [
            row_of_array(context, builder, kind, row, builder.extract_value(args[0], i), args[1])
            for i, (kind, row) in enumerate(zip(sig.args[0].types, sig.return_type.types, strict=True))
        ]
        return context.make_tuple(builder, sig.return_type, parts)

    return types.NamedTuple(rows, blocks.instance_class)(blocks, types.intp), codegen


@in_kernels(_block_at)
def block_at(blocks: Any, number: int) -> Any:
    """Return a named tuple of array[number] for each array of a named tuple; all arrays are contiguous."""
    return type(blocks)(*(array[number] for array in blocks))
