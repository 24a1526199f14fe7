"""The samples of a model that is linear in its parameters: the rows of its design, and their QR factor for the loss."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from kernels.columns import stack_columns
from kernels.program import Program, evaluate
from kernels.run import Data, FactoredData, Floats

MAX_PARAMS = 12
"""Of a model whose losses come from a factor; with many more, the samples are faster."""
# Rows that are factored at a time: as long as they stay in the caches LAPACK takes 8 ns for a row of four, beyond 50.
CHUNK = 8192


def make_rows(program: Program, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return the design and the targets side by side, shape (n, P + 1)."""
    rows = np.empty((y.size, program.params + 1))
    with np.errstate(all="ignore"):
        # At parameters of 0 the residual is -t.
        residual, derivatives = evaluate(program, np.zeros(program.params), stack_columns(x, y.size), y)
    for k, derivative in enumerate(derivatives):
        rows[:, k] = derivative
    np.negative(residual, out=rows[:, -1])
    return rows


def triangle_of_pieces(pieces: Iterable[Floats]) -> Floats:
    """Return the upper triangle of the QR decomposition of rows, square: with rows of zeros where there are few rows.

    Where a number is not finite, none of the triangle is.

    Parameters
    ----------
    pieces : iterable of array, shape (any, columns)
        All rows, some at a time.
    """
    # Freed at once: from then on glibc keeps memory of up to this size, where it would give back and get anew the pages
    # of every piece, which takes longer than to factor it.
    np.empty(2**21)
    factor: Floats = np.empty((0, 0))
    for rows in chain.from_iterable(map(_cut, pieces)):
        stacked = np.concatenate([factor, rows]) if factor.size else rows
        size = rows.shape[1]
        if not np.isfinite(stacked).all():
            return np.full((size, size), np.nan)
        part = np.linalg.qr(stacked, mode="r")
        factor = np.zeros((size, size))
        factor[: len(part)] = part
    return factor


def has_factor(program: Program, *, squared: bool) -> bool:
    """Return whether the squared residual is recorded of a model that is linear in few parameters.

    Then a factor has the sum of the squares, whatever the optimizer needs besides.
    """
    return squared and program.is_linear and program.params <= MAX_PARAMS


def make_factor(program: Program, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return the triangle of samples, without the memory that all their rows would take; empty if it is not finite."""
    parts = (slice(first, first + CHUNK) for first in range(0, y.size, CHUNK))
    factor = triangle_of_pieces(make_rows(program, tuple(column[part] for column in x), y[part]) for part in parts)
    return factor if np.isfinite(factor).all() else np.zeros((0, 0))


def add_factors(program: Program, data: Data) -> FactoredData:
    """Return the samples with their QR factors; without any where one of them is not finite."""
    factor = held_out = make_factor(program, data.x, data.y)
    if data.validation_y.size:
        held_out = make_factor(program, data.validation_x, data.validation_y)
    return FactoredData(*data, factor, held_out) if factor.size and held_out.size else FactoredData(*data)


def _cut(rows: Floats) -> Iterator[Floats]:
    return (rows[first : first + CHUNK] for first in range(0, len(rows), CHUNK))
