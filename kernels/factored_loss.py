"""The sum of squared residuals of a linear model out of the QR factor of its samples: |R theta - q|^2 + rho^2.

Written in the way of `loops`, and bound with it. The parameters of the runs lie in memory,
those of SIDE runs side by side for each of the PARAMS parameters, from `start` on.
"""

from kernels.lanes import read_lane

PARAMS: int
SIDE: int


def sum_of_squares(factor, run, cells, start):
    """Return the sum of the squared residuals; `run` is 1, or 0 in a place that has no run."""
    rest = factor[PARAMS, PARAMS] * run
    total = rest * rest
    for i in range(PARAMS):
        part = residual_part(factor, run, cells, start, i)
        total = total + part * part
    return total


def residual_part(factor, run, cells, start, i):
    """Return an element of R theta - q, and of R theta alone where `run` is 0."""
    part = -factor[i, PARAMS] * run
    for j in range(i, PARAMS):
        part = part + factor[i, j] * read_lane(cells, start + j * SIDE, SIDE)
    return part
