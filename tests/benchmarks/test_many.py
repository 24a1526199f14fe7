"""Many runs side by side: every variant of the registry that trains them so, on two models."""

import pytest

from bench.timing.problem import exponential, many
from bench.timing.variants import VARIANTS
from kernels.models import quadratic

PROBLEMS = {"quadratic": many(quadratic, 1024, 40), "exponential": many(exponential, 1024, 40)}
SHORT = {name: problem.part(epochs=1) for name, problem in PROBLEMS.items()}


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.many], ids=lambda variant: variant.name)
def test_many(variant, name, measure, benchmark):
    benchmark.group = f"many runs: {name}"
    measure(variant, (SHORT if variant.slow else PROBLEMS)[name])
