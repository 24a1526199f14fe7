"""The columns of a study: wildcards, and the inputs of a model by name."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.study.load import load_study, study_of_table, to_toml, with_settings

HEADINGS = ["age", "p_1", "temp [C]", "p_2", "p_10", "p_y"]
STUDY = """\
name = "wide"
[data]
path = "wide.csv"
x = {x}
y = "p_y"
[model]
expression = "{expression}"
"""


@pytest.fixture
def write(tmp_path):
    """Write a table of random numbers and a study of it; returns the place of the study."""
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 6)), columns=HEADINGS)
    table.to_csv(tmp_path / "wide.csv", index=False)

    def write_study(x, expression="w @ x + b", more=""):
        path = tmp_path / "wide.toml"
        path.write_text(STUDY.format(x=x, expression=expression) + more)
        return path

    return write_study


def read_back(study, path):
    path.write_text(to_toml(study))
    return load_study(path)


@pytest.mark.parametrize(
    ("x", "columns"),
    [
        ('["p_*"]', ["p_1", "p_2", "p_10"]),
        ('"p_?"', ["p_1", "p_2"]),
        ('["temp [C]", "a*"]', ["temp [C]", "age"]),
        ('["*"]', HEADINGS[:-1]),
    ],
)
def test_wildcards_stand_for_columns(write, tmp_path, x, columns):
    study = load_study(write(x))
    assert study.data.x == columns
    assert read_back(study, tmp_path / "again.toml") == study
    data, _ = study.dataset()
    assert data.x.shape == (20, len(columns))
    assert len(study.make_model(data).params) == len(columns) + 1


def test_groups_of_inputs_and_single_ones(write, tmp_path):
    groups = '[model.inputs]\nx = ["p_*"]\nt = "temp [C]"\nz = "a?e"\n'
    study = load_study(write('["*"]', "w @ x + a*t + v @ z + b", groups))
    assert study.data.x == ["p_1", "p_2", "p_10", "temp [C]", "age"]
    assert study.model.inputs == {"x": ["p_1", "p_2", "p_10"], "t": "temp [C]", "z": ["age"]}
    assert read_back(study, tmp_path / "again.toml") == study
    data, _ = study.dataset()
    model = study.make_model(data)
    assert model.params == ("w[p_1]", "w[p_2]", "w[p_10]", "a", "v[age]", "b")
    frame = pd.read_csv(tmp_path / "wide.csv")
    expected = frame[["p_1", "p_2", "p_10"]] @ [1, 2, 3] + 4 * frame["temp [C]"] + 5 * frame["age"] + 6
    np.testing.assert_allclose(model.predict([1, 2, 3, 4, 5, 6], data.x), expected)
    np.testing.assert_allclose(model.predict([1, 2, 3, 4, 5, 6], frame), expected)


def test_names_for_columns_need_no_groups(write):
    study = load_study(write('["age", "p_1"]', "a*first + b*years", '[model.inputs]\nfirst = "p_1"\nyears = "age"\n'))
    data, _ = study.dataset()
    assert (data.x_names, study.make_model(data).inputs) == (("p_1", "age"), ("first", "years"))


def test_built_in_data_have_groups_in_their_order():
    inputs = {"x": ["bmi", "bp"], "z": ["s3", "s5"]}
    table = {
        "name": "d",
        "data": {"builtin": "diabetes"},
        "model": {"expression": "w @ x + v @ z + b", "inputs": inputs},
    }
    study = study_of_table(table)
    assert study.make_model(study.dataset()[0]).params == ("w[bmi]", "w[bp]", "v[s3]", "v[s5]", "b")


def test_a_setting_may_be_a_wildcard(write):
    study = with_settings(load_study(write('["age"]')), {"data.x": ["p_1*"]})
    assert study.data.x == ["p_1", "p_10"]


def test_a_study_has_a_score_for_each_class(write, tmp_path):
    study = load_study(write('["p_*"]', "W @ x + b", '[run]\nloss = "softmax"\n'))
    table = pd.read_csv(tmp_path / "wide.csv").assign(p_y=["one", "two", "three", "two"] * 5)
    table.to_csv(tmp_path / "wide.csv", index=False)
    data, _ = study.dataset()
    assert data.classes.labels == ("one", "three", "two")
    assert study.make_model(data).classes == 3
