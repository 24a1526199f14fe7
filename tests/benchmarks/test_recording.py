"""What a finer clock costs: the classic run of 100 epochs, recorded at the ends of epochs and between them."""

from pathlib import Path

import numpy as np
import pytest

from sgdbench import Grid, fit, models
from sgdbench.engine.problem import make_problem
from sgdbench.kernels.base.run import Hyperparameters
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.block import train_runs
from sgdbench.study.schema import RunTable


@pytest.mark.parametrize("record", ["epoch", "log", "log:100"])
@pytest.mark.parametrize("batch_size", [1, 16], ids=lambda size: f"batches of {size}")
@pytest.mark.benchmark(group="recording a run of 100 epochs")
def test_recording(batch_size, record, classic, benchmark):
    x, y = classic
    settings = {"init": [-1, 10, 26], "lr": 0.5, "schedule": "halve(10)", "batch_size": batch_size, "record": record}
    result = benchmark(lambda: fit(models.quadratic, x, y, **settings))
    assert len(result.loss) > (101 if record == "epoch" else 110) - 1


@pytest.mark.parametrize("record", ["epoch", "log"])
@pytest.mark.benchmark(group="recording 1,024 runs of 100 epochs, side by side")
def test_recording_a_sweep(record, classic, benchmark):
    """Runs at rates so small that none reaches the target before its end, as a sweep records them."""
    x, y = classic
    grid = Grid(lr=np.geomspace(1e-6, 1e-5, 1024), batch_size=1, init={"near": [-1, 10, 26]})
    problem = make_problem(models.quadratic, x, y, RunTable(record=record), Path("nowhere"))
    checkpoints = problem.clock.checkpoints(1, 100)
    plan = problem.with_ids(grid.frame(models.quadratic, y.size))
    sgd = make_optimizer("sgd")
    options = option_values(problem.loss, sgd)
    rates = np.tile(plan["lr"].to_numpy(), (100, 1))
    hyper = Hyperparameters(
        rates, options, 1, drop_last=True, shuffle=False, seed=0, target=-np.inf, checkpoints=checkpoints
    )
    starts, memory = np.tile([-1.0, 10.0, 26.0], (1024, 1)), np.zeros((1024, 0))
    data = allocate_data(problem.columns, problem.y, shuffle=False)
    runs = benchmark(lambda: train_runs("lanes", models.quadratic, problem.loss, sgd, data, hyper, starts, memory))
    assert (runs.checkpoints == checkpoints.size - 1).all()
