"""How data travel in the page: numbers as base64, settings as codes, all of them in one gzip file."""

import gzip
import json
from base64 import b64encode
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.charts.colors import colors_of
from bench.tables.formatting import text
from bench.tables.words import describe_batch_size, describe_order


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
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate cannot be written as UTF-8.
    return b64encode(gzip.compress(written.encode("utf-8", "replace"), compresslevel=6, mtime=0)).decode()


def encode_setting(column: pd.Series, samples: int) -> dict[str, Any]:
    """Return the sorted distinct values of a column, raw and as text, and the index of each row's value among them.

    A batch of all `samples` is called full.
    """
    codes, distinct = pd.factorize(column, sort=True)
    values = distinct.tolist()
    if column.dtype == bool:
        words = [describe_order(value) for value in values]
    elif column.name == "batch_size":
        words = [describe_batch_size(value, samples) for value in values]
    else:
        words = [text(value) for value in values]
    # JavaScript has no integers as large as a seed may be.
    plain = [str(value) for value in values] if column.name == "seed" else values
    # Lines have the colors of their optimizers, or of their starts.
    colors = colors_of(values) if column.name in ("optimizer", "init") else {}
    return {
        "values": plain,
        "shown": words,
        "colors": [colors.get(value) for value in values],
        "codes": pack_counts(codes),
    }


def pack_counts(counts: NDArray[np.integer]) -> dict[str, str]:
    """Pack counts from 0 in the smallest type that JavaScript has: as floats where four bytes are too few."""
    most = int(counts.max(initial=0))
    return pack(counts.astype(np.min_scalar_type(most) if most < 2**32 else np.float64))


def pack_bands(bands: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Pack the marks and the losses of a line, whose columns are those of `bench.tables.loss_bands`."""
    counts = {name: pack_counts(bands[name].to_numpy(np.int64)) for name in ("samples", "updates")}
    names = [name for name in ("seconds", "low", "median", "high", "held_out") if name in bands]
    with np.errstate(over="ignore"):  # what is too large for it is out of view
        return counts | {name: pack(bands[name].to_numpy(np.float32)) for name in names}
