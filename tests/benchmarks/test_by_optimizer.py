"""Optimizers on the quadratic in batches of 16: one run, and many side by side; PyTorch where it has them.

There is one of each kind: without state, with one slot, with two that are divided, and by sign.
"""

import pytest

from bench.timing.problem import classic
from bench.timing.variants import BY_NAME
from bench.timing.workload import batch_of_runs
from tests.benchmarks.contestants import contestants

OPTIMIZERS = ("sgd", "momentum", "adam", "lion")
ONE = {optimizer: classic(100, 16, optimizer=optimizer) for optimizer in OPTIMIZERS}
MARKS = {"lion": pytest.mark.measured_only}
MANY = {optimizer: batch_of_runs(problem).part(epochs=10) for optimizer, problem in ONE.items()}


@pytest.mark.benchmark(group="optimizers, batches of 16: time of a sample-update")
@pytest.mark.parametrize(
    ("variant", "optimizer"),
    [
        pytest.param(variant, optimizer, id=f"{optimizer}, {variant.name}", marks=MARKS.get(optimizer, ()))
        for optimizer, problem in ONE.items()
        for variant in contestants(problem, [BY_NAME[name] for name in ("fused", "lanes", "PyTorch")])
    ],
)
def test_optimizer(variant, optimizer, variant_benchmark):
    problem = (MANY if variant.many else ONE)[optimizer]
    variant_benchmark(variant, problem.part(epochs=1) if variant.slow else problem)
