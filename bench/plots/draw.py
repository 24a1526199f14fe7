"""Charts drawn with matplotlib, all of them by the same functions."""

from collections.abc import Callable, Collection, Sequence
from textwrap import fill
from typing import Any, cast

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Scale
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from numpy.typing import ArrayLike

from sgdbench.charts.chart import (
    Axis,
    Band,
    Bars,
    Cells,
    Chart,
    Key,
    Layer,
    Line,
    Panel,
    Points,
    Rule,
    Surface,
    Texts,
    Ticks,
)
from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.colors import FAINT
from sgdbench.charts.loss_axis import OUT_OF_VIEW
from sgdbench.charts.shades import WHITE
from sgdbench.kernels.base.run import Floats
from sgdbench.plots.style import (
    DASHES,
    EDGE,
    INK,
    MOST_KEYS,
    STYLE,
    WIDTH,
    add_caption,
    empty_figure,
    make_figure,
    panels,
)

COLORS = {
    **{"ink": INK, "target": INK, "data": FAINT},
    **{"edge": EDGE, "lost": "#ebebeb", "missed": "white", "paper": "white"},
}
ARROWS = {"left": "<", "right": ">", "up": "^", "down": "v"}
MARKERS = {"dot": "o", "circle": "o", "cross": "x", "plus": "+", "square": "s", "triangle": "^"} | ARROWS
HOLLOW = ("circle", "square", *ARROWS)
TITLE = 0.25  # the height of the title of a panel in inches
DESCRIBED = 2.1  # how many times as wide a panel is whose bars have words behind them
DIGIT, LEAST_HEIGHT = 0.065, 0.15  # the width of a digit in a cell, and the height that it needs, in inches
BESIDE = 0.06  # the width of a letter beside a panel in inches
SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])
BORDERS = {"white": "#999999"}  # of boxes that would not be seen
SMALL = 8.0  # the size of titles where one of them would be wider than its panel
LETTER, SLANTED = 0.075, 0.2  # the widths of a letter of a tick, and of a slanted tick, in inches


def color_of(color: str | float) -> Any:
    """Return the color of a layer, or of a shade."""
    return COLORS.get(color, color) if isinstance(color, str) else tuple(shade_of(color))


def shade_of(tones: ArrayLike) -> Floats:
    """Return the colors of shades, from dark to light, as red, green, blue and opacity; NaN is white."""
    tones = np.asarray(tones, float)
    colors: Floats = np.where(np.isnan(tones)[..., np.newaxis], 1.0, colormaps["Blues_r"](np.nan_to_num(tones) / WHITE))
    return colors


@rc_context(STYLE)
def draw_chart(chart: Chart, *, axis: Axes | None = None) -> Figure:
    """Draw a chart: a figure of its own, or its first panel alone into an `axis` that is given."""
    if axis is not None:
        panel, figure = chart.panels[0], cast("Figure", axis.get_figure(root=True))
        width, height = (float(side / figure.dpi) for side in (axis.bbox.width, axis.bbox.height))
        _draw_panel(axis, panel, (width, height))
        _write_texts([axis], [panel], (width, height))
        # Panels below each other share the horizontal axis, whose title the lowest one has.
        axis.set(xlabel=chart.panels[-1].x.title, ylabel=panel.y.title)
        if chart.keys:
            axis.legend(handles=_handles(chart.keys), title=chart.legend or None)
        return figure
    if not chart.panels:
        return empty_figure(chart.notes)
    count = len(chart.panels)
    rows = -(-count // chart.columns)
    views = {name: {(own.range, own.log) for own in _axes(chart, name)} for name in "xy"}
    shared = [name for name, different in views.items() if len(different) == 1]
    heights = [panel.height for panel in chart.panels[:: chart.columns]]
    options: Any = {f"share{name}": name in shared for name in "xy"} | {"height_ratios": heights}
    if chart.height:
        figure, axes = make_figure(chart.height, rows, chart.columns, count, **options)
    else:
        figure, axes = panels(count, **options)
    width = (WIDTH - 1.2 - (1.4 if chart.keys else 0.0) - _width_beside(chart)) / chart.columns
    height = (figure.get_figheight() - 0.8) / sum(heights)
    is_small = any(LETTER * len(line) > width for panel in chart.panels for line in panel.title.splitlines())
    for place, (own, panel) in enumerate(zip(axes, chart.panels, strict=True)):
        room = width, height * panel.height - TITLE
        _draw_panel(own, panel, room, scaled=shared if place else (), is_small=is_small)
    for place, (own, panel) in enumerate(zip(axes, chart.panels, strict=True)):
        # Without a grid there is nothing to be seen of inner axes, which take a tenth of the time of a figure.
        own.xaxis.set_visible(panel.x.grid or "x" not in shared or place >= count - chart.columns)
        own.yaxis.set_visible(panel.y.grid or "y" not in shared or place % chart.columns == 0)
    _write_texts(axes, chart.panels, (width, height - TITLE))
    _title(figure, axes, chart)
    _add_legend(figure, chart)
    add_caption(figure, chart.notes)
    return figure


def _width_beside(chart: Chart) -> float:
    """Return the width in inches of the words beside the panels."""
    points = [layer for panel in chart.panels for layer in panel.layers if isinstance(layer, Points) and layer.beside]
    lines = [line for layer in points for words in layer.words for line in words.splitlines()]
    return BESIDE * max(map(len, lines), default=0)


def _title(figure: Figure, axes: list[Axes], chart: Chart) -> None:
    """Write the titles of the axes: once where all panels have the same ones."""
    for name, write_once, write in (("x", figure.supxlabel, Axes.set_xlabel), ("y", figure.supylabel, Axes.set_ylabel)):
        titles = [own.title for own in _axes(chart, name)]
        if len(axes) > 1 and len(set(titles)) == 1:
            write_once(titles[0])
            continue
        for own, title in zip(axes, titles, strict=True):
            write(own, title)


def _axes(chart: Chart, name: str) -> list[Axis]:
    return [getattr(panel, name) for panel in chart.panels]


def _draw_panel(
    axis: Axes, panel: Panel, room: tuple[float, float], *, scaled: Collection[str] = (), is_small: bool = False
) -> None:
    """Draw the layers of a panel, for which there is `room` in inches.

    Axes that it shares with other panels are `scaled` already. Its title may be small.
    """
    width, height = room
    if "x" not in scaled:
        described = any(isinstance(layer, Bars) and layer.words for layer in panel.layers)
        wider = DESCRIBED if described else 1.0
        _scale(axis.xaxis, panel.x, width / wider, lambda ticks: SLANTED if panel.x.slanted else _label_width(ticks))
        axis.set_xlim(panel.x.range[0], wider * panel.x.range[1])
    if "y" not in scaled:
        _scale(axis.yaxis, panel.y, height, lambda ticks: 0.3 if panel.y.log else 0.22)
        axis.set_ylim(panel.y.range)
    if panel.x.slanted and len(panel.x.ticks[0].labels) * _label_width(panel.x.ticks[0]) > width:
        axis.tick_params("x", rotation=45)
    axis.grid(visible=panel.x.grid, axis="x")
    axis.grid(visible=panel.y.grid, axis="y")
    for layer in panel.layers:
        DRAWN[type(layer)](axis, panel, layer)
    if panel.title:
        axis.set_title(panel.title, fontsize=SMALL if is_small else None)


def _label_width(ticks: Ticks) -> float:
    """Return the width of the longest label in inches, with a gap."""
    return LETTER * (max(map(len, ticks.labels), default=0) + 2)


def _scale(scale: Scale, shown: Axis, room: float, needs: Callable[[Ticks], float]) -> None:
    """Make an axis linear or logarithmic, with the first ticks for which there is room."""
    if shown.log:
        (scale.axes.set_xscale if scale is scale.axes.xaxis else scale.axes.set_yscale)("log", nonpositive="mask")
    fitting = [ticks for ticks in shown.ticks if len(ticks.values) * needs(ticks) <= room]
    chosen = (fitting or list(shown.ticks[-1:]) or [Ticks((), ())])[0]
    scale.set_major_locator(FixedLocator(list(chosen.values)))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(FixedFormatter(list(chosen.labels)))


def _held(values: Any, axis: Axis) -> Floats:
    """Return places along an axis; on a logarithmic one, lower places are at its edge, far higher ones out of view."""
    places = np.asarray(values, float)
    return places.clip(axis.range[0], OUT_OF_VIEW * axis.range[1]) if axis.log else places


def _draw_line(axis: Axes, panel: Panel, line: Line) -> None:
    look: Any = {"color": color_of(line.color), "linewidth": line.width, "alpha": line.opacity}
    x, y = _held(line.x, panel.x), _held(line.y, panel.y)
    look["linestyle"] = DASHES if line.dashed else "-"
    axis.plot(x, y, **look, marker="o" if np.isfinite(y).sum() == 1 else "", solid_capstyle="butt")


def _draw_band(axis: Axes, panel: Panel, band: Band) -> None:
    low, high = _held(band.low, panel.y), _held(band.high, panel.y)
    look: Any = {"color": color_of(band.color), "alpha": band.opacity, "linewidth": 0}
    axis.fill_between(_held(band.x, panel.x), low, high, **look)


def _draw_points(axis: Axes, panel: Panel, points: Points) -> None:
    look = {"linestyle": "", **_marker(points.marker, color_of(points.color), points.size), "alpha": points.opacity}
    axis.plot(_held(points.x, panel.x), _held(points.y, panel.y), **look)
    if points.beside:
        # Where no line crosses them.
        look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 8, "va": "center"}
        for place, words in zip(points.y, points.words, strict=True):
            axis.annotate(words, (1, place), xytext=(8, 0), linespacing=1.4, annotation_clip=False, **look)


def _marker(marker: str, color: str, size: float) -> dict[str, Any]:
    edge: dict[str, Any] = {"markeredgewidth": 2 if size > 5 else 1.2 if size > 3 else 0.7} if marker == "cross" else {}
    if marker == "dot":
        edge = {"markeredgewidth": 0}
    if marker == "triangle":
        edge = {"markeredgecolor": "white"}
    if marker == "plus":
        # On any ground, light or dark.
        edge = {"markeredgewidth": 2, "path_effects": [withStroke(linewidth=4, foreground="white")]}
    if marker in HOLLOW:
        edge = {"markerfacecolor": "white", "markeredgewidth": 1.2}
    return {"marker": MARKERS[marker], "color": color, "markersize": size, **edge}


def _draw_bars(axis: Axes, panel: Panel, bars: Bars) -> None:
    color = color_of(bars.color)
    edge: Any = {"edgecolor": BORDERS.get(color), "linewidth": 1 if color in BORDERS else 0}
    # A logarithmic axis has no zero: bars begin at its edge.
    left = panel.x.range[0] if panel.x.log else 0.0
    widths = np.asarray(bars.values, float) - left
    axis.barh(bars.places, widths, left=left, height=bars.thickness, color=color, **edge)
    look: Any = {"textcoords": "offset points", "fontsize": 9, "va": "center"}
    for place, value, words in zip(bars.places, bars.values, bars.words or bars.labels, strict=False):
        axis.annotate(words, (value, place), xytext=(5, 0), **look)


def _draw_cells(axis: Axes, panel: Panel, cells: Cells) -> None:
    axis.spines[:].set_visible(False)
    if not cells.texts:
        _draw_image(axis, cells)
        return
    corners, at = SQUARE * cells.size, np.column_stack([cells.x, cells.y])
    for tone in dict.fromkeys(cells.tones):
        # One patch for all cells of a color: a mesh is drawn cell by cell into an SVG.
        alike = at[[one == tone for one in cells.tones]]
        path = Path.make_compound_path_from_polys(alike[:, np.newaxis] + corners)
        # Not add_patch, which looks for the limits of the data, corner by corner.
        axis.add_artist(PathPatch(path, facecolor=color_of(tone), edgecolor="#dddddd", linewidth=0.5))


def _draw_image(axis: Axes, cells: Cells) -> None:
    """Draw cells that are too many for borders as the pixels of an image."""
    (x, column), (y, row) = (np.unique(np.asarray(places), return_inverse=True) for places in (cells.x, cells.y))
    colors = {tone: to_rgba(color_of(tone)) for tone in dict.fromkeys(cells.tones)}
    image = np.zeros((y.size, x.size, 4))
    image[row, column] = [colors[tone] for tone in cells.tones]
    width, height = cells.size
    extent = (x[0] - width / 2, x[-1] + width / 2, y[0] - height / 2, y[-1] + height / 2)
    axis.imshow(image, origin="lower", extent=extent, aspect="auto", interpolation="nearest")


def _write_texts(axes: Sequence[Axes], shown: Sequence[Panel], room: tuple[float, float]) -> None:
    """Write the texts of cells, if there is room for all of them in panels of such a width and height in inches.

    A few among many that do not fit would look as if they meant more.
    """
    view = shown[0].x.range, shown[0].y.range
    width, height = (size / np.ptp(own) for size, own in zip(room, view, strict=True))
    layers = zip(axes, (panel.layers for panel in shown), strict=True)
    cells = [(axis, layer) for axis, own in layers for layer in own if isinstance(layer, Cells) and layer.texts]
    longest = max((len(words) for _, own in cells for words in own.texts), default=0)
    if DIGIT * (longest + 0.5) > width or height < LEAST_HEIGHT:
        return
    look: Any = {"fontsize": 9 if min(width, height) > 0.4 else 7, "in_layout": False}
    for axis, own in cells:
        for x, y, tone, words in zip(own.x, own.y, own.tones, own.texts, strict=True):
            is_dark = np.dot(to_rgb(color_of(tone)), [0.299, 0.587, 0.114]) < 0.5
            axis.text(x, y, words, color="white" if is_dark else INK, ha="center", va="center_baseline", **look)


def _draw_surface(axis: Axes, panel: Panel, surface: Surface) -> None:
    x, y, heights, levels = surface.x, surface.y, surface.heights, surface.levels
    if not levels.size:
        return
    grays = [str(gray) for gray in np.linspace(0.62, 1.0, levels.size + 1)]
    # Up to the highest value: to be filled, a single level needs another one above it.
    filled = [*levels, np.max(heights, where=np.isfinite(heights), initial=-np.inf)]
    axis.contourf(x, y, heights, filled, colors=grays, extend="min")
    axis.contour(x, y, heights, levels, colors="#8a8a8a", linewidths=0.5)


def _draw_texts(axis: Axes, panel: Panel, texts: Texts) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    # Like lines and markers, texts lie below the layers that follow.
    look: Any = {"textcoords": "offset points", "fontsize": 8, "bbox": box, "zorder": 2}
    for *place, words in zip(texts.x, texts.y, texts.texts, strict=True):
        right, above = (at > np.mean(own.range) for at, own in zip(place, (panel.x, panel.y), strict=True))
        side: Any = {"ha": "right" if right else "left", "va": "top" if above else "bottom"}
        axis.annotate(words, tuple(place), xytext=(-6 if right else 6, -6 if above else 6), **side, **look)


def _draw_rule(axis: Axes, panel: Panel, rule: Rule) -> None:
    look: Any = {"color": color_of("target"), "linewidth": 1, "linestyle": DASHES}
    (axis.axvline if rule.upright else axis.axhline)(rule.at, zorder=0.9, **look)


DRAWN: dict[type[Layer], Callable[[Axes, Panel, Any], None]] = {
    Line: _draw_line,
    Band: _draw_band,
    Points: _draw_points,
    Bars: _draw_bars,
    Cells: _draw_cells,
    Surface: _draw_surface,
    Texts: _draw_texts,
    Rule: _draw_rule,
}


def _handles(keys: Sequence[Key]) -> list[Artist]:
    handles: list[Artist] = []
    for key in keys:
        color = color_of(key.color)
        if key.mark == "box":
            handles.append(Patch(facecolor=color, edgecolor=BORDERS.get(color, color), label=key.name))
        elif key.mark in MARKERS:
            handles.append(Line2D([], [], linestyle="", **_marker(key.mark, color, 6), label=key.name))
        else:
            handles.append(
                Line2D([], [], color=color, linestyle=DASHES if key.mark == "dashes" else "-", label=key.name)
            )
    return handles


def _add_legend(figure: Figure, chart: Chart) -> None:
    """Add the legend to the right of the panels: colors above, and what is said of marks below."""
    look: Any = {"handlelength": 1.4, "handleheight": 0.8, "alignment": "left"}
    colored = [key for key in chart.keys if key.color not in COLORS]
    others = [key for key in chart.keys if key not in colored]
    if colored:
        listed = spread_evenly(colored, MOST_KEYS)
        title = fill(chart.legend, 24) or None
        figure.legend(handles=_handles(listed), title=title, loc="outside right upper", **look)
    if others:
        place: Any = f"outside right {'lower' if colored else 'upper'}"
        figure.legend(handles=_handles(others), loc=place, **look)
