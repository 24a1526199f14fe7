"""The report of 5,000 configurations of 100 epochs: how long it takes to make, and until the page can be used."""

import numpy as np
import pytest

from sgdbench import Grid, sweep
from sgdbench.kernels.model.models import quadratic
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import read_run_data
from sgdbench.timing.problem import classic
from tests.support.browsing import chromium, opened

OPENED = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pytestconfig):
    """Runs that go on to the last epoch: no target stops them, and every curve is whole; unmeasured, few of them."""
    problem, seeds = classic(1), 25 if pytestconfig.getoption("--benchmark-only") else 1
    grid = Grid(
        lr="log:0.001:0.5:25",
        batch_size=[8, 16, 32, 64],
        init={"near": [-1, 10, 26]},
        optimizer=["sgd", "adam"],
        seed=range(seeds),
        shuffle=True,
        schedule="halve(10)",
    )
    place = tmp_path_factory.mktemp("report") / "run"
    sweep(quadratic, problem.x[0], problem.y, grid, epochs=100, out=place)
    return place


@pytest.mark.benchmark(group="report")
def test_building(folder, benchmark):
    page = benchmark.pedantic(lambda: write_run_report(read_run_data(folder)), rounds=2, warmup_rounds=1)
    benchmark.extra_info["bytes"] = page.stat().st_size
    assert page.stat().st_size < 8_000_000


@pytest.mark.benchmark(group="report")
def test_until_interactive(folder, benchmark):
    page = folder / "report.html"
    if not page.exists():
        write_run_report(read_run_data(folder))
    seconds = []

    def open_it():
        """With an empty profile: nothing of the page is known to the browser."""
        with chromium() as browser:
            told = opened(browser, page).execute_script("return document.documentElement.dataset.interactive")
            seconds.append(float(told) / 1000)

    benchmark.pedantic(open_it, rounds=OPENED)
    benchmark.extra_info["seconds_until_interactive"] = sorted(seconds)[len(seconds) // 2]
    assert np.isfinite(seconds).all()  # a page that never becomes interactive has no time
