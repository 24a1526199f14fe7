"""Charts with a row for each name, drawn."""

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from bench.charts.row_charts import BAR, RowChart
from bench.plots.style import DASHES, INK, ROUND, STYLE, WIDTH, add_caption, log_scale, panels
from bench.tables.formatting import text


@rc_context(STYLE)
def draw_rows(chart: RowChart) -> Figure:
    """Draw a chart of rows."""
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, (1.3 + 0.42 * len(chart.rows)) if chart.bars else (1.4 + 0.55 * len(chart.rows)))
    (_draw_bars if chart.bars else _draw_intervals)(axis, chart)
    axis.set_yticks(range(len(chart.rows)), [row.name for row in chart.rows])
    axis.grid(visible=False, axis="y")
    axis.set(xlim=chart.limits, ylim=(len(chart.rows) - 0.4, -0.6 if chart.bars else -0.8), xlabel=chart.title)
    add_caption(figure, chart.caption)
    return figure


def _draw_bars(axis: Axes, chart: RowChart) -> None:
    axis.barh(range(len(chart.rows)), [row.value for row in chart.rows], height=0.6, color=BAR)
    look: Any = {"textcoords": "offset points", "fontsize": 9, "va": "center"}
    for place, row in enumerate(chart.rows):
        axis.annotate(row.words[0], (row.value, place), xytext=(5, 0), **look)
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    ticks = MaxNLocator(5, steps=ROUND).tick_values(0, 1.2 * max(row.value for row in chart.rows))
    axis.set_xticks([tick for tick in ticks if 0 <= tick <= 1])


def _draw_intervals(axis: Axes, chart: RowChart) -> None:
    log_scale(axis, "x")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{text(ratio)}\N{MULTIPLICATION SIGN}"))
    axis.axvline(1.0, color=INK, linewidth=1, linestyle=DASHES)
    # Beside the panel, where no line crosses them.
    look: Any = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 8, "va": "center"}
    for place, row in enumerate(chart.rows):
        if np.isfinite(row.value):
            reach = [
                max(row.low, chart.limits[0]) if np.isfinite(row.low) else row.value,
                min(row.high, chart.limits[1]),
            ]
            if not np.isnan(row.high):
                axis.plot(reach, [place, place], color=row.color, linewidth=2.5, solid_capstyle="butt")
            axis.plot(row.value, place, "o", color=row.color, markersize=7)
        for words, height in zip(row.words, (6, -6), strict=True):
            axis.annotate(words, (1, place), xytext=(8, height), annotation_clip=False, **look)
