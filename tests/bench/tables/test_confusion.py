"""Confusion tables are those of scikit-learn."""

import numpy as np
from sklearn.metrics import confusion_matrix

from bench.tables.confusion import OBSERVED, confusion_table
from kernels.losses import make_loss

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
