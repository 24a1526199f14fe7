"""The largest stable learning rates near given parameters, for any model and any smooth loss."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from sgdbench.analysis.stability import EpochMap, sample_orders
from sgdbench.data.table import Dataset
from sgdbench.kernels import Model
from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.train.lowest_of_linear import LINEAR_PIECES

# The edge of stability is computed from at most this many random samples: for a million it would take minutes.
EDGE_SAMPLES = 5_000
# The edge of epochs of several batches is a search over products of matrices: with more parameters it takes minutes.
MAX_PARAMS = 30
# Places whose edges are lower than the highest by more than this factor are ignored.
MAX_EDGE_RATIO = 1000.0
DIFFERENCE_STEP = 1e-4
"""The step of the difference of slopes that stands for a second derivative, relative to the prediction."""


def edges_at(model: Model, loss: Loss, data: Dataset, params: Floats) -> tuple[float, float] | None:
    """Return the largest stable rates of sgd near some parameters, for single samples and for full batches.

    They are those of the quadratic approximation with the Gauss-Newton Hessian J^T W J, in which J is the Jacobian of
    the model and W the second derivatives of the loss; it is exact for linear models and the squared loss. The result
    is None if the loss is flat, as at kinks, or not finite.
    """
    if loss.name in LINEAR_PIECES:
        return None  # the derivative jumps
    if loss.by_class and not model.is_linear:
        return None
    some = some_samples(data)
    x, y = data.x[some], data.y[some]
    rows = (score_rows if loss.by_class else curvature_rows)(model, loss, x, y, params)
    if not np.isfinite(rows).all() or not rows.any():
        return None
    if rows.shape[1] > MAX_PARAMS:
        # A bound below which sgd is stable in any order.
        single = float(2.0 / np.max(np.sum(rows * rows, axis=1)))
    else:
        single = EpochMap(rows, orders=sample_orders(len(rows), [0], 16)).largest_stable_rate()
    with np.errstate(all="ignore"):  # 0 or infinite if the square leaves the range of floats
        full = float(2.0 * len(rows) / np.square(_largest_singular_value(rows)))
    return (single, full) if np.isfinite([single, full]).all() else None


def _largest_singular_value(rows: Floats) -> float:
    if min(rows.shape) <= MAX_PARAMS:
        return float(np.linalg.norm(rows, 2))
    # Lanczos' method reads the rows some dozens of times; all singular values of 4,000 x 5,000 would take minutes.
    from scipy.sparse.linalg import svds  # noqa: PLC0415 (heavy)

    start = np.random.default_rng(0).normal(size=min(rows.shape))
    return float(svds(rows, k=1, tol=1e-6, v0=start, return_singular_vectors=False)[0])


def edges_of_runs(
    model: Model, loss: Loss, data: Dataset, lowest: Floats | None, starts: Iterable[Floats]
) -> list[tuple[float, float]]:
    """Return the edges, as from `edges_at`, at places that runs from some starts pass.

    For a linear model these are near the `lowest` loss, if its parameters are known, and at 0, where losses other than
    the squared one may have more curvature. For other models they are at the starts and near the lowest loss, except
    for networks with a hidden layer: their lowest loss may have huge parameters, with a curvature that runs never meet.
    """
    places = [] if lowest is None or model.hidden else [lowest]
    if not model.is_linear:
        places += starts
    elif not (places and loss.is_squared):
        places.append(np.zeros(len(model.params)))
    return [edges for place in places if (edges := edges_at(model, loss, data, place)) is not None]


def nearby_edges(edges: Sequence[float]) -> list[float]:
    """Return the edges at places that runs may approach: those not below the highest by more than `MAX_EDGE_RATIO`.

    No run that starts at a pole gets far, nor does a run at such a rate.
    """
    return [edge for edge in edges if edge * MAX_EDGE_RATIO >= max(edges)]


def some_samples(data: Dataset) -> slice | NDArray[np.int64]:
    """Return the indices of the samples from which edges of stability are computed: all, or a random subset."""
    if data.y.size <= EDGE_SAMPLES:
        return slice(None)
    return np.sort(np.random.default_rng(0).choice(data.y.size, EDGE_SAMPLES, replace=False))


def curvature_rows(model: Model, loss: Loss, x: Floats, y: Floats, params: Floats) -> Floats:
    """Return the rows of sqrt(W) J, shape (n, P), whose outer products sum up to n times the Hessian."""
    columns = stack_columns(model.columns(x), y.size)
    with np.errstate(all="ignore"):
        loss_arguments, derivatives = loss.evaluate(model.program, params, columns, y)
        step = DIFFERENCE_STEP * (1 + np.abs(loss_arguments[0]))
        above, below = ((loss_arguments[0] + sign * step, *loss_arguments[1:]) for sign in (1, -1))
        weights = (loss.derivative(*above) - loss.derivative(*below)) / (2 * step)
        jacobian = np.stack([np.broadcast_to(derivative, y.shape) for derivative in derivatives], axis=1)
        return np.asarray(np.sqrt(np.maximum(weights, 0.0))[:, np.newaxis] * jacobian)


def score_rows(model: Model, loss: Loss, x: Floats, y: Floats, params: Floats) -> Floats:
    """Return rows of one score's design, shape (n, P / classes), whose outer products sum up to a block of the Hessian.

    The sum is n times the largest block. A sample's Hessian of the log loss is the Kronecker product of diag(p) - p
    p^T, with the class probabilities p, and the outer product of its design row. The latter is replaced by its largest
    eigenvalue, which is exact if all classes are equally probable, as at parameters of 0.
    """
    p = loss.mean_of(model.predict(params, x))
    blocks = p[:, :, np.newaxis] * (np.eye(model.classes) - p[:, np.newaxis, :])
    weights = np.linalg.eigvalsh(blocks)[:, -1]
    design = model.with_classes(1).design_matrix(x)
    return np.asarray(np.sqrt(np.maximum(weights, 0.0))[:, np.newaxis] * design)
