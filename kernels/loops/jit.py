"""numba's decorators for kernels: compiler options, and caching of compiled functions.

`error_model`: a division by zero gives inf or nan, as in NumPy, and costs no test. `nogil`: blocks run in threads, and
a fit does not block the rest of the program. `fastmath={'contract'}` allows only fusing a multiplication with an
addition into an FMA. Kernels take addresses, so no references are counted.
"""

import hashlib
from collections.abc import Callable
from functools import cache as once
from pathlib import Path
from typing import Any, NamedTuple

import numba

from sgdbench.kernels.base.numba_internals import (
    NO_REFERENCE_COUNTS,
    InnerCache,
    InnerCompiler,
    PlainInnerCompiler,
    ignore_literals,
    use_cache,
)
from sgdbench.kernels.simd import math as lane_math

EMITTERS = ("base/run.py", "base/numba_internals.py", "data/order.py", "simd/*.py", "loops/*.py")
"""Files with code that functions call, or that intrinsics emit, and that is not in the text of these functions."""


class Options(NamedTuple):
    """The keyword arguments of `numba.njit` for three kinds of functions.

    Attributes
    ----------
    entry : dict
        For the function that is called by its address.
    called : dict
        For functions that Python never calls: without wrappers they compile in half the time.
    inlined : dict
        For functions that are also inlined: within an epoch, a call would cost more than the arithmetic.
    """

    entry: dict[str, Any]
    called: dict[str, Any]
    inlined: dict[str, Any]


def options(*, fma: bool = False, lanes: bool = False) -> Options:
    """Return the options for a kernel; functions of lanes are optimized before they are linked."""
    common = {"error_model": "numpy", "nogil": True, **NO_REFERENCE_COUNTS}
    common |= {"fastmath": {"contract"}} if fma else {}
    # forceinline must be set here, or a function called by an inlined one would be inlined too.
    called = common | {"no_cfunc_wrapper": True, "no_cpython_wrapper": True, "forceinline": False}
    called |= {"pipeline_class": InnerCompiler if lanes else PlainInnerCompiler}
    return Options(common | {"no_cpython_wrapper": True}, called, called | {"forceinline": True})


def inner(function: Callable[..., Any]) -> Any:
    """Decorate a function that kernels call and that is linked into them."""
    dispatcher = numba.njit(**options().called)(function)
    keep(dispatcher, f"{function.__name__}_{digest(function.__module__)[:16]}")
    return dispatcher


def inlined(function: Callable[..., Any]) -> Any:
    """Decorate a function that is inlined into its callers."""
    dispatcher = numba.njit(**options().inlined)(function)
    keep(dispatcher, f"{function.__name__}_{digest(function.__module__)[:16]}")
    return dispatcher


def keep(function: Any, name: str) -> None:
    """Cache the code of an inner function on disk, under a name that no other function has."""
    if not numba.config.DISABLE_JIT:
        function.py_func.__module__, function.py_func.__qualname__ = __name__, name
        use_cache(function, InnerCache(name))
        ignore_literals(function)


def digest(*parts: str) -> str:
    """Return a digest of `parts`, of the code that intrinsics emit, and of this machine's functions on lanes.

    File names additionally contain the processor and the version of numba.
    """
    everything = (*parts, _digest_of_emitters(), lane_math.LIBRARY_FUNCTIONS)
    return hashlib.sha256(repr(everything).encode()).hexdigest()


@once
def _digest_of_emitters() -> str:
    folder = Path(__file__).parents[1]
    files = sorted(file for pattern in EMITTERS for file in folder.glob(pattern))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
