"""What the benchmarks share: verified, compilation-free measurement, and the targets at the end of a measured run."""

from functools import cache as once
from typing import NamedTuple

import numpy as np
import pytest

from bench.system.environment import environment
from bench.timing.problem import FailedError, UnavailableError
from bench.timing.speed import compile_times
from bench.timing.verify import NotVerifiedError, no_compilation, verify

TARGETS, SPEEDS = pytest.StashKey[list](), pytest.StashKey[list]()


class Target(NamedTuple):
    """A row of the performance budget: low, middle and high of what was measured, and what it is to reach."""

    what: str
    measured: list[float]
    least: float | None = None
    most: float | None = None
    unit: str = ""

    def __str__(self):
        low, middle, high = self.measured
        wanted = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        past = self.least / middle if self.least else middle / self.most
        verdict = "met" if past <= 1 else f"missed by {100 * (past - 1):.1f} %"
        spread = f"{middle:.4g}{self.unit} [{low:.4g} .. {high:.4g}]"
        return f"{self.what:72} {spread:30} {wanted + self.unit:20} {verdict}"


def pytest_configure(config):
    config.stash[TARGETS], config.stash[SPEEDS] = [], []


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["sgdbench"] = environment()


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[SPEEDS]:
        terminalreporter.section("sgdbench: ns per sample-update, median")
        for group, ns, variant in sorted(config.stash[SPEEDS]):
            terminalreporter.line(f"{group:44} {variant:24} {ns:12,.3f}")
    if config.stash[TARGETS]:
        terminalreporter.section("sgdbench targets: median [quartiles], or the ratio [95 % interval]")
        for target in config.stash[TARGETS]:
            terminalreporter.line(str(target))


@once
def small(problem):
    """As little of a problem as shows that a variant works."""
    return problem.part(runs=33, epochs=2, samples=1000)


@pytest.fixture
def timed(benchmark):
    """Time a call that has been made before."""

    def measured(call, *args):
        with no_compilation():
            benchmark(call, *args)

    return measured


@pytest.fixture
def measure(timed, benchmark, request):
    """Time a variant on a problem, after its result was found to be that of the reference; nothing else is timed.

    Where benchmarks only run once, untimed, it is given little to do.
    """

    def measured(variant, problem):
        problem = problem if benchmark.enabled else small(problem)
        try:
            call, errors = verify(variant, problem)
        except (FailedError, NotVerifiedError) as reason:
            pytest.fail(f"{variant.name}: {reason}")
        except UnavailableError as reason:
            pytest.skip(f"{variant.name}: {reason}")
        timed(call)
        benchmark.extra_info |= {f"error_{name}": value for name, value in errors._asdict().items()}
        benchmark.extra_info |= compile_times(variant, problem)
        benchmark.extra_info |= {"updates": problem.updates, "sample_updates": problem.sample_updates}
        if benchmark.enabled:
            seconds = benchmark.stats.stats.median
            ns = 1e9 * seconds / problem.sample_updates
            benchmark.extra_info |= {"samples_per_second": 1e9 / ns, "ns_per_sample_update": ns}
            request.config.stash[SPEEDS].append((benchmark.group, ns, variant.name))

    return measured


@pytest.fixture
def reach(benchmark, request):
    """Set measured values against a target: in extra_info, and at the end of a measured run."""

    def reached(what, values, *, quantiles=(0.25, 0.5, 0.75), **wanted):
        if benchmark.enabled:
            target = Target(what, np.quantile(values, quantiles).tolist(), **wanted)
            request.config.stash[TARGETS].append(target)
            benchmark.extra_info.setdefault("targets", []).append(target._asdict())

    return reached
