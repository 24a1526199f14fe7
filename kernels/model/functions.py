"""NumPy versions of the program functions that NumPy lacks or does not define bit for bit.

`numpy.maximum` may return either of two equal numbers, such as 0 and -0, depending on the processor. Conditions are the
numbers 1 and 0, so that all values of a program have one type. `sgdbench.kernels.simd.compiled_functions` has the same
functions for kernels.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

_erf = np.frompyfunc(math.erf, 1, 1)


def less(u: Any, v: Any) -> Any:
    """Return 1 where u < v, else 0; also 0 where either is nan."""
    return np.less(u, v) * 1.0


def less_equal(u: Any, v: Any) -> Any:
    """Return 1 where u <= v, else 0; also 0 where either is nan."""
    return np.less_equal(u, v) * 1.0


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition is not 0, else b; the sign of zero is kept, and the other value has no effect."""
    chosen = np.where(condition != 0, a, b)
    return chosen[()] if isinstance(chosen, np.ndarray) else chosen


def maximum(a: Any, b: Any) -> Any:
    """Return the larger number, a if they are equal (also 0 and -0), and nan if either is nan."""
    return np.where((b > a) | np.isnan(b), b, a)[()]


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller number, a if they are equal (also 0 and -0), and nan if either is nan."""
    return np.where((b < a) | np.isnan(b), b, a)[()]


def erf(u: Any) -> Any:
    """Return the error function, from the C library."""
    return np.asarray(_erf(u), np.float64)[()]


_ALL: tuple[Callable[..., Any], ...] = (less, less_equal, where, maximum, minimum, erf)
FUNCTIONS = {function.__name__: function for function in _ALL}
