"""How data travel in the page: numbers as base64, settings as codes, all of them in one gzip file."""

import gzip
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.charts.chart import Chart, Layer, Line
from sgdbench.charts.colors import colors_of
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.facts import FULL
from sgdbench.tables.formatting import duration, label, text
from sgdbench.tables.words import describe_batch_size, describe_order

POOLED = 6  # values of a list that is worth it
AXES, LEGEND = ("x", "y"), "keys"  # of charts
STEPS = 2**12  # of the heights of lines on a logarithmic scale, less than a pixel each; 0 is a gap


def pack(values: Any) -> dict[str, str]:
    """Return an array as base64 in little-endian order, with its type in NumPy's notation.

    The first bytes of all numbers come first, then the second ones, and so on: gzip makes them a fifth smaller.
    """
    array = np.ascontiguousarray(values)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False).ravel()
    planes = little.view(np.uint8).reshape(-1, little.itemsize).T
    return {"type": little.dtype.str[1:], "data": b64encode(planes.tobytes()).decode()}


def compress(data: Any) -> str:
    """Return data as JSON, in a gzip file, as base64; the same data give the same text."""
    json_text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate cannot be written as UTF-8.
    return b64encode(gzip.compress(json_text.encode("utf-8", "replace"), compresslevel=6, mtime=0)).decode()


def encode_column(column: pd.Series, *, samples: int = 0, words: Mapping[Any, str] | None = None) -> dict[str, Any]:
    """Return the sorted distinct values of a column as text, and the index of each row's value among them.

    Missing values come last. A batch of all `samples` is called full; a value may have other `words`.
    """
    name, is_missing = str(column.name), column.isna().to_numpy(bool)
    codes, values = pd.factorize(column, sort=True)
    as_text = {"batch_size": lambda size: describe_batch_size(size, samples), "seconds": duration}.get(name, text)
    as_text = describe_order if column.dtype == bool else as_text
    shown = [(words or {}).get(value) or as_text(value) for value in values.tolist()]
    return {
        "label": label(name),
        "shown": shown + [text(None)] * bool(is_missing.any()),
        "codes": pack_counts(np.where(is_missing, len(shown), codes)),
        "missing": len(shown),
        "number": pd.api.types.is_numeric_dtype(column) and column.dtype != bool,
    }


def encode_setting(column: pd.Series, samples: int) -> dict[str, Any]:
    """Return a setting as `encode_column` does, with the `code` of each value, the same in Python and in TOML."""
    values = pd.factorize(column, sort=True)[1].tolist()
    code = [json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value) for value in values]
    if column.name == "batch_size":
        code = [f'"{FULL}"' if value == samples > 1 else str(value) for value in values]
    colors = colors_of(values) if column.name == "optimizer" else {}
    return encode_column(column, samples=samples) | {"code": code, "colors": [colors.get(value) for value in values]}


def pack_counts(counts: NDArray[np.integer]) -> dict[str, str]:
    """Pack counts from 0 in the smallest type that JavaScript has: as floats where four bytes are too few."""
    most = int(counts.max(initial=0))
    return pack(counts.astype(np.min_scalar_type(most) if most < 2**32 else np.float64))


def pack_lines(charts: Sequence[Chart]) -> tuple[list[Chart], dict[str, Any]]:
    """Return charts whose lines have their number in place of their heights, and the heights of all lines.

    Heights are positive or NaN. Their steps are `unit` decades above `low`, and written as differences along each line:
    2 d, or -2 d - 1 where d is negative, so that most are small.
    """
    heights: list[Floats] = []

    def packed(layer: Layer) -> Layer:
        if not isinstance(layer, Line):
            return layer
        heights.append(np.asarray(layer.y, float))
        number: Any = {"line": len(heights) - 1}
        return replace(layer, y=number)

    found = [
        replace(chart, panels=[replace(panel, layers=[*map(packed, panel.layers)]) for panel in chart.panels])
        for chart in charts
    ]
    decades = np.log10(np.concatenate(heights or [np.ones(0)]))
    finite = np.isfinite(decades)
    low, high = (decades[finite].min(), decades[finite].max()) if finite.any() else (0.0, 1.0)
    unit = max(high - low, 1e-3) / (STEPS - 2)
    steps = np.zeros(decades.size, np.int64)
    steps[finite] = 1 + np.rint((decades[finite] - low) / unit)
    counts = np.array([line.size for line in heights], np.int64)
    moves, first = np.diff(steps, prepend=0), (np.cumsum(counts) - counts)[counts > 0]
    moves[first] = steps[first]
    moves = np.where(moves < 0, -2 * moves - 1, 2 * moves)
    return found, {"low": low, "unit": unit, "counts": pack_counts(counts), "moves": pack_counts(moves)}


def pool(data: Any) -> tuple[Any, list[Any]]:
    """Return data with numbers in place of longer lists, axes and legends, and these parts: of equal ones only one.

    Charts of the same curves on several clocks differ in one of their columns, and many cells have the same axes.
    A part may have numbers of earlier ones in it.
    """
    parts: list[Any] = []
    places: dict[str, int] = {}
    known: dict[int, Any] = {}  # of parts that are the same object

    def place(part: Any) -> dict[str, int]:
        number = places.setdefault(json.dumps(part), len(parts))
        if number == len(parts):
            parts.append(part)
        return {"part": number}

    def pooled(part: Any, name: str = "") -> Any:
        if not isinstance(part, dict | list):
            return part
        if id(part) not in known:
            known[id(part)] = replaced(part, name)
        return known[id(part)]

    def replaced(part: Any, name: str) -> Any:
        if isinstance(part, dict):
            found: Any = {key: pooled(one, key) for key, one in part.items()}
            return place(found) if name in AXES and "range" in found else found
        if len(part) >= POOLED and not isinstance(part[0], dict | list):
            return place(part)
        found = [*map(pooled, part)]
        return place(found) if name == LEGEND else found

    return pooled(data), parts
