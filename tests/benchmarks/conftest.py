"""What the benchmarks share: verified, compilation-free measurement, and the targets at the end of a measured run."""

import time
from contextlib import contextmanager
from functools import cache as once
from typing import NamedTuple

import numpy as np
import pytest
from numba.core import event

from bench.problem import UnavailableError, error
from bench.variants import VARIANTS

TARGETS, SPEEDS = pytest.StashKey[list](), pytest.StashKey[list]()
ROUNDS = 200
ROUNDS_SECONDS = 4.0


class Target(NamedTuple):
    """A row of the performance budget: the quartiles of what was measured, and what they are to reach."""

    what: str
    quartiles: list[float]
    least: float | None = None
    most: float | None = None
    unit: str = ""

    def __str__(self):
        low, middle, high = self.quartiles
        wanted = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        past = self.least / middle if self.least else middle / self.most
        verdict = "met" if past <= 1 else f"missed by {100 * (past - 1):.1f} %"
        spread = f"{middle:.4g}{self.unit} [{low:.4g} .. {high:.4g}]"
        return f"{self.what:58} {spread:30} {wanted + self.unit:20} {verdict}"


def pytest_configure(config):
    config.stash[TARGETS], config.stash[SPEEDS] = [], []


def pytest_terminal_summary(terminalreporter, config):
    if config.stash[SPEEDS]:
        terminalreporter.section("sgdbench: ns per sample-update, median")
        for group, ns, variant in sorted(config.stash[SPEEDS]):
            terminalreporter.line(f"{group:30} {variant:20} {ns:12,.3f}")
    if config.stash[TARGETS]:
        terminalreporter.section("sgdbench targets: median [quartiles]")
        for target in config.stash[TARGETS]:
            terminalreporter.line(str(target))


@contextmanager
def no_compilation():
    """Nothing that is timed is compiled."""
    with event.install_recorder("numba:compile") as compilations:
        yield
    assert not compilations.buffer


@pytest.fixture(scope="session")
def expected():
    """What the reference makes of a problem."""
    (reference,) = (variant for variant in VARIANTS if variant.name == "reference")
    return once(lambda problem: reference.prepare(problem)())


@pytest.fixture
def prepared(expected, benchmark):
    """Ready to be timed: the call of a variant, after its result was found to be that of the reference."""

    def prepare(variant, problem):
        try:
            call = variant.prepare(problem)
        except UnavailableError as reason:
            pytest.skip(str(reason))
        for _ in range(2):  # the second call starts from the same parameters as the first
            difference = error(call(), expected(problem))
            assert difference <= variant.tolerance
        benchmark.extra_info[f"error_of_{variant.name}"] = difference
        return call

    return prepare


@pytest.fixture
def timed(benchmark):
    """Time a call that has been made before."""

    def measured(call, *args):
        with no_compilation():
            benchmark(call, *args)

    return measured


@pytest.fixture
def measure(prepared, timed, benchmark, request):
    """Time a variant on a problem."""

    def measured(variant, problem):
        timed(prepared(variant, problem))
        benchmark.extra_info |= {"updates": problem.updates, "sample_updates": problem.sample_updates}
        if benchmark.enabled:
            seconds = benchmark.stats.stats.median
            ns = 1e9 * seconds / problem.sample_updates
            benchmark.extra_info |= {"ns_per_update": 1e9 * seconds / problem.updates, "ns_per_sample_update": ns}
            request.config.stash[SPEEDS].append((benchmark.group, ns, variant.name))

    return measured


@pytest.fixture
def reach(benchmark, request):
    """Set measured values against a target: in extra_info, and at the end of a measured run."""

    def reached(what, values, **wanted):
        if benchmark.enabled:
            target = Target(what, np.quantile(values, [0.25, 0.5, 0.75]).tolist(), **wanted)
            request.config.stash[TARGETS].append(target)
            benchmark.extra_info.setdefault("targets", []).append(target._asdict())

    return reached


@pytest.fixture
def race(benchmark):
    """How many times as long the second call takes as the first: the ratio of each round, in which both take turns."""

    def raced(first, second):
        ratios = []

        def run_both():
            start = time.perf_counter()
            first()
            turn = time.perf_counter()
            second()
            ratios.append((time.perf_counter() - turn) / (turn - start))

        start = time.perf_counter()
        run_both()
        rounds = int(ROUNDS_SECONDS / (time.perf_counter() - start))
        ratios.clear()
        with no_compilation():
            benchmark.pedantic(run_both, rounds=max(20, min(ROUNDS, rounds)))
        return np.array(ratios)

    return raced
