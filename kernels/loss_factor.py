"""Where losses come from the QR factor of the samples, made once, in place of a pass over the samples at each mark.

The sum of the squared residuals of a model that is linear in its parameters is |R (theta, -1)|^2, with the triangle R
of the samples (`kernels.linear_data`). The triangle that is computed is that of samples which are off by a few eps
of their size, so that the root of the sum is off by about

    eps * |R| * |(theta, -1)|,

and the loss, relatively, by twice that over the root. It is within 1e-12 of a sum over the samples where residuals are
a thousandth of what they are the difference of. N. J. Higham, Accuracy and Stability of Numerical Algorithms (2002),
theorem 19.4.
"""

from kernels.agreement import KERNELS
from kernels.lane_width import lane_width
from kernels.linear_data import add_factors, has_factor
from kernels.loss import Loss
from kernels.model import Model
from kernels.run import Data, FactoredData, Floats, Hyperparameters

# A factor takes as long as about so many passes over the samples, for one run; those side by side share it. One run
# alone would gain little, since its updates wait for each other and its passes do not.
PASSES = 1024


def may_take_factor(kernel: str, model: Model, loss: Loss) -> bool:
    """Return whether a kernel is compiled for losses from a factor."""
    side_by_side = KERNELS[kernel].fma and KERNELS[kernel].width > 1
    return side_by_side and has_factor(model.program, squared=loss.is_squared)


def takes_factor(kernel: str, model: Model, loss: Loss, losses: int) -> bool:
    """Return whether a kernel takes so many losses of a run from a factor.

    It does not depend on how many runs there are: a run has the same losses in any company.
    """
    width = lane_width(kernel, "float64", model.program, loss)
    return may_take_factor(kernel, model, loss) and losses * width >= PASSES


def with_factors(
    kernel: str,
    model: Model,
    loss: Loss,
    data: Data,
    hyper: Hyperparameters,
    factors: tuple[Floats, Floats] | None = None,
) -> Data | FactoredData:
    """Return samples as a kernel takes them: with their factors, if it takes any.

    Parameters
    ----------
    kernel : str
    model : Model
    loss : Loss
    data : Data
    hyper : Hyperparameters
        With marks.
    factors : pair of array, shape (P + 1, P + 1), optional
        Those of the samples and of those held out, where they have been made.
    """
    if not may_take_factor(kernel, model, loss):
        return data
    if not takes_factor(kernel, model, loss, hyper.marks.size):
        return FactoredData(*data)
    return FactoredData(*data, *factors) if factors else add_factors(model.program, data)
