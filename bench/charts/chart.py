"""A chart as data that any renderer can draw: panels with axes and layers, a legend and a caption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from math import floor, isfinite, log10
from typing import Any

import numpy as np

from sgdbench.kernels.base.run import Floats

DIGITS = 6  # that are significant

Values = Sequence[float] | Floats
"""Places along an axis, in its own units; NaN breaks a line."""


@dataclass(frozen=True)
class Ticks:
    """Some ticks of an axis, in order."""

    values: Sequence[float]
    labels: Sequence[str]


@dataclass(frozen=True)
class Axis:
    """An axis from the left or bottom to the right or top; on a logarithmic one, lower values are drawn at its edge.

    Attributes
    ----------
    range : tuple
        Where the view begins and ends; in descending order for an axis that goes down.
    ticks : sequence of Ticks
        Choices of ticks, the most numerous first: a renderer takes the first for which there is room.
    slanted : bool
        Whether labels that do not fit side by side are slanted instead of thinned out.
    linear : Axis, optional
        The axis that a reader of the page may choose in place of a logarithmic one.
    """

    range: tuple[float, float]
    title: str = ""
    log: bool = False
    ticks: Sequence[Ticks] = ()
    grid: bool = True
    slanted: bool = False
    linear: "Axis | None" = None


@dataclass(frozen=True)
class Line:
    """A line through points, with `words` about each of them, or about all.

    A color, here and below, is hexadecimal, or the name of one that has a shade for light and one for dark pages.
    Layers of one `group` are hidden and shown together.
    """

    x: Values
    y: Values
    color: str = "ink"
    width: float = 2.0
    dashed: bool = False
    opacity: float = 1.0
    group: str = ""
    words: Sequence[str] | str = ()


@dataclass(frozen=True)
class Band:
    """The area between two lines."""

    x: Values
    low: Values
    high: Values
    color: str
    opacity: float = 0.17
    group: str = ""


@dataclass(frozen=True)
class Points:
    """Markers, such as `dot`, `circle`, `cross` or `plus`, with `words` about each of them, or about all.

    A dot is filled, and a circle or a square is not. The markers `left`, `right`, `up` and `down` are arrowheads. Words
    that stand `beside` the panel are for renderers that have no other place to show them.
    """

    x: Values
    y: Values
    color: str = "ink"
    size: float = 6.0
    marker: str = "dot"
    opacity: float = 1.0
    group: str = ""
    words: Sequence[str] | str = ()
    beside: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars from zero to values, at places along the other axis; `words` are about each, `labels` stand behind it.

    On a logarithmic axis they begin at its edge: only their ends can be compared.
    """

    places: Values
    values: Values
    color: str
    thickness: float = 0.7
    labels: Sequence[str] = ()
    words: Sequence[str] = ()


@dataclass(frozen=True)
class Cells:
    """Rectangles of one `size`, or unit squares, around places, each with a short text in it, and `words` about it.

    A tone is a share of the way from the best shade to the worst one, or the name of a color. Texts are left out where
    cells are too small for them; cells without texts have no borders.
    """

    x: Values
    y: Values
    tones: Sequence[float | str]
    texts: Sequence[str] = ()
    words: Sequence[str] = ()
    group: str = ""
    size: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Surface:
    """The heights of a surface on a grid, shape (len(y), len(x)), with contour lines at ascending `levels`.

    The area below the lowest level is the darkest. Without levels nothing is drawn.
    """

    x: Floats
    y: Floats
    heights: Floats
    levels: Floats


@dataclass(frozen=True)
class Texts:
    """Names beside points, on the side on which the middle of the panel is."""

    x: Values
    y: Values
    texts: Sequence[str]


@dataclass(frozen=True)
class Rule:
    """A line across the whole panel: at a height, or upright at a place along the horizontal axis."""

    at: float
    upright: bool = False


Layer = Line | Band | Points | Bars | Cells | Surface | Texts | Rule


@dataclass(frozen=True)
class Panel:
    """Axes with layers, the first of which lies lowest; its `height` is relative to that of other panels."""

    x: Axis
    y: Axis
    layers: Sequence[Layer]
    title: str = ""
    height: float = 1.0


@dataclass(frozen=True)
class Key:
    """An entry of a legend, with the `mark` of what it stands for: a line, dashes, a box or a marker of `Points`.

    An entry of a `group` of layers is hidden and shown with it.
    """

    name: str
    color: str | float
    mark: str = "line"
    group: str = ""


@dataclass(frozen=True)
class Chart:
    """Panels with a legend and a caption, which a renderer draws.

    Attributes
    ----------
    panels : sequence of Panel
        From left to right and from top to bottom. A title that all of their axes have stands once, and axes of the same
        range have their ticks once.
    keys, legend : sequence of Key, str
        The legend, with its title.
    caption : str
        What is seen, for those who look for it in a list of figures, and for those who do not see it.
    notes : str
        Sentences that a figure has above its panels.
    columns : int
        How many panels stand side by side.
    height : float
        In inches of a figure that is eight inches wide; 0 is that of all figures.
    """

    panels: Sequence[Panel]
    keys: Sequence[Key] = ()
    legend: str = ""
    caption: str = ""
    notes: str = ""
    columns: int = 1
    height: float = 0.0


def stairs(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the points of a line that keeps each value until the next place."""
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def panel_columns(count: int) -> int:
    """Return how many of `count` panels stand side by side: three, or two of four, which make a square."""
    return 2 if count == 4 else min(count, 3)


def to_data(part: Any) -> Any:
    """Return a chart, or a part of one, as data for JSON.

    Layers have their `kind`, and numbers that are not finite are None. Numbers have six significant digits, or as many
    more as tell those of one list apart. What is as it is by default is left out. Columns and axes that charts share
    are converted once, and are one object.
    """
    return _to_data(part, {})


def _to_data(part: Any, converted: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(part, str | int | None):
        return part
    if isinstance(part, float):
        return _round(part, DIGITS)
    if id(part) not in converted:
        converted[id(part)] = part, _convert(part, converted)  # with the part, so that no other one gets its id
    return converted[id(part)][1]


@cache
def _defaults(kind: type[Any]) -> list[tuple[str, Any]]:
    return [(field.name, field.default) for field in fields(kind)]


def _convert(part: Any, converted: dict[int, tuple[Any, Any]]) -> Any:
    if is_dataclass(part):
        of: Any = type(part)
        kind = {"kind": of.__name__.lower()} if isinstance(part, Layer) else {}
        own = ((name, getattr(part, name), default) for name, default in _defaults(of))
        return kind | {name: _to_data(value, converted) for name, value, default in own if value is not default}
    if isinstance(part, Mapping):
        return {name: _to_data(value, converted) for name, value in part.items()}
    values = part.tolist() if isinstance(part, np.ndarray) else part
    if {*map(type, values)} <= {int, float}:
        digits = _digits(values)
        return [_round(one, digits) if isinstance(one, float) else one for one in values]
    return [_to_data(one, converted) for one in values]


def _round(value: float, digits: int) -> float | None:
    return float(f"{value:.{digits}g}") if isfinite(value) else None


def _digits(values: Sequence[float]) -> int:
    """Return the number of significant digits of a list: more than six where all are alike, such as points in time."""
    finite = [value for value in values if isfinite(value)]
    span = max(finite, default=0.0) - min(finite, default=0.0)
    return DIGITS + max(0, floor(log10(max(map(abs, finite)) / span))) if isfinite(span) and span > 0 else DIGITS
