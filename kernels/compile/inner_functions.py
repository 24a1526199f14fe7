"""The functions inside kernels, each compiled once: numba compiles them one by one and links them into an entry.

Many of them are the same in other kernels: those that draw an order or end a run in nearly all of them, those that add
up losses in all kernels of a model and a loss. They are found again by a digest of all that they are made of, in the
same process or in the cache folder, so that most kernels take half the time of the first to compile.
"""

import hashlib
import inspect
from collections.abc import Callable
from functools import cache as once
from types import FunctionType
from typing import Any

import numba
import numpy as np

from kernels.base.numba_internals import (
    NO_REFERENCE_COUNTS,
    InnerCache,
    InnerCompiler,
    PlainInnerCompiler,
    use_cache,
)
from kernels.compile.binding import Binder
from kernels.compile.network_loops import CALLED_OF_NETWORK
from kernels.compile.unrolled import Ingredients
from kernels.loops import loops, order
from kernels.simd import blocks, compiled_functions, division, lanes, prefetch, tuples
from kernels.simd import exp as lane_exp
from kernels.simd import log as lane_log
from kernels.simd import math as lane_math
from kernels.simd import vector as lane_vector

# The code that intrinsics of these modules emit is not in the functions that call them, so digests have their source.
EMITTERS = (blocks, compiled_functions, division, lane_exp, lane_log, lane_math, lane_vector, lanes, prefetch, tuples)
# All other functions are inlined: within an epoch a call would cost more than the arithmetic. Where `train_block` is
# inlined too, the loops of models with vectors take 3 % longer.
CALLED = {
    loops.visit_in_copy.__name__,
    order.visit_with_next.__name__,
    order.draw_ahead.__name__,
    loops.gather.__name__,
    loops.status_of.__name__,
    loops.status_by_validation.__name__,
    loops.train_block.__name__,
    loops.update_status.__name__,
    loops.per_sample_leg.__name__,
    loops.leg_by_register.__name__,
    loops.minibatch_leg.__name__,
    *CALLED_OF_NETWORK,
}

_compiled: dict[str, Any] = {}
"""What numba made of functions, by their names in machine code."""


def compile_bound(binder: Binder, options: Callable[[FunctionType], dict[str, Any]]) -> None:
    """Replace bound functions by ones that numba compiles, in the globals of those that call them.

    Parameters
    ----------
    binder : Binder
        The last of its functions is the entry, which the caller compiles.
    options : callable
        From a function to the keyword arguments of `numba.njit`.
    """
    compiled: dict[FunctionType, Any] = {}
    for function in binder.functions:
        for name, value in function.__globals__.items():
            if isinstance(value, FunctionType):
                function.__globals__[name] = compiled[value]
        for cell in function.__closure__ or ():
            if isinstance(cell.cell_contents, FunctionType):
                cell.cell_contents = compiled[cell.cell_contents]
        if function is not binder.functions[-1]:
            compiled[function] = _compile_once(function, binder.digest_of(function), options(function))


def _compile_once(function: FunctionType, digest: str, options: dict[str, Any]) -> Any:
    """Return numba's dispatcher of a function, or of the same one inside another kernel; it is compiled when called."""
    name = f"{function.__name__}_{digest_of_code(digest, options)[:16]}"
    if name not in _compiled:
        function.__module__, function.__qualname__ = __name__, name
        _compiled[name] = numba.njit(**options)(function)
        use_cache(_compiled[name], InnerCache(name))
    return _compiled[name]


def digest_of_code(*parts: Any) -> str:
    """Return a digest of these parts, of the code that intrinsics emit, and of the functions on lanes of this machine.

    The processor and the version of numba are in the names of files.
    """
    everything = (*parts, _digest_of_emitters(), lane_math.LIBRARY_FUNCTIONS, sorted(CALLED))
    return hashlib.sha256(repr(everything).encode()).hexdigest()


@once
def _digest_of_emitters() -> str:
    """Return a digest of their source, which takes milliseconds to make."""
    return hashlib.sha256("".join(map(inspect.getsource, EMITTERS)).encode()).hexdigest()


def options_of(made_of: Ingredients) -> dict[str, Any]:
    """Return the numba options of all functions of a kernel.

    `error_model`: a division by zero gives inf or nan as in NumPy, and costs no test. `nogil`: blocks run in threads,
    and a fit does not stop the rest of the program. `fastmath={'contract'}` lets a multiplication and an addition
    become one FMA, and nothing else. numba's own cache key knows nothing of options: the digest covers them.

    To count references to arrays, which the caller holds, takes 130 ns at each mark. Without that, an update in lanes
    of four registers of 128 bits, on arm64, would read two or three registers from the stack. The lanes of models with
    vectors are in memory.
    """
    lane = made_of.width * np.dtype(made_of.dtype).itemsize
    counts = not made_of.layers and made_of.width > 1 and lane <= 64
    common = {"error_model": "numpy", "nogil": True} | ({} if counts else NO_REFERENCE_COUNTS)
    return common | ({"fastmath": {"contract"}} if made_of.fma else {})


def inner_options_of(made_of: Ingredients, function: FunctionType) -> dict[str, Any]:
    """Return the numba options of a function that Python never calls: without wrappers it compiles in half the time."""
    # In `train_block` there is no loop that takes time.
    plain = made_of.width == 1 or made_of.layers or function.__name__ == loops.train_block.__name__
    inner = {
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "pipeline_class": PlainInnerCompiler if plain else InnerCompiler,
    }
    given = options_of(made_of) | inner | ({} if function.__name__ in CALLED else {"forceinline": True})
    if function.__code__.co_filename == order.__file__:
        given.pop("fastmath", None)  # orders are integers: the same function for all kernels
    return given
