"""The cost of a permutation, per element."""

import types

import numpy as np
import pytest
from numba import njit

from sgdbench.kernels.data.order import permutation
from sgdbench.kernels.loops import order


@pytest.fixture(scope="module")
def permute():
    """`sgdbench.kernels.loops.order.permute`, compiled as the kernels compile it."""
    bound = dict(vars(order))
    for name in ("sfc64", "swap_with_random", "start_generator", "swap_down"):
        bound[name] = njit(types.FunctionType(getattr(order, name).py_func.__code__, bound), forceinline=True)
    compiled = njit(types.FunctionType(order.permute.py_func.__code__, bound))
    compiled(np.zeros(1, np.uint32), 0, 1, np.uint64(0), 0)
    return compiled


@pytest.mark.benchmark(group="permutations: time of an element")
@pytest.mark.parametrize("n", [800, 100_000, 1_000_000], ids=lambda n: f"{n:,} elements")
def test_permutation(n, permute, timed, benchmark, reach):
    places = np.arange(n, dtype=np.uint32)
    seed = np.uint64(1)
    permute(places, 0, n, seed, 2)
    np.testing.assert_array_equal(places, permutation(n, 1, 2))
    timed(permute, places, 0, n, seed, 2, items=n)
    if benchmark.enabled:
        per_element = 1e9 * np.array(benchmark.stats.stats.data) / n
        reach(f"permutation of {n:,}, per element", per_element, most=4, unit=" ns")
