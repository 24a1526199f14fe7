"""Minibatches on the quadratic, 800 samples: every variant, in sequence, shuffled every epoch, and full batches."""

import pytest

from bench.timing.problem import classic
from tests.benchmarks.contestants import contestants

PROBLEMS = {
    "batches of 16, in sequence": classic(100, 16),
    "batches of 16, shuffled": classic(100, 16, shuffle=True),
    "full batches": classic(100, 800),
}
SHORT = {question: problem.part(epochs=2) for question, problem in PROBLEMS.items()}


@pytest.mark.parametrize(
    ("variant", "question"),
    [
        pytest.param(variant, question, id=f"{variant.name}, {question}")
        for question, problem in PROBLEMS.items()
        for variant in contestants(problem, many=False)
    ],
)
def test_minibatch(variant, question, variant_benchmark, benchmark):
    benchmark.group = f"one run, {question}: time of a sample-update"
    variant_benchmark(variant, (SHORT if variant.slow else PROBLEMS)[question])
