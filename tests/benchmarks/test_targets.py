"""The rows of the performance budget that are ratios, each measured in one run.

They are recorded, never asserted: how fast a machine is makes no test fail.
"""

import pytest

from bench.commands.speed import TARGET_SECONDS
from bench.timing.budget import BOUND, TARGETS, measure_target
from bench.timing.problem import FailedError, UnavailableError
from bench.timing.variants import BY_NAME
from bench.timing.verify import verify


def about(target):
    return f"{target.what}: {target.ours} against {target.other}"


def marked(target):
    """The peers that are slow to compile are verified on the same problems in test_many.py."""
    return pytest.param(target, marks=pytest.mark.only_measured if "JAX" in target.other else (), id=about(target))


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize("target", [marked(target) for target in TARGETS])
def test_target(target, benchmark, reach):
    if not benchmark.enabled:
        others = [] if target.other == BOUND else [(target.other, target.other_on())]
        for name, problem in [(target.ours, target.ours_on()), *others]:
            try:
                verify(BY_NAME[name], problem.part(runs=33, epochs=2, samples=1000))
            except FailedError:
                raise
            except UnavailableError as reason:
                pytest.skip(f"{name}: {reason}")
        benchmark(lambda: None)
        return
    found = benchmark.pedantic(measure_target, (target,), {"seconds": TARGET_SECONDS})
    if found.faster is None:
        (pytest.skip if found.verified is None else pytest.fail)(found.note)
    reach(about(target), list(found.faster), quantiles=(0, 0.5, 1), least=target.least, unit=" x")
