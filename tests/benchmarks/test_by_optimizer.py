"""Every optimizer on the quadratic in batches of 16: one run, and many side by side; PyTorch where it is installed."""

import pytest

from bench.timing.problem import classic
from bench.timing.variants import BY_NAME
from bench.timing.workload import batch_of_runs
from kernels.optimizers import OPTIMIZERS

ONE = {optimizer: classic(100, 16, optimizer=optimizer) for optimizer in OPTIMIZERS}
MANY = {optimizer: batch_of_runs(problem).part(epochs=10) for optimizer, problem in ONE.items()}


# Those of which other tests have the kernels.
COMPILED = ("sgd", "momentum", "adam")


@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(name, marks=() if name in COMPILED else pytest.mark.only_measured) for name in OPTIMIZERS],
)
@pytest.mark.parametrize("name", ["fused", "lanes", "PyTorch"])
def test_optimizer(name, optimizer, measure, benchmark):
    benchmark.group = f"optimizers: {optimizer}"
    variant = BY_NAME[name]
    problem = (MANY if variant.many else ONE)[optimizer]
    measure(variant, problem.part(epochs=1) if variant.slow else problem)
