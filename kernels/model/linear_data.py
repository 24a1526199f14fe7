"""The design matrix of a model that is linear in its parameters, and the QR decomposition of many rows."""

from collections.abc import Iterable

import numpy as np

from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program

# The rows factored at a time: LAPACK takes 8 ns for a row of four within the caches, and 50 ns beyond.
ROWS_AT_A_TIME = 8192


def make_rows(program: Program | Network, x: tuple[Floats, ...], y: Floats, theta: Floats | None = None) -> Floats:
    """Return the derivatives with respect to the parameters and, in a last column, the negative residual.

    The shape is (n, P + 1). At parameters of 0, the default, the rows of a linear model are its design and the targets.
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
    """Return the square upper triangle of the QR decomposition of rows, padded with zero rows if there are few.

    If any number is not finite, the whole triangle is not.

    Parameters
    ----------
    pieces : iterable of array, shape (any, columns)
        All rows, some at a time.
    """
    # After freeing a block of this size, glibc keeps memory of up to this size. Requesting the pages of every piece
    # anew would take longer than factoring it.
    np.empty(2**21)
    factor: Floats = np.empty((0, 0))
    for rows in (
        piece[first : first + ROWS_AT_A_TIME] for piece in pieces for first in range(0, len(piece), ROWS_AT_A_TIME)
    ):
        stacked = np.concatenate([factor, rows]) if factor.size else rows
        size = rows.shape[1]
        if not np.isfinite(stacked).all():
            return np.full((size, size), np.nan)
        part = np.linalg.qr(stacked, mode="r")
        factor = np.zeros((size, size))
        factor[: len(part)] = part
    return factor
