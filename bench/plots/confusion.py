"""Confusion tables as maps of shares, with the counts in their cells."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.style import INK, STYLE, add_caption, panels
from bench.tables.formatting import OBSERVED, shorten
from kernels.base.run import Floats

# More classes have no room for names and counts.
MOST_COUNTS, MOST_NAMES = 12, 24
# Letters of all names beside each other, and of each.
WIDEST, LETTERS = 24, 14


@rc_context(STYLE)
def confusion_maps(tables: Mapping[str, pd.DataFrame], *, axis: Axes | None = None) -> Figure:
    """Draw confusion tables by their titles: observed classes from top to bottom, predicted ones from left to right."""
    if axis is not None:  # of one table
        (table,) = tables.values()
        _draw_map(axis, table.drop(columns=OBSERVED).to_numpy(float), table[OBSERVED].tolist())
        axis.set(xlabel="predicted class", ylabel="observed class")
        return cast("Figure", axis.get_figure(root=True))
    figure, axes = panels(len(tables))
    for panel, (title, table) in zip(axes, tables.items(), strict=True):
        _draw_map(panel, table.drop(columns=OBSERVED).to_numpy(float), table[OBSERVED].tolist())
        panel.set_title(title)
    figure.supxlabel("predicted class")
    figure.supylabel("observed class")
    add_caption(figure, "The darker a cell, the larger its share of the samples of its row.")
    return figure


def _draw_map(axis: Axes, counts: Floats, names: list[str]) -> None:
    """Draw the shares of each row as shades, with names and counts where there is room for them."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    axis.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axis.grid(visible=False)
    every = -(-len(names) // MOST_NAMES)
    places = range(0, len(names), every)
    axis.set_yticks(places, [shorten(names[place], LETTERS) for place in places])
    axis.set_xticks(places, [shorten(names[place], LETTERS) for place in places])
    if max(map(len, names)) * len(names) > WIDEST:
        axis.tick_params("x", rotation=45)
    if len(names) <= MOST_COUNTS:
        for row, column in np.ndindex(counts.shape):
            tone = "white" if shares[row, column] > 0.6 else INK
            axis.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=tone, fontsize=8)
