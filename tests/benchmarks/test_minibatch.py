"""Minibatches on the quadratic, 800 samples: every variant, by batch size, as they stand and shuffled every epoch."""

import pytest

from bench.timing.problem import classic
from bench.timing.variants import VARIANTS

PROBLEMS = [
    classic(epochs, size, shuffle=shuffle)
    for size, epochs in ((1, 10), (16, 100), (100, 100), (800, 100))
    for shuffle in (False, True)
]
SHORT = {problem: problem.part(epochs=2) for problem in PROBLEMS}


def question(problem):
    size = "full" if problem.batch_size == problem.y.size else problem.batch_size
    return f"batches of {size}, {'shuffled' if problem.shuffle else 'in sequence'}"


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        pytest.param(variant, problem, id=f"{variant.name}, {question(problem)}")
        for problem in PROBLEMS
        for variant in VARIANTS
        if not variant.many and not variant.lacks(problem)
    ],
)
def test_minibatch(variant, problem, measure, benchmark):
    benchmark.group = question(problem)
    measure(variant, SHORT[problem] if variant.slow else problem)
