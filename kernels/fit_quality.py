"""How good a fit is: standard errors and correlations of its parameters, and how far it is from the best there is.

With the Jacobian J of the model at the end of a run, n samples, P parameters and the residuals r, the covariance of the
parameters is s**2 (J^T J)**-1 with s**2 = sum(r**2) / (n - P): D. M. Bates, D. G. Watts, Nonlinear Regression Analysis
and Its Applications (1988), chapter 2. It holds where a run has arrived at a minimum of the squared loss.
"""

from dataclasses import dataclass

import numpy as np

from kernels.model import Model
from kernels.program import evaluate
from kernels.run import Floats


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What the data say of the parameters at the end of a run.

    Attributes
    ----------
    stderr : array, shape (P,)
        Standard errors; nan where there are none.
    correlation : array, shape (P, P)
    reason : str
        Why there are none; empty where there are.
    """

    stderr: Floats
    correlation: Floats
    reason: str = ""


def estimate_uncertainty(model: Model, params: Floats, x: tuple[Floats, ...], y: Floats) -> Uncertainty:
    """Return the standard errors and correlations of parameters, by the Jacobian of the model there.

    Parameters
    ----------
    model : Model
    params : array, shape (P,)
    x : tuple of array, shape (n,)
        One for each input.
    y : array, shape (n,)
    """
    size = params.size
    if y.size <= size:
        return unknown(size, f"{y.size} samples leave no freedom for {size} parameters")
    with np.errstate(all="ignore"):
        residual, derivatives = evaluate(model.program, params, np.stack(x), y)
    jacobian = np.stack([np.broadcast_to(derivative, y.shape) for derivative in derivatives], axis=1)
    if not (np.isfinite(residual).all() and np.isfinite(jacobian).all()):
        return unknown(size, "the residuals or their derivatives are not finite")
    # Columns of one length, so that what is called singular does not depend on units.
    scale = np.sqrt(np.add.reduce(jacobian * jacobian))
    if not scale.all():
        return unknown(size, f"the samples say nothing of {model.params[int(np.argmin(scale))]}")
    _, singular, directions = np.linalg.svd(jacobian / scale, full_matrices=False)
    if singular[-1] <= singular[0] * y.size * np.finfo(float).eps:
        return unknown(size, "the samples do not tell the parameters apart: the matrix J^T J is singular")
    half = directions / singular[:, np.newaxis] / scale
    inverse = half.T @ half
    deviation = np.sqrt(np.add.reduce(residual * residual) / (y.size - size))
    norm = np.sqrt(np.diag(inverse))
    return Uncertainty(deviation * norm, inverse / np.outer(norm, norm))


def unknown(params: int, reason: str) -> Uncertainty:
    """Return the uncertainty of that many parameters of which nothing is known, with the reason."""
    return Uncertainty(np.full(params, np.nan), np.full((params, params), np.nan), reason)


def least_squares(model: Model, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return the parameters of the least squares, shape (P,), of a model linear in them.

    Raises
    ------
    ValueError
        If the model is not linear in its parameters.
    """
    params, *_ = np.linalg.lstsq(*model.linear_system(np.stack(x, axis=1), y), rcond=None)
    return params.astype(np.float64, copy=False)
