"""The lowest loss of a model that is linear in its parameters, in coordinates independent of units."""

import math
from collections.abc import Callable

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.linear_data import make_rows
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.train.local_search import (
    FULLY_SEARCHED_SAMPLES,
    UNBOUNDED_BELOW,
    UNSETTLED_NOTE,
    Found,
    Objective,
    descend,
)

RANDOM_STARTS = 6
"""Starts besides least squares, for losses of linear models that may have several minima; they have few."""
MAX_MULTIPLICATIONS = 5 * 10**9
"""The numbers that the search for a plane between two classes reads at most: some seconds."""
MAX_C_INT = 2**31 - 1
"""SciPy counts steps in an int of C."""
LARGEST_BOUNDED = 1e6
"""Parameters in units of the design's singular directions, and of targets, beyond which a loss is approached at
infinity."""
# The loss is the maximum of these lines, given by slopes and offsets: in the residual, or in the prediction times the
# sign of its class.
LINEAR_PIECES: dict[str, Callable[..., list[tuple[float, float]]]] = {
    "absolute": lambda: [(1.0, 0.0), (-1.0, 0.0)],
    "quantile": lambda tau: [(1.0 - tau, 0.0), (-tau, 0.0)],
    "epsilon_insensitive": lambda epsilon: [(1.0, -epsilon), (-1.0, -epsilon), (0.0, 0.0)],
    "hinge": lambda: [(-1.0, 1.0), (0.0, 0.0)],
}
CONVEX_LOSSES = ("huber", "logcosh", "logistic", "poisson", *LINEAR_PIECES)
"""The losses whose mean over the samples of a linear model has no minimum but the lowest."""
LOCAL_SEARCHES_NOTE = "the lowest of {0} local searches; another minimum may be lower"
SEPARABLE_NOTE = "the classes can be separated: the loss falls towards 0 as the parameters grow, and has no minimum"


def lowest_of_linear(model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Found | None:
    """Return the lowest loss of a model that is linear in its parameters; None if it is not finite at a sample.

    The search uses the design's singular directions as coordinates, and scales residuals to the targets, so that
    neither units nor near collinearity matter.
    """
    basis_of_model = _basis(model, x, y.size)
    if basis_of_model is None:
        return None
    basis, back, offset = basis_of_model
    start = _least_squares_start(loss, basis, offset, y)

    if loss.name in LINEAR_PIECES and y.size <= FULLY_SEARCHED_SAMPLES:
        solved = _linear_program(loss, basis, offset, y, start)
        if solved is not None:
            objective = _mean_of_basis(loss, basis, offset, y)
            # For separable classes, rounding leaves a loss of 1e-16 at samples on the margin.
            ends = [solved] if loss.of_residual else [solved, solved * (1 + 1e-9)]
            solved = min(ends, key=lambda end: objective(end)[0])
            return Found(objective(solved)[0], back @ solved, "linear programming", "")
    if loss.name == "logistic" and y.size <= FULLY_SEARCHED_SAMPLES and _separable(basis, offset, y):
        return Found(0.0, None, "nonnegative least squares", SEPARABLE_NOTE)
    if loss.of_residual:
        unit = float(np.sqrt(np.mean((y - offset) ** 2))) or 1.0
        basis, back, start = basis * unit, back * unit, start / unit
    objective = _mean_of_basis(loss, basis, offset, y)
    starts = [start]
    if loss.name not in CONVEX_LOSSES:
        starts += list(np.random.default_rng(0).normal(size=(RANDOM_STARTS, basis.shape[1])))
    value, where, settled = min((descend(objective, start) for start in starts), key=lambda end: end[0])
    note = "" if loss.name in CONVEX_LOSSES else LOCAL_SEARCHES_NOTE.format(len(starts))
    if loss.name in LINEAR_PIECES:
        note = "the search may have stopped at a kink, short of the lowest loss"
    params: Floats | None = back @ where
    if np.abs(where).max(initial=0.0) > LARGEST_BOUNDED:
        note, params = "the loss has no minimum: it falls as the parameters grow", None
    elif not settled:
        note = UNSETTLED_NOTE
    return Found(value, params, "L-BFGS", note) if np.isfinite(value) else None


def lowest_of_scores(model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Found | None:
    """Return the lowest loss of class scores that are linear in their parameters, which has one minimum or none.

    All scores share the design matrix of one score.
    """
    basis_of_model = _basis(model.with_classes(1), x, y.size)
    if basis_of_model is None:
        return None
    basis, back, offset = basis_of_model
    options, classes = tuple(loss.options.values()), y[:, np.newaxis].astype(np.int64)

    def evaluate_at(where: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            parts = basis @ where.reshape(-1, model.classes)
            # If every sample has the highest score for its class, scaling up the parameters lowers the loss.
            least = np.take_along_axis(parts, classes, axis=1) - 1e-9 * np.abs(parts).max()
            if np.count_nonzero(parts >= least) == y.size:
                return -np.inf, np.zeros_like(where)
            scores = (parts + offset[:, np.newaxis]).T
            slopes = loss.derivative(scores, y, options)
            gradient = basis.T @ slopes.T / y.size
            return float(np.mean(loss.value(scores, y, options))), gradient.ravel()

    value, end, settled = descend(evaluate_at, np.zeros(basis.shape[1] * model.classes))
    if value < UNBOUNDED_BELOW:
        return Found(0.0, None, "L-BFGS", SEPARABLE_NOTE)
    note = "" if settled else UNSETTLED_NOTE
    params = _of_classes(model, back @ end.reshape(-1, model.classes))
    return Found(value, params, "L-BFGS", note) if np.isfinite(value) else None


def _basis(model: Model, x: tuple[Floats, ...], n: int) -> tuple[Floats, Floats, Floats] | None:
    """Return the singular directions of the design of a linear model, and the part without parameters.

    Returns
    -------
    basis : array, shape (n, rank)
        Columns with a mean square of 1.
    back : array, shape (P, rank)
        Maps coordinates in the basis to parameters.
    offset : array, shape (n,)
        The model at parameters of 0.
    None
        Instead of all these, if a number or its square is not finite.
    """
    rows = make_rows(model.program, x, np.zeros(n))
    if not np.isfinite(rows).all():
        return None
    design, offset = rows[:, :-1], -rows[:, -1]
    # Columns are scaled to one norm, so that the rank does not depend on units.
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(design, axis=0)
    if not np.isfinite(lengths).all():
        return None
    lengths[lengths == 0] = 1.0
    basis, singular, directions = np.linalg.svd(design / lengths, full_matrices=False)
    rank = int(np.count_nonzero(singular > singular[0] * max(design.shape) * np.finfo(float).eps))
    root = np.sqrt(n)
    return basis[:, :rank] * root, directions[:rank].T / singular[:rank] / lengths[:, np.newaxis] * root, offset


def _mean_of_basis(loss: Loss, basis: Floats, offset: Floats, y: Floats) -> Objective:
    """Return the function from coordinates in a basis to the mean recorded loss and its gradient."""

    def evaluate_at(where: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            prediction = basis @ where + offset
            loss_arguments = loss.arguments(prediction - y if loss.of_residual else prediction, y)
            return float(np.mean(loss.recorded(loss_arguments))), basis.T @ loss.derivative(*loss_arguments) / y.size

    return evaluate_at


def _least_squares_start(loss: Loss, basis: Floats, offset: Floats, y: Floats) -> Floats:
    """Return the start of the search: least squares of the residual, or predictions of the mean target."""
    if loss.of_residual:
        return np.asarray(basis.T @ (y - offset) / y.size)
    constant = np.log(max(float(np.mean(y)), 1e-8)) if loss.name == "poisson" else 0.0
    return np.asarray(basis.T @ (np.full(y.size, constant) - offset) / y.size)


def _linear_program(loss: Loss, basis: Floats, offset: Floats, y: Floats, start: Floats) -> Floats | None:
    """Return the coordinates of the lowest mean of a piecewise linear loss; None if HiGHS does not find them.

    As in quantile regression: R. Koenker, G. Bassett, Econometrica 46 (1978). The dual is solved: its unknowns are the
    shares, from 0 to 1, of each piece but the last at each sample; of `LINEAR_PIECES`, no two others exceed the last
    one at a time. It has a row per coordinate instead of one per sample and piece: with 20,000 samples and 3
    coordinates it took 0.3 s, the primal more than 20 s. Residuals are relative to `start`, in units of their median,
    because the tolerances of HiGHS assume numbers of about 1.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (heavy)

    if loss.of_residual:
        rows, residual = basis, basis @ start + offset - y
        unit = float(np.median(np.abs(residual))) or 1.0
    else:
        (rows, residual), start, unit = _by_side(basis, offset, y), np.zeros(basis.shape[1]), 1.0
    *pieces, (last, least) = LINEAR_PIECES[loss.name](*loss.options.values())
    gains = [((slope - last) * residual + add - least) / unit for slope, add in pieces]
    turned = np.concatenate([(slope - last) * rows for slope, _ in pieces])
    total = -last * rows.sum(axis=0)
    options = {"time_limit": 20.0}
    solved = linprog(-np.concatenate(gains), A_eq=turned.T, b_eq=total, bounds=(0, 1), options=options)
    return np.asarray(start + unit * solved.eqlin.marginals) if solved.status == 0 else None


def _separable(basis: Floats, offset: Floats, y: Floats) -> bool:
    """Return whether some coordinates put every sample strictly on the side of its class.

    The shortest weighted mean of the rows separates the classes, or it is zero and nothing does: P. Gordan,
    Mathematische Annalen 6 (1873). The result is False if it is not found in time.
    """
    from scipy.optimize import nnls  # noqa: PLC0415 (heavy)

    # Parameters do not scale the offset, but it becomes negligible as they grow.
    rows, _ = _by_side(basis, offset, y)
    columns, target = np.vstack([rows.T, np.ones(y.size)]), np.append(np.zeros(rows.shape[1]), 1.0)
    try:
        weights, _ = nnls(columns, target, maxiter=min(max(1, MAX_MULTIPLICATIONS // columns.size), MAX_C_INT))
    except RuntimeError:
        return False
    direction = columns[:-1] @ weights
    return bool((rows @ direction).min() > 1e-12 * np.linalg.norm(direction))


def _by_side(basis: Floats, offset: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return rows and offsets of the prediction times the sign of the class, 1 or -1."""
    side = 2.0 * y - 1.0
    return basis * side[:, np.newaxis], offset * side


def _of_classes(model: Model, by_class: Floats) -> Floats:
    """Return the parameters of a model with classes from those of each class, shape (params of one, classes)."""
    params, first = np.empty(len(model.params)), 0
    for begin, shape, _ in model.vectors.values():
        size = math.prod(shape) // model.classes
        own = by_class[first : first + size]
        params[begin : begin + own.size] = own.T.ravel()
        first += size
    return params
