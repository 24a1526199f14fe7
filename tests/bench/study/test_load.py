"""Study files: what they mean, and one line that helps where they are wrong."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sgdbench import fit
from sgdbench.kernels.model.models import make_model_for_columns
from sgdbench.study.builtin import describe_builtin
from sgdbench.study.grid import Grid
from sgdbench.study.load import load_study, study_of_table, to_toml, with_settings
from tests.support.refusals import refusal_of
from tests.support.studies import train_study

MINIMAL = """\
name = "mine"
[data]
builtin = "quadratic"
[model]
expression = "a*x**2 + b*x + c"
"""
FULL = """\
name = "mine"
title = "Mine"

[data] # a comment
path = "data/cars.csv"
x = ["hp", "weight"]
y = "mpg"
standardize = true
drop_missing = true

[model]
expression = "a*u + b*v + c"
inputs = ["u", "v"]

[grid]
lr = "log:0.01:1:3"
batch_size = [1, "full"]
optimizer = ["sgd", "adam"]
schedule = ["halve(10)"]
seed = [0, 1]
shuffle = [true]
[grid.init]
near = [-1.0, 10, 26.0]
"far out" = { a = 1, b = 2, c = 3 }
wild = "normal:1.0:2"

[run]
epochs = 20
target = 1
kernel = "reference"
loss = "huber(2)"
drop_last = false
"""
CARS = "hp,weight,mpg\n1,2,3\n4,4,6\n,8,9\n7,9,11\n"


@pytest.fixture
def write(tmp_path):
    """Write a study file, with pieces of text replaced, and return its path."""

    def write(text, *replaced):
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_study_is_what_its_file_says(write):
    path = write(FULL)
    (path.parent / "data").mkdir()
    (path.parent / "data" / "cars.csv").write_text(CARS)
    study = load_study(path)
    data, scaling = study.dataset()
    assert (data.x_names, data.y_name, data.dropped) == (("hp", "weight"), "mpg", 1)
    np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(scaling.x_mean, [4, 5])
    model = study.make_model(data)
    assert (model.inputs, model.params) == (("u", "v"), ("a", "b", "c"))
    frame = study.make_grid().frame(model, len(data.y))
    assert len(frame) == 3 * 2 * 4 * 2 * 2
    assert frame["lr"].unique().tolist() == [0.01, 0.1, 1.0]
    assert list(frame["init"].cat.categories) == ["near", "far out", "wild[0]", "wild[1]"]
    far_out = frame.loc[frame["init"] == "far out", ["start_a", "start_b", "start_c"]]
    assert far_out.drop_duplicates().values.tolist() == [[1, 2, 3]]
    run = study.run
    assert (run.epochs, run.target, run.kernel, run.loss, run.drop_last) == (20, 1.0, "reference", "huber(2)", False)


# What a single run does not have.
OF_A_SWEEP = {"shuffling", "confirm", "refine", "target_loss"}


def test_what_a_file_leaves_out_is_as_in_a_python_call(write):
    study = load_study(write(MINIMAL))
    data, scaling = study.dataset()
    assert scaling is None
    model = study.make_model(data)
    (row,) = study.make_grid().frame(model, len(data.y)).to_dict("records")
    assert row == Grid().frame(model, len(data.y)).to_dict("records")[0]
    # A sweep trains runs side by side, which a single fit cannot.
    run = study.run.model_copy(update={"epochs": 3, "kernel": "fused"}).model_dump(exclude=OF_A_SWEEP)
    default = fit(model, data.x, data.y, epochs=3, record="log")
    same = fit(model, data.x, data.y, init=[row["start_a"], row["start_b"], row["start_c"]], **run)
    np.testing.assert_array_equal(same.trajectory, default.trajectory)
    assert len(fit(model, data.x, data.y).rates) == study.run.epochs


def test_a_model_without_inputs_is_minimized_unless_the_study_says_otherwise(write):
    text = 'name = "f"\n[data]\nbuiltin = "none"\n[model]\nexpression = "x**2 - 3"\n[run]\ntarget = -2.9\n'
    assert load_study(write(text)).run.loss == "objective"
    assert load_study(write(text, ("target = -2.9", 'loss = "squared"'))).run.loss == "squared"
    assert load_study(write(MINIMAL)).run.loss == "squared"


def test_paths_are_relative_to_the_study_file(write, monkeypatch):
    path = write(FULL)
    monkeypatch.chdir(path.parent.parent)
    relative = load_study(Path(path.parent.name) / "mine.toml")
    assert relative == load_study(path)
    assert relative.data.path == str(path.parent / "data" / "cars.csv")
    absolute = write(FULL, ("data/cars.csv", "/elsewhere/cars.csv"))
    assert load_study(absolute).data.path == "/elsewhere/cars.csv"


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_the_written_study_reads_back_the_same(write, tmp_path, text):
    study = load_study(write(text))
    copy = tmp_path / "elsewhere" / "run.toml"
    copy.parent.mkdir()
    copy.write_text(to_toml(study), encoding="utf-8")
    assert load_study(copy) == study
    table = tomllib.loads(to_toml(study))
    assert set(table["run"]) >= {"epochs", "kernel", "loss", "drop_last"}
    assert set(table["grid"]) >= {"lr", "batch_size", "optimizer", "schedule", "seed", "shuffle"}


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1), st.floats(-1e300, 1e300), min_size=1, max_size=5
    ),
    st.text(st.characters(codec="utf-8"), max_size=20),
    st.integers(0, 2**64 - 1),
)
def test_odd_names_and_values_survive(tmp_path, starts, title, seed):
    init = {name: [value, float(place), 0.5] for place, (name, value) in enumerate(starts.items())}
    study = with_settings(load_study("quadratic"), {"grid.init": init, "grid.seed": seed})
    study = study.model_copy(update={"title": title})
    path = tmp_path / "odd.toml"
    path.write_text(to_toml(study), encoding="utf-8", newline="")
    assert load_study(path) == study


def test_a_file_may_be_called_like_a_built_in_study(write, monkeypatch):
    path = write(MINIMAL)
    path.rename(path.with_name("quadratic"))
    monkeypatch.chdir(path.parent)
    assert load_study("quadratic").name == "quadratic"
    assert load_study("./quadratic").name == load_study(Path("quadratic")).name == "mine"


def test_text_files_of_other_systems(write):
    assert load_study(write(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())) == load_study(write(MINIMAL))


def test_how_many_parameters_a_start_of_classes_needs_is_known_with_the_targets(tmp_path):
    (tmp_path / "t.csv").write_text("u,kind\n1,low\n2,middle\n3,high\n")
    weights = [[0.1], [0.2], [0.3]]
    table = {
        "name": "classes",
        "data": {"path": str(tmp_path / "t.csv"), "x": ["u"], "y": "kind"},
        "model": {"expression": "W @ x + b"},
        "grid": {"init": {"flat": [1, 2, 3, 4, 5, 6], "named": {"W": weights, "b": [4, 5, 6]}}},
        "run": {"loss": "softmax"},
    }
    study = study_of_table(table)
    model = study.make_model(study.dataset()[0])
    np.testing.assert_array_equal(study.make_grid().starts(model)[:, 0], [[1, 2, 3, 4, 5, 6], [0.1, 0.2, 0.3, 4, 5, 6]])
    table["grid"]["init"] = {"short": [1, 2]}
    told = refusal_of(study_of_table(table).make_grid().starts, model)
    assert told.startswith("init 'short': params must be 6 numbers for W[0,u], W[1,u], W[2,u], b")


def test_settings_take_the_place_of_those_of_a_study(write):
    study = load_study(write(FULL))
    settings = {"grid.lr": [0.5], "grid.init": "uniform:0:1:3", "run.epochs": 7, "run.loss": "squared"}
    other = with_settings(study, settings | {"run.kernel": "fused"})
    assert other.make_grid().size == 2 * 3 * 2 * 2
    assert (other.grid.lr, other.run.epochs, other.run.loss, other.run.kernel) == ([0.5], 7, "squared", "fused")
    assert (other.run.target, other.grid.seed, other.data) == (1.0, [0, 1], study.data)
    assert with_settings(study, {"run.target": None}).run.target is None
    added = with_settings(study, {"grid.init.mine": [9.0, 2.0, 3.0]})
    assert added.grid.init == study.grid.init | {"mine": [9.0, 2.0, 3.0]}
    assert study == load_study(write(FULL))


@pytest.mark.parametrize(
    ("expression", "columns", "inputs", "expected"),
    [
        ("a*x + b", ["hp"], None, (("x",), ("a", "b"))),
        ("a*hp + b", ["hp"], None, (("hp",), ("a", "b"))),
        ("a*x + b", ["x"], None, (("x",), ("a", "b"))),
        ("p*q*x2 + x1", ["hp", "wt"], None, (("x1", "x2"), ("p", "q"))),
        ("a*wt + b*hp", ["hp", "wt"], None, (("hp", "wt"), ("a", "b"))),
        ("a*x", ["miles per gallon"], None, (("x",), ("a",))),
        ("a*x + b", ["x"], ["a"], (("a",), ("x", "b"))),
        ("polynomial(2)", ["hp"], None, (("x",), ("c0", "c1", "c2"))),
        ("linear", ["hp"], None, (("x",), ("a", "b"))),
        ("plane", ["hp", "wt"], None, (("x1", "x2"), ("a", "b", "c"))),
    ],
)
def test_which_names_stand_for_data(expression, columns, inputs, expected):
    model = make_model_for_columns(expression, columns, inputs)
    assert (model.inputs, model.params) == expected


def test_built_in_studies_are_described():
    found = describe_builtin("studies")
    assert list(found) == ["auto-mpg", "diabetes", "digits", "digits-mlp", "quadratic"]
    for name, description in found.items():
        study = load_study(name)
        assert (study.name, study.description) == (name, description)
        assert len(description) <= 100


@pytest.mark.parametrize(
    ("name", "configurations", "endings"),
    [
        ("auto-mpg", 960, {"converged", "diverged", "max_epochs"}),
        ("diabetes", 1344, {"diverged", "max_epochs", "stopped"}),
        ("quadratic", 3000, {"converged", "diverged", "max_epochs"}),
    ],
)
def test_built_in_studies_show_runs_that_arrive_and_runs_that_do_not(name, configurations, endings):
    study = load_study(name)
    assert study.make_grid().size == configurations
    # Few optimizers, whose kernels other tests have; of five parameters none has any, and single runs compile sooner.
    few = {"grid.optimizer": ["sgd", "adam"]}
    if name == "diabetes":
        few = {"grid.optimizer": ["sgd"], "run.kernel": "fused"}
    frame = train_study(with_settings(study, few), confirm=0).frame
    counts = frame["status"].value_counts()
    assert set(counts.index[counts > 0]) == endings
    assert counts[list(endings)].min() >= 10


def test_the_target_of_auto_mpg_is_a_thousandth_above_least_squares():
    study = load_study("auto-mpg")
    data, _ = study.dataset()
    x = data.x[:, 0]
    least = np.mean((np.polyval(np.polyfit(x, data.y, 2), x) - data.y) ** 2)
    assert study.run.target == pytest.approx(1.001 * least, rel=1e-4)


def test_to_list_the_studies_loads_nothing_heavy(python):
    code = (
        "import sys; from sgdbench.study.builtin import describe_builtin; describe_builtin('studies'); "
        "print([name for name in ('numba', 'pandas', 'sympy', 'matplotlib', 'pyarrow') if name in sys.modules])"
    )
    assert python(code) == "[]\n"
