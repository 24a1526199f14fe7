"""Tables of many columns on the command line: wine, breast cancer and digits, as scikit-learn has them."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import StandardScaler

from kernels import fit

FEW = ["--epochs", "3", "--lr", "0.01", "--kernel", "reference", "--batch-size", "32"]


def write_table(folder, load, target, labels=None):
    """Write a data set to a CSV file; returns inputs and targets."""
    x, y = load(return_X_y=True)
    prefix = "pixel_" if load is load_digits else "c"
    frame = pd.DataFrame(x, columns=[f"{prefix}{k}" for k in range(x.shape[1])])
    frame[target] = y if labels is None else np.array(labels)[y]
    frame.to_csv(folder / "t.csv", index=False)
    return x, y


@pytest.fixture
def cancer(tmp_path):
    return write_table(tmp_path, load_breast_cancer, "diagnosis", ["malignant", "benign"])


@pytest.fixture
def digits(tmp_path):
    return write_table(tmp_path, load_digits, "label")


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


def test_digits_are_classified(ran, digits):
    x, y = digits
    command = ["fit", "t.csv", "--y", "label", "--x", "pixel_*", "--model", "W @ x + b", "--loss", "softmax"]
    out = ran(*command, "--standardize", "--json", *FEW)
    found = json.loads(out)
    assert len(found["params"]) == 650
    assert "trained" not in found  # a loss that was asked for
    values = np.array(list(found["params"].values()))
    scores = x @ values[:640].reshape(10, 64).T + values[640:]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    assert found["loss"] == pytest.approx(log_loss(y, powers / powers.sum(axis=1, keepdims=True)), rel=1e-9)
    assert found["metrics"]["accuracy"] == pytest.approx(accuracy_score(y, scores.argmax(axis=1)))


def test_whole_numbers_are_numbers_unless_that_is_said(ran, digits):
    out = ran("fit", "t.csv", "--y", "label", "--standardize", *FEW)
    about = "Loss: squared, for the 10 whole numbers of label, 0 to 9; give --loss softmax if they are classes, or "
    assert about in out
    assert "R²" in out


def test_a_group_and_a_single_input(ran, wine):
    x, y = wine
    out = ran("fit", "t.csv", "--y", "kind", "--x", "x=c?", "--x", "proline=c12", "--standardize", "--json", *FEW)
    *weights, slope, constant = json.loads(out)["params"].values()
    prediction = x[:, :10] @ weights + slope * x[:, 12] + constant
    assert json.loads(out)["rmse"] == pytest.approx(np.sqrt(np.mean((prediction - y) ** 2)), rel=1e-9)


def test_a_hidden_layer_is_carried_back(ran, wine):
    x, y = wine
    out = ran("fit", "t.csv", "--y", "kind", "--x", "c1?", "--model", "mlp(2)", "--standardize", "--json", *FEW)
    found = json.loads(out)
    values = np.array(list(found["params"].values()))
    b, v, hidden, c = values[0], values[1:3], values[3:9].reshape(2, 3), values[9:]
    prediction = b + np.tanh(x[:, 10:] @ hidden.T + c) @ v
    assert "note" not in found
    assert found["loss"] == pytest.approx(np.mean((prediction - y) ** 2), rel=1e-9)


def test_lines_of_many_parameters_have_the_length_of_the_gradient(ran, cancer):
    out = ran("fit", "t.csv", "--y", "diagnosis", "--standardize", "--every", "2", *FEW)
    heading = next(line for line in out.splitlines() if "epoch" in line)
    assert heading.split() == ["epoch", "rate", "loss", "|gradient|"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--x", "q*"], "t.csv has no column that matches 'q*'; its columns are 'c0', 'c1'"),
        (["--x", "c1", "--model", "w @ c1"], "'c1' is a single input, and @ takes a group of them; write w*c1"),
        (["--x", "x=c*", "--model", "a*x + b"], "is a group of columns, which stands on the right of @, as in w @ x"),
        (["--loss", "softmax", "--plot", "p.png"], "--plot draws a curve, and W @ x + b has scores of 3 classes"),
        (["--model", "2*w @ x + b"], "2*(w @ x)"),
    ],
)
def test_bad_input_is_one_line(sgdbench, wine, options, words):
    code, _, err = sgdbench("fit", "t.csv", "--y", "kind", *options, *FEW)
    assert code == 2
    assert words in err
    assert err.count("\n") == 1
