"""The check finds what is wrong by a bit, and takes nothing for wrong that is not."""

from dataclasses import replace
from functools import cache as once

import numpy as np
import pytest

from sgdbench import Grid, Model, models, sweep
from sgdbench.engine import check, problem, train
from sgdbench.kernels.compile.kinds import TOLERANCE, is_exact, largest_error, largest_loss_error
from sgdbench.kernels.train import slices
from sgdbench.kernels.train.block import train_runs
from sgdbench.study.schema import RunTable

SINE = Model("a*sin(b*x + c)")
X = np.random.default_rng(0).uniform(-1, 1, 40)
VALUES = {
    "lr": [0.05, 0.5, 90.0],
    "batch_size": [1, 16],
    "init": {"near": [-1, 10, 26], "solution": [2, -4, 3]},
    "schedule": ["cosine", "halve(3)"],
    "shuffle": [True, False],
}
QUADRATIC, DESCENT = Grid(optimizer=["sgd", "adam"], **VALUES), Grid(optimizer="sgd", **VALUES)
SETTINGS = {"epochs": 10, "target": 1e-3, "drop_last": False, "loss": "squared", "kernel": "lanes", "record": "log:2"}


def target_of(model):
    return model.predict([2, -4, 3], X)


@once
def result_of(model=models.quadratic, grid=QUADRATIC, **changed):
    return sweep(model, X, target_of(model), grid, confirm=0, **SETTINGS | changed)


def checked(result, rows=slice(None), frame=None, **changed):
    frame = result.frame if frame is None else frame
    chosen = replace(result, frame=frame.iloc[rows], starts=result.starts[rows])
    return check.check(chosen, RunTable(**SETTINGS | changed), X, target_of(result.model))


def test_a_sweep_that_is_right_is_verified_to_the_bit():
    result = result_of()
    assert set(result.frame["status"]) == {"max_epochs", "converged", "diverged"}
    assert 0 in result.frame["epochs"].tolist()
    table = checked(result)
    names = "config_id optimizer lr batch_size epochs error loss_error bound verified"
    assert table.columns.tolist() == names.split()
    assert table["verified"].all()
    assert not table[["error", "loss_error", "bound"]].any(axis=None)
    assert table["config_id"].tolist() == result.frame["config_id"].tolist()
    assert table["epochs"].tolist() == (result.frame["samples_seen"] / X.size).tolist()


@pytest.mark.parametrize(("samples", "epochs"), [(3 * X.size, 3), (X.size - 1, 1)])
def test_only_as_many_epochs_are_compared_as_there_is_time_for_but_one(monkeypatch, samples, epochs):
    """A schedule that looks ahead is that of the whole run nevertheless."""
    monkeypatch.setattr(check, "CHECKED_SAMPLES", samples)
    result = result_of()
    table = checked(result)
    assert table["verified"].all()
    assert table["epochs"].tolist() == np.minimum(result.frame["samples_seen"] / X.size, epochs).tolist()


def test_a_part_of_an_epoch_of_many_samples_is_compared(monkeypatch):
    monkeypatch.setattr(check, "CHECKED_SAMPLES", 8)
    monkeypatch.setattr(slices, "FIRST_SLICE", 10)  # to the next checkpoint
    result = result_of()
    table = checked(result)
    assert table["verified"].all()
    first = np.where(result.frame["batch_size"] == 1, 10, 16)  # the first checkpoint after eight samples
    assert table["epochs"].tolist() == (np.minimum(result.frame["samples_seen"], first) / X.size).tolist()
    monkeypatch.setattr(slices, "FIRST_SLICE", 10**9)  # the whole epoch
    assert checked(result).equals(table)
    wrong = result.frame.assign(final_loss=-1.0)
    assert (~checked(result, frame=wrong)["verified"]).tolist() == (result.frame["samples_seen"] <= 8).tolist()


def test_thinned_curves_are_compared_where_there_is_something_to_compare(monkeypatch):
    monkeypatch.setattr(train, "MAX_LOSSES", 3 * QUADRATIC.size)
    result = sweep(models.quadratic, X, target_of(models.quadratic), QUADRATIC, confirm=0, **SETTINGS)
    assert len(result.curves) < len(result_of().curves) / 2
    assert checked(result)["verified"].all()
    monkeypatch.setattr(check, "CHECKED_SAMPLES", 6 * X.size)
    assert checked(result)["verified"].all()


@pytest.mark.parametrize("field", ["params", "losses"])
def test_a_kernel_that_is_off_by_one_bit_is_caught(monkeypatch, field):
    """In one number of one run, in its last epoch."""

    def faulty(*args, **rest):
        runs = train_runs(*args, **rest)
        for run in np.flatnonzero(runs.status == 0):
            array, place = (runs.params, (run, 1)) if field == "params" else (runs.losses, (-1, run))
            array[place] = np.nextafter(array[place], np.inf)
        return runs

    monkeypatch.setattr(problem, "train_runs", faulty)
    result = sweep(models.quadratic, X, target_of(models.quadratic), QUADRATIC, confirm=0, **SETTINGS)
    table = checked(result)
    wrong = result.frame["status"] == "max_epochs"
    assert 0 < wrong.sum() < len(wrong)
    assert (table["verified"] == ~wrong).all()
    assert (table["error"][wrong] > 0).all()


OF_OTHERS = {"lr": 0.051, "seed": 1, "schedule": "constant", "optimizer": "momentum", "batch_size": 8}
OF_OTHERS |= {"samples_seen": 399}


@pytest.mark.parametrize(("name", "value"), OF_OTHERS.items())
def test_a_row_with_the_results_of_another_one_is_caught(name, value):
    result = result_of()
    frame = result.frame.astype({"schedule": object, "optimizer": object})
    rows = frame.query("shuffle and epochs == 10 and optimizer == 'sgd' and schedule == 'cosine'").index
    assert rows.size
    frame.loc[rows, name] = value
    assert not checked(result, rows, frame)["verified"].any()


def test_a_loss_in_the_frame_that_is_not_that_of_the_curve_is_caught():
    result = result_of()
    frame = result.frame.assign(final_loss=result.frame["best_loss"])
    same = frame["final_loss"] == result.frame["final_loss"]
    assert 0 < same.sum() < len(same)
    assert (checked(result, frame=frame)["verified"] == same).all()


@pytest.mark.parametrize("target", [1e-9, 1.0], ids=["too soon", "too late"])
def test_a_run_that_ends_at_the_wrong_time_is_caught(target):
    result = result_of()
    lower = result.curves.groupby("config_id", observed=True)["loss"].min().to_numpy()
    right = checked(result, target=target)["verified"]
    assert not right.all()
    assert right[(result.frame["status"] == "max_epochs") & (lower > target)].all()
    assert not right[(result.frame["status"] == "converged") & (result.frame["final_loss"] > target)].any()


# Between them: runs that settle, runs that jump about without an end, and such that grow beyond all bounds.
WIDE = Grid(lr=[0.01, 0.5, 5.0], init={"here": [1.5, 2, 0.3]}, batch_size=[1, 16])


@pytest.mark.parametrize(("model", "grid", "kernel"), [(models.quadratic, DESCENT, "lanes-fma"), (SINE, WIDE, "fused")])
def test_what_is_not_exact_is_verified_within_a_bound(model, grid, kernel):
    result = result_of(model, grid, kernel=kernel, target=None)
    table = checked(result, kernel=kernel, target=None)
    assert table["verified"].all()
    assert table["error"].max() < table["bound"].min() == TOLERANCE
    assert 0 < table["loss_error"].max() < TOLERANCE


def test_a_run_that_makes_errors_larger_is_compared_as_long_as_that_tells_something(monkeypatch):
    result = result_of(SINE, WIDE, kernel="fused", target=None)
    table = checked(result, kernel="fused", target=None)
    assert (table["epochs"] == 10)[result.frame["lr"] < 0.1].all()
    assert (table["epochs"] < 10)[result.frame["lr"] > 1].all()
    monkeypatch.setattr(check, "NUDGE", 0)
    assert (checked(result, kernel="fused", target=None)["error"] > TOLERANCE).any()


def test_a_run_that_blows_up_is_compared_until_then(monkeypatch):
    settings = {"epochs": 2, "kernel": "fused"}
    result = sweep("a*tanh(b*x)", X, X**2, Grid(lr=20.0, init="normal:1:40"), confirm=0, **settings)
    assert result.frame["final_loss"].between(1e40, 1e300).all()
    table = check.check(result, RunTable(**settings), X, X**2)
    assert table["verified"].all()
    assert (table["epochs"] == 0).all()
    monkeypatch.setattr(check, "BLOWN_UP_FACTOR", np.inf)
    assert not check.check(result, RunTable(**settings), X, X**2)["verified"].all()


def test_an_inexact_kernel_that_is_wrong_is_caught(monkeypatch):
    result = result_of(SINE, WIDE, kernel="fused", target=None)
    curves = result.run.curves()
    curves["loss"] *= 1 + 1e-4
    monkeypatch.setattr(result.run, "curves", lambda config_ids: curves)
    table = checked(result, kernel="fused", target=None)
    assert not table["verified"].any()


@pytest.mark.parametrize(
    ("model", "kernel", "loss", "exact"),
    [
        (models.quadratic, "lanes", "squared", True),
        (models.quadratic, "fused", "huber(0.5)", True),
        (models.quadratic, "lanes-fma", "squared", False),
        (models.quadratic, "fused", "logcosh", False),
        (SINE, "lanes", "squared", False),
        (Model("sqrt(abs(a*x)) / (1 + b**2)"), "lanes", "squared", True),
    ],
)
def test_which_kernels_promise_the_same_bits(model, kernel, loss, exact):
    assert is_exact(model, kernel, loss) is exact


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([0.5], [0.25], 0.25),
        ([110.0], [100.0], 0.1),
        ([-110.0, 0.5], [-100.0, 0.5], 0.1),
        ([np.nan, np.inf, -np.inf], [np.nan, np.nan, np.inf], 0),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [1.0], np.inf),
        ([1.0, 2.0], [1.0], np.inf),
        ([], [], 0),
        ([1.7e308], [-1.7e308], np.inf),
    ],
)
def test_the_largest_error_is_relative_above_one(found, expected, error):
    assert largest_error(np.array(found), np.array(expected)) == pytest.approx(error)


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([0.5, 5e-4], [0.5, 1e-3], 0.5),
        ([0.5, 2e-4], [0.5, 3e-4], 0),  # of rounding errors
        ([0.5, np.inf], [0.5, np.nan], 0),
        ([0.5, np.nan], [0.5, 1.0], np.inf),
        ([1.0, 2.0], [1.0], np.inf),
        ([], [], 0),
    ],
)
def test_the_error_of_losses_is_relative_where_they_are_not_rounding_errors(found, expected, error):
    assert largest_loss_error(np.array(found), np.array(expected), np.full(5, 20.0)) == pytest.approx(error)
