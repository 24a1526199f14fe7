"""What the benchmarks share: verified, compilation-free measurement, and the targets at the end of a measured run."""

from typing import NamedTuple

import numpy as np
import pytest

from bench.pytest_plugin import variant_benchmark  # noqa: F401 (a fixture)
from bench.system.environment import environment
from bench.timing.verify import no_compilation

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


@pytest.fixture
def timed(benchmark):
    """Time a call that has been made before."""

    def measured(call, *args):
        with no_compilation():
            benchmark(call, *args)

    return measured


@pytest.fixture
def measure(variant_benchmark, benchmark, request):  # noqa: F811 (that fixture)
    """Time a variant on a problem as `variant_benchmark` does, and show it at the end of a measured run."""

    def measured(variant, problem):
        variant_benchmark(variant, problem)
        if benchmark.enabled:
            ns = benchmark.extra_info["ns_per_sample_update"]
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
