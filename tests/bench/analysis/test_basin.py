"""Planes of starts: each is a run like any other, and a sine has more than one valley."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Model, fit, minimize, models, sweep
from sgdbench.analysis.basin import basin, best_run_of_each_optimizer
from sgdbench.analysis.surface import loss_surface
from sgdbench.data.table import Dataset, builtin
from sgdbench.kernels.losses import make_loss
from sgdbench.study.schema import RunTable
from sgdbench.tables.rank import ranking, varies

SQUARED = make_loss("squared")
SINE, PARABOLA = Model("a*sin(b*x + c)"), models.quadratic


def dataset(x, y):
    return Dataset(np.reshape(x, (len(y), -1)), np.asarray(y, dtype=float), ("x",), "y", "somewhere")


@pytest.fixture(scope="module")
def sine():
    """A sweep over a sine, with its data and what all runs have in common."""
    x = np.linspace(0, 4, 60)
    data, budget = dataset(x, 1.5 * np.sin(2 * x + 0.5)), RunTable(epochs=60, target=1e-3, kernel="fused")
    starts = {"guess": [1.0, 1.9, 0.4], "near": [1.0, 2.2, 0.3], "far": [1.0, 1.0, 93.0]}
    grid = Grid(lr=[0.02, 0.05], batch_size=4, init=starts, seed=[0, 1], shuffle=True)
    settings = {"epochs": budget.epochs, "target": budget.target, "kernel": budget.kernel}
    return sweep(SINE, data.x, data.y, grid, confirm=0, **settings), budget, data


@pytest.fixture(scope="module")
def plane(sine):
    return basin(*sine, ranking(sine[0].frame))


@pytest.fixture(scope="module")
def parabola():
    """The runs of two optimizers, and the planes of both."""
    x = np.linspace(-1, 1, 30)
    grid = Grid(
        lr=[0.1, 0.2], init={"one": [9.0, 1.0, 5.0]}, optimizer=["sgd", "momentum"], seed=range(5), shuffle=True
    )
    result = sweep(PARABOLA, x, x**2, grid, epochs=5, confirm=0, kernel="fused")
    return result.frame, basin(result, RunTable(epochs=5, kernel="fused"), dataset(x, x**2), ranking(result.frame))


def test_a_start_ends_where_a_fit_from_there_ends(sine, plane):
    result, budget, data = sine
    for place in (0, 107, 180, 250, 360):
        row = plane.iloc[place]
        (run,) = result.frame[result.frame["config_id"] == row["config_id"]].to_dict("records")
        settings = {name: row[name] for name in ("lr", "schedule", "batch_size", "shuffle", "optimizer")}
        settings |= {"seed": run["seed"], "epochs": budget.epochs, "target": budget.target, "kernel": "reference"}
        start = row[["param_a", "param_b", "param_c"]].to_numpy(float)
        expected = fit(SINE, data.x, data.y, init=start, record=result.clock.record, **settings)
        assert (row["status"], row["samples_seen"]) == (expected.status, expected.samples_seen[-1])
        assert row["final_loss"] == pytest.approx(expected.loss[-1], rel=1e-6)
        assert pd.isna(row["samples_to_target"]) == (expected.epochs_to_target is None)


def test_the_plane_is_that_of_the_parameters_in_which_the_model_is_not_linear(sine, plane):
    assert not varies(plane, "param_a")
    assert len(plane) == 19 * 19  # for a kernel of single runs, and a model with sines
    assert plane[["param_b", "param_c"]].drop_duplicates().shape == (19 * 19, 2)
    ends, names = sine[0].frame, ["param_a", "param_b", "param_c"]
    end = best_run_of_each_optimizer(ends, ranking(ends))[names].iloc[0]
    middle = plane.iloc[19 * 19 // 2]
    np.testing.assert_allclose(middle[names].to_numpy(float), end.to_numpy(float))


def test_the_plane_holds_the_starts_but_for_distant_ones(plane):
    low, high = plane["param_b"].min(), plane["param_b"].max()
    assert low < 1.0 < 2.2 < high
    assert plane["param_c"].max() < 45


def test_each_optimizer_is_there_with_the_lowest_run_of_its_best_choice(parabola):
    frame, plane = parabola
    ranked = ranking(frame)
    rows = best_run_of_each_optimizer(frame, ranked)
    assert plane["config_id"].drop_duplicates().tolist() == rows["config_id"].tolist()
    assert set(rows["optimizer"]) == {"sgd", "momentum"}
    for row in rows.to_dict("records"):
        alike = frame[(frame["optimizer"] == row["optimizer"]) & (frame["lr"] == row["lr"])]
        assert row["final_loss"] == alike["final_loss"].min()
    other = ranked.index[ranked["optimizer"] == rows["optimizer"][1]][-1]
    of_other = best_run_of_each_optimizer(frame, pd.concat([ranked.loc[[other]], ranked.drop(other)]))
    assert (of_other["optimizer"][0], of_other["lr"][0]) == (ranked["optimizer"][other], ranked["lr"][other])


def test_a_linear_model_varies_what_starts_farthest_away(parabola):
    for _, plane in parabola[1].groupby("config_id"):
        varying = [name for name in ("param_a", "param_b", "param_c") if varies(plane, name)]
        assert varying == ["param_a", "param_c"]
        assert len(plane) == 41 * 41
        assert (plane["status"] == "max_epochs").all()


def test_many_samples_make_a_small_plane(monkeypatch):
    x = np.linspace(-1, 1, 3000)
    data, budget = dataset(x, 2 * x + 1), RunTable(epochs=400)
    grid = Grid(lr=0.1, init={"zero": [0.0, 0.0, 0.0]}, batch_size="full")
    result = sweep(PARABOLA, data.x, data.y, grid, epochs=400)
    monkeypatch.setattr("sgdbench.analysis.basin.AFFORDABLE_VISITS", 40_000_000)
    plane = basin(result, budget, data, ranking(result.frame))
    assert len(plane) == 11 * 11
    # 40 million visits are 110 epochs of 121 runs on 3,000 samples, and not 400.
    assert plane["samples_seen"].max() == 110 * 3000
    monkeypatch.setattr("sgdbench.analysis.basin.AFFORDABLE_VISITS", 300_000)
    assert basin(result, budget, data, ranking(result.frame)).empty


def test_no_plane_of_one_parameter_or_of_runs_that_did_not_end():
    x = np.linspace(-1, 1, 30)
    data, budget = dataset(x, 2 * x), RunTable(epochs=3)
    single = sweep("a*x", data.x, data.y, Grid(lr=0.1), epochs=3, kernel="reference")
    assert basin(single, budget, data, ranking(single.frame)).empty
    lost = sweep(PARABOLA, data.x, data.y, Grid(lr=1e6), epochs=80)
    assert (lost.frame["status"] == "diverged").all()
    table = basin(lost, RunTable(epochs=80), data, ranking(lost.frame))
    assert table.empty
    assert {"config_id", "param_a", "param_b", "status", "samples_to_target"} <= set(table)


def test_the_surface_is_the_loss_over_all_samples(sine):
    _, _, data = sine
    params = np.random.default_rng(0).normal(size=(700, 3))
    expected = [np.mean((SINE.predict(theta, data.x) - data.y) ** 2) for theta in params]
    np.testing.assert_allclose(loss_surface(SINE, SQUARED, data)(params), expected)


def test_of_many_samples_the_surface_takes_some():
    x = np.linspace(0, 1, 100_000)
    data = dataset(x, x)
    losses = loss_surface(Model("a*x + b"), SQUARED, data)(np.array([[1.0, 0.0], [0.0, 0.0], [1e200, 0.0]]))
    assert losses[0] == 0
    assert losses[1] == pytest.approx(1 / 3, rel=0.01)
    assert losses[2] == np.inf


def test_the_surface_of_two_inputs_and_a_constant():
    x = np.random.default_rng(1).normal(size=(50, 2))
    model = Model("a*x1 + b*x2 + c", inputs=("x1", "x2"))
    data = Dataset(x, x @ [1.0, 2.0] + 3, ("x1", "x2"), "y", "somewhere")
    assert loss_surface(model, SQUARED, data)(np.array([[1.0, 2.0, 3.0]]))[0] == pytest.approx(0, abs=1e-25)
    constant = loss_surface(Model("c + 0*x"), SQUARED, dataset(x[:, 0], x[:, 0]))(np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(constant, [np.mean(x[:, 0] ** 2), np.mean((1 - x[:, 0]) ** 2)])


def test_a_function_without_inputs_has_a_basin():
    settings = {"epochs": 4, "loss": "objective", "kernel": "fused"}
    grid = Grid(lr=0.1, optimizer="adam", init=[[0.1, 0.1], [0.3, 0.3]])
    result = sweep(models.rosenbrock, None, [0.0], grid, confirm=0, **settings)
    table = basin(result, RunTable(**settings), builtin("none"), ranking(result.frame))
    assert len(table) > 100
    row = table.iloc[7]
    start = row[["param_x", "param_y"]].to_numpy(float)
    expected = minimize("rosenbrock", start, lr=0.1, steps=4, optimizer="adam", kernel="reference")
    assert row["final_loss"] == pytest.approx(expected.loss[-1], rel=1e-12)  # a mean over a hundred rows
