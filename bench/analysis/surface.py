"""The loss as a function of the parameters, for figures."""

from collections.abc import Callable

import numpy as np

from sgdbench.data.table import Dataset
from sgdbench.kernels import Model
from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.losses.loss import Loss

# More samples do not visibly change the surface; VALUES_AT_A_TIME values are computed at a time.
MAX_SAMPLES, VALUES_AT_A_TIME = 500, 200_000


def loss_surface(model: Model, loss: Loss, data: Dataset) -> Callable[[Floats], Floats]:
    """Return the loss as a function of the parameters, over at most five hundred evenly spaced samples.

    It maps parameters, shape (k, P), to recorded losses, shape (k,); losses that overflow are not finite.
    """
    columns, y = check_samples(model, data.x, data.y)
    some = np.linspace(0, y.size - 1, min(y.size, MAX_SAMPLES)).round().astype(int)
    x, y = tuple(column[some] for column in columns), y[some]
    step = max(1, VALUES_AT_A_TIME // y.size)

    def losses(params: Floats) -> Floats:
        mean_losses = np.empty(len(params))
        for first in range(0, len(params), step):
            theta = params[first : first + step].T[:, :, np.newaxis]
            with np.errstate(all="ignore"):
                loss_arguments, _ = loss.evaluate(model.program, theta, stack_columns(x, y.size), y)
                mean_losses[first : first + step] = np.mean(loss.recorded(loss_arguments), axis=-1)
        return mean_losses

    return losses
