"""The quality of a fit: standard errors and correlations of its parameters, and least squares for comparison.

With the Jacobian J of the model at the end of a run, n samples, P parameters and the residuals r, the covariance of the
parameters is s**2 (J^T J)**-1 with s**2 = sum(r**2) / (n - P): D. M. Bates, D. G. Watts, Nonlinear Regression Analysis
and Its Applications (1988), chapter 2. This assumes that the run has converged to a minimum of the squared loss.
"""

from dataclasses import dataclass

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.pieces import in_pieces
from sgdbench.kernels.data.samples import Samples
from sgdbench.kernels.model.linear_data import make_rows, triangle_of_pieces
from sgdbench.kernels.model.model import Model


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """The standard errors and correlations of the parameters at the end of a run.

    Attributes
    ----------
    stderr : array, shape (P,)
        Standard errors; nan if not available.
    correlation : array, shape (P, P)
    reason : str
        Why they are not available; else empty.
    """

    stderr: Floats
    correlation: Floats
    reason: str = ""


@np.errstate(all="ignore")  # squares may overflow
def estimate_uncertainty(model: Model, params: Floats, samples: Samples) -> Uncertainty:
    """Return the standard errors and correlations of parameters, from the QR factor of the Jacobian."""
    size, n = params.size, samples[1].size
    if n <= size:
        return unknown(size, f"there must be more samples than parameters, not {n} for {size}")
    # The residual is appended as a column; its norm equals the norm of the factor's last column.
    factor = triangle_of_pieces(make_rows(model.program, x, y, params) for x, y in in_pieces(samples))
    if not np.isfinite(factor).all():
        return unknown(size, "the residuals or their derivatives are not finite")
    jacobian, residual = factor[:, :-1], factor[:, -1]
    # Columns are scaled to one norm, so that the rank does not depend on units.
    scale = np.sqrt(np.add.reduce(jacobian * jacobian))
    if not scale.all():
        return unknown(size, f"the data do not identify {model.params[int(np.argmin(scale))]}")
    _, singular, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    if singular[-1] <= singular[0] * n * np.finfo(float).eps:
        return unknown(size, "the data do not identify all parameters: the matrix J^T J is singular")
    half = directions / singular[:, np.newaxis]
    inverse = half.T @ half
    deviation = np.sqrt(np.add.reduce(residual * residual) / (n - size))
    norm = np.sqrt(np.diag(inverse))
    return Uncertainty(deviation * norm / scale, inverse / np.outer(norm, norm))


def unknown(params: int, reason: str) -> Uncertainty:
    """Return an unknown uncertainty of that many parameters, with the reason."""
    return Uncertainty(np.full(params, np.nan), np.full((params, params), np.nan), reason)


def least_squares(model: Model, samples: Samples) -> tuple[Floats, float]:
    """Return the best parameters of a linear model and their mean squared residual, in one pass over the samples.

    All are nan if the model is not finite at a sample, such as `a*log(x)` at 0.
    """
    params = len(model.params)
    model.check_linear()
    factor = triangle_of_pieces(make_rows(model.program, x, y) for x, y in in_pieces(samples))
    if not np.isfinite(factor).all():
        return np.full(params, np.nan), np.nan
    design, targets = factor[:, :-1], factor[:, -1]
    solution = solve_least_squares(design, targets, samples[1].size)
    residual = design @ solution - targets
    return solution, float(residual @ residual / samples[1].size)


def solve_least_squares(design: Floats, targets: Floats, samples: int) -> Floats:
    """Return the least-squares parameters for a finite design matrix, or for the triangle of `samples` rows."""
    # Columns are scaled to one size, so that the rank does not depend on units.
    scale = np.abs(design).max(axis=0, initial=0.0)
    scale[scale == 0] = 1.0
    rcond = np.finfo(float).eps * max(samples, scale.size)
    solution: Floats = np.linalg.lstsq(design / scale, targets, rcond=rcond)[0] / scale
    return solution
