"""exp, log, sin and their like on lanes, against NumPy and numba's scalar functions: 4,096 values in the cache."""

import numpy as np
import pytest
from numba import njit

from kernels.lanes import lane_from, lane_into

FUNCTIONS = [np.exp, np.tanh, np.log, np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan]
VALUES = np.random.default_rng(0).uniform(0.01, 1, 4096)


def on_lanes(function):
    @njit(error_model="numpy")
    def fill(u, out):
        for i in range(0, u.size, 32):
            lane_into(function(lane_from(u, i, 32)), out, i)

    return fill


def on_floats(function):
    @njit(error_model="numpy")
    def fill(u, out):
        for i in range(u.size):
            out[i] = function(u[i])

    return fill


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("way", [on_lanes, on_floats, lambda ufunc: ufunc], ids=["lanes", "floats", "NumPy"])
def test_function(way, function, timed, benchmark):
    benchmark.group = f"{function.__name__}, 4,096 values"
    call, out = way(function), np.empty_like(VALUES)
    call(VALUES, out)
    np.testing.assert_allclose(out, function(VALUES), rtol=8 * np.finfo(float).eps)
    timed(call, VALUES, out)
    if benchmark.enabled:
        benchmark.extra_info["ns_per_value"] = 1e9 * benchmark.stats.stats.median / VALUES.size
