"""Tables of many columns on the command line: wine and breast cancer, as scikit-learn has them."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

from sgdbench import fit

FEW = ["--epochs", "3", "--lr", "0.01", "--kernel", "reference", "--batch-size", "32"]


def write_table(folder, load, target, labels=None):
    """Write a data set to a CSV file; returns inputs and targets."""
    x, y = load(return_X_y=True)
    frame = pd.DataFrame(x, columns=[f"c{k}" for k in range(x.shape[1])])
    frame[target] = y if labels is None else np.array(labels)[y]
    frame.to_csv(folder / "t.csv", index=False)
    return x, y


@pytest.fixture
def cancer(tmp_path):
    return write_table(tmp_path, load_breast_cancer, "diagnosis", ["malignant", "benign"])


@pytest.fixture
def wine(tmp_path):
    return write_table(tmp_path, load_wine, "kind")


def test_thirty_columns_and_two_labels_are_a_logistic_regression(ran, cancer):
    x, y = cancer
    out = ran("fit", "t.csv", "--y", "diagnosis", "--standardize", "--json", *FEW)
    found = json.loads(out)
    assert (found["trained"], found["classes"]) == ("logistic", ["benign", "malignant"])
    assert list(found["params"]) == [*(f"w[c{k}]" for k in range(30)), "b"]
    *weights, constant = found["params"].values()
    scores = x @ weights + constant
    assert found["loss"] == pytest.approx(log_loss(1 - y, 1 / (1 + np.exp(-scores))), rel=1e-9)
    assert found["metrics"]["accuracy"] == pytest.approx(accuracy_score(1 - y, scores > 0))
    settings = {"epochs": 3, "lr": 0.01, "batch_size": 32, "kernel": "reference"}
    same = fit("w @ x + b", StandardScaler().fit_transform(x), 1 - y, loss="logistic", **settings)
    np.testing.assert_allclose(scores, same.predict(StandardScaler().fit_transform(x)), rtol=1e-9)


def test_the_first_parameters_are_printed(ran, cancer):
    out = ran("fit", "t.csv", "--y", "diagnosis", "--standardize", *FEW)
    assert out.startswith(
        "Loss: logistic, for the labels of diagnosis.\n"
        "Classes: 'malignant' is class 1, and 'benign' is class 0.\n"
        "diagnosis = w @ x + b\n"
    )
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[4:16]] == [f"w[c{k}]" for k in range(12)]
    assert "Parameters: 19 more, which --json prints." in lines
    assert any(line.split()[0] == "accuracy" for line in lines if line)


def test_a_group_and_a_single_input(ran, wine):
    x, y = wine
    out = ran("fit", "t.csv", "--y", "kind", "--x", "x=c?", "--x", "proline=c12", "--standardize", "--json", *FEW)
    *weights, slope, constant = json.loads(out)["params"].values()
    prediction = x[:, :10] @ weights + slope * x[:, 12] + constant
    assert json.loads(out)["rmse"] == pytest.approx(np.sqrt(np.mean((prediction - y) ** 2)), rel=1e-9)


def test_lines_of_many_parameters_have_the_length_of_the_gradient(ran, cancer):
    out = ran("fit", "t.csv", "--y", "diagnosis", "--standardize", "--every", "2", *FEW)
    heading = next(line for line in out.splitlines() if "epoch" in line)
    assert heading.split() == ["epoch", "rate", "loss", "|gradient|"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--loss", "squared", "--x", "x=c*", "--model", "a*x + b"],
            "is a group of columns, which stands on the right of @, as in w @ x",
        ),
        (["--loss", "softmax", "--plot", "p.png"], "--plot draws a curve, but W @ x + b has scores of 3 classes"),
    ],
)
def test_bad_input_is_one_line(refused, wine, options, words):
    assert words in refused("fit", "t.csv", "--y", "kind", *options, *FEW)
