"""Advice on fits: a run with the settings that it names arrives."""

from dataclasses import replace

import numpy as np
import pytest

from sgdbench.analysis import advice
from sgdbench.data.fit_table import fit_table
from sgdbench.data.quality import table_quality
from sgdbench.data.table import Dataset
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import model_for_classes
from sgdbench.kernels.model.models import make_model

RNG = np.random.default_rng(5)
SETTINGS = {"lr": 0.1, "optimizer": "sgd", "batch_size": 1, "epochs": 40, "shuffle": True, "seed": 0}
SETTINGS |= {"schedule": "constant", "init": None, "loss": "squared"}


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """No trial is stopped or left out because the machine is slow."""
    monkeypatch.setattr(advice, "TRIAL_SECONDS", np.inf)
    monkeypatch.setattr(advice, "ALL_TRIALS_SECONDS", np.inf)


def made(inputs, target):
    """Two hundred samples with standard normal inputs."""
    x = RNG.standard_normal((200, inputs))
    return Dataset(x, target(x), tuple(f"x{k}" for k in range(1, inputs + 1)), "y", "made")


WEAK = made(1, lambda x: 0.2 * x[:, 0] + RNG.standard_normal(200))
TREND = replace(WEAK, y=WEAK.x[:, 0] + 3.0 * np.linspace(-1.0, 1.0, 200))
LARGE = replace(WEAK, x=1000.0 * WEAK.x)
FAR = replace(WEAK, x=20.0 + 5.0 * WEAK.x, y=WEAK.y + 40.0)
WIDE = made(40, lambda x: x.sum(axis=1) + RNG.standard_normal(200))
CLASSES = made(2, lambda x: (x @ [1.0, -2.0] + RNG.logistic(size=200) > 0).astype(float))
THREE = made(2, lambda x: np.argmax(x @ [[1.0, 0, -1], [0, 1, -1]] + RNG.gumbel(size=(200, 3)), axis=1).astype(float))
BENT = made(2, lambda x: np.tanh(x @ [1.0, -2.0]) + 0.1 * RNG.standard_normal(200))
NOISY = replace(BENT, y=3.0 * BENT.y + RNG.standard_normal(200))
DECAY = replace(WEAK, y=2.0 * np.exp(-0.5 * WEAK.x[:, 0]) + 1.0)
WAVE = replace(WEAK, y=3.0 * np.sin(2.0 * WEAK.x[:, 0] + 0.5) + 0.1 * WEAK.y)
RING = replace(CLASSES, y=(np.linalg.norm(CLASSES.x, axis=1) > 1.2 + 0.3 * RNG.standard_normal(200)).astype(float))


def prepare(table, expression, settings):
    """Return what trains a fit, with some of the settings changed."""
    settings = SETTINGS | settings
    shared = expression == "a*x1 + b" and settings["loss"] == "squared"  # with many other tests
    settings["kernel"] = "fused" if shared else "reference"
    model = model_for_classes(make_model(expression, table.x_names), make_loss(settings["loss"]), None, table.y)

    def train(*, standardize=False, **changed):
        return fit_table(model, table, standardized=standardize, **settings | changed)

    return train, settings


def advised(table, expression, **settings):
    """Return the advice on a fit, the fit, and what trains it once more."""
    train, settings = prepare(table, expression, settings)
    fitted = train()
    quality = table_quality(fitted, table)
    return advice.advise(fitted, quality, train, settings), fitted, train


@pytest.mark.parametrize(
    ("table", "expression", "settings", "problem"),
    [
        (WEAK, "w @ x + b", {"lr": 0.1}, "single samples"),
        (WEAK, "a*x1 + b", {"lr": 0.5, "batch_size": 4}, "small batches"),
        (TREND, "a*x1 + b", {"lr": 0.01, "shuffle": False}, "single samples"),
        (TREND, "a*x1 + b", {"shuffle": False, "schedule": "halve(1)", "epochs": 10}, "order"),
        (CLASSES, "a*x1 + b*x2 + c", {"lr": 0.5, "loss": "logistic"}, "single samples"),
        (WIDE, "w @ x + b", {"lr": 0.1}, "high rate"),
        (WIDE, "w @ x + b", {"lr": 0.2, "batch_size": "full", "epochs": 5}, "low rate"),
        (THREE, "W @ x + b", {"lr": 50.0, "loss": "softmax", "epochs": 8}, "high rate"),
        (WEAK, "a*x1 + b", {"lr": 1e-5}, "low rate"),
        (WEAK, "a*x1 + b", {"lr": 1e-5, "loss": "huber(1)"}, "low rate"),
        (WEAK, "a*x1 + b", {"lr": 1e-5, "loss": "absolute"}, "low rate"),
        (CLASSES, "a*x1 + b*x2 + c", {"lr": 1e-6, "loss": "logistic"}, "low rate"),
        (WEAK, "a*x1 + b", {"lr": 6.0, "batch_size": "full", "schedule": "halve(8)", "init": [0.0, -5.0]}, "high rate"),
        (NOISY, "a*tanh(b*x1 + c*x2)", {"lr": 0.3}, "single samples"),
        (BENT, "mlp(2)", {"lr": 3.0, "epochs": 8}, "high rate"),
        (DECAY, "a*exp(b*x1) + c", {"lr": 2.0, "batch_size": 4, "seed": 2}, "high rate"),
        (WAVE, "a*sin(w*x1 + p)", {"lr": 1e-5, "batch_size": 4}, "low rate"),
        (FAR, "a*x1 + b", {"lr": 2e-4}, "scale"),
        (LARGE, "a*x1 + b", {"epochs": 2}, "scale"),
        (replace(WIDE, x=1000 * WIDE.x), "w @ x + b", {}, "scale"),
        (replace(DECAY, y=1000 * DECAY.y), "a*exp(b*x1) + c", {"batch_size": 4}, "scale"),
        (TREND, "w @ x + b", {"optimizer": "sgd(weight_decay=1)", "lr": 0.002}, "decay"),
        (TREND, "w @ x + b", {"optimizer": "clipped(momentum(0.9, weight_decay=1))", "lr": 0.002}, "decay"),
        (
            WEAK,
            "a*x1 + b",
            {"schedule": "halve(1)", "lr": 0.004, "init": [5.0, 5.0]},
            "schedule",
        ),
    ],
)
def test_with_the_settings_that_are_advised_the_run_arrives(table, expression, settings, problem):
    found, fitted, train = advised(table, expression, **settings)
    assert found.problem == problem
    assert ("standardize" in found.changes) == (problem == "scale")
    followed = train(**found.changes)
    assert found.left == pytest.approx(followed.result.remaining)
    assert found.left <= 0.05
    assert fitted.status == "diverged" or fitted.result.remaining > 0.05


def test_a_rate_that_is_too_high_is_above_the_largest_stable_one():
    found, *_ = advised(WIDE, "w @ x + b", lr=0.1)
    assert 0.01 < found.stable < found.lr
    assert found.changes["lr"] <= found.stable


def test_the_rate_of_columns_as_they_are_is_replaced_where_they_are_standardized():
    found, *_ = advised(LARGE, "a*x1 + b", epochs=2, lr=1e-9)
    assert found.changes == {"standardize": True, "lr": 0.01}


@pytest.mark.parametrize(
    ("x", "expression"),
    [
        (np.column_stack([1000 * WEAK.x, np.ones(200)]), "a*x1 + b*x2"),  # a column that does not vary
        (1000 * WEAK.x, "x1 + b"),  # standardized, it is another model
    ],
)
def test_columns_that_cannot_be_standardized_stay_as_they_are(x, expression):
    table = replace(WEAK, x=x, x_names=("x1", "x2")[: x.shape[1]])
    assert "standardize" not in advised(table, expression, epochs=2)[0].changes


def test_where_nothing_helps_nothing_is_advised():
    found, *_ = advised(replace(WEAK, x=30.0 * WEAK.x), "a*exp(b*x1) + x1**3", init=[1.0, 0.1], epochs=2)
    assert (found.problem, found.changes) == ("high rate", {})
    assert found.tried > 1
    assert found.stable < found.lr


def test_held_out_rows_that_are_predicted_best_before_the_end_need_no_more_epochs():
    few = replace(WIDE, x=WIDE.x[:60], y=(WIDE.y[:60] > 0).astype(float))
    for patience in (None, 3):
        found, *_ = advised(few, "w @ x + b", lr=0.01, loss="logistic", validation=0.3, patience=patience)
        assert found.problem == "overfits"


@pytest.mark.parametrize("seconds", [-1.0, 60.0])
def test_a_trial_takes_seconds_of_training_alone(monkeypatch, seconds):
    monkeypatch.setattr(advice, "TRIAL_SECONDS", seconds)
    train, settings = prepare(WEAK, "a*x1 + b", {"lr": 3.0})
    fitted, tried = train(), []

    def remember(**changed):
        tried.append(train(**changed))
        return tried[-1]

    advice.advise(fitted, table_quality(fitted, WEAK), remember, settings)
    assert tried[0].interrupted == (seconds < 0)


def test_a_run_that_starts_at_the_lowest_loss_needs_no_advice():
    """It ends above its start, by noise."""
    found, fitted, _ = advised(WEAK, "a*x1 + b", init=np.polyfit(WEAK.x[:, 0], WEAK.y, 1), lr=1e-4)
    assert fitted.result.loss[-1] > fitted.result.loss[0]
    assert found is None


def test_a_model_that_is_worse_than_a_constant_arrives_at_its_lowest_loss():
    assert advised(replace(WEAK, y=WEAK.y + 40.0), "a*x1", schedule="halve(4)", lr=0.02)[0] is None
