"""Sweeps from end to end: the time for eight hundred configurations and ten thousand, the memory for a million."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from sgdbench import Grid, models, sweep

X = np.arange(-400, 400) / 400
Y = 2 * X**2 - 4 * X + 3
MOST_MEGABYTES = 1500

MILLION = """
import json, re, time
import numpy as np
from sgdbench import Grid, sweep
from sgdbench import models
x = np.arange(-100, 100) / 100
grid = Grid(lr=np.geomspace(1e-4, 1, {rates}), init="normal:1:10", seed=range(10))
started = time.perf_counter()
result = sweep(models.quadratic, x, 2 * x**2 - 4 * x + 3, grid, epochs=20, out={folder!r})
seconds = time.perf_counter() - started
# Not ru_maxrss: that begins with the size of the process that started this one.
memory = int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps({{"rows": len(result.frame), "seconds": seconds, "megabytes": memory}}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much memory a process had")
@pytest.mark.benchmark(group="sweep")
def test_a_million_configurations(python, tmp_path, benchmark, reach):
    """20 epochs of 200 samples each, in a process of their own; untimed, few of them."""
    rates = 10_000 if benchmark.enabled else 20
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
        return sweep(models.quadratic, X, Y, grid, epochs=epochs, confirm=0, out=next(folders)).curves

    # Besides the ends of epochs, a few checkpoints within the first of them.
    assert grid.size * (epochs + 1) <= len(run()) <= grid.size * (1.4 * epochs + 1)
    benchmark.pedantic(run, rounds=5)
    seconds = benchmark.stats.stats.data if benchmark.enabled else []
    reach("10,000 configurations x 100 epochs x 800 samples", seconds, most=0.3, unit=" s")


@pytest.mark.benchmark(group="sweep")
@pytest.mark.parametrize("epochs", [1, 100])
def test_eight_hundred_configurations(benchmark, reach, epochs):
    """With the leading choices confirmed: after one epoch, nearly all of it is what a sweep costs besides training."""
    rates = 100 if benchmark.enabled else 4
    grid = Grid(lr=np.geomspace(1e-3, 0.5, rates), batch_size=[1, 16], init="normal:1:2", seed=[0, 1], shuffle=True)

    def run():
        return sweep(models.quadratic, X, Y, grid, epochs=epochs, target=1e-3)

    assert len(run().frame) == 8 * rates
    benchmark.pedantic(run, rounds=5)
    seconds = benchmark.stats.stats.data if benchmark.enabled else []
    reach(f"800 configurations x {epochs} epochs x 800 samples, the second call", seconds, most=0.15, unit=" s")
