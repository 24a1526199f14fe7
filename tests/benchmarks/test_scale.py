"""Sweeps from end to end: the time for ten thousand configurations, the memory for a million, the gain of threads."""

import json
from itertools import count
from threading import Event

import numpy as np
import pytest

from bench import Grid, many, sweep
from bench.executors import in_threads, processors
from kernels import models

X = np.arange(-400, 400) / 400
Y = 2 * X**2 - 4 * X + 3
MOST_MEGABYTES = 1500

MILLION = """
import json, resource, time
import numpy as np
from bench import Grid, sweep
from kernels import models
x = np.arange(-100, 100) / 100
grid = Grid(lr=np.geomspace(1e-4, 1, {rates}), init="normal:1:10", seed=range(10))
started = time.perf_counter()
result = sweep(models.quadratic, x, 2 * x**2 - 4 * x + 3, grid, epochs=20, out={folder!r})
seconds = time.perf_counter() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({{"rows": len(result.frame), "seconds": seconds, "megabytes": memory}}))
"""


@pytest.mark.benchmark(group="sweep")
def test_a_million_configurations(python, tmp_path, benchmark, reach):
    """20 epochs of 200 samples each, in a process of their own; untimed, a fiftieth of them."""
    rates = 10_000 if benchmark.enabled else 200
    told = benchmark.pedantic(lambda: json.loads(python(MILLION.format(rates=rates, folder=str(tmp_path / "run")))))
    assert told["rows"] == 100 * rates
    assert told["megabytes"] < MOST_MEGABYTES
    benchmark.extra_info |= told
    reach("memory of 1,000,000 configurations", [told["megabytes"]], most=MOST_MEGABYTES, unit=" MB")


@pytest.mark.benchmark(group="sweep")
def test_ten_thousand_configurations(tmp_path, benchmark, reach):
    """100 epochs of 800 samples each, with all curves on disk and read back."""
    rates, epochs = (500, 100) if benchmark.enabled else (20, 3)
    starts = {"near": [-1, 10, 26], "far": [-11 / 6, -395 / 3, -2400], "random": "normal:1:2"}
    grid = Grid(lr=np.geomspace(1e-4, 1, rates), init=starts, seed=range(5))
    folders = (tmp_path / f"run{number}" for number in count())

    def run():
        return sweep(models.quadratic, X, Y, grid, epochs=epochs, out=next(folders)).curves

    assert len(run()) == grid.size * (epochs + 1)
    benchmark.pedantic(run, rounds=10)
    seconds = benchmark.stats.stats.data if benchmark.enabled else []
    reach("10,000 configurations x 100 epochs x 800 samples", seconds, most=1.5, unit=" s")


@pytest.mark.benchmark(group="targets")
@pytest.mark.skipif(processors() < 2, reason="there is one processor only")
def test_two_threads_against_one(race, reach):
    train = many.prepare("lanes", many.many(models.quadratic, runs=1024, epochs=100))

    def in_so_many(threads):
        return sum(1 for _ in in_threads(lambda job: train(), range(8), Event(), threads=threads))

    ratios = race(lambda: in_so_many(2), lambda: in_so_many(1))
    reach("lanes on two threads against one", ratios, least=1.85, unit=" x")
