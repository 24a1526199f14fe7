"""The default loss for the target column of a table."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sgdbench.data.batches import read_batches, read_labels, table_files
from sgdbench.data.table_errors import NoNumbersError
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.layers import MAX_CLASSES

# Only this many rows of a larger table are examined.
EXAMINED_ROWS = 1_000_000
# Integers with at most this many values may be classes.
MAX_CLASS_VALUES = 20
# Texts that stand for numbers: amounts with a currency, percent sign or separated thousands, dates and times.
_AMOUNT = r"[-+]?[$€£¥]?\s?[-+]?(?:\d+|\d{1,3}(?:[,.'\s]\d{3})+)(?:[.,]\d+)?\s?[%$€£¥]?"
_DATE = r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:[T ][\d:.+]+Z?)?"
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
_STANDS_FOR_NUMBER = re.compile(f"{_AMOUNT}|{_DATE}|{_TIME}")


class ChosenLoss(NamedTuple):
    """The text of a loss, and the reason or a possible alternative in a sentence; empty for plain numbers."""

    text: str
    reason: str = ""


def choose_loss(path: str | Path, y: str) -> ChosenLoss:
    """Return the loss for a column: squared for numbers, logistic for two values, softmax for more than two labels.

    Integers are treated as numbers, with a remark that they may be classes or counts. So are texts such as "$1.50",
    "5 %" and "2021-03-09", and more different texts than there may be classes: loading the table refuses these with the
    line. A table that cannot be read or lacks the column raises a ValueError.
    """
    try:
        values = _distinct_values(Path(path), y)
    except NoNumbersError:
        labels = read_labels(Path(path), y)
        # A few texts among numbers are flawed numbers, which loading the table reports.
        if len(labels) > MAX_CLASSES or any(map(stands_for_number, labels)):
            return ChosenLoss("squared")
        if len(labels) > 2:
            return ChosenLoss("softmax", f"softmax, for the {len(labels):,} labels of {y}.")
        return ChosenLoss("logistic", f"logistic, for the labels of {y}.")
    return ChosenLoss("squared") if values is None else _loss_of_numbers(y, values)


def _distinct_values(path: Path, y: str) -> Floats | None:
    """Return the finite values of a column, sorted; None if there are more than two and some are not integers."""
    values, rows = np.empty(0), 0
    for column in (batch.columns[0] for file in table_files(path) for batch in read_batches(file, [y])):
        values = np.union1d(values, column[np.isfinite(column)])
        if values.size > 2 and (values != np.floor(values)).any():
            return None
        rows += column.size
        if rows >= EXAMINED_ROWS:
            break
    return values


def _loss_of_numbers(y: str, values: Floats) -> ChosenLoss:
    if values.size == 2:
        zero, one = values.tolist()
        about = (
            f"logistic, because {y} has two values, {zero:.15g} and {one:.15g}; --loss squared fits them as numbers."
        )
        return ChosenLoss("logistic", about)
    others = []
    if 2 < values.size <= MAX_CLASS_VALUES:
        others.append("--loss softmax if they are classes")
    # Counts begin at 0 or 1; integers that do not, such as years or prices, are rarely counts.
    if values.size > 2 and 0 <= values[0] <= 1:
        others.append("--loss poisson if they are counts")
    if not others:
        return ChosenLoss("squared")
    about = f"{values.size:,} whole numbers of {y}, {values[0]:.15g} to {values[-1]:.15g}"
    return ChosenLoss("squared", f"squared, for the {about}; give {', or '.join(others)}.")


def stands_for_number(label: object) -> bool:
    """Return whether a text reads as a number, an amount, a date or a time."""
    try:
        float(str(label))
    except ValueError:
        return _STANDS_FOR_NUMBER.fullmatch(str(label)) is not None
    return True
