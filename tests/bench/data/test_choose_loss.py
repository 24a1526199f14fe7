"""The loss for a target column where none is given."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.data import choose_loss as module
from sgdbench.data.choose_loss import choose_loss


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("values", "loss", "words"),
    [
        (np.random.default_rng(0).normal(size=9), "squared", ""),
        ([0.5, 1.5, 0.5], "logistic", "two values, 0.5 and 1.5; --loss squared fits them as numbers."),
        ([0, 1, 0], "logistic", "two values, 0 and 1"),
        ([20240101, 20240102], "logistic", "two values, 20240101 and 20240102"),
        ([1, -1, np.nan], "logistic", "two values, -1 and 1"),
        ([True, False, True], "logistic", "for the labels of y."),
        (["yes", "no", "no"], "logistic", "for the labels of y."),
        (["a", "b", "c", None], "softmax", "for the 3 labels of y."),
        (["a", "a"], "logistic", "for the labels of y."),
        (["1.5", "oops", "2.5"], "squared", ""),
        (["134,289.34", "98,1"], "squared", ""),
        (["$0.50", "12 €", "x"], "squared", ""),
        (["5%", "10 %", "7.5%"], "squared", ""),
        (["2021-03-09", "2021-03-10", "x"], "squared", ""),
        (["9.3.2021", "10.3.2021", "x"], "squared", ""),
        (["9:30", "12:45:10.5", "x"], "squared", ""),
        (["<=50K", ">50K", "<=50K"], "logistic", "for the labels of y."),
        (["class 1", "3-4", "2nd", "T1"], "softmax", "for the 4 labels of y."),
        ([f"{weight} kg" for weight in range(101)], "squared", ""),
        (
            range(10),
            "squared",
            "10 whole numbers of y, 0 to 9; give --loss softmax if they are classes, or --loss poisson",
        ),
        (range(3, 9), "squared", "give --loss softmax if they are classes."),
        (range(40), "squared", "give --loss poisson if they are counts."),
        (range(1, 41), "squared", "give --loss poisson if they are counts."),
        (range(2, 42), "squared", ""),
        (range(1900, 1990), "squared", ""),
        ([-1, 0, 1, 2], "squared", "give --loss softmax if they are classes."),
        ([7, 7], "squared", ""),
    ],
)
def test_the_target_chooses_the_loss(tmp_path, values, loss, words, form):
    frame = pd.DataFrame({"x": 1.0, "y": list(values)})
    path = tmp_path / f"t.{form}"
    if form == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    found = choose_loss(path, "y")
    assert found.text == loss
    assert words in found.reason
    assert bool(found.reason) == bool(words)


def test_the_labels_of_all_files_of_a_folder_choose(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, label in enumerate("abc"):
        pd.DataFrame({"y": [label, None]}).to_parquet(folder / f"{part}.parquet")
    assert choose_loss(folder, "y").reason == "softmax, for the 3 labels of y."


def test_the_first_rows_of_a_large_table_choose(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXAMINED_ROWS", 100)
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, last in enumerate((1, 7)):
        pd.DataFrame({"y": [0] * 99 + [last]}).to_parquet(folder / f"{part}.parquet")
    assert choose_loss(folder, "y").text == "logistic"
