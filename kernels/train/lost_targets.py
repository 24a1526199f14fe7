"""Losses of 0 that rounding makes where parameters have grown so far that targets are lost beside them."""

import numpy as np

from kernels.base.run import Data, Floats
from kernels.losses.loss import Loss
from kernels.model.model import Model

# Parameters below this leave the targets what they are.
LARGE = 1e6
# Samples that are looked at.
MOST = 1000


def lost_since(model: Model, loss: Loss, params: Floats, data: Data, losses: Floats) -> int | None:
    """Return the first checkpoint from which on a run's loss is 0 by rounding alone; None where its last loss is right.

    The terms of a model may grow until y is lost in (c - y) + a*sin(x - p), and then cancel: so does a run with a rate
    that is too high. All residuals and gradients are 0 from there on, and the predictions are off by the targets.

    Parameters
    ----------
    params : array, shape (P,)
        At the end.
    losses : array, shape (checkpoints reached + 1,)
    """
    if losses[-1] != 0 or not loss.of_residual or not np.abs(params).max() > LARGE:
        return None
    y = data.y[:MOST]
    columns = data.x[0].reshape(data.y.size, -1).T if model.by_row else data.x
    columns = tuple(column[:MOST] for column in columns)
    with np.errstate(all="ignore"):
        residuals = model.predict_columns(params, columns) - y, -y
        found, nothing = (np.mean(loss.recorded(loss.arguments(residual, y))) for residual in residuals)
    if found <= nothing / 2:
        return None
    return int(np.append(-1, np.flatnonzero(losses))[-1]) + 1
