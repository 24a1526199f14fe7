"""The loops over a part of an epoch, compiled for a model, a loss and an optimizer."""

import time
from functools import cache as once
from functools import partial

from numba import types

from kernels import run, stream_loops
from kernels.activity import announce
from kernels.specialize import Kernel, bind_loops, compile_or_load, inner_options_of, options_of
from kernels.stream_part import Part, PartTask, StreamState
from kernels.unrolled import Ingredients


@once
def compile_stream_kernel(made_of: Ingredients) -> Kernel:
    """Return the kernel that trains parts of epochs, compiled at most once in a process.

    Parameters
    ----------
    made_of : Ingredients
        As from `kernels.specialize.ingredients_of`.
    """
    with announce("compiling a kernel"):
        started = time.perf_counter()
        bound = bind_loops(made_of, stream_loops.train_part)
        options = options_of(made_of), partial(inner_options_of, made_of)
        return compile_or_load(*bound, _signature(made_of.program.inputs), *options, started)


def _signature(inputs: int) -> tuple[types.Type, ...]:
    """Return the argument types of the kernel."""
    vector, table, count = types.float64[::1], types.float64[:, ::1], types.intp
    number, word = types.float64, types.uint64
    return (
        types.NamedTuple((types.UniTuple(vector, inputs), vector), Part),
        types.NamedTuple((table, vector, vector), StreamState),
        types.NamedTuple((vector, number, *[count] * 4, word, word, count), PartTask),
        types.NamedTuple((types.int64[::1], table), run.Scratch),
    )
