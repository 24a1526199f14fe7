"""Many runs side by side: every variant of the registry that trains them so, on two models."""

import pytest

from bench.timing.problem import exponential, many
from kernels.model.models import quadratic
from tests.benchmarks.contestants import contestants

PROBLEMS = {"quadratic": many(quadratic, 1024, 40), "exponential": many(exponential, 1024, 40)}
MARKS = {"exponential": pytest.mark.measured_only}
# PyTorch takes so long for every update that the time of a call by itself does not count.
SHORT = {name: problem.part(epochs=1, samples=200) for name, problem in PROBLEMS.items()}


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        pytest.param(variant, name, id=f"{variant.name}, {name}", marks=MARKS.get(name, ()))
        for name, problem in PROBLEMS.items()
        for variant in contestants(problem, many=True)
    ],
)
def test_many(variant, name, variant_benchmark, benchmark):
    benchmark.group = f"1,024 runs side by side, {name}: time of a sample-update"
    variant_benchmark(variant, (SHORT if variant.slow or variant.package == "torch" else PROBLEMS)[name])
