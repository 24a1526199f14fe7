"""Charts drawn with matplotlib, all of them by the same functions."""

from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any, cast

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as Scale
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from bench.charts.chart import Axis, Band, Bars, Cells, Chart, Key, Layer, Line, Panel, Points, Rule, Texts, Ticks
from bench.charts.choices import spread_evenly
from bench.charts.colors import FAINT
from bench.plots.style import DASHES, EDGE, INK, STYLE, WIDTH, add_caption, make_figure
from kernels.base.run import Floats

COLORS = {"ink": INK, "target": INK, "data": FAINT, "edge": EDGE, "missed": "#ffffff", "lost": "#ebebeb", "fail": INK}
PALETTES = {"ranks": ("Blues_r", 0.75), "shares": ("Blues", 1.0)}
MARKERS = {"dot": "o", "circle": "o", "plus": "+", "cross": "x", "square": "s", "triangle": "^"}
MARKERS |= {"left": "<", "right": ">", "up": "^", "down": "v"}
HOLLOW = ("circle", "square", "left", "right", "up", "down")
HATCH = "////"
MOST_KEYS = 16
TITLE = 0.25  # the height of the title of a panel in inches
DESCRIBED = 2.1  # how many times as wide a panel is whose bars have words behind them
LETTER = 0.075  # the width of a letter of a tick in inches


def color_of(name: str) -> str:
    """Return the color of a layer."""
    return COLORS.get(name, name)


@rc_context(STYLE)
def draw_chart(chart: Chart, *, axis: Axes | None = None) -> Figure:
    """Draw a chart: a figure of its own, or its first panel alone into an `axis` that is given."""
    if axis is not None:
        panel = chart.panels[0]
        _draw_panel(axis, panel, None)
        axis.set(xlabel=panel.x.title, ylabel=panel.y.title)
        if chart.keys:
            axis.legend(handles=_handles(chart.keys))
        return cast("Figure", axis.get_figure(root=True))
    if not chart.panels:
        return draw_message(chart.notes)
    rows = -(-len(chart.panels) // chart.columns)
    shares = [chart.panels[row * chart.columns].share for row in range(rows)]
    height = chart.height or (4.5 if len(chart.panels) == 1 else max(3.4, 2.6 * rows))
    ratios = {} if len(set(shares)) == 1 else {"height_ratios": shares}
    sharing = "col" if ratios else chart.shared
    figure, axes = make_figure(
        height, rows, chart.columns, len(chart.panels), sharex=sharing, sharey=chart.shared and not ratios, **ratios
    )
    room = (WIDTH - 1.2 - (1.4 if chart.keys else 0.0)) / chart.columns, (height - 0.8) / rows - TITLE
    for place, (own, panel) in enumerate(zip(axes, chart.panels, strict=True)):
        is_copy = chart.shared and place > 0 and not ratios
        _draw_panel(own, panel, room, scaled=is_copy)
        if place + chart.columns >= len(chart.panels):
            own.tick_params(labelbottom=True)
    _title(figure, axes, chart, rows)
    _add_legend(figure, chart)
    add_caption(figure, chart.notes)
    return figure


def _title(figure: Figure, axes: list[Axes], chart: Chart, rows: int) -> None:
    """Write the titles of the axes: once where all panels have the same ones."""
    for name, write_once, write in (("x", figure.supxlabel, Axes.set_xlabel), ("y", figure.supylabel, Axes.set_ylabel)):
        titles = [getattr(panel, name).title for panel in chart.panels]
        if len(axes) > 1 and len(set(titles)) == 1:
            write_once(titles[0])
            continue
        for own, title in zip(axes, titles, strict=True):
            write(own, title)


@rc_context(STYLE)
def draw_message(message: str) -> Figure:
    """Make a figure without data that states why there are none."""
    figure, (axis,) = make_figure(1.6, 1, 1, 1)
    axis.set_axis_off()
    axis.text(0.5, 0.5, fill(message, 90), transform=axis.transAxes, ha="center", va="center", wrap=True)
    return figure


def _draw_panel(axis: Axes, panel: Panel, room: tuple[float, float] | None, *, scaled: bool = False) -> None:
    """Draw the layers of a panel, for which there is `room` in inches; where axes are shared, one of them is scaled."""
    if not scaled:
        width, height = room or (4.0, 3.0)
        described = any(isinstance(layer, Bars) and layer.words for layer in panel.layers)
        wider = DESCRIBED if described else 1.0
        _scale(axis.xaxis, panel.x, width / wider, lambda ticks: LETTER * (max(map(len, ticks.labels), default=0) + 2))
        _scale(axis.yaxis, panel.y, height, lambda ticks: 0.3 if panel.y.log else 0.22)
        axis.set(xlim=(panel.x.range[0], wider * panel.x.range[1]), ylim=panel.y.range)
    axis.grid(visible=panel.x.grid, axis="x")
    axis.grid(visible=panel.y.grid, axis="y")
    if any(isinstance(layer, Cells) for layer in panel.layers):
        axis.spines[:].set_visible(False)
    for layer in panel.layers:
        DRAWN[type(layer)](axis, panel, layer)
    if panel.title:
        axis.set_title(panel.title)


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
    return places.clip(axis.range[0], 10 * axis.range[1]) if axis.log else places


def _draw_line(axis: Axes, panel: Panel, line: Line) -> None:
    look: Any = {"color": color_of(line.color), "linewidth": line.width, "alpha": line.opacity}
    x, y = _held(line.x, panel.x), _held(line.y, panel.y)
    style: Any = {"linestyle": DASHES if line.dashed else "-", "drawstyle": "steps-post" if line.step else "default"}
    axis.plot(x, y, **look, **style, marker="o" if np.isfinite(y).sum() == 1 else "", solid_capstyle="butt")


def _draw_band(axis: Axes, panel: Panel, band: Band) -> None:
    low, high = _held(band.low, panel.y), _held(band.high, panel.y)
    look: Any = {"color": color_of(band.color), "alpha": band.opacity, "linewidth": 0}
    axis.fill_between(_held(band.x, panel.x), low, high, step="post" if band.step else None, **look)


def _draw_points(axis: Axes, panel: Panel, points: Points) -> None:
    look = {"alpha": points.opacity, "linestyle": "", **_marker(points.marker, color_of(points.color), points.size)}
    axis.plot(_held(points.x, panel.x), _held(points.y, panel.y), **look)
    if points.beside:
        # Where no line crosses them.
        look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "fontsize": 8, "va": "center"}
        for place, words in zip(points.y, points.words, strict=True):
            axis.annotate(words, (1, place), xytext=(8, 0), linespacing=1.4, annotation_clip=False, **look)


def _marker(marker: str, color: str, size: float) -> dict[str, Any]:
    edge: dict[str, Any] = {"markeredgewidth": 2 if size > 5 else 1.2} if marker in ("plus", "cross") else {}
    if marker == "dot":
        edge = {"markeredgewidth": 0}
    if marker in HOLLOW:
        edge = {"markerfacecolor": "white", "markeredgewidth": 1.2}
    return {"marker": MARKERS[marker], "color": color, "markersize": size, **edge}


def _draw_cells(axis: Axes, panel: Panel, cells: Cells) -> None:
    """Draw cells as an image or, with gaps between them, as patches."""
    shades = np.asarray(cells.shades, float)
    rows, columns = shades.shape
    left, right, bottom, top = extent = cells.extent or (-0.5, columns - 0.5, -0.5, rows - 0.5)
    colors = _shade(shades, cells.palette)
    edge: Any = {"edgecolors": "#dddddd", "linewidth": 0.5} if cells.gap else {}
    x, y = np.linspace(left, right, columns + 1), np.linspace(bottom, top, rows + 1)
    if cells.gap:
        axis.pcolor(x, y, np.ma.masked_invalid(shades), color=colors[np.isfinite(shades)], **edge)
    else:
        axis.imshow(colors, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    dark = colors[..., :3] @ [0.299, 0.587, 0.114] < 0.5
    middle = [(side[1:] + side[:-1]) / 2 for side in (x, y)]
    for row, line in enumerate(cells.texts):
        for column, words in enumerate(line):
            look: Any = {"color": "white" if dark[row, column] else INK, "fontsize": 8, "in_layout": False}
            axis.text(middle[0][column], middle[1][row], words, ha="center", va="center_baseline", **look)


def _shade(shades: Floats, palette: str) -> Floats:
    """Return the color of each shade, transparent where there is no cell."""
    if palette in PALETTES:
        name, reach = PALETTES[palette]
        colors = colormaps[name](reach * np.nan_to_num(shades))
    else:
        colors = np.broadcast_to(to_rgba(color_of(palette)), (*shades.shape, 4)).copy()
    colors[np.isnan(shades)] = 0.0
    return np.asarray(colors, float)


def _draw_bars(axis: Axes, panel: Panel, bars: Bars) -> None:
    colors = [bars.color] * len(bars.places) if isinstance(bars.color, str) else list(bars.color)
    look: Any = {"color": [color_of(color) for color in colors], "alpha": bars.opacity}
    lengths = np.asarray(bars.values, float) - bars.base
    if bars.upright:
        axis.bar(bars.places, lengths, width=bars.thickness, bottom=bars.base, **look)
        return
    look |= {"edgecolor": "white", "linewidth": 0}
    drawn = axis.barh(bars.places, lengths, height=bars.thickness, left=bars.base, **look)
    for patch, hatched in zip(drawn, bars.hatched, strict=False):
        patch.set_hatch(HATCH if hatched else None)
    look = {"textcoords": "offset points", "fontsize": 9, "va": "center"}
    for place, value, words in zip(bars.places, bars.values, bars.words or bars.labels, strict=False):
        axis.annotate(words, (value, place), xytext=(5, 0), **look)


def _draw_rule(axis: Axes, panel: Panel, rule: Rule) -> None:
    look: Any = {"color": color_of(rule.color), "linewidth": 1, "linestyle": DASHES if rule.dashed else "-"}
    (axis.axvline if rule.upright else axis.axhline)(rule.at, zorder=0.9, **look)
    if rule.name and rule.upright:
        axis.annotate(rule.name, (rule.at, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=9)


def _draw_texts(axis: Axes, panel: Panel, texts: Texts) -> None:
    look: Any = {"color": color_of(texts.color), "fontsize": texts.size, "ha": texts.anchor, "va": "center"}
    shift = {"center": 0, "left": 5, "right": -5}[texts.anchor]
    for x, y, words in zip(texts.x, texts.y, texts.texts, strict=True):
        axis.annotate(words, (x, y), xytext=(shift, 0), textcoords="offset points", **look)


DRAWN: dict[type[Layer], Callable[[Axes, Panel, Any], None]] = {
    Line: _draw_line,
    Band: _draw_band,
    Points: _draw_points,
    Cells: _draw_cells,
    Bars: _draw_bars,
    Rule: _draw_rule,
    Texts: _draw_texts,
}


def _handles(keys: Sequence[Key]) -> list[Artist]:
    handles: list[Artist] = []
    for key in keys:
        color = color_of(key.color)
        if key.mark == "box":
            pale = to_hex(color) == "#ffffff"
            handles.append(Patch(facecolor=color, edgecolor="#999999" if pale else color, label=key.name))
        elif key.mark == "hatched":
            handles.append(Patch(facecolor="white", edgecolor=INK, hatch=HATCH, label=key.name))
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
    colored = [key for key in chart.keys if key.mark in ("line", "box") and key.color not in COLORS]
    others = [key for key in chart.keys if key not in colored]
    if colored:
        listed = spread_evenly(colored, MOST_KEYS)
        figure.legend(handles=_handles(listed), title=chart.legend or None, loc="outside right upper", **look)
    if others:
        place: Any = f"outside right {'lower' if colored else 'upper'}"
        figure.legend(handles=_handles(others), loc=place, **look)
