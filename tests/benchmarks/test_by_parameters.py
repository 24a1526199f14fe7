"""Polynomials, sample by sample, by the number of parameters: one run, and many side by side."""

from dataclasses import replace

import numpy as np
import pytest

from bench.timing.problem import classic
from bench.timing.variants import BY_NAME
from bench.timing.workload import batch_of_runs
from kernels.model.models import make_model

PARAMETERS = (3, 6, 12)


def polynomial(count):
    """A run that starts at zero, at a rate at which all of them settle."""
    problem, model = classic(100), make_model("quadratic" if count == 3 else f"polynomial({count - 1})")
    assert len(model.params) == count
    inits, rates = np.zeros((1, count)), np.full((100, 1), 0.01)
    return replace(problem, model=model, inits=inits, rates=rates)


ONE = {count: polynomial(count) for count in PARAMETERS}
MANY = {count: batch_of_runs(problem).part(epochs=5) for count, problem in ONE.items()}


@pytest.mark.benchmark(group="by the number of parameters: time of a sample-update")
@pytest.mark.parametrize(
    "count",
    [3, *(pytest.param(count, marks=pytest.mark.measured_only) for count in (6, 12))],
    ids=lambda count: f"{count} parameters",
)
@pytest.mark.parametrize("name", ["fused", "lanes", "C"])
def test_parameters(name, count, variant_benchmark):
    variant_benchmark(BY_NAME[name], (MANY if BY_NAME[name].many else ONE)[count])
