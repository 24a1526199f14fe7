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
from kernels.run import Data, Hyperparameters

# A factor takes as long as about so many passes over the samples, for one run; those side by side share it.
PASSES = 1024


def takes_factor(kernel: str, model: Model, loss: Loss, losses: int) -> bool:
    """Return whether a kernel takes so many losses of a run from a factor.

    It does not depend on how many runs there are: a run has the same losses in any company.
    """
    takes = KERNELS[kernel].fma and loss.of_residual and has_factor(model.program)
    return takes and losses * lane_width(kernel, "float64", model.program, loss) >= PASSES


class LossFactors:
    """Adds factors to the samples that a kernel is given, once for the same samples.

    Parameters
    ----------
    kernel : str
    model : Model
    loss : Loss
    """

    def __init__(self, kernel: str, model: Model, loss: Loss) -> None:
        self.kernel, self.model, self.loss = kernel, model, loss
        self._given: Data | None = None
        self._made: Data | None = None

    def __call__(self, data: Data, hyper: Hyperparameters) -> Data:
        """Return the samples with their factors, where losses come from those and they are not there yet.

        Parameters
        ----------
        data : Data
        hyper : Hyperparameters
            With marks.
        """
        if data.factor.size or not takes_factor(self.kernel, self.model, self.loss, hyper.marks.size):
            return data
        if data is not self._given or self._made is None:
            self._given, self._made = data, add_factors(self.model.program, data)
        return self._made
