"""The samples of a run: checked, as columns, with room for their visiting order."""

import numpy as np
from numpy.typing import ArrayLike

from kernels.base.checks import check_array, describe, describe_row, is_whole
from kernels.base.columns import Inputs
from kernels.base.run import CACHE_LINE, Data, Floats, allocate_aligned
from kernels.data.order import MANY, PLACES, BlockShuffle, allocate_order
from kernels.model.model import Model

CHUNK = 1_000_000
# Many samples that are all shuffled, up to this number, are copied, so that the numbers of a sample lie side by side:
# then it waits once for memory, and not once for each column.
MOST_SHUFFLED = 2**24
# The numbers that are copied in a tenth of a millisecond.
FEW = 2**16
# With as many passes over the samples, of at most as many numbers, copying them pays: it takes as long as two to four
# passes, of which each is a tenth to a fifth faster afterwards.
MANY_PASSES, MOST_COPIED = 20, 2**22
Samples = tuple[tuple[Floats, ...], Floats]


def check_samples(model: Model, x: Inputs, y: ArrayLike) -> tuple[tuple[Floats, ...], Floats]:
    """Return the inputs as contiguous columns, and y, without a copy where they are that already.

    Parameters
    ----------
    x : array, shape (n,) or (n, inputs), or a table
        See `kernels.base.columns`.
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
    """Return the first place of a nan or an infinity; in pieces, so that a memory map of any size can be searched."""
    for first in range(0, column.size, CHUNK):
        finite = np.isfinite(column[first : first + CHUNK])
        if not finite.all():
            return first + int(np.argmin(finite))
    return None


def check_batch_size(batch_size: int | str, n: int) -> int:
    """Return the batch size in samples, from 1 to n; "full" is all n of them."""
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
    """Return the samples with room for their visiting order.

    Parameters
    ----------
    columns : tuple of array, shape (n,)
    y : array, shape (n,)
    shuffle : bool or BlockShuffle
    batch_size : int, optional
        Samples per update, all of them by default.
    validation : tuple, optional
        The inputs, one array for each, and y of samples that are not trained on.
    dtype : str
        The type that they are rounded to, with which runs on them compute: ``"float64"`` or ``"float32"``.
    by_row : bool
        Whether the inputs of a sample lie side by side, for models with vectors: one array, of one row after another.
    passes : int
        How often the samples are visited, which decides whether it pays to copy their rows to cache lines.
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
    # Kernels take columns to be contiguous, and those of a problem may be views of rows.
    columns, held_out_x = (tuple(map(_at_cache_line, x)) for x in (columns, held_out_x))
    targets = _at_cache_line(targets[0]), _at_cache_line(targets[1])
    shuffled, stride = (*columns, targets[0]), 1
    in_blocks = isinstance(shuffle, BlockShuffle)
    if shuffle and not in_blocks and MANY < y.size <= MOST_SHUFFLED and len(shuffled) * y.size < PLACES:
        stride = len(shuffled)
        rows = lay_in_rows(shuffled, dtype)
        shuffled = tuple(rows[place:] for place in range(stride))
    order = allocate_order(y.size, shuffle, size, stride)
    return Data(columns, targets[0], order, shuffled[:-1], shuffled[-1], held_out_x, targets[1])


def _at_cache_line(column: Floats) -> Floats:
    """Return a contiguous column that begins at a cache line, if it is short enough for a copy to take no time.

    Vectors of eight samples that lie across two lines take a single run in batches up to a third longer.
    """
    column = np.ascontiguousarray(column)
    if column.size > FEW or not column.ctypes.data % CACHE_LINE:
        return column
    copy = allocate_aligned(column.size, column.dtype.name)
    copy[:] = column
    return copy


def lay_in_rows(columns: tuple[Floats, ...], dtype: str = "float64", passes: int = 1) -> Floats:
    """Return the inputs as one array, of one row after another.

    Columns of such an array are not copied, unless they are few, or visited often, and their rows could begin at cache
    lines and do not: to read vectors that lie across two lines takes a single run of 784 inputs a fifth longer.
    """
    n, count = columns[0].size, len(columns)
    found = _rows_of_columns(columns)
    if found is not None:
        row, first = count * found.itemsize, found.ctypes.data
        most = MOST_COPIED if passes >= MANY_PASSES else FEW
        if row % CACHE_LINE or not first % CACHE_LINE or found.size > most:
            return found
    rows = allocate_aligned(n * count, dtype)
    if found is not None:
        rows[:] = found
    else:
        for place, column in enumerate(columns):
            rows[place::count] = column
    return rows


def _rows_of_columns(columns: tuple[Floats, ...]) -> Floats | None:
    """Return the array whose columns these are, of one row after another; None where there is none."""
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
    """Return finite numbers rounded to float64 or float32; without a copy where they are that already."""
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
