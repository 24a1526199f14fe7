"""The design of a model that is linear in its parameters, and the QR decomposition of many rows."""

from collections.abc import Iterable

import numpy as np

from kernels.base.columns import stack_columns
from kernels.base.run import Floats
from kernels.model.evaluate import evaluate
from kernels.model.network import Network
from kernels.model.program import Program

# Rows that are factored at a time: LAPACK takes 8 ns for a row of four in the caches, and 50 beyond.
CHUNK = 8192


def make_rows(program: Program | Network, x: tuple[Floats, ...], y: Floats, theta: Floats | None = None) -> Floats:
    """Return the derivatives by the parameters and, as a last column, the negative residual, shape (n, P + 1).

    At parameters of 0, where they are without `theta`, those of a linear model are the design and the targets.
    """
    rows = np.empty((y.size, program.params + 1))
    theta = np.zeros(program.params) if theta is None else theta
    with np.errstate(all="ignore"):
        residual, derivatives = evaluate(program, theta, stack_columns(x, y.size), y)
    for k, derivative in enumerate(derivatives):
        rows[:, k] = derivative
    np.negative(residual, out=rows[:, -1])
    return rows


def triangle_of_pieces(pieces: Iterable[Floats]) -> Floats:
    """Return the upper triangle of the QR decomposition of rows, square: with rows of zeros if there are few rows.

    If a number is not finite, none of the triangle is.

    Parameters
    ----------
    pieces : iterable of array, shape (any, columns)
        All rows, some at a time.
    """
    # Freed at once: from then on glibc keeps memory of up to this size. To get the pages of every piece anew would take
    # longer than to factor it.
    np.empty(2**21)
    factor: Floats = np.empty((0, 0))
    for rows in (piece[first : first + CHUNK] for piece in pieces for first in range(0, len(piece), CHUNK)):
        stacked = np.concatenate([factor, rows]) if factor.size else rows
        size = rows.shape[1]
        if not np.isfinite(stacked).all():
            return np.full((size, size), np.nan)
        part = np.linalg.qr(stacked, mode="r")
        factor = np.zeros((size, size))
        factor[: len(part)] = part
    return factor
