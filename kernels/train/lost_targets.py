"""Detection of zero losses caused by cancellation, when parameters are so large that rounding absorbs the targets."""

import numpy as np

from sgdbench.kernels.base.run import Data, Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model

# Parameters below this do not absorb the targets.
LARGE_PARAM = 1e6
# The number of samples checked.
CHECKED_SAMPLES = 1000


def first_spurious_zero(model: Model, loss: Loss, params: Floats, data: Data, losses: Floats) -> int | None:
    """Return the first checkpoint from which a run's loss is a spurious 0; None if its last loss is correct.

    With a learning rate that is too high, the terms of a model may grow until y is lost in (c - y) + a*sin(x - p), and
    then cancel. From there on all residuals and gradients are 0, and the predictions are off by the targets.

    Parameters
    ----------
    params : array, shape (P,)
        The parameters at the end.
    losses : array, shape (checkpoints reached + 1,)
    """
    if losses[-1] != 0 or not loss.of_residual or not np.abs(params).max() > LARGE_PARAM:
        return None
    y = data.y[:CHECKED_SAMPLES]
    columns = data.x[0].reshape(data.y.size, -1).T if model.by_row else data.x
    columns = tuple(column[:CHECKED_SAMPLES] for column in columns)
    with np.errstate(all="ignore"):
        residuals = model.predict_columns(params, columns) - y, -y
        mean, nothing = (np.mean(loss.recorded(loss.arguments(residual, y))) for residual in residuals)
    if mean <= nothing / 2:
        return None
    return int(np.append(-1, np.flatnonzero(losses))[-1]) + 1
