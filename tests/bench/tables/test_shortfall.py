"""What is said where the best choice ends far from the lowest loss, by which final losses are compared."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Model, sweep
from sgdbench.kernels.train import attainable_loss as attainable_losses
from sgdbench.kernels.train.attainable_loss import AttainableLoss, unknown_loss
from sgdbench.report.run_data import RunData, run_data_of
from sgdbench.study.load import load_study, with_settings
from sgdbench.tables.conclusions import falls_on_held_out, find_no_gain, find_no_skill
from sgdbench.tables.costs import EXCESS, add_excess, loss_floor
from sgdbench.tables.facts import Divergence, LowestLoss, NoGain, Shortfall, UnreachableTarget
from sgdbench.tables.rank import ranking
from tests.support.frames import known

SETTINGS = {"optimizer": "sgd", "schedule": "constant", "batch_size": 1, "shuffle": True}
RNG = np.random.default_rng(2)
X = RNG.normal(size=200)
Y = 2 * X + RNG.normal(size=200)
NEAR = {"init": [0.0, 0.0], "seed": range(4), "shuffle": True}
FAR = {"there": [1.5, 0.0], "far": [-9.0, 0.0], "farther": [19.0, 0.0]}


def swept(**changes):
    grid = {
        name: changes.pop(name) for name in ("lr", "batch_size", "schedule", "optimizer", "init") if name in changes
    }
    settings = {"epochs": 20, "kernel": "reference", "confirm": 0} | changes
    return run_data_of(sweep("a*x + b", X, Y, Grid(**NEAR | grid), **settings))


def advice_of(run_data):
    """What is advised, in the order in which it is."""
    (found,) = (fact for fact in run_data.shortfall if isinstance(fact, Shortfall))
    return dict(found.advice)


def test_a_choice_that_has_arrived_falls_short_of_nothing():
    run_data = swept(lr=[0.05], schedule="halve(3)")
    assert run_data.shortfall == []
    found = known(run_data.conclusions)[LowestLoss]
    assert found.attainable.remaining(found.loss) < 1e-3


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"lr": [1e-4, 3e-4], "epochs": 2}, ["rates", "epochs"]),
        ({"lr": [1e-6], "epochs": 2}, ["epochs"]),
        # Between the start and the end there may be no checkpoint.
        ({"lr": [1e-3], "epochs": 1, "record": "epoch"}, ["epochs"]),
        ({"lr": [0.4]}, ["schedule"]),
        ({"lr": [4.0], "batch_size": "full", "loss": "absolute"}, ["schedule"]),
        ({"lr": [0.003], "schedule": "halve(1)"}, ["slower schedule"]),
        ({"lr": [0.1], "batch_size": "full", "optimizer": "sgd(0.9)"}, ["decay", "epochs"]),
        ({"lr": [0.05], "schedule": "halve(3)", "target": 3.0}, ["target"]),
        ({"lr": [0.05], "target": 99.0}, ["target"]),
        # From one start in three, runs stop there.
        ({"lr": [1e-3], "epochs": 2, "target": 3.0, "init": FAR}, ["epochs"]),
    ],
)
def test_one_that_has_not_comes_with_advice_in_front(changes, advice):
    run_data = swept(**changes)
    assert list(advice_of(run_data)) == advice
    assert next(iter(run_data.headline)) == next(iter(run_data.verdict)) == "Not arrived"
    refined = with_settings(load_study("quadratic"), {"run.refine": 2})
    assert replace(run_data, study=load_study("quadratic")).beyond == "--refine 2"
    assert replace(run_data, study=refined).beyond == "--refine 4"  # the first two rounds would be the same
    assert str(run_data.result).index("Not arrived") < str(run_data.result).index("Best choice")


def test_advice_knows_what_was_tried():
    rates = advice_of(swept(lr=[1e-4, 3e-4], epochs=2))["rates"]
    assert rates == {"end": "highest", "tried": 2, "beyond": "refine=2", "risen": False}
    assert advice_of(swept(lr=[0.4]))["schedule"] == {"epochs": 20, "larger": True}
    assert not advice_of(swept(lr=[4.0], batch_size="full", loss="absolute"))["schedule"]["larger"]
    low, high = (advice_of(swept(lr=[0.05], target=target))["target"] for target in (3.0, 99.0))
    assert low["leaves"] < 1 < high["leaves"]
    assert low["advised"] == high["advised"] < 3.0


def test_a_target_in_standardized_units_is_told_apart(monkeypatch):
    """The option --target is in the table's units."""
    monkeypatch.setattr(RunData, "has_standardized_losses", True)
    assert advice_of(swept(lr=[0.05], schedule="halve(3)", target=3.0))["target"]["standardized"]


def test_one_that_is_worse_than_the_best_constant():
    run_data = swept(lr=[1.9], epochs=3)
    (found,) = run_data.shortfall
    assert found.attainable.remaining(found.loss) >= 1
    assert advice_of(run_data)["rates"]["risen"]


@pytest.mark.parametrize(("lr", "rises"), [(1.5, True), (1e-3, False)])
def test_a_loss_that_rises_has_not_arrived_also_where_the_lowest_is_not_known(monkeypatch, lr, rises):
    monkeypatch.setattr(attainable_losses, "MAX_PARAMS", 30)
    x = RNG.normal(size=(60, 40))
    grid = Grid(lr=[lr, 2 * lr], batch_size=["full"], init="zero")
    run_data = run_data_of(sweep("w @ x + b", x, x[:, 0], grid, epochs=4, kernel="reference", confirm=0))
    assert np.isnan(run_data.result.optimum.loss)
    rates = {"rates": {"end": "lowest", "tried": 2, "beyond": "refine=2", "risen": True}}
    assert [dict(fact.advice) for fact in run_data.shortfall] == ([rates] if rises else [])


@pytest.mark.parametrize(("lr", "arrives"), [(3e-4, False), (0.05, True)])
def test_where_held_out_samples_choose_a_run_has_arrived_when_their_loss_no_longer_falls(lr, arrives):
    x = RNG.normal(size=(60, 40))
    y = x[:, 0] + RNG.normal(size=60)
    grid = Grid(lr=[lr], batch_size=["full"], init="zero")
    settings = {"validation": 0.3, "epochs": 100, "kernel": "reference", "confirm": 0}
    run_data = run_data_of(sweep("w @ x + b", x, y, grid, **settings))
    # With as many parameters as samples the loss on those that are trained on goes on falling, to 0.
    assert run_data.result.optimum.remaining(run_data.frame["final_loss"].iloc[0]) > 0.05
    assert ("Not arrived" not in run_data.headline) == arrives


def test_from_a_start_that_is_far_away_the_loss_on_held_out_samples_falls_for_long():
    losses = {"loss": 1.0, "validation_loss": [18_000.0, 1_700.0, 160.0, 15.0], "samples": [0, 75, 150, 225]}
    curves = pd.DataFrame({"config_id": "a"} | losses)
    assert falls_on_held_out(curves)
    assert not falls_on_held_out(curves.assign(validation_loss=[18_000.0, 15.1, 15.1, 15.0]))
    assert not falls_on_held_out(curves.assign(validation_loss=[16.0, 15.1, 15.0, 15.0]))


def test_a_batch_of_all_samples_is_called_full():
    run_data = swept(lr=[0.05, 1e4], batch_size=[16, "full"], epochs=100)
    assert {part.settings["batch_size"] for part in known(run_data.conclusions)[Divergence].ranges} == {16, "full"}


def test_a_target_below_the_lowest_loss_is_out_of_reach():
    (found,) = swept(lr=[0.05], schedule="halve(3)", target=0.1).shortfall
    assert found.target == 0.1 < found.lowest < found.advised
    # Also where the best choice has not arrived.
    shortfall, found = swept(lr=[1e-6], epochs=2, target=0.1).shortfall
    assert isinstance(shortfall, Shortfall)
    assert isinstance(found, UnreachableTarget)


def test_patience_ends_runs_before_the_lowest_loss_on_purpose():
    held_out = {"validation": (X[:20], Y[:20]), "patience": 1}
    assert "Not arrived" not in swept(lr=[1e-4], epochs=2, **held_out).headline


def frame_of(losses):
    rows = [
        {**SETTINGS, "lr": lr, "init": "a", "seed": seed, "status": "max_epochs", "final_loss": loss + 1e-4 * seed}
        | {"samples_to_target": np.nan, "updates_to_target": np.nan}
        for lr, loss in losses.items()
        for seed in range(6)
    ]
    return pd.DataFrame(rows)


THIRD_APART = {0.1: 0.6, 0.2: 0.63}


@pytest.mark.parametrize(
    ("losses", "lowest", "constant", "rates", "tied"),
    [
        (THIRD_APART, 0.599, 0.69, [0.1, 0.2], [True, False]),
        ({0.1: -0.28, 0.2: -1.0}, -1.001, 2.0, [0.2, 0.1], [True, False]),
        ({0.1: 0.6001, 0.2: 0.6003}, 0.6, 3.0, [0.1, 0.2], [True, True]),
    ],
    ids=["a third of the improvement apart", "below zero", "less than a hundredth of the lowest apart"],
)
def test_losses_are_ranked_by_their_distance_to_the_lowest(losses, lowest, constant, rates, tied):
    ranked = ranking(add_excess(frame_of(losses), AttainableLoss(lowest, constant, None, "L-BFGS"), 1e-28))
    assert (ranked["lr"].tolist(), ranked["tied"].tolist()) == (rates, tied)


def test_without_a_known_lowest_loss_they_are_ranked_by_their_improvement_over_a_constant():
    """0.63 leaves two thirds of the improvement from 0.69 to 0.60, and almost all of that from 3."""
    unknown = unknown_loss("nothing is known")
    for constant, ratio, verdict in ((0.69, 1.5, "worse"), (3.0, 2.4 / 2.37, "within 5 %")):
        ranked = ranking(add_excess(frame_of(THIRD_APART), replace(unknown, constant_loss=constant), 1e-28))
        assert ranked["ratio"].tolist() == pytest.approx([1, ratio], rel=5e-3)
        assert ranked["verdict"].tolist() == ["best", verdict]
    # Nor that of a constant: the median run takes its place.
    assert ranking(add_excess(frame_of(THIRD_APART), unknown, 1e-28))["verdict"].tolist() == ["best", "worse"]


def test_of_data_without_noise_every_power_of_ten_counts_down_to_rounding():
    exact = add_excess(
        frame_of({0.1: 1e-12, 0.2: 1e-20}), AttainableLoss(0.0, 3.0, None, "least squares"), loss_floor(Y)
    )
    assert exact[EXCESS].min() < 1e-19


def test_objectives_are_compared_where_they_are_negative():
    grid = Grid(lr=[0.01, 0.3], init=[1.0, 1.0])
    result = sweep(
        Model("x**2 + y**2 - x", ()), None, [0.0], grid, epochs=30, loss="objective", confirm=0, kernel="reference"
    )
    assert result.ranking()["lr"].iloc[0] == 0.3
    assert result.optimum.loss == pytest.approx(-0.25)


def test_another_loss_on_the_command_line_gets_a_target_of_its_own(sgdbench, ran, studies):
    out = ran("run", "auto-mpg", "--loss", "absolute")
    run = studies[0].run
    assert out == f"Target: {run.target:.4g} for the loss absolute; 0.3127 was made for the loss squared.\n"
    assert (run.loss, run.target_loss) == ("absolute", "absolute")
    # One that is given is kept, in the table's units.
    assert sgdbench("run", "auto-mpg", "--loss", "absolute", "--target", "3")[1] == ""
    assert studies[-1].run.target == pytest.approx(3 / 7.795, rel=1e-3)
    # The same loss needs no other target.
    assert sgdbench("run", "auto-mpg", "--loss", "squared")[1] == ""
    assert studies[-1].run.target == 0.31275


def test_the_rows_that_those_for_the_test_leave_get_a_target_of_their_own(ran, studies):
    """That of all rows would have been decided by those for the test too, and may be below what the others allow."""
    out = ran("run", "auto-mpg", "--test", "0.2")
    (study,) = studies
    data, _ = study.dataset()
    lowest = np.polyfit(data.x[:, 0], data.y, 2, full=True)[1][0] / data.y.size
    assert study.run.target == pytest.approx(lowest + 0.01 * (1 - lowest), rel=1e-4)
    said = "for the loss squared; 0.3127 was made for the loss squared, on other rows.\n"
    assert out == f"Target: {study.run.target:.4g} {said}"
    assert ran("run", "auto-mpg", "--test", "0.2", "--target", "19") == ""


def test_columns_that_are_standardized_otherwise_get_another_target(sgdbench, studies, tmp_path):
    """A study's target is in the units of training; `center` says how to standardize, and is gone without that."""
    (tmp_path / "flat.csv").write_text("u,y\n1,5\n2,9.1\n3,13\n4,18\n", "utf-8")
    sgdbench("new", "flat.csv", "--y", "y", "--model", "a*u", "--out", "flat.toml")
    code, out, err = sgdbench("run", "flat.toml", "--set", "data.standardize=false")
    assert (code, err, studies[0].data.center) == (0, "", "both")
    assert re.fullmatch(
        r"Target: (\S+) for the loss squared; \S+ was made for the loss squared, in other units.\n", out
    )
    assert studies[0].run.target > 0.05
    assert sgdbench("run", "auto-mpg", "--set", "data.center=both")[1] == ""


def test_without_an_improvement_there_is_no_target_and_it_is_said(ran, studies, tmp_path):
    (tmp_path / "flat.csv").write_text("u,y\n1,5\n2,5.1\n3,4.9\n4,5\n", "utf-8")
    out = ran("run", "flat.csv", "--y", "y", "--model", "a*u**3")
    assert "Scaling: Columns are scaled and not centered: the model has no parameters for a shift of them.\n" in out
    assert "Target: none: the lowest loss, " in out
    assert "is not below the loss of the best constant." in out
    assert studies[0].run.target is None


def test_rows_that_do_not_vary_say_nothing_about_a_gain():
    assert list(find_no_gain(5.0, 0.0, "test rows")) == []  # as a single one
    assert list(find_no_gain(5.0, 4.0, "test rows")) == [NoGain("test rows", 5.0, 4.0)]
    assert list(find_no_gain(3.0, 4.0, "test rows")) == []


def test_an_accuracy_that_is_added_up_piece_by_piece_is_no_gain_either():
    assert list(find_no_skill(0.9797794909685132, 0.979779490968513, "test rows"))
    assert list(find_no_skill(0.98 + 1e-6, 0.98, "test rows")) == list(find_no_skill(1.0, 1.0, "test rows")) == []
