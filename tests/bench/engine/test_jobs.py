"""Which configurations are trained together, and by which processor."""

from threading import Event

import numpy as np
import pytest

from sgdbench import Grid, models
from sgdbench.engine import jobs, train
from sgdbench.engine.problem import make_problem
from sgdbench.engine.run_states import RunStates
from sgdbench.study.schema import RunTable
from tests.support.constants import ROOT

X = np.arange(-400, 400) / 400


def make(epochs):
    return make_problem(models.quadratic, X, X**2, RunTable(epochs=epochs), ROOT / "nowhere")


def planned(grid, epochs=100, finished=()):
    """The plan of a grid, and its jobs."""
    problem = make(epochs)
    plan = problem.with_ids(grid.frame(problem.model, X.size))
    states = RunStates.begin(plan, problem)
    states.finished[list(finished)] = True
    return plan, list(jobs.plan_jobs(problem, plan, states, jobs.share_kernels(plan, problem.settings)))


@pytest.mark.parametrize("processors", [1, 2, 8])
def test_every_processor_gets_as_much_as_any_other(monkeypatch, processors):
    monkeypatch.setattr(jobs, "processors", lambda: processors)
    _, found = planned(Grid(lr=np.geomspace(1e-4, 1, 1000)))
    sizes = np.array([job.rows.size for job in found])
    assert sizes.sum() == 1000
    # A processor that finds no more jobs waits for the end of one job of another.
    assert sizes.max() <= max(1000 / (4 * processors) + 32, 32)


def test_a_little_work_is_not_shared_out(monkeypatch):
    monkeypatch.setattr(jobs, "processors", lambda: 64)
    _, found = planned(Grid(lr=np.geomspace(1e-4, 1, 1000)), epochs=1)
    assert len(found) == 1


@pytest.mark.parametrize(("epochs", "threads"), [(1, 1), (100, None)])
def test_short_runs_have_one_thread(monkeypatch, epochs, threads):
    asked = []
    monkeypatch.setattr(train, "run_in_threads", lambda *_, threads: asked.append(threads))
    train.train_in_threads(make(epochs), [], Event())
    assert asked == [threads]


def test_runs_that_visit_the_same_samples_in_the_same_order_come_together_by_learning_rate():
    grid = Grid(
        lr=[0.3, 0.1, 0.2], batch_size=[1, 8], optimizer=["sgd", "adam"], seed=[0, 2**64 - 1], shuffle=[True, False]
    )
    plan, found = planned(grid, finished=[0, 7])
    rows = np.concatenate([job.rows for job in found])
    assert sorted(rows) == sorted({*range(len(plan))} - {0, 7})
    # Without shuffling, the seed makes no difference.
    assert len(found) == 2 * 2 * (2 + 1)
    for job in found:
        mine = plan.iloc[job.rows]
        assert mine["lr"].is_monotonic_increasing
        hyper = job.hyperparameters
        assert set(mine["batch_size"]) == {hyper.batch_size}
        assert set(mine["shuffle"]) == {hyper.shuffle}
        assert set(mine["optimizer"]) == {job.optimizer.name}
        assert not hyper.shuffle or set(mine["seed"]) == {hyper.seed}
        np.testing.assert_array_equal(hyper.rates[0], mine["lr"])
