"""Two labels as the classes 0 and 1: of arrays, Series, tables and studies, in fits and sweeps; what is refused."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import LabelEncoder

from sgdbench import Grid, fit, load_run, sweep
from sgdbench.data import load_table
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes, find_classes
from sgdbench.report.run_data import read_run_data
from sgdbench.study.load import load_study
from tests.support.refusals import refusal_of

X = np.linspace(-1, 1, 40)
ZERO_ONE = (X + 0.3 * np.sin(40 * X) > 0).astype(float)
SHARED = {"lr": 0.5, "epochs": 3, "kernel": "reference", "init": [0.1, 0.2]}


def labelled(low, high, dtype=None):
    """The classes as labels, the greater one for class 1."""
    return np.array([low, high], dtype)[ZERO_ONE.astype(int)]


LABELS = {
    "texts": labelled("no", "yes"),
    "objects": labelled("no", "yes", object),
    "list": labelled("no", "yes").tolist(),
    "series": pd.Series(labelled("no", "yes")),
    "categories": pd.Series(labelled("no", "yes")).astype("category"),
    "strings": pd.Series(labelled("no", "yes")).astype("string"),
    "truth": labelled(False, True),
    "nullable truth": pd.Series(labelled(False, True)).astype("boolean"),
    "signs": labelled(-1, 1),
    "floats": labelled(-1.0, 1.0),
    "two numbers": labelled(1, 2),
}


@pytest.mark.parametrize("loss", ["logistic", "hinge"])
@pytest.mark.parametrize("y", LABELS.values(), ids=list(LABELS))
def test_labels_train_as_the_classes_that_scikit_learn_makes_of_them(loss, y):
    encoder = LabelEncoder().fit(np.asarray(y))
    np.testing.assert_array_equal(encoder.transform(np.asarray(y)), ZERO_ONE)
    result, expected = (fit("a*x + b", X, target, loss=loss, **SHARED) for target in (y, ZERO_ONE))
    np.testing.assert_array_equal(result.trajectory, expected.trajectory)
    np.testing.assert_array_equal(result.y, ZERO_ONE)
    assert list(result.classes.labels) == encoder.classes_.tolist()
    assert expected.classes is None


def test_a_result_says_what_is_class_1():
    result = fit("a*x + b", X, LABELS["texts"], loss="logistic", **SHARED)
    assert str(result.classes) == "'yes' is class 1, and 'no' is class 0"
    assert f"classes     {result.classes}" in str(result)
    assert "classes" not in str(fit("a*x + b", X, ZERO_ONE, loss="logistic", **SHARED))


def test_held_out_labels_are_mapped_as_those_that_are_trained_on():
    held = (X[:3], ["yes", "yes", "yes"])  # by themselves they would be a single class
    result = fit("a*x + b", X, LABELS["texts"], loss="logistic", validation=held, **SHARED)
    np.testing.assert_array_equal(result.validation[1], 1)


def test_a_sweep_keeps_the_labels_on_record(tmp_path):
    grid, settings = Grid(lr=[0.1, 0.5], init=[0.1, 0.2]), {"epochs": 2, "kernel": "reference", "confirm": 0}
    found, expected = (
        sweep("a*x + b", X, y, grid, loss="hinge", **settings, out=tmp_path / name)
        for name, y in (("labels", LABELS["series"]), ("numbers", ZERO_ONE))
    )
    assert found.frame["final_loss"].tolist() == expected.frame["final_loss"].tolist()
    assert found.classes == load_run(tmp_path / "labels").classes == Classes(("no", "yes"))
    assert expected.classes is None


# In tables


@pytest.fixture
def table(tmp_path):
    """A CSV and a Parquet file of the same labels."""
    frame = pd.DataFrame({"x": X, "text": LABELS["texts"], "truth": LABELS["truth"], "sign": LABELS["signs"]})
    frame["category"], frame["three"] = frame["text"].astype("category"), (["a", "b", "c", "a"] * 10)
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    return tmp_path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["text", "truth", "sign", "category"])
def test_a_column_of_labels_is_read_for_a_loss_of_classes(table, suffix, column):
    data = load_table(table / f"t.{suffix}", "x", column, loss="logistic")
    np.testing.assert_array_equal(data.y, ZERO_ONE)
    labels = {"truth": (False, True), "sign": (-1, 1)}.get(column, ("no", "yes"))
    assert data.classes.labels == (labels if suffix == "parquet" or column != "truth" else ("False", "True"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_a_table_are_refused_in_one_line(table, suffix):
    path = table / f"t.{suffix}"
    told = refusal_of(load_table, path, "x", "text")
    assert re.search(rf"t.{suffix}.* column 'text' .*; classes are for the losses logistic, hinge and", told)
    told = refusal_of(load_table, path, "x", "three", loss="hinge")
    assert re.search(
        r"column 'three' must hold two classes .*, not 3 values: 'a', 'b', 'c'; use softmax for more", told
    )
    told = refusal_of(load_table, path, ["x", "text"], "sign", loss="hinge", categories={})  # as an input
    assert "column 'text' must" in told
    assert "classes" not in told


def test_missing_labels_are_missing_values(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,+\n2, - \n3,?\n4,\n5,+\n")
    with pytest.raises(ValueError, match=r"line 4 has no value in column 'y' \(2 of 5 rows are incomplete\)"):
        load_table(tmp_path / "t.csv", "x", "y", loss="hinge")
    data = load_table(tmp_path / "t.csv", "x", "y", loss="hinge", drop_missing=True)
    assert (data.classes.labels, data.y.tolist(), data.dropped) == (("+", "-"), [0, 1, 0], 2)
    (tmp_path / "t.csv").write_text("x,y\n1,a\n2,-\n3,b\nz,c\n")  # without a "+" this is a missing value
    with pytest.raises(ValueError, match="line 5, column 'x' must be a number"):
        load_table(tmp_path / "t.csv", "x", "y", loss="hinge", drop_missing=True)
    (tmp_path / "t.csv").write_text("x,y\n1,a\n2,-\n3,b\n?,c\n")
    data = load_table(tmp_path / "t.csv", "x", "y", loss="hinge", drop_missing=True)
    assert (data.classes.labels, data.y.tolist()) == (("a", "b"), [0, 1])


@pytest.mark.usefixtures("no_report")
def test_the_command_line_sweeps_labels_and_keeps_them(ran, table):
    quick = ["--epochs", "2", "--seed", "0", "--optimizer", "sgd", "--batch-size", "full", "--confirm", "2"]
    quick += ["--set", "run.kernel=reference"]
    command = ["run", "t.csv", "--x", "x", "--y", "truth", "--loss", "logistic", *quick]
    out = ran(*command, "--out", "r")
    assert out.startswith("Classes: 'True' is class 1, and 'False' is class 0.\n")
    found = load_run(table / "r")
    assert found.classes == Classes(("False", "True"))
    assert read_run_data(table / "r").verdict["Classes"] == "'True' is class 1, and 'False' is class 0."


def test_a_new_study_of_labels_says_them_in_a_comment(ran, table):
    out = ran("new", "t.csv", "--y", "text", "--x", "x", "--loss", "hinge")
    assert out.startswith("Classes: 'yes' is class 1, and 'no' is class 0.\n")
    content = (table / "t.toml").read_text()
    assert "\n# 'yes' is class 1, and 'no' is class 0.\n" in content
    study = load_study(table / "t.toml")
    assert study.run.loss == "hinge"
    data, scaling = study.dataset()
    assert (data.classes.labels, scaling.y_scale) == (("no", "yes"), 1.0)
    np.testing.assert_array_equal(data.y, ZERO_ONE)


def test_held_out_rows_of_a_file_have_the_classes_of_the_others(table):
    (table / "other.csv").write_text("x,text\n0.5,yes\n0.7,yes\n")
    (table / "s.toml").write_text(
        "name = 's'\n[data]\npath = 't.csv'\nx = 'x'\ny = 'text'\nvalidation_path = 'other.csv'\n"
        "[model]\nexpression = 'a*x + b'\n[run]\nloss = 'logistic'\n"
    )
    data, _ = load_study(table / "s.toml").dataset()
    assert data.validation[1].tolist() == [1, 1]


def test_whole_numbers_below_the_scores_of_a_model_are_its_classes():
    """Also where some are missing, as in a part of the samples; a model without scores has those that there are."""
    softmax = make_loss("softmax")
    assert find_classes(softmax, [0, 2, 0], scores=3) is None
    assert find_classes(softmax, [0, 2, 0], scores=2) == find_classes(softmax, [0, 2, 0]) == Classes((0, 2))
    assert find_classes(make_loss("logistic"), [0, 2, 0], scores=3) == Classes((0, 2))


def test_a_score_of_exactly_0_is_class_0_to_all():
    run = fit("a*x", [1.0, 2.0, 3.0], ["no", "no", "yes"], loss="logistic", init=[0.0], epochs=1, lr=1e-300,
              kernel="reference", test=([1.0, 1.0, 1.0], ["no", "no", "yes"]))  # fmt: skip
    assert run.predict([1.0]).tolist() == [0.0]
    assert run.predict_class([1.0]).tolist() == ["no"]
    assert run.test_metrics["accuracy"] == 2 / 3
