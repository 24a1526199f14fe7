"""The chart of confusion tables: maps of shares, with the counts in their cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Cells, Chart, Panel, panel_columns
from sgdbench.charts.shades import WHITE
from sgdbench.charts.ticks import places
from sgdbench.tables.chart_words import CONFUSION_NOTES
from sgdbench.tables.formatting import OBSERVED, shorten

LETTERS = 14  # of the name of a class


def confusion_chart(tables: Mapping[str, pd.DataFrame]) -> Chart:
    """Return the chart of confusion tables by their titles.

    Observed classes are rows, the first on top, and predicted ones columns. The darker a cell, the larger its share of
    the samples of its row; a cell without samples is white.
    """
    panels = []
    for title, table in tables.items():
        counts = table.drop(columns=OBSERVED).to_numpy(int)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ticks = places([shorten(name, LETTERS) for name in table[OBSERVED]])
        first, last = -0.5, len(counts) - 0.5
        across = Axis((first, last), "predicted class", ticks=ticks, grid=False, slanted=True)
        along = Axis((last, first), "observed class", ticks=ticks, grid=False)
        row, column = np.indices(counts.shape).reshape(2, -1).astype(float)
        # To two digits: a renderer draws the cells of one tone at once.
        tones = [round(WHITE * (1 - share), 2) for share in shares.ravel().tolist()]
        panels.append(Panel(across, along, [Cells(column, row, tones, [*map(str, counts.ravel())])], title))
    return Chart(panels, notes=CONFUSION_NOTES, columns=panel_columns(len(panels)))
