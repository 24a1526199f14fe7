"""The samples of a run as checked columns, with space for their visiting order."""

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import check_array, describe, describe_row, is_whole
from sgdbench.kernels.base.columns import Inputs
from sgdbench.kernels.base.run import CACHE_LINE, Data, Floats, allocate_aligned
from sgdbench.kernels.data.order import CACHED_SAMPLES, MAX_PLACES, BlockShuffle, allocate_order
from sgdbench.kernels.model.model import Model

NUMBERS_AT_A_TIME = 1_000_000
# Fully shuffled samples beyond the caches, up to this number, are copied so that the numbers of a sample are adjacent:
# a visit then waits for memory once, not once per column.
MAX_COPIED_SAMPLES = 2**24
# Copying this many numbers takes a tenth of a millisecond.
CHEAPLY_COPIED_NUMBERS = 2**16
# Copying up to MAX_COPIED_NUMBERS numbers pays off from PASSES_WORTH_A_COPY passes over the samples on: it takes as
# long as two to four passes, and each pass is 10 to 20 % faster afterwards.
PASSES_WORTH_A_COPY, MAX_COPIED_NUMBERS = 20, 2**22
Samples = tuple[tuple[Floats, ...], Floats]


def check_samples(model: Model, x: Inputs, y: ArrayLike) -> tuple[tuple[Floats, ...], Floats]:
    """Return the inputs as contiguous columns, and y, without a copy if they already are.

    Parameters
    ----------
    x : array, shape (n,) or (n, inputs), or a table
        See `sgdbench.kernels.base.columns`.
    y : array, shape (n,)
    """
    columns = model.columns(x)
    target = np.ascontiguousarray(check_array("y", y))
    shape = columns[0].shape if columns else (target.size,)
    if shape == (0,):
        raise ValueError(f"{'x' if target.size else 'x and y'} must hold at least one sample, not none")
    if target.shape != shape:
        raise ValueError(f"y must have shape {shape}, one value for each sample of x, not {np.shape(y)}")
    for name, column in zip((*model.inputs, "y"), (*columns, target), strict=True):
        row = find_non_finite(column)
        if row is not None:
            where = name if name == "y" or len(columns) > 1 else "x"
            raise ValueError(f"{where} must be finite, and is {column[row]} in {describe_row(row)}")
    return columns, target


def find_non_finite(column: Floats) -> int | None:
    """Return the first index of a nan or an infinity; the search is in pieces, for memory maps of any size."""
    for first in range(0, column.size, NUMBERS_AT_A_TIME):
        finite = np.isfinite(column[first : first + NUMBERS_AT_A_TIME])
        if not finite.all():
            return first + int(np.argmin(finite))
    return None


def check_batch_size(batch_size: int | str, n: int) -> int:
    """Return the batch size in samples, from 1 to n; "full" means n."""
    if isinstance(batch_size, str) and batch_size == "full":
        return n
    if is_whole(batch_size) and 1 <= batch_size <= n:
        return int(batch_size)
    raise ValueError(
        f'batch_size must be "full" or a whole number from 1 to the {n} samples, not {describe(batch_size)}'
    )


def allocate_data(
    columns: tuple[Floats, ...],
    y: Floats,
    *,
    shuffle: bool | BlockShuffle = False,
    batch_size: int | None = None,
    validation: Samples | None = None,
    dtype: str = "float64",
    by_row: bool = False,
    passes: int = 1,
) -> Data:
    """Return the samples with space for their visiting order.

    Parameters
    ----------
    columns : tuple of array, shape (n,)
    y : array, shape (n,)
    shuffle : bool or BlockShuffle
    batch_size : int, optional
        Samples per update; all of them by default.
    validation : tuple, optional
        Samples that are not trained on: the inputs, one array each, and y.
    dtype : str
        The type that samples are rounded to and runs compute with: ``"float64"`` or ``"float32"``.
    by_row : bool
        Whether the inputs of a sample are adjacent, for models with vectors: one array of rows.
    passes : int
        How often the samples are visited, which decides whether it pays to align their rows by a copy.
    """
    size = batch_size or y.size
    held_out = validation or (tuple(np.empty(0) for _ in columns), np.empty(0))
    columns, held_out_x = (
        tuple(to_dtype(f"the input {k}", column, dtype) for k, column in enumerate(x, 1))
        for x in (columns, held_out[0])
    )
    targets = to_dtype("y", y, dtype), to_dtype("y", held_out[1], dtype)
    if by_row:
        rows, held_out_rows = (lay_in_rows(x, dtype, passes) for x in (columns, held_out_x))
        order = allocate_order(y.size, shuffle, size)
        return Data((rows,), targets[0], order, (rows,), targets[0], (held_out_rows,), targets[1])
    # Kernels require contiguous columns, and those of a problem may be views of rows.
    columns, held_out_x = (tuple(map(_at_cache_line, x)) for x in (columns, held_out_x))
    targets = _at_cache_line(targets[0]), _at_cache_line(targets[1])
    shuffled, stride = (*columns, targets[0]), 1
    in_blocks = isinstance(shuffle, BlockShuffle)
    if (
        shuffle
        and not in_blocks
        and CACHED_SAMPLES < y.size <= MAX_COPIED_SAMPLES
        and len(shuffled) * y.size < MAX_PLACES
    ):
        stride = len(shuffled)
        rows = lay_in_rows(shuffled, dtype)
        shuffled = tuple(rows[place:] for place in range(stride))
    order = allocate_order(y.size, shuffle, size, stride)
    return Data(columns, targets[0], order, shuffled[:-1], shuffled[-1], held_out_x, targets[1])


def _at_cache_line(column: Floats) -> Floats:
    """Return a contiguous column that begins at a cache line if it is short enough to be copied at no cost.

    Vectors of eight samples that straddle two cache lines make a single run in batches up to a third slower.
    """
    column = np.ascontiguousarray(column)
    if column.size > CHEAPLY_COPIED_NUMBERS or not column.ctypes.data % CACHE_LINE:
        return column
    copy = allocate_aligned(column.size, column.dtype.name)
    copy[:] = column
    return copy


def lay_in_rows(columns: tuple[Floats, ...], dtype: str = "float64", passes: int = 1) -> Floats:
    """Return the inputs as one array of rows.

    Columns of such an array are not copied, unless the rows are misaligned, could be aligned to cache lines, and are
    few or visited often: vectors that straddle two lines make a single run with 784 inputs a fifth slower.
    """
    n, count = columns[0].size, len(columns)
    joined = _rows_of_columns(columns)
    if joined is not None:
        row, first = count * joined.itemsize, joined.ctypes.data
        most = MAX_COPIED_NUMBERS if passes >= PASSES_WORTH_A_COPY else CHEAPLY_COPIED_NUMBERS
        if row % CACHE_LINE or not first % CACHE_LINE or joined.size > most:
            return joined
    rows = allocate_aligned(n * count, dtype)
    if joined is not None:
        rows[:] = joined
    else:
        for place, column in enumerate(columns):
            rows[place::count] = column
    return rows


def _rows_of_columns(columns: tuple[Floats, ...]) -> Floats | None:
    """Return the array of rows that these columns are views of; None if there is none."""
    base, count = columns[0].base, len(columns)
    if not (isinstance(base, np.ndarray) and base.flags.c_contiguous and base.dtype == columns[0].dtype):
        return None
    width, size = base.itemsize, count * columns[0].size
    first = (columns[0].ctypes.data - base.ctypes.data) // width
    if first + size > base.size or not all(
        column.base is base
        and column.strides == (width * count,)
        and column.ctypes.data - base.ctypes.data == width * place
        for place, column in enumerate(columns, first)
    ):
        return None
    return base.reshape(-1)[first : first + size]


def to_dtype(name: str, values: Floats, dtype: str) -> Floats:
    """Return finite numbers rounded to float64 or float32, without a copy if they already are."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    place = None if dtype == "float64" else find_non_finite(rounded)
    if place is not None:
        raise ValueError(
            f"{name} must lie within the range of float32, up to 3.4e38, with dtype 'float32', and is "
            f"{values[place]:g} in {describe_row(place)}"
        )
    return rounded
