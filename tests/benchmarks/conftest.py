"""What the benchmarks share: compilation-free measurement, tables in one unit, and the targets at the end."""

from typing import NamedTuple

import numpy as np
import pytest

from sgdbench.pytest_plugin import variant_benchmark  # noqa: F401 (a fixture)
from sgdbench.system.environment import environment
from sgdbench.timing.verify import no_compilation
from tests.benchmarks.contestants import ABSENT

TARGETS = pytest.StashKey[list]()
# Of what pytest-benchmark shows of a benchmark, the times.
TIMES = ("min", "max", "mean", "stddev", "median", "iqr")


class Target(NamedTuple):
    """A row of the performance budget: low, middle and high of what was measured, and what it is to reach."""

    what: str
    measured: list[float]
    least: float | None = None
    most: float | None = None
    unit: str = ""

    def __str__(self):
        low, middle, high = (f"{value:.{3 if value < 1000 else 4}g}" for value in self.measured)
        wanted = f">= {self.least:g}" if self.least else f"<= {self.most:g}"
        met = self.measured[1] >= self.least if self.least else self.measured[1] <= self.most
        spread = f"{middle}{self.unit} [{low} .. {high}]"
        return f"{self.what:77} {spread:24} {wanted + self.unit:10} {'met' if met else 'missed'}"


def pytest_configure(config):
    config.stash[TARGETS] = []


def pytest_collection_modifyitems(config, items):
    """Untimed, leave out those whose kernels take seconds to compile and show nothing that no other benchmark shows."""
    if config.option.benchmark_disable:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("measured_only")])
        items[:] = [item for item in items if not item.get_closest_marker("measured_only")]


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["sgdbench"] = environment()


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_group_stats(config, benchmarks, group_by):
    """Show the times of what a call consists of, since the calls of a group do not all do as much; and short names."""
    # Their single rounds are of no interest: the ratios have a section of their own.
    benchmarks[:] = [row for row in benchmarks if row["group"] != "targets"]
    for row in benchmarks:
        row["name"] = row["param"] or row["name"].removeprefix("test_").replace("_", " ")
        count = row["extra_info"].get("sample_updates") or row["extra_info"].get("items") or 1
        row.update({time: row[time] / count for time in TIMES} | {"ops": row["ops"] * count})


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[TARGETS]:
        terminalreporter.section("targets: median [quartiles], or the ratio [95 % interval]")
        for target in config.stash[TARGETS]:
            terminalreporter.line(str(target))
    if ABSENT and not config.option.benchmark_disable:
        terminalreporter.section("not measured everywhere")
        for name, reasons in ABSENT.items():
            terminalreporter.line(f"{name}: {'; '.join(sorted(reasons))}")


@pytest.fixture
def timed(benchmark):
    """Time a call that has been made before, and say how many items it has to do with."""

    def measured(call, *args, items):
        with no_compilation():
            benchmark(call, *args)
        benchmark.extra_info["items"] = items

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
