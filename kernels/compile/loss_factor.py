"""The QR factor of the samples of a linear model, from which losses are computed without a pass over the samples.

The sum of the squared residuals of a model that is linear in its parameters is |R (theta, -1)|^2, where R is the upper
triangle of the QR decomposition of the design and the targets side by side. Unlike the normal equations it does not
square the condition of the design (G. H. Golub, Numerical methods for solving linear least squares problems, 1965).
The computed R is that of samples perturbed by a few eps of their size, so that the root of the sum is off by about

    eps * |R| * |(theta, -1)|

(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2002, theorem 19.4). The loss is within 1e-12 of the sum
over the samples as long as residuals are above a thousandth of the numbers that they are the difference of.
"""

import numpy as np

from sgdbench.kernels.base.run import Data, Floats
from sgdbench.kernels.compile.kinds import takes_factor
from sgdbench.kernels.data.pieces import in_pieces
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.linear_data import make_rows, triangle_of_pieces
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program


def with_factors(kernel: str, model: Model, loss: Loss, data: Data, losses: int) -> Data:
    """Return the samples with their factors if a kernel computes losses from them."""
    if data.factors.shape[1] or not takes_factor(kernel, model, loss, losses):
        return data
    return data._replace(factors=make_factors(model.program, data))


def make_factors(program: Program | Network, data: Data) -> Floats:
    """Return the factors of the training samples and of the held-out ones, if any, shape (1 or 2, P + 1, P + 1).

    If a number is not finite, the shape is (0, P + 1, P + 1), as opposed to (0, 0, 0) of factors never computed.
    """
    parts = [(data.x, data.y)]
    if data.validation_y.size:
        parts.append((data.validation_x, data.validation_y))
    factors = [triangle_of_pieces(make_rows(program, x, y) for x, y in in_pieces(part)) for part in parts]
    array = np.array(factors)
    return array if np.isfinite(array).all() else array[:0]
