"""Confusion tables: counts of samples by observed and predicted class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.classes import Label
from sgdbench.kernels.losses.loss import Loss
from sgdbench.tables.formatting import OBSERVED, text


def confusion_table(observed: Floats, scores: Floats, loss: Loss, labels: Sequence[Label]) -> pd.DataFrame:
    """Return the counts of samples by their observed class, in rows, and their predicted one, in columns.

    `observed` are the classes 0, 1, ..., shape (n,), and `scores` the values of the model, shape (n,) or (n, classes):
    the predicted class is that of the highest score, or class 1 above 0. The `labels` name rows and columns.
    """
    predicted = np.argmax(scores, axis=1) if loss.by_class else scores > 0.0
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (observed.astype(np.int64), predicted.astype(np.int64)), 1)
    names = name_classes(labels)
    table = pd.DataFrame(counts, columns=names)
    table.insert(0, OBSERVED, names)
    return table


def name_classes(labels: Sequence[Label]) -> list[str]:
    """Return distinct names for labels: the label as text, followed by its class if others look alike."""
    names = [text(str(label)) for label in labels]
    return [
        f"{name} (class {number})" if [OBSERVED, *names].count(name) > 1 else name for number, name in enumerate(names)
    ]
