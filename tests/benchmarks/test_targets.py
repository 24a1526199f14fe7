"""The rows of the performance budget that are ratios, each measured in one run.

They are recorded, never asserted: how fast a machine is makes no test fail.
"""

import pytest

from sgdbench.pytest_plugin import small
from sgdbench.timing.budget import ROOF, TARGETS, measure_target
from sgdbench.timing.problem import FailedError, UnavailableError
from sgdbench.timing.variants import VARIANTS_BY_NAME
from sgdbench.timing.verify import verify
from tests.benchmarks.contestants import contestants

# For each row, after both are compiled and verified.
SECONDS = 1.5


def about(target):
    return f"{target.what}: {target.ours} against {target.other}"


def has_other(target):
    return target.other == ROOF or contestants(target.other_on(), [VARIANTS_BY_NAME[target.other]])


def marks_of(target):
    """Kernels of vectors, and of many fused runs of adam, take seconds to compile: the suite takes one here."""
    others = ("784 inputs", "inputs, many runs", "inputs, one run")
    costs = any(what in target.what for what in others)
    return [pytest.mark.measured_only] * (costs or (target.what.startswith("adam") and target.ours == "lanes-fma"))


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize(
    "target",
    [pytest.param(target, id=about(target), marks=marks_of(target)) for target in TARGETS if has_other(target)],
)
def test_target(target, benchmark, reach):
    if not benchmark.enabled:
        benchmark(verify_both, target)
        return
    found = benchmark.pedantic(measure_target, (target,), {"seconds": SECONDS})
    if "faster" not in found:
        (pytest.fail if "verified" in found else pytest.skip)(found["note"])
    faster = [found["faster_low"], found["faster"], found["faster_high"]]
    reach(about(target), faster, quantiles=(0, 0.5, 1), least=target.least, unit=" x")


def verify_both(target):
    others = [] if target.other == ROOF else [(target.other, target.other_on())]
    for name, problem in [(target.ours, target.ours_on()), *others]:
        try:
            verify(VARIANTS_BY_NAME[name], small(problem))
        except FailedError:
            raise
        except UnavailableError as reason:
            pytest.skip(f"{name}: {reason}")
