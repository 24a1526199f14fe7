"""Models with exp, sin and their like, and these functions on lanes against NumPy and numba's scalar ones."""

from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from bench.timing.problem import classic, exponential
from bench.timing.variants import VARIANTS
from bench.timing.workload import batch_of_runs
from kernels import models
from kernels.lanes import read_lane, write_lane

MODELS = {"exponential": exponential, "gaussian_peak": models.gaussian_peak, "sine": models.sine}
TRUTH = {"exponential": [2, -1.3, 0.5], "gaussian_peak": [2, 0.5, 0.3, 0.1], "sine": [1.5, 4, 0.3, 0.2]}
# A narrow peak is lost at larger ones, and what follows is chaos.
RATES = {"exponential": 0.02, "gaussian_peak": 0.002, "sine": 0.02}
FUNCTIONS = [np.exp, np.expm1, np.tanh, np.log, np.log1p, np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan]
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
def test_function(way, function, timed, benchmark):
    benchmark.group = f"{function.__name__}, 4,096 values"
    call, out = way(function), np.empty_like(VALUES)
    call(VALUES, out)
    np.testing.assert_allclose(out, function(VALUES), rtol=8 * np.finfo(float).eps)
    timed(call, VALUES, out)
    if benchmark.enabled:
        benchmark.extra_info["ns_per_value"] = 1e9 * benchmark.stats.stats.median / VALUES.size


# Those that are fast, and take a few seconds to compile at most.
FAST = [one for one in VARIANTS if not one.slow and one.name not in ("PyTorch, compiled", "scikit-learn")]


def curve(name):
    """A run that starts beside the truth, on exact data."""
    model, truth, problem = MODELS[name], np.array(TRUTH[name]), classic(50)
    y = model.predict(truth, problem.x[0])
    return replace(problem, model=model, y=y, inits=1.1 * truth[np.newaxis], rates=np.full((50, 1), RATES[name]))


ONE = {name: curve(name) for name in TRUTH}
MANY = {name: batch_of_runs(problem).part(epochs=5) for name, problem in ONE.items()}


def marked(variant, name):
    """Each model takes four kernels; test_many.py has those of many runs and JAX, the tests of equality the others."""
    repeated = name != ("exponential" if variant.many else "sine") or variant.package or variant.name == "lanes-fma"
    marks = pytest.mark.only_measured if repeated else ()
    return pytest.param(variant, name, marks=marks, id=f"{variant.name}-{name}")


@pytest.mark.parametrize(("variant", "name"), [marked(variant, name) for name in TRUTH for variant in FAST])
def test_model(variant, name, measure, benchmark):
    benchmark.group = f"models: {name}"
    problem = (MANY if variant.many else ONE)[name]
    measure(variant, problem.part(epochs=1) if variant.slow else problem)
