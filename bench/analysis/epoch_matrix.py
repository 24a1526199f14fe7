"""The matrix of one epoch of a linear model, for many learning rates at once.

With f(x; theta) = f(x; 0) + x_i^T theta and the squared loss, a batch b moves the distance d = theta - theta* to the
solution by

    d <- d - lr * (H_b d - noise),    H_b = mean over the batch of x_i x_i^T,

and momentum adds a velocity, which is linear in d and itself. An update is therefore an affine map, and so is an epoch,
which composes updates. The composition is associative, so the matrices of parts of an epoch are multiplied in parallel
(S. Maleki, M. Musuvathi, T. Mytkowicz, Parallel stochastic gradient descent with sound combiners, 2017).
"""

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import check_batch_size
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay

AFFINE_OPTIMIZERS = ("sgd", "momentum", "nesterov")
"""The optimizers whose updates are affine in the parameters and the velocity."""
# Parts of an epoch that are multiplied in parallel; NumPy is ten times as fast as one after another.
PARTS_AT_A_TIME = 64


def batch_curvatures(derivatives: Floats, batch_size: int | str, drop_last: bool, orders: NDArray[np.int64]) -> Floats:
    """Return H_b of each batch b in each order, shape (orders, batches, P, P).

    `derivatives` are the x_i^T, shape (n, P), as from `Model.design_matrix`; `orders`, shape (orders, n), are visiting
    orders of the samples, or their beginnings.
    """
    params = derivatives.shape[1]
    n, size = orders.shape[1], check_batch_size(batch_size, len(derivatives))
    complete = n // size * size
    visited = derivatives[orders]
    batches = visited[:, :complete].reshape(len(orders), n // size, size, params)
    with np.errstate(all="ignore"):
        curvatures = batches.mT @ batches / size
        if complete < n and not drop_last:
            rest = visited[:, np.newaxis, complete:]
            curvatures = np.concatenate([curvatures, rest.mT @ rest / (n - complete)], axis=1)
    return curvatures


def epoch_matrices(curvatures: Floats, rates: Floats, optimizer: Optimizer) -> Floats:
    """Return the linear part of an epoch for each order and rate, shape (orders, rates, Q, Q).

    `curvatures` are from `batch_curvatures`, and the optimizer is one of `AFFINE_OPTIMIZERS` without a clock. Q is P
    for sgd, and 2 P if a velocity follows the parameters.
    """
    orders, batches, params, _ = curvatures.shape
    parts = max(1, min(batches, PARTS_AT_A_TIME // orders))
    length = batches // parts
    side_by_side = curvatures[:, : parts * length].reshape(-1, length, params, params)
    maps = _multiply_batches(side_by_side, rates, optimizer)
    maps = maps.reshape(orders, parts, *maps.shape[1:])
    epoch = maps[:, 0]
    rest = [_multiply_batches(curvatures[:, parts * length :], rates, optimizer)] if parts * length < batches else []
    with np.errstate(all="ignore"):
        for part in [*maps.swapaxes(0, 1)[1:], *rest]:
            epoch = part @ epoch
    return epoch


def _multiply_batches(curvatures: Floats, rates: Floats, optimizer: Optimizer) -> Floats:
    """Return the linear part of a walk over batches, for many walks and rates, shape (walks, rates, Q, Q).

    The optimizer's own rule is applied to the columns of the identity, which are a valid distance and velocity; the
    columns for all rates are joined in one matrix.
    """
    walks, length, params, _ = curvatures.shape
    size = params * (1 + optimizer.slots)
    identity = np.tile(np.eye(size), rates.size)
    theta, *slots = (np.broadcast_to(rows, (walks, *rows.shape)) for rows in np.split(identity, 1 + optimizer.slots))
    lr, options = np.repeat(rates, size), tuple(optimizer.options.values())
    with np.errstate(all="ignore"):
        for batch in range(length):
            gradient = curvatures[:, batch] @ theta
            if optimizer.weight_decay:
                gradient = add_weight_decay(theta, gradient, optimizer.weight_decay)
            theta, slots = optimizer.rule(theta, tuple(slots), gradient, lr, (), options)
    return np.concatenate([theta, *slots], axis=1).reshape(walks, size, rates.size, size).swapaxes(1, 2)
