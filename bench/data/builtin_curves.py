"""Computed built-in data: exact and noisy curves, and a data set without inputs."""

from collections.abc import Callable

import numpy as np

from sgdbench.kernels.base.run import Floats

Columns = tuple[Floats, Floats]


def quadratic() -> Columns:
    """Return 800 exact points of 2x^2 - 4x + 3."""
    x = np.arange(-400, 400) / 400
    return x, 2 * x * x - 4 * x + 3


def noisy_quadratic() -> Columns:
    """Return the same points with normal noise of standard deviation 0.5."""
    x, y = quadratic()
    return x, y + 0.5 * np.random.default_rng(0).standard_normal(x.size)


def exponential() -> Columns:
    """Return 400 exact points of 3 exp(-1.5 x) + 0.5 from 0 to 2."""
    x = np.arange(400) / 200
    return x, 3 * np.exp(-1.5 * x) + 0.5


def polynomial() -> Columns:
    """Return 400 exact points of a polynomial of degree five from -1 to 1.

    The condition number of its normal equations is 1,900.
    """
    x = np.arange(-200, 200) / 200
    return x, 1 - 2 * x + 0.5 * x**2 + 3 * x**3 - x**4 + 2 * x**5


GENERATED_CURVES: dict[str, Callable[[], Columns]] = {
    "quadratic": quadratic,
    "noisy-quadratic": noisy_quadratic,
    "exponential": exponential,
    "polynomial": polynomial,
}
ROWS_WITHOUT_DATA = 100
"""The samples of the built-in data "none", which have no inputs: their number is that of the updates in an epoch."""
