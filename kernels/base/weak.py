"""Numbers that take part in the arithmetic of float32 arrays as Python's own do: without making it float64."""

from collections.abc import Iterable
from typing import Any, SupportsFloat

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from kernels.base.run import Floats


class Weak(NDArrayOperatorsMixin):
    """A number of double precision that is rounded to float32 where it meets one.

    NumPy does so with a Python float, but only until a function is called: ``numpy.sqrt(0.5)`` is a ``numpy.float64``,
    which makes float64 of all that it meets. What is computed of these numbers alone stays one of them, in double
    precision.

    Parameters
    ----------
    value : float
    """

    def __init__(self, value: SupportsFloat) -> None:
        self.value = float(value)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        """Return what NumPy makes of the numbers as Python's own."""
        plain = [number.value if isinstance(number, Weak) else number for number in inputs]
        result = getattr(function, method)(*plain, **settings)
        alone = not any(isinstance(number, np.generic | np.ndarray) for number in inputs)
        return Weak(result) if alone and isinstance(result, np.float64) else result

    def __pow__(self, other: Any) -> Any:
        """Return a power as C's library has it; NumPy's function of arrays differs in the last bit."""
        return Weak(np.float64(self.value) ** float(other))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Weak({self.value!r})"


def as_scalars(numbers: Iterable[float], like: Floats) -> tuple[Any, ...]:
    """Return numbers that take part in arithmetic with an array and leave it of the type that it is of."""
    return tuple(map(Weak, numbers)) if like.dtype == np.float32 else tuple(numbers)
