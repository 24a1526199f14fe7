"""The QR factor of the samples of a linear model, from which losses are computed in place of a pass over the samples.

The sum of the squared residuals of a model that is linear in its parameters is |R (theta, -1)|^2, where R is the upper
triangle of the QR decomposition of the design and the targets side by side. Unlike the normal equations it does not
square the condition of the design (G. H. Golub, Numerical methods for solving linear least squares problems, 1965).
The computed R is that of samples perturbed by a few eps of their size, so that the root of the sum is off by about

    eps * |R| * |(theta, -1)|

(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2002, theorem 19.4). The loss is within 1e-12 of the sum
over the samples as long as residuals are above a thousandth of the numbers that they are the difference of.
"""

import numpy as np

from kernels.base.run import Data, Floats
from kernels.compile.kinds import KERNELS
from kernels.compile.lane_width import lane_width
from kernels.losses.loss import Loss
from kernels.model.linear_data import CHUNK, make_rows, triangle_of_pieces
from kernels.model.model import Model
from kernels.model.program import Program

# With many more parameters, a pass over the samples is faster.
MAX_PARAMS = 12
# A factor takes about as long as this many passes of one run over the samples; runs side by side share it.
PASSES = 1024


def has_factor(program: Program, *, squared: bool) -> bool:
    """Return whether the recorded loss of a model is a sum of squares that a factor has."""
    return squared and program.is_linear and program.params <= MAX_PARAMS


def takes_factor(kernel: str, model: Model, loss: Loss, losses: int) -> bool:
    """Return whether a kernel takes the losses of a run, of which there are `losses`, from a factor.

    It does not depend on the number of runs: a run has the same losses whatever is trained beside it.
    """
    kind = KERNELS[kernel]
    if not (kind.fma and kind.width > 1 and has_factor(model.program, squared=loss.is_squared)):
        return False
    return losses * lane_width(kernel, "float64", model.program, loss) >= PASSES


def with_factors(kernel: str, model: Model, loss: Loss, data: Data, losses: int) -> Data:
    """Return the samples with their factors where a kernel takes losses from them."""
    if data.factors.size or not takes_factor(kernel, model, loss, losses):
        return data
    return data._replace(factors=make_factors(model.program, data))


def make_factors(program: Program, data: Data) -> Floats:
    """Return the factors of samples and of those held out, if any, shape (1 or 2, P + 1, P + 1).

    There are none where a number is not finite.
    """
    factors = [_make_factor(program, data.x, data.y)]
    if data.validation_y.size:
        factors.append(_make_factor(program, data.validation_x, data.validation_y))
    return np.array(factors) if np.isfinite(factors).all() else np.zeros((0, 0, 0))


def _make_factor(program: Program, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return the triangle of samples, without the memory that all rows of the design would take."""
    parts = (slice(first, first + CHUNK) for first in range(0, y.size, CHUNK))
    return triangle_of_pieces(make_rows(program, tuple(column[part] for column in x), y[part]) for part in parts)
