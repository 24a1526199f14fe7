"""A sweep takes the kernel that fits into the memory, and says what cannot."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from sgdbench import Grid, Model, fit, models, sweep
from sgdbench.engine import jobs, memory, train
from sgdbench.engine import problem as common
from sgdbench.engine.memory import Memory
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.train.block import train_runs
from sgdbench.study.schema import RunTable

X = np.linspace(-1, 1, 40)
Y = 2 * X**2 - 4 * X + 3
WIDE = Model("w @ x + b", [f"x{place}" for place in range(40)])


def test_one_long_run_takes_what_it_needs():
    """Lanes would take 32 times the rates and the losses: 500 MB."""
    x, settings = X[:8], {"record": "epoch", "confirm": 0}
    sweep(models.linear, x, x, Grid(lr=1e-9), epochs=1, **settings)
    fit(models.linear, x, x, epochs=1)  # to compile kernels takes memory of its own
    tracemalloc.start()
    try:
        result = sweep(models.linear, x, x, Grid(lr=1e-9), epochs=1_000_000, **settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.frame["epochs"].item() == 1_000_000
    assert peak < 150e6
    assert len(result.curves) == 1_000_001


def swept(optimizer=("sgd", "adam"), **changed):
    settings = {"epochs": 12, "target": 1e-3, "record": "log:3", "confirm": 0}
    grid = Grid(lr=[0.05, 0.2], batch_size=[1, 8], optimizer=list(optimizer), seed=[0, 1])
    return sweep(models.quadratic, X, Y, grid, **settings | changed)


@pytest.mark.parametrize(("kernel", "optimizer"), [("lanes", ["sgd", "adam"]), ("lanes-fma", ["sgd"])])
def test_the_frugal_kernel_gives_the_same_bits_or_is_not_taken(monkeypatch, kernel, optimizer):
    expected, used = swept(optimizer, kernel=kernel), set()

    def watched(name, *args, **rest):
        used.add(name)
        return train_runs(name, *args, **rest)

    monkeypatch.setattr(common, "train_runs", watched)
    monkeypatch.setattr(memory, "SMALL_BLOCK", 0)
    monkeypatch.setattr(memory, "MIN_RUNS", 100)
    found = swept(optimizer, kernel=kernel)
    assert used == {"fused" if kernel == "lanes" else kernel}
    assert found.frame.equals(expected.frame)
    assert found.curves.equals(expected.curves)


def test_a_single_kernel_is_taken_for_few_long_runs_and_where_lanes_do_not_fit(tmp_path):
    def room_for(epochs, validation=None):
        settings = RunTable(epochs=epochs, record="epoch")
        return Memory(common.make_problem(models.quadratic, X, Y, settings, tmp_path, validation), "fused", 10**9, 32)

    short, long = room_for(1000), room_for(10**6)
    assert short.choose_kernel(1, 1000) == "lanes"
    assert long.choose_kernel(1, 10**6) == "fused"
    assert replace(long, room=math.inf).choose_kernel(32, 10**6) == "lanes"
    assert long.choose_kernel(32, 10**6) == "fused"
    assert room_for(10**6, validation=0.2).needed("lanes", 32, 10**6) > 1.5 * long.needed("lanes", 32, 10**6)


@pytest.mark.parametrize(
    ("model", "few", "enough"),
    [
        (models.quadratic, 2, 3),
        (Model("w @ x + b", list("pq")), 7, 8),
        (make_model("mlp(3)", ["p"]), 4, 5),
        (WIDE, 15, 16),
    ],
    ids=["without vectors", "written out", "hidden layer", "wide"],
)
def test_few_runs_of_an_order_are_trained_one_by_one_where_that_saves_more_than_it_compiles(
    model, few, enough, tmp_path
):
    samples, starts = np.zeros((30, len(model.inputs))), RunTable(epochs=10, record="epoch")
    needed = Memory.of(common.make_problem(model, samples, np.zeros(30), starts, tmp_path))
    seconds = 4e-9 * len(model.params) * 30 * (10 + 11 / 2)
    many = math.ceil(2 / seconds)
    single = "fused" if model.program.is_exact else "lanes"
    assert needed.choose_kernels([(few, 11)] * many + [(enough, 11)] * 2) == [single] * many + ["lanes"] * 2
    assert set(needed.choose_kernels([(few, 11)] * (many // 2) + [(enough, 11)] * many)) == {"lanes"}


def test_parameters_count_in_jobs_and_among_what_waits_for_the_disk(tmp_path, monkeypatch):
    """Of many parameters and few losses, all runs of a sweep waited, and took twice what was estimated."""
    monkeypatch.setattr(jobs, "JOB_NUMBERS", 1000)
    monkeypatch.setattr(train, "FLUSH_NUMBERS", 1000)
    monkeypatch.setattr(train, "FLUSH_SECONDS", math.inf)
    settings = {"epochs": 1, "record": "epoch", "kernel": "reference", "confirm": 0, "out": tmp_path / "run"}
    sweep(WIDE, np.zeros((30, 40)), np.zeros(30), Grid(lr=np.geomspace(0.001, 0.1, 64)), **settings)
    assert len(list((tmp_path / "run" / "parts").iterdir())) == 2  # of jobs of 23 runs with 43 numbers


@pytest.mark.parametrize("kernel", ["lanes", "fused", "lanes-fma"])
def test_what_cannot_fit_is_refused_with_the_figure_and_leaves_no_trace(tmp_path, monkeypatch, kernel):
    monkeypatch.setattr(memory, "available_memory", lambda: 10**8)
    with pytest.raises(
        ValueError, match=r"takes about \d+\.\d GB of memory, and 0.1 GB are available: 1 config"
    ) as error:
        sweep(models.quadratic, X, Y, Grid(), epochs=2 * 10**7, kernel=kernel, out=tmp_path / "run")
    assert "1 configuration of 20,000,000 epochs" in str(error.value)
    assert not (tmp_path / "run").exists()


def test_no_run_is_refused_where_the_size_of_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert len(swept().frame) == 16
