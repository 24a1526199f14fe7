"""The chart of confusion tables."""

import numpy as np
import pandas as pd

from sgdbench.charts.confusion import confusion_chart
from sgdbench.kernels.losses import make_loss
from sgdbench.plots.draw import draw_chart
from sgdbench.tables.confusion import confusion_table
from sgdbench.tables.formatting import OBSERVED
from tests.support.golden import hold


def test_two_tables_of_two_classes():
    tables = {
        "Training samples": pd.DataFrame({OBSERVED: ["no", "yes"], "no": [3, 0], "yes": [1, 0]}),
        "Test samples": pd.DataFrame({OBSERVED: ["no", "yes"], "no": [1, 2], "yes": [0, 6]}),
    }
    hold(confusion_chart(tables), "confusion")


def test_many_classes_have_no_counts_and_long_names_are_slanted():
    for classes, counts, slanted in ((3, 9, False), (12, 144, True), (40, 0, True)):
        names = [f"a long <b>label</b> {k}" for k in range(classes)]
        table = confusion_table(np.arange(classes * 1.0), np.eye(classes), make_loss("softmax"), names)
        (axis,) = draw_chart(confusion_chart({"Training samples": table})).axes
        assert len(axis.texts) == counts
        assert (axis.get_xticklabels()[0].get_rotation() == 45) is slanted
