"""Ranges as text, and the settings that a trial proposes from them."""

import numpy as np
import optuna
import pytest

from sgdbench import Grid, Space
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.study.load import load_study, study_of_table, to_toml, with_settings
from sgdbench.study.space import Range, space_settings


class Ends:
    """A trial that proposes the low or the high end of everything, and notes what it was asked for."""

    def __init__(self, high):
        self.high, self.asked = high, {}

    def suggest_float(self, name, low, high, *, log=False):
        self.asked[name] = (low, high, log)
        return high if self.high else low

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        self.asked[name] = tuple(choices)
        return choices[-1 if self.high else 0]


def proposed(space, *, high, n=100):
    trial = Ends(high)
    return space.propose(trial, space.families[0], n), trial.asked


def test_every_kind_of_range_reaches_its_ends():
    space = Space(
        lr="log:0.001:2",
        batch_size="logint:1:64",
        optimizer="adam(beta1=log1m:0.5:0.99, eps=log:1e-12:1e-6)",
        schedule="step(int:5:50, lin:0.1:0.9)",
        shuffle=[False, True],
    )
    low, asked = proposed(space, high=False)
    high, _ = proposed(space, high=True)
    assert list(low) == list(high) == ["lr", "batch_size", "optimizer", "schedule", "shuffle"]
    # The lowest option is the smallest distance to 1.
    assert list(low.values()) == [0.001, 1, "adam(beta1=0.99, eps=1e-12)", "step(5, 0.1)", False]
    assert list(high.values()) == [2.0, 64, "adam(beta1=0.5, eps=1e-06)", "step(50, 0.9)", True]
    assert set(asked) == {"lr", "batch_size", "1 - beta1", "eps", "step period", "step gamma", "shuffle"}
    assert asked["1 - beta1"] == (pytest.approx(0.01), 0.5, True)
    for settings in (low, high):
        make_optimizer(settings["optimizer"])
        learning_rates(settings["schedule"], settings["lr"], 10)


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        ("clipped(adam(log1m:0.5:0.9), lin:0.1:2)", ("inner.beta1", "max_norm")),
        ("adam(beta2=lin:0.1:0.2, beta1=lin:0.1:0.2)", ("beta2", "beta1")),  # where another has the same value
        ("adamw(weight_decay=log:1e-4:0.1)", ("weight_decay",)),  # whether or not it is decoupled
        ("sgd(log:1e-4:0.1)", ("weight_decay",)),
        ("lion(0.9, 0.99, lin:0:1)", ("weight_decay",)),
    ],
)
def test_a_range_has_the_name_of_its_own_option(optimizer, names):
    assert Space(optimizer=["adam(beta2=log1m:0.5:0.9)", optimizer]).families[1].names == names


def test_what_is_no_range_stays_and_is_not_asked_for():
    given = {"lr": 0.5, "batch_size": 16, "optimizer": "momentum(0.9)", "schedule": "halve(10)"}
    settings, asked = proposed(Space(**given), high=True)
    assert settings == given | {"shuffle": False}
    assert not asked


def test_batches_are_never_larger_than_the_data():
    assert proposed(Space(batch_size="logint:1:1000"), high=True, n=30)[0]["batch_size"] == 30
    settings, asked = proposed(Space(batch_size=[1, "full"]), high=True, n=30)
    assert (settings["batch_size"], asked["batch_size"]) == (30, (1, 30))


def test_a_search_is_another_one_where_any_digit_of_its_starts_is():
    """Also of starts that NumPy prints in part, and of digits that it rounds."""
    one, other = np.zeros(2000), np.zeros(2000)
    other[1000] = 1e-9
    starts = [one, other, one + 1 / 3, one + 0.33333333]
    assert len({Space(lr=0.1, init={"near": start}).identity()["starts"] for start in starts}) == 4
    assert Space(lr=0.1, init=[one.tolist()]).identity() != Space(lr=0.1, init=[other.tolist()]).identity()


def test_several_schedules_are_chosen_among():
    space = Space(schedule=["constant", "halve(logint:2:50)"])
    (low, asked), (high, more) = proposed(space, high=False), proposed(space, high=True)
    assert (low["schedule"], high["schedule"]) == ("constant", "halve(50)")
    assert ("halve period" in asked, "halve period" in more) == (False, True)


@pytest.mark.parametrize("kind", ["lin", "log", "log1m", "int", "logint"])
def test_draws_stay_within_their_range_and_are_spread_as_the_kind_says(kind):
    own = Range(kind, *{"log1m": (0.5, 0.999), "int": (2, 50), "logint": (2, 50)}.get(kind, (0.01, 10)))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = np.array([own.draw(study.ask(), "p") for _ in range(400)])
    assert own.low <= drawn.min() < drawn.max() <= own.high
    scaled = {"log": np.log, "logint": np.log, "log1m": lambda p: np.log(1 - p)}.get(kind, lambda p: p)
    low, high = sorted((scaled(own.low), scaled(own.high)))
    shares = np.histogram(scaled(drawn), 4, (low, high))[0] / drawn.size
    assert np.abs(shares - 0.25).max() < 0.09
    assert kind not in {"int", "logint"} or set(drawn) <= set(range(2, 51))


def test_the_space_of_a_grid_lies_between_its_ends_and_frees_what_is_usually_tuned():
    grid = Grid(
        lr=[0.1, 0.5, 2],
        batch_size=[1, 16, "full"],
        optimizer=["sgd", "momentum(0.9)", "momentum(0.5)", "adam(eps=1e-6)", "asgd", "clipped(adam)", "adan"],
        schedule=["constant", "halve(10)", "step(30, 0.5)", "cosine"],
        shuffle=True,
        seed=range(3),
    )
    found = space_settings(grid, 800, 100)
    assert (found["lr"], found["batch_size"]) == ("log:0.1:2", "logint:1:800")
    assert found["optimizer"] == [
        "sgd",
        "momentum(momentum=log1m:0.5:0.995)",
        "adam(beta1=log1m:0.5:0.995, beta2=log1m:0.8:0.9999, eps=1e-06)",
        "asgd",
        "clipped(adam)",
        "adan(beta1=log1m:0.5:0.995, beta2=log1m:0.8:0.9999, beta3=log1m:0.8:0.9999)",
    ]
    assert found["schedule"] == ["constant", "halve(logint:5:100)", "step(logint:5:100, gamma=0.5)", "cosine"]
    space = Space(**found)
    assert space.pairs == 3
    assert space_settings(Grid(lr=0.3, batch_size=8), 800, 1)["lr"] == "log:0.03:3"


def test_a_study_says_what_is_searched():
    search = {"tune.lr": "log:0.01:1", "tune.optimizer": ["nesterov(log1m:0.5:0.9)"], "tune.trials": 50}
    study = with_settings(load_study("quadratic"), search)
    assert study_of_table(study.model_dump(exclude_none=True)) == study
    space = study.make_space(800)
    assert [family.text for family in space.families] == ["nesterov(log1m:0.5:0.9)"]
    assert (str(space.lr), str(space.batch_size)) == ("log:0.01:1", "logint:1:800")
    assert "[tune]" in to_toml(study)
    assert "[tune]" not in to_toml(load_study("quadratic"))


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (Grid(lr=0.1), "<Grid of 1 configuration>"),
        (Grid(lr=[0.1, 0.2], seed=range(600)), "<Grid of 1,200 configurations>"),
        (Space(lr="log:0.1:1", optimizer="sgd", seed=0), "<Space of 1 optimizer, 1 run for each trial>"),
        (Space(optimizer=["sgd", "adam"], seed=[0, 1]), "<Space of 2 optimizers, 2 runs for each trial>"),
    ],
)
def test_a_repr_counts_in_words(made, text):
    assert repr(made) == text
