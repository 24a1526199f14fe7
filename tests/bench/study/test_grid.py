"""Grids: every combination once, in order; ids that follow what a run is and nothing else."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdbench import models
from sgdbench.study.config_id import config_ids
from sgdbench.study.grid import MAX_VALUES, Grid, question_if_large
from sgdbench.study.schema import RunTable

QUADRATIC = models.quadratic
NEAR = [-1.0, 10.0, 26.0]


def ids(grid, model=QUADRATIC, n=800, data_fingerprint="data", **changes):
    return config_ids(grid.frame(model, n), model, data_fingerprint, RunTable(**changes))


def test_rows_are_all_combinations_the_last_setting_innermost():
    settings = {
        "lr": [0.5, 0.1],
        "batch_size": [16, 800, 1],
        "init": ["near", "zero"],
        "optimizer": ["sgd", "adam(beta1=0.8)"],
        "schedule": ("halve(10)", "constant"),
        "seed": range(3),
        "shuffle": [True, False],
    }
    starts = {"near": NEAR, "zero": [0.0, 0.0, 0.0]}
    given = {"batch_size": [16, "full", 1], "init": {"near": NEAR, "zero": {"c": 0, "b": 0, "a": 0}}}
    grid = Grid(**settings | given)
    frame = grid.frame(QUADRATIC, 800)
    expected = [(*row, *starts[row[2]]) for row in itertools.product(*settings.values())]
    assert grid.size == len(frame) == 2 * 3 * 2 * 2 * 2 * 3 * 2
    assert list(frame.itertuples(index=False, name=None)) == expected
    assert list(frame.columns) == [*settings, "start_a", "start_b", "start_c"]
    assert list(map(str, frame.dtypes)) == [
        "float64", "int64", "category", "category", "category", "uint64", "bool", *["float64"] * 3
    ]  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2]), [np.float64(0.1), 0.2], pd.Series([0.1, 0.2]), "lin:0.1:0.2:2"],
    ids=["list", "tuple", "array", "scalars", "series", "text"],
)
def test_several_values_come_in_many_forms(values):
    assert Grid(lr=values).lr.tolist() == [0.1, 0.2]


def test_arrays_of_other_kinds():
    grid = Grid(
        batch_size=np.array([1, 8]), seed=np.arange(2), shuffle=np.array([True, False]), optimizer=np.array(["sgd"])
    )
    assert (grid.batch_size, grid.seed, grid.shuffle, grid.optimizer) == ((1, 8), (0, 1), (True, False), ("sgd",))
    assert Grid(lr=np.float32(0.5), batch_size=np.int32(3), shuffle=np.True_).size == 1
    assert Grid(dtype=np.float32).dtype == ("float32",)


def test_a_series_is_a_start_by_the_names_of_parameters():
    near = pd.Series({"c": 3.0, "a": 1.0, "b": 2.0})
    for init in (near, [near], {"near": near}):
        np.testing.assert_array_equal(Grid(init=init).starts(QUADRATIC), [[[1.0, 2.0, 3.0]]])


def test_a_start_is_that_of_the_time_when_the_grid_was_made():
    near = np.zeros(3)
    grids = Grid(init={"near": near}), Grid(init=[near])
    near += 1
    for grid in grids:
        np.testing.assert_array_equal(grid.starts(QUADRATIC), np.zeros((1, 1, 3)))


@given(st.sampled_from(["log", "lin"]), st.floats(1e-6, 1e6), st.floats(1.01, 1e6), st.integers(2, 50), st.booleans())
def test_ranges_are_those_of_numpy_to_twelve_digits(kind, low, factor, count, falling):
    start, stop = (low * factor, low) if falling else (low, low * factor)
    rates = Grid(lr=f"{kind}:{start!r}:{stop!r}:{count}").lr
    space = np.geomspace if kind == "log" else np.linspace
    np.testing.assert_allclose(rates, space(start, stop, count), rtol=1e-11)
    assert (rates[0], rates[-1]) == (start, stop)


def test_round_rates_of_a_range_are_exact():
    assert Grid(lr="log:0.05:1.6:6").lr.tolist() == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
    assert Grid(lr="lin:0.1:0.7:7").lr.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_the_first_random_start_of_a_seed_is_the_start_of_fit():
    frame = Grid(init="normal:1:3", seed=[5, 2**64 - 1]).frame(QUADRATIC, 1)
    assert list(frame["init"]) == ["random[0]", "random[0]", "random[1]", "random[1]", "random[2]", "random[2]"]
    starts = frame[["start_a", "start_b", "start_c"]].to_numpy()
    np.testing.assert_array_equal(starts[0], QUADRATIC.draw_start(5))
    np.testing.assert_array_equal(starts[1], QUADRATIC.draw_start(2**64 - 1))


@pytest.mark.parametrize("text", ["normal:2.5", "uniform:-5:3"])
def test_a_random_start_depends_on_its_seed_and_number_alone(text):
    many = Grid(init={"r": f"{text}:40"}, seed=range(10), lr=[0.1, 0.2]).starts(QUADRATIC)
    alone = Grid(init={"zero": [0, 0, 0], "s": f"{text}:7"}, seed=[4]).starts(QUADRATIC)
    assert many.shape == (40, 10, 3)
    np.testing.assert_array_equal(alone[1:, 0], many[:7, 4])
    assert np.unique(many).size == many.size


def test_random_starts_have_the_distribution_that_they_are_asked_for():
    normal, uniform = np.split(Grid(init={"n": "normal:3:20000", "u": "uniform:2:6:20000"}).starts(QUADRATIC), 2)
    np.testing.assert_allclose([normal.mean(), normal.std()], [0, 3], atol=0.05)
    np.testing.assert_allclose([uniform.min(), uniform.mean(), uniform.max()], [2, 4, 6], atol=0.03)
    assert uniform.min() >= 2
    assert uniform.max() < 6


@pytest.mark.parametrize(
    ("init", "names"),
    [
        (None, ["default"]),
        (NEAR, ["init[0]"]),
        ([NEAR, {"a": 0, "b": 0, "c": 0}], ["init[0]", "init[1]"]),
        (np.eye(3), ["init[0]", "init[1]", "init[2]"]),
        ("uniform:0:1:2", ["random[0]", "random[1]"]),
        ({"[red]\n, =": NEAR, "r": "normal:1:1"}, ["[red]\n, =", "r[0]"]),
    ],
)
def test_names_of_starts(init, names):
    assert list(Grid(init=init).frame(QUADRATIC, 1)["init"].cat.categories) == names


def test_frame_stands_for_itself():
    grid = Grid(lr=[0.1, 0.2])
    frame = grid.frame(QUADRATIC, 1)
    frame.loc[0, "lr"] = 7.0
    assert grid.lr.tolist() == [0.1, 0.2]


def test_a_question_is_asked_above_the_limit():
    assert question_if_large(MAX_VALUES) is None
    assert question_if_large(Grid(lr="log:0.01:1:1001", seed=range(1000)).size) == (
        "the grid has 1,001,000 configurations, more than 1,000,000; confirm with --yes, or list fewer values"
    )


def test_ids_do_not_depend_on_the_place_in_the_grid():
    small = Grid(lr=0.2, batch_size="full", init={"p": NEAR}, optimizer="momentum", schedule="step(10)", seed=3)
    large = Grid(
        lr=[0.1, 0.2, 0.3],
        batch_size=[1, 800],
        init={"zero": [0, 0, 0], "q": {"c": 26, "b": 10, "a": -1}},
        optimizer=["sgd", "momentum(momentum=0.9)"],
        schedule=["constant", "step(gamma=0.1, period=10)"],
        seed=range(5),
    )
    (wanted,) = ids(small)
    found = ids(large)
    frame = large.frame(QUADRATIC, 800)
    (place,) = np.flatnonzero(found == wanted)
    assert tuple(frame.loc[place, ["lr", "batch_size", "init", "seed"]]) == (0.2, 800, "q", 3)
    assert len(set(found)) == large.size
    assert {len(text) for text in found} == {16}
    some = frame.sample(frac=0.5, random_state=0)
    stored = some.astype(dict.fromkeys(("init", "optimizer", "schedule"), "str") | {"seed": "int64"})
    again = config_ids(stored, QUADRATIC, "data", RunTable())
    np.testing.assert_array_equal(again, found[some.index])


def test_spelling_and_names_are_not_in_the_id():
    same = Grid(lr=[0.1], init={"other": np.array(NEAR)}, optimizer="sgd(weight_decay=0)", schedule="constant()")
    assert ids(Grid(lr=0.1, init={"p": NEAR})) == ids(same, loss="squared()")


@pytest.mark.parametrize("schedule", ["constant", "halve(10)", "step(10)", "inverse_scaling", "cosine", "one_cycle"])
def test_epochs_count_only_where_the_schedule_looks_ahead(schedule):
    grid = Grid(lr=0.1, init={"p": NEAR}, schedule=schedule)
    assert (ids(grid, epochs=100) != ids(grid, epochs=101)) == (schedule in {"cosine", "one_cycle"})


def test_ids_never_change():
    """Whoever has stored results finds them by these; a change here needs a new version of the store."""
    grid = Grid(lr=[0.1, 0.5], init={"near": NEAR}, optimizer="adam", schedule=["halve(10)", "cosine"], seed=7)
    assert ids(grid).tolist() == ["e70cd88eb102159e", "de24272d92bc7adf", "b1c3c10f53ca86af", "911265dcdade4425"]
