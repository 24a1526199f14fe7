"""The style of all figures: sizes, colors, axes, and how they are written to disk.

Figures are drawn inside `rc_context(STYLE)` and leave matplotlib's global state alone: no pyplot here.
"""

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, FuncFormatter, Locator, MaxNLocator, NullLocator

from sgdbench.charts.chart import panel_columns
from sgdbench.charts.ticks import format_log_tick, format_log_ticks, format_tick, log_ticks
from sgdbench.system.atomic import replace_atomically
from sgdbench.tables.chart_words import join_sentences

WIDTH = 8.0  # inches: 800 pixels at 100 dots per inch, the width of a README
INK = "#333333"
TARGET = "#E69F00"
EDGE = "#D55E00"
ROUND = [1, 2, 5, 10]
DASHES = (0, (4, 3))
MOST_TICKS = 6  # of a logarithmic axis
MOST_KEYS = 16  # colors in a legend
DOT: Any = {"marker": ".", "markersize": 4, "linestyle": ""}

STYLE: Any = {
    "font.size": 10,
    "text.color": INK,
    # Names come from users, and a dollar sign in a name must not start a formula.
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    # Without a fixed height matplotlib looks for one, in a tenth of the time of a figure.
    "axes.titley": 1.0,
    "axes.facecolor": "white",
    # Ticks are made when they are first drawn: what draws a figure does so in this style, too.
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#ececec",
    "xtick.bottom": False,  # the grid is there
    "ytick.left": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "figure.labelsize": 10,
    "figure.titlesize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
    # Without a salt the identifiers in an SVG are random, and the same figure is a new file every time.
    "svg.hashsalt": "sgdbench",
    # Text that can be searched and read aloud, in half the time and the size of outlines.
    "svg.fonttype": "none",
}

# Compression takes a third of the time of a PNG, and half of that with run-length encoding only (zlib's Z_RLE).
# Without a date, an SVG is the same each time.
FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"pil_kwargs": {"compress_type": 3}},
    ".svg": {"metadata": {"Date": None}},
}


def panels(count: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels, three in a row; four make a square."""
    columns = panel_columns(count)
    rows = ceil(count / columns)
    return make_figure(4.5 if count == 1 else max(3.4, 2.6 * rows), rows, columns, count, **options)


def make_figure(height: float, rows: int, columns: int, count: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels in rows and columns, whose axes are the same unless `options` say otherwise."""
    figure = Figure(figsize=(WIDTH, height), dpi=STYLE["savefig.dpi"], layout="constrained")
    FigureCanvasAgg(figure)  # so that texts are measured as they are drawn into the PNG
    grid = figure.subplots(rows, columns, squeeze=False, **{"sharex": True, "sharey": True} | options)
    axes: list[Axes] = list(grid.ravel())
    for spare in axes[count:]:
        spare.remove()
    for lowest in axes[:count][-columns:]:
        lowest.tick_params(labelbottom=True)
    return figure, axes[:count]


def add_caption(figure: Figure, *sentences: str | bool | np.bool) -> None:
    """Write sentences above the panels, and beside the legend that is there; `False` is one that does not apply."""
    words = join_sentences(*sentences)
    longest = max((len(name.get_text()) for legend in figure.legends for name in legend.get_texts()), default=0)
    width = min(90, 118 - 6 * longest // 5) if figure.legends else 118
    figure.suptitle(fill(words, width), x=0.01, horizontalalignment="left")


def round_ticks(scale: Axis, most: int, *, integer: bool = False) -> None:
    """Put at most that many intervals on a linear axis, their ends 1, 2 or 5 times a power of ten apart.

    Each tick is written out: a factor common to all of them would stand where the title of a panel is.
    """
    scale.set_major_locator(MaxNLocator(most, steps=ROUND, integer=integer))
    scale.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))


def log_scale(axis: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic, with at most six ticks.

    Their labels are plain text such as 10⁻³, since formulas are switched off.
    """
    scaled, set_scale = (axis.xaxis, axis.set_xscale) if which == "x" else (axis.yaxis, axis.set_yscale)
    set_scale("log", nonpositive="mask")
    scaled.set_major_locator(LogTicks())
    scaled.set_minor_locator(NullLocator())
    scaled.set_major_formatter(LogLabels())


class LogTicks(Locator):
    """At most six ticks of those that `sgdbench.charts.ticks.log_ticks` offers for the view.

    matplotlib's own locator takes far longer, and leaves an axis within one decade without a label.
    """

    def __call__(self) -> Sequence[float]:
        """Return the ticks of the present view."""
        return self.tick_values(*self.axis.get_view_interval())  # type: ignore[union-attr]

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Return the ticks of a view, in order."""
        choices = log_ticks(vmin, vmax)
        return next((ticks.values for ticks in choices if len(ticks.values) <= MOST_TICKS), choices[-1].values)


class LogLabels(Formatter):
    """Labels of the ticks of a logarithmic axis, all in one style."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a value that is no tick."""
        return format_log_tick(x)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the labels of all ticks."""
        return format_log_ticks(values)


def empty_figure(message: str) -> Figure:
    """Make a figure without data that states why there are none."""
    figure, (axis,) = panels(1)
    figure.set_size_inches(WIDTH, 1.6)
    axis.set_axis_off()
    axis.text(0.5, 0.5, fill(message, 90), transform=axis.transAxes, ha="center", va="center", wrap=True)
    return figure


def save(figure: Figure, folder: str | os.PathLike[str], name: str, *, svg: bool = False) -> list[Path]:
    """Write a figure to `folder/name.png` and, where asked for or there already, `folder/name.svg`; return the paths.

    An SVG takes as long as the PNG, for a picture that few look at.
    """
    png, vector = (Path(folder) / f"{name}{suffix}" for suffix in (".png", ".svg"))
    return [save_as(figure, path) for path in (png, vector) if path == png or svg or vector.exists()]


def save_as(figure: Figure, path: Path) -> Path:
    """Write a figure to a .png or .svg file, which is replaced in one step; the same figure gives the same bytes."""
    if path.suffix not in FORMATS:
        raise ValueError(f"a figure must be written as {' or '.join(FORMATS)}, not {str(path)!r}")
    with rc_context(STYLE), replace_atomically(path) as temporary:
        if engine := figure.get_layout_engine():
            # Once found, a layout stays; with an engine at hand a figure is drawn twice for each file.
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(temporary, format=path.suffix[1:], **FORMATS[path.suffix])
    return path
