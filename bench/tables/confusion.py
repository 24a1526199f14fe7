"""Tables of confusion: how many samples of each observed class are predicted to be of which."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.tables.formatting import text
from kernels.base.run import Floats
from kernels.losses.classes import Label
from kernels.losses.loss import Loss

OBSERVED = "observed / predicted"


def confusion_table(observed: Floats, scores: Floats, loss: Loss, labels: Sequence[Label]) -> pd.DataFrame:
    """Return the counts of samples by their observed class, in rows, and their predicted one, in columns.

    `observed` are the classes 0, 1, ..., shape (n,), and `scores` the values of the model, shape (n,) or (n, classes):
    the predicted class is that of the highest score, or class 1 above 0. The `labels` name rows and columns.
    """
    predicted = np.argmax(scores, axis=1) if loss.by_class else scores > 0.0
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (observed.astype(np.int64), predicted.astype(np.int64)), 1)
    names = [text(label) for label in labels]
    table = pd.DataFrame(counts, columns=names)
    table.insert(0, OBSERVED, names)
    return table
