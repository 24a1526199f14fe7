"""Pairwise sums with NumPy's bits."""

import operator
from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from sgdbench import Model, fit
from sgdbench.kernels.simd.lanes import read_lane
from sgdbench.kernels.simd.sums import sum_lanes

LENGTHS = [*range(1, 301), 384, 1000, 1023, 1024, 1025, 4096, 10_001, 100_003]


def one_step(y):
    """A step of gradient descent from the origin, where the residual is -y and its derivatives are x = y and 1."""
    return fit(Model("a*x + b"), y, y, init=[0, 0], lr=1, epochs=1, batch_size="full")


def numbers(n):
    """Numbers of both signs and many sizes, whose sum depends on the order in which they are added."""
    rng = np.random.default_rng(n)
    return rng.standard_normal(n) * 10.0 ** rng.integers(-8, 8, n)


def test_the_order_of_addition_matters_here():
    """Term by term, that is: `sum` makes up for its rounding since Python 3.12."""
    y = numbers(1000)
    assert np.add.reduce(y * y) != reduce(operator.add, (y * y).tolist())
    assert np.add.reduce(y) != reduce(operator.add, y.tolist())


@pytest.mark.parametrize("n", LENGTHS)
def test_sums_are_those_of_numpy(n):
    y = numbers(n)
    result = one_step(y)
    assert result.loss[0] == np.add.reduce(y * y) / n
    part = 1.0 / n
    assert result.params.tolist() == [np.add.reduce(y * y) * part, np.add.reduce(y) * part]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=400))
def test_sums_that_overflow_are_those_of_numpy_too(y):
    y = np.array(y)
    result = one_step(y)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(result.loss[0], np.add.reduce(y * y) / y.size)


@njit
def on_lanes(array):
    return sum_lanes((read_lane(array, 0, 8), read_lane(array, 8, 8)))


def test_the_elements_of_lanes_are_added_pairwise():
    array = numbers(16)
    for total, lane in zip(on_lanes(array), (array[:8], array[8:]), strict=True):
        a, b, c, d, e, f, g, h = lane.tolist()
        assert total == ((a + b) + (c + d)) + ((e + f) + (g + h))
