"""Many runs side by side: every variant of the registry that trains them so, on two models."""

import pytest

from bench.timing.problem import exponential, many
from bench.timing.variants import VARIANTS
from kernels.models import quadratic

PROBLEMS = {"quadratic": many(quadratic, 1024, 40), "exponential": many(exponential, 1024, 40)}
SHORT = {name: problem.part(epochs=1) for name, problem in PROBLEMS.items()}


def marked(variant, name):
    """PyTorch and JAX are slow to compile, and tests/test_peers.py has them on the quadratic; PyTorch most of all."""
    repeated = (name == "quadratic" and not variant.ours) or variant.name == "PyTorch, compiled"
    marks = pytest.mark.only_measured if repeated else ()
    return pytest.param(variant, name, marks=marks, id=f"{variant.name}-{name}")


@pytest.mark.parametrize(
    ("variant", "name"),
    [marked(v, name) for name in PROBLEMS for v in VARIANTS if v.many and not v.lacks(PROBLEMS[name])],
)
def test_many(variant, name, measure, benchmark):
    benchmark.group = f"many runs: {name}"
    measure(variant, (SHORT if variant.slow else PROBLEMS)[name])
