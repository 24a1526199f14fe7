"""Confusion tables are those of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from sgdbench.kernels.losses import make_loss
from sgdbench.tables.confusion import confusion_table
from sgdbench.tables.formatting import OBSERVED, to_markdown, write_tables

RNG = np.random.default_rng(0)


def test_counts_of_many_classes_are_those_of_scikit_learn():
    scores, observed = RNG.normal(size=(300, 4)), RNG.integers(0, 4, 300)
    table = confusion_table(observed.astype(float), scores, make_loss("softmax"), ["a", "b", "c", "d"])
    assert table[OBSERVED].tolist() == list("abcd")
    assert table.columns.tolist() == [OBSERVED, *"abcd"]
    assert (table[list("abcd")].to_numpy() == confusion_matrix(observed, scores.argmax(axis=1))).all()


def test_two_classes_are_on_the_sides_of_0():
    scores, observed = RNG.normal(size=200), RNG.integers(0, 2, 200)
    table = confusion_table(observed.astype(float), scores, make_loss("hinge"), [False, True])
    assert (table.iloc[:, 1:].to_numpy() == confusion_matrix(observed, scores > 0)).all()


def test_a_class_that_no_sample_has_keeps_its_row():
    table = confusion_table(np.zeros(3), np.eye(3), make_loss("softmax"), range(3))
    assert table.iloc[:, 1:].to_numpy().tolist() == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1.00001, 1.00002], ["1.00001", "1.00002"]),
        ([20190101, 20190102], ["20190101", "20190102"]),
        ([False, True], ["False", "True"]),
        (["not_spam", "seconds"], ["not_spam", "seconds"]),
        (["lr", OBSERVED], ["lr", f"{OBSERVED} (class 1)"]),
        (["a\n", "a\t"], ["a\ufffd (class 0)", "a\ufffd (class 1)"]),
    ],
)
def test_classes_are_called_by_their_labels_wherever_they_stand(labels, names, tmp_path):
    table = confusion_table(np.array([0.0, 1.0]), np.array([-1.0, 1.0]), make_loss("logistic"), labels)
    write_tables({"confusion": table}, tmp_path)
    assert pd.read_parquet(tmp_path / "confusion.parquet").columns.tolist() == [OBSERVED, *names]
    head, _, *rows = to_markdown(table).replace("\\", "").splitlines()
    assert head == f"| {OBSERVED} | {' | '.join(names)} |"
    assert rows == [f"| {names[0]} | 1 | 0 |", f"| {names[1]} | 0 | 1 |"]
