"""Models with exp, sin and their like, and these functions on lanes against NumPy and numba's scalar ones."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from bench.timing.problem import classic, exponential
from bench.timing.variants import BY_NAME
from bench.timing.workload import batch_of_runs
from kernels import models
from kernels.simd.lanes import read_lane, write_lane

MODELS = {"exponential": exponential, "sine": models.sine}
TRUTH = {"exponential": [2, -1.3, 0.5], "sine": [1.5, 4, 0.3, 0.2]}
FUNCTIONS = [np.exp]
FUNCTIONS += [pytest.param(function, marks=pytest.mark.measured_only) for function in (np.log, np.sin, np.tanh)]
VALUES = np.random.default_rng(0).uniform(0.01, 1, 4096)


def on_lanes(function):
    @njit(error_model="numpy")
    def fill(u, out):
        for i in range(0, u.size, 32):
            write_lane(function(read_lane(u, i, 32)), out, i)

    return fill


def on_floats(function):
    @njit(error_model="numpy")
    def fill(u, out):
        for i in range(u.size):
            out[i] = function(u[i])

    return fill


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("way", [on_lanes, on_floats, lambda ufunc: ufunc], ids=["lanes", "floats", "NumPy"])
@pytest.mark.benchmark(group="functions: time of a value")
def test_function(way, function, timed):
    call, out = way(function), np.empty_like(VALUES)
    call(VALUES, out)
    np.testing.assert_allclose(out, function(VALUES), rtol=8 * np.finfo(float).eps)
    timed(call, VALUES, out, items=VALUES.size)


def curve(name):
    """A run that starts beside the truth, on exact data."""
    model, truth, problem = MODELS[name], np.array(TRUTH[name]), classic(50)
    y = model.predict(truth, problem.x[0])
    return replace(problem, model=model, y=y, inits=1.1 * truth[np.newaxis], rates=np.full((50, 1), 0.02))


ONE = {name: curve(name) for name in TRUTH}
MANY = {name: batch_of_runs(problem).part(epochs=5) for name, problem in ONE.items()}


@pytest.mark.benchmark(group="models with functions: time of a sample-update")
@pytest.mark.parametrize("name", ["exponential", pytest.param("sine", marks=pytest.mark.measured_only)])
@pytest.mark.parametrize("variant", ["fused", "lanes", "C"])
def test_model(variant, name, variant_benchmark):
    variant_benchmark(BY_NAME[variant], (MANY if BY_NAME[variant].many else ONE)[name])
