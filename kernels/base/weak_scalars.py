"""Scalars that, like Python's own, do not turn float32 arrays into float64."""

from collections.abc import Iterable
from typing import Any, SupportsFloat

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from sgdbench.kernels.base.run import Floats


class WeakScalar(NDArrayOperatorsMixin):
    """A number of double precision that is rounded to float32 where it meets a float32.

    NumPy treats a Python float so, but only until a function is called: ``numpy.sqrt(0.5)`` is a ``numpy.float64``,
    which promotes everything that it meets to float64. Results of weak scalars alone stay weak and of double precision.
    """

    def __init__(self, value: SupportsFloat) -> None:
        self.value = float(value)

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        """Return the result of a ufunc for Python scalars."""
        plain = [number.value if isinstance(number, WeakScalar) else number for number in inputs]
        result = getattr(function, method)(*plain, **settings)
        alone = not any(isinstance(number, np.generic | np.ndarray) for number in inputs)
        return WeakScalar(result) if alone and isinstance(result, np.float64 | np.bool_) else result

    def __array_function__(self, function: Any, types: Any, inputs: Any, settings: Any) -> Any:
        """Return a selection between numbers; no other functions are supported."""
        if function is not np.where or len(inputs) != 3:
            return NotImplemented
        condition, one, other = inputs
        return WeakScalar(one if condition else other)

    def __pow__(self, other: Any) -> Any:
        """Return a power as the C library computes it; NumPy's array function differs in the last bit."""
        return WeakScalar(np.float64(self.value) ** float(other))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"WeakScalar({self.value!r})"


def as_scalars(numbers: Iterable[float], like: Floats) -> tuple[Any, ...]:
    """Return numbers that do not change the type of the array `like` in arithmetic with it."""
    return tuple(map(WeakScalar, numbers)) if like.dtype == np.float32 else tuple(numbers)
