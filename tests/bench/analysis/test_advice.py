"""Advice on fits: the settings that it names bring the loss nearer to the lowest one."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bench.analysis import advice
from bench.data.fit_table import fit_table
from bench.data.table import Dataset
from bench.data.table_quality import table_quality
from kernels.losses import make_loss
from kernels.losses.classes import model_for_classes
from kernels.model.models import make_model

RNG = np.random.default_rng(5)
SETTINGS = {"lr": 0.1, "optimizer": "sgd", "batch_size": 1, "epochs": 40, "shuffle": True, "seed": 0}


@pytest.fixture(autouse=True)
def time_enough(monkeypatch):
    """No run that is tried is stopped because the machine is slow."""
    monkeypatch.setattr(advice, "SECONDS", np.inf)


def made(inputs, target):
    """Two hundred samples with standard normal inputs."""
    x = RNG.standard_normal((200, inputs))
    return Dataset(x, target(x), tuple(f"x{k}" for k in range(1, inputs + 1)), "y", "made")


WEAK = made(1, lambda x: 0.2 * x[:, 0] + RNG.standard_normal(200))
TREND = replace(WEAK, y=WEAK.x[:, 0] + 3.0 * np.linspace(-1.0, 1.0, 200))
FAR = replace(WEAK, x=20.0 + 5.0 * WEAK.x, y=WEAK.y + 40.0)
WIDE = made(40, lambda x: x.sum(axis=1) + RNG.standard_normal(200))
CLASSES = made(2, lambda x: (x @ [1.0, -2.0] + RNG.logistic(size=200) > 0).astype(float))
THREE = made(2, lambda x: np.argmax(x @ [[1.0, 0, -1], [0, 1, -1]] + RNG.gumbel(size=(200, 3)), axis=1).astype(float))
BENT = made(2, lambda x: np.tanh(x @ [1.0, -2.0]) + 0.1 * RNG.standard_normal(200))
NOISY = replace(BENT, y=3.0 * BENT.y + RNG.standard_normal(200))
RING = replace(CLASSES, y=(np.linalg.norm(CLASSES.x, axis=1) > 1.2 + 0.3 * RNG.standard_normal(200)).astype(float))


def trained(table, expression, **settings):
    """Return a fit, and what trains it once more."""
    settings = SETTINGS | {"loss": "squared"} | settings
    shared = expression == "a*x1 + b" and settings["loss"] == "squared"  # with many other tests
    settings["kernel"] = "fused" if shared else "reference"
    model = model_for_classes(make_model(expression, table.x_names), make_loss(settings["loss"]), None, table.y)
    train = partial(fit_table, model, table, **settings)
    return train(), train


def advised(table, expression, **settings):
    """Return the advice on a fit, its loss and the yardstick."""
    fitted, train = trained(table, expression, **settings)
    quality = table_quality(fitted, table)
    sentences = advice.advise(fitted, quality, train, **{name: train.keywords[name] for name in SETTINGS})
    return sentences, fitted.loss, quality.yardstick


@pytest.mark.parametrize(
    ("table", "expression", "settings", "word"),
    [
        (WEAK, "w @ x + b", {"lr": 0.1}, "no longer falls"),  # far below the edge of 2, and yet not too low
        (WEAK, "a*x1 + b", {"lr": 0.5, "batch_size": 4}, "noise of small batches"),
        (TREND, "a*x1 + b", {"lr": 0.01, "shuffle": False}, "noise of single samples"),  # a higher rate is worse
        (CLASSES, "a*x1 + b*x2 + c", {"lr": 0.5, "loss": "logistic"}, "noise of single samples"),
        (WIDE, "w @ x + b", {"lr": 0.1}, "The learning rate 0.1 is too high: by theory those up to about 0.0"),
        (THREE, "W @ x + b", {"lr": 50.0, "loss": "softmax", "epochs": 8}, "rate 50 is too high: by theory those up"),
        (WEAK, "a*x1 + b", {"lr": 1e-5}, "is low: the largest stable learning rate here is about"),
        (WEAK, "a*x1 + b", {"lr": 1e-5, "loss": "huber(1)"}, "is low: by theory those up to about"),
        (CLASSES, "a*x1 + b*x2 + c", {"lr": 1e-6, "loss": "logistic"}, "are stable near the lowest loss. Try --lr"),
        (NOISY, "a*tanh(b*x1 + c*x2)", {"lr": 0.3}, "noise of single samples"),  # not "stands still"
        # The lowest loss of networks, and of sums of exponentials, may have parameters that no run comes near: by the
        # curvature there, rates were advised with which no run gets anywhere.
        (BENT, "mlp(2)", {"lr": 3.0, "epochs": 8}, "stable where runs start. Try --lr 0."),
        (WEAK, "a*exp(b*x1) + c*exp(d*x1) + e", {"lr": 3.0}, "where runs start or near the lowest loss. Try --lr 0."),
    ],
)
def test_who_follows_it_comes_nearer(table, expression, settings, word):
    sentences, loss, yardstick = advised(table, expression, **settings)
    told = " ".join(sentences)
    assert word in told
    rate, schedule = re.search(r"Try --lr (\S+)\.", told), re.search(r'--schedule "(\S+)"', told)
    named = ({"lr": float(rate[1])} if rate else {}) | ({"schedule": schedule[1]} if schedule else {})
    assert named
    better = yardstick.remaining(trained(table, expression, **settings | named)[0].loss)
    assert better < np.nanmin([yardstick.remaining(loss), 1]) / 3  # of a run that diverged nothing is known
    if schedule:
        assert better < 0.05


@pytest.mark.parametrize(
    "optimizer", ["sgd(weight_decay={})", "clipped(momentum(0.9, weight_decay={}))", "adamw(weight_decay={})"]
)
def test_where_weight_decay_keeps_a_run_from_the_lowest_loss_less_of_it_is_advised(optimizer):
    settings = {"lr": 0.002, "epochs": 20}
    sentences, loss, yardstick = advised(TREND, "w @ x + b", optimizer=optimizer.format(1), **settings)
    assert sentences == ["Less weight decay would help: it keeps the parameters from the lowest loss."]
    less = trained(TREND, "w @ x + b", optimizer=optimizer.format(0.001), **settings)[0].loss
    assert yardstick.remaining(less) < yardstick.remaining(loss) / 3


def test_at_a_rate_that_is_too_low_weight_decay_keeps_nothing():
    assert "is low: " in advised(TREND, "w @ x + b", lr=1e-5, optimizer="sgd(weight_decay=0.1)")[0][0]


def test_a_rate_for_columns_as_they_are_is_none_for_standardized_ones():
    sentences, *_ = advised(replace(WEAK, x=1000 * WEAK.x), "a*x1 + b", epochs=2)
    assert "Try --lr " in sentences[0]
    assert sentences[1].startswith("Or --standardize, without that --lr: it gives all columns the same size")
    sentences, *_ = advised(replace(WEAK, x=1000 * WEAK.x), "a*x1 + b", epochs=2, lr=1e-7)
    assert sentences[0].startswith("--standardize, perhaps with another --lr, gives all columns the same size")


def test_standardizing_is_advised_with_a_rate_at_which_it_trains_and_where_all_columns_vary():
    large = replace(WIDE, x=1000 * WIDE.x)
    rate = re.search(r"Or --standardize, with --lr (\S+): ", " ".join(advised(large, "w @ x + b")[0]))
    assert trained(large, "w @ x + b", standardized=True)[0].status == "diverged"
    assert trained(large, "w @ x + b", standardized=True, lr=float(rate[1]))[0].loss < np.var(large.y) / 2
    flat = replace(large, x=np.column_stack([large.x[:, 0], np.ones(200)]), x_names=("x1", "x2"))
    assert "--standardize" not in " ".join(advised(flat, "a*x1 + b*x2", epochs=2)[0])
    # An offset has no parameter for another unit: standardized, it is another model.
    assert "--standardize" not in " ".join(advised(replace(WEAK, x=1000 * WEAK.x), "x1 + b", epochs=2)[0])


def test_noise_that_hides_a_slow_fall_is_not_blamed_for_it():
    far = replace(CLASSES, x=CLASSES.x * [1.0, 10.0] + [0.0, 50.0])
    told = " ".join(advised(far, "a*x1 + b*x2 + c", lr=1e-4, loss="logistic")[0])
    assert "noise" not in told
    assert "more --epochs would help" in told


@pytest.mark.parametrize(
    ("table", "lr", "loss", "noise"), [(RING, 0.3, "logistic", False), (NOISY, 0.1, "squared", True)]
)
def test_noise_is_blamed_where_a_schedule_helps_and_not_where_the_loss_jumps(table, lr, loss, noise):
    assert ("noise" in " ".join(advised(table, "mlp(4)", lr=lr, loss=loss)[0])) == noise


def test_noise_is_not_blamed_where_a_schedule_leaves_a_constant():
    """All units are dead then, which is nearer to the lowest loss than a run that ends above the best constant."""
    large = replace(NOISY, y=20.0 * NOISY.y + 50.0)
    sentences, loss, yardstick = advised(large, "mlp(2)")
    assert yardstick.remaining(loss) > 4 / 3
    assert sentences[-1] == "The loss stands still: try another start (--init, --seed) or --lr."


def test_the_noise_of_batches_allows_a_higher_rate_than_that_of_single_samples():
    noisy = replace(WIDE, y=WIDE.y + 30.0 * RNG.standard_normal(200))
    told = [" ".join(advised(noisy, "w @ x + b", lr=1.0, batch_size=size)[0]) for size in (1, 8)]
    single, batch = (float(re.search(r"Try --lr (\S+)\.", one)[1]) for one in told)
    assert batch == pytest.approx(8 * single, rel=0.1)


def test_where_a_model_explains_next_to_nothing_the_rate_still_trains():
    noise = replace(WEAK, y=RNG.standard_normal(200) + 0.01 * WEAK.x[:, 0])
    told = " ".join(advised(noise, "a*x1 + b", lr=3.0, epochs=2)[0])
    edge, rate = (float(re.search(rf"{words} (\S+?)[.,] ", f"{told} ")[1]) for words in ("is about", "Try --lr"))
    assert rate == pytest.approx(edge / 100, rel=0.1)


def test_where_a_schedule_or_held_out_rows_ended_the_gain_more_epochs_are_not_advised():
    separable = replace(CLASSES, y=(CLASSES.x[:, 0] > 0).astype(float))
    for period in (2, 4):  # by less than a thousandth, and by more
        sentences, *_ = advised(separable, "w @ x + b", lr=0.1, loss="logistic", schedule=f"halve({period})")
        assert sentences == [
            "The loss no longer falls, as the schedule has lowered the rate: try a slower one, or a higher --lr."
        ]
    few = replace(WIDE, x=WIDE.x[:60], y=(WIDE.y[:60] > 0).astype(float))
    # A schedule for the epochs that were asked for, not for those that were trained.
    sentences, *_ = advised(CLASSES, "a*x1 + b*x2 + c", lr=0.5, loss="logistic", validation=0.3, patience=3)
    assert '--schedule "halve(4)"' in sentences[0]
    for patience in (None, 3):
        sentences, *_ = advised(few, "w @ x + b", lr=0.01, loss="logistic", validation=0.3, patience=patience)
        assert sentences == ["The loss on held-out rows no longer falls: more --epochs would not lower it."]


@pytest.mark.parametrize("size", [1.0, 3.0])  # of the larger one, theory knows no rate that is low enough
def test_with_a_rate_that_is_advised_the_run_does_not_go_astray(size):
    decay = replace(WEAK, x=size * WEAK.x, y=2.0 * np.exp(-0.5 * WEAK.x[:, 0]) + 1.0)
    for seed in range(4):
        settings = {"seed": seed, "epochs": 3, "batch_size": 4}
        told = " ".join(advised(decay, "a*exp(b*x1) + c", lr=2.0, **settings)[0])
        rate = float(re.search(r"Try --lr (\S+)\.", told)[1])
        assert np.isfinite(trained(decay, "a*exp(b*x1) + c", lr=rate, **settings)[0].loss)


def test_a_higher_rate_is_advised_only_if_the_run_does_not_go_astray_with_it():
    # In this order the run ends at the last samples, the farther from the others the higher its rate is.
    tilted = replace(FAR, y=100.0 * np.linspace(-1.0, 1.0, 200))
    order = {"shuffle": False, "epochs": 20}
    told = advised(tilted, "a*x1 + b", lr=1e-7, **order)[0][0]
    rate = float(re.search(r" is low: .* Try --lr (\S+)\.", told)[1])
    result = trained(tilted, "a*x1 + b", lr=rate, **order)[0].result
    assert result.loss[-1] <= result.loss[0]
    told = advised(tilted, "a*x1 + b", lr=1e-5, **order)[0][0]
    assert told.endswith("by theory, but the run goes astray at --lr 5.5e-05.")


def test_a_rate_is_tried_for_seconds_of_training_alone(monkeypatch):
    fitted, train = trained(WEAK, "a*x1 + b", lr=3.0)
    for seconds in (-1.0, 60.0):
        monkeypatch.setattr(advice, "SECONDS", seconds)
        tried = []

        def remember(tried=tried, **changed):
            tried.append(train(**changed))
            return tried[-1]

        settings = {name: train.keywords[name] for name in SETTINGS}
        advice.advise(fitted, table_quality(fitted, WEAK), remember, **settings)
        assert tried[0].interrupted == (seconds < 0)


def test_where_no_rate_helps_a_start_might():
    steep = replace(WEAK, x=30.0 * WEAK.x)
    sentences, *_ = advised(steep, "a*exp(b*x1) + c", lr=1.0, init=[1.0, 1.0, 0.0], epochs=2)
    tried = re.match(
        r"The run goes astray at every learning rate that was tried, from (\S+) to (\S+): another", sentences[0]
    )
    assert float(tried[1]) < 1.0
    assert float(tried[2]) == pytest.approx(float(tried[1]) / 4**19, rel=0.1, abs=0)


def test_a_rate_that_is_too_high_and_that_a_schedule_lowers_is_not_to_be_higher():
    """Nor is the run to go on: it has been told to begin lower."""
    settings = {"lr": 6.0, "batch_size": "full", "schedule": "halve(8)"}
    sentences, *_ = advised(WEAK, "a*x1 + b", **settings, init=[0.0, -5.0])
    assert [sentence.partition(":")[0] for sentence in sentences] == ["The learning rate 6 is too high"]


def test_losses_with_kinks_have_no_largest_stable_rate():
    sentences, *_ = advised(WEAK, "a*x1 + b", lr=3.0, loss="absolute")
    assert sentences == ["A lower learning rate would help, such as --lr 0.3."]
    sentences, *_ = advised(WEAK, "a*x1 + b", lr=1e-6, loss="absolute")
    assert sentences[0] == "The learning rate 1e-6 is low: the loss falls slowly. Try --lr 1e-05."


def test_a_run_that_starts_at_the_lowest_loss_needs_no_advice():
    """It ends above its start, by noise: it was told to settle, and that it had not arrived."""
    settings = {"init": np.polyfit(WEAK.x[:, 0], WEAK.y, 1), "lr": 1e-4}
    losses = trained(WEAK, "a*x1 + b", **settings)[0].result.loss
    assert losses[-1] > losses[0]
    assert advised(WEAK, "a*x1 + b", **settings)[0] == []


def test_full_batches_have_no_noise():
    sentences, *_ = advised(WIDE, "w @ x + b", lr=0.2, batch_size="full", epochs=5)
    assert sentences == ["The loss was still falling: more --epochs would help."]


@pytest.mark.parametrize(
    ("table", "expression", "settings", "reason"),
    [
        # A column far from 0: the slow direction is on its way, at a rate at which noise is said to be as large.
        (replace(WEAK, x=5.0 + 3.0 * WEAK.x), "a*x1 + b", {"lr": 2.5e-4}, "was still falling"),
        # Farther: the noise of the steep direction hides that the loss falls, at a rate near the edge or far below it.
        (FAR, "a*x1 + b", {"lr": 6e-4}, "was still falling"),
        (FAR, "a*x1 + b", {"lr": 2e-4}, "was still falling"),
        (
            replace(CLASSES, y=(CLASSES.x[:, 0] > 0).astype(float)),
            "a*x1 + b*x2 + c",
            {"loss": "logistic"},
            "has no minimum",
        ),
    ],
)
def test_a_run_that_noise_does_not_hold_up_is_told_to_go_on(table, expression, settings, reason):
    (*_, sentence), loss, yardstick = advised(table, expression, **settings)
    assert reason in sentence
    assert sentence.endswith("more --epochs would help.")
    better, _ = trained(table, expression, **settings | {"epochs": 250})
    assert yardstick.remaining(better.loss) < yardstick.remaining(loss) / 2
