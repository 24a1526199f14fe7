"""The lowest loss of a model on samples, by SciPy's optimizers with the model's own derivatives."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from kernels.base.columns import stack_columns
from kernels.base.run import Floats
from kernels.losses.loss import Loss
from kernels.model.evaluate import evaluate
from kernels.model.linear_data import make_rows
from kernels.model.model import Model
from kernels.model.network import Network, run_network
from kernels.model.program import Program

RANDOM_STARTS, STARTS_OF_LINEAR = 24, 6
"""Starts besides those of the study, where a model may have several minima; losses of linear models have few."""
POLISHED = 4
"""Of the minima of squares, or of those found on a part of many samples, the number that is refined."""
FEW_STEPS, MOST_STEPS, LEADING = 50, 400, 8
"""Evaluations of the residual from each start, and then from the lowest places, of which there are so many."""
MANY = 20_000
"""More samples than these are searched in part first; a linear program of as many rows takes some seconds."""
MOST_WORK = 5 * 10**9
"""The numbers that the search for a plane between two classes reads at most: some seconds."""
MOST_STEPS_OF_C = 2**31 - 1
"""SciPy counts steps in an int of C."""
RESTARTS, SETTLED = 8, 1e-7
"""L-BFGS begins again where it ended until that lowers the loss by less than this share."""
NEGLIGIBLE = 1e-7
"""A share of the loss of a constant: residuals of which no more is left are those of an exact fit."""
LARGEST = 1e6
"""Parameters in units of the design's singular directions, and of targets, beyond which a loss is approached at
infinity."""
UNBOUNDED = -1e12
# The lines of which a loss is the largest, as slopes and offsets: over the residual, or over the prediction on the side
# of its class.
PIECES: dict[str, Callable[..., list[tuple[float, float]]]] = {
    "absolute": lambda: [(1.0, 0.0), (-1.0, 0.0)],
    "quantile": lambda tau: [(1.0 - tau, 0.0), (-tau, 0.0)],
    "epsilon_insensitive": lambda epsilon: [(1.0, -epsilon), (-1.0, -epsilon), (0.0, 0.0)],
    "hinge": lambda: [(-1.0, 1.0), (0.0, 0.0)],
}
CONVEX = ("huber", "logcosh", "logistic", "poisson", *PIECES)
"""The losses whose mean over the samples of a linear model has no minimum but the lowest."""
MULTIPLE = "the lowest of {0} local searches; another minimum may lie lower"

SEPARABLE = "the classes can be separated: the loss falls towards 0 as the parameters grow, and has no minimum"


class Found(NamedTuple):
    """The lowest loss that was found, -inf where it falls without end, with its place, the method and a remark."""

    loss: float
    params: Floats | None
    method: str
    note: str


Objective = Callable[[Floats], tuple[float, Floats]]


def mean_and_gradient(program: Program | Network, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Objective:
    """Return the function from parameters to the mean recorded loss and its gradient, shape (P,)."""
    columns = stack_columns(x, y.size)
    factor = 2.0 if loss.is_squared else 1.0
    if isinstance(program, Network):
        return partial(_mean_by_layers, program, loss, columns, y)

    def evaluate_at(theta: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            given, derivatives = loss.evaluate(program, theta, columns, y)
            slope = np.broadcast_to(factor * loss.derivative(*given), y.shape)
            gradient = np.array([np.mean(slope * derivative) for derivative in derivatives])
            return float(np.mean(np.broadcast_to(loss.recorded(given), y.shape))), gradient

    return evaluate_at


def _mean_by_layers(network: Network, loss: Loss, x: Floats, y: Floats, theta: Floats) -> tuple[float, Floats]:
    """Return the mean recorded loss and its gradient, whose sums are those of matrix products."""
    factor = 2.0 if loss.is_squared else 1.0
    with np.errstate(all="ignore"):
        forward = run_network(network, theta, x, y if loss.of_residual else np.zeros_like(y))
        given = loss.arguments(forward.values[-1] if network.scores > 1 else forward.values[-1][0], y)
        slopes = np.reshape(factor * loss.derivative(*given), (network.scores, -1))
        gradient = np.empty(network.params)
        for term in forward.terms(slopes):
            sums = term.slope.sum(axis=1) if term.source is None else (term.slope @ term.source.T).ravel()
            gradient[term.places] = sums / y.size
        return float(np.mean(loss.recorded(given))), gradient


def lowest_of_linear(model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Found | None:
    """Return the lowest loss of a model that is linear in its parameters; None where it is not finite at a sample.

    In the coordinates of the design's singular directions, and in units of the targets of residuals, so that neither
    units nor near collinearity matter.
    """
    found = _basis(model, x, y.size)
    if found is None:
        return None
    basis, back, offset = found
    start = _least_squares_start(loss, basis, offset, y)

    if loss.name in PIECES and y.size <= MANY:
        solved = _linear_program(loss, basis, offset, y, start)
        if solved is not None:
            return Found(_mean_of_basis(loss, basis, offset, y)(solved)[0], back @ solved, "linear programming", "")
    if loss.name == "logistic" and y.size <= MANY and _separable(basis, offset, y):
        return Found(0.0, None, "nonnegative least squares", SEPARABLE)
    if loss.of_residual:
        unit = float(np.sqrt(np.mean((y - offset) ** 2))) or 1.0
        basis, back, start = basis * unit, back * unit, start / unit
    objective = _mean_of_basis(loss, basis, offset, y)
    starts = [start]
    if loss.name not in CONVEX:
        starts += list(np.random.default_rng(0).normal(size=(STARTS_OF_LINEAR, basis.shape[1])))
    value, where, settled = min((_descend(objective, start) for start in starts), key=lambda end: end[0])
    note = "" if loss.name in CONVEX else MULTIPLE.format(len(starts))
    if loss.name in PIECES:
        note = "the search may have stopped at a kink, short of the lowest loss"
    params: Floats | None = back @ where
    if np.abs(where).max(initial=0.0) > LARGEST:
        note, params = "the loss has no minimum: it falls as the parameters grow", None
    elif not settled:
        note = "the search had not settled: the lowest loss may lie lower"
    return Found(value, params, "L-BFGS", note) if np.isfinite(value) else None


def _basis(model: Model, x: tuple[Floats, ...], n: int) -> tuple[Floats, Floats, Floats] | None:
    """Return the singular directions of the design of a linear model, and the part that no parameter scales.

    Returns
    -------
    basis : array, shape (n, rank)
        Of columns with a mean square of 1.
    back : array, shape (P, rank)
        From coordinates in the basis to parameters.
    offset : array, shape (n,)
        The model for parameters of 0.
    None
        In place of all, if a number is not finite, or its square.
    """
    rows = make_rows(model.program, x, np.zeros(n))
    if not np.isfinite(rows).all():
        return None
    design, offset = rows[:, :-1], -rows[:, -1]
    # Columns of one length, so that the rank does not depend on units.
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(design, axis=0)
    if not np.isfinite(lengths).all():
        return None
    lengths[lengths == 0] = 1.0
    basis, singular, directions = np.linalg.svd(design / lengths, full_matrices=False)
    rank = int(np.count_nonzero(singular > singular[0] * max(design.shape) * np.finfo(float).eps))
    root = np.sqrt(n)
    return basis[:, :rank] * root, directions[:rank].T / singular[:rank] / lengths[:, np.newaxis] * root, offset


def lowest_of_scores(model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Found | None:
    """Return the lowest loss of scores of classes that are linear in their parameters, which has one minimum or none.

    All scores have the design of one of them.
    """
    found = _basis(model.with_classes(1), x, y.size)
    if found is None:
        return None
    basis, back, offset = found
    options, classes = tuple(loss.options.values()), y[:, np.newaxis].astype(np.int64)

    def evaluate_at(where: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            parts = basis @ where.reshape(-1, model.classes)
            # Where every sample has the highest score of its class, greater parameters have a lower loss.
            least = np.take_along_axis(parts, classes, axis=1) - 1e-9 * np.abs(parts).max()
            if np.count_nonzero(parts >= least) == y.size:
                return -np.inf, np.zeros_like(where)
            scores = (parts + offset[:, np.newaxis]).T
            slopes = loss.derivative(scores, y, options)
            gradient = basis.T @ slopes.T / y.size
            return float(np.mean(loss.value(scores, y, options))), gradient.ravel()

    value, end, settled = _descend(evaluate_at, np.zeros(basis.shape[1] * model.classes))
    if value < UNBOUNDED:
        return Found(0.0, None, "L-BFGS", SEPARABLE)
    note = "" if settled else "the search had not settled: the lowest loss may lie lower"
    params = _of_classes(model, back @ end.reshape(-1, model.classes))
    return Found(value, params, "L-BFGS", note) if np.isfinite(value) else None


def _of_classes(model: Model, by_class: Floats) -> Floats:
    """Return the parameters of a model with classes from those of each class, shape (params of one, classes)."""
    params, first = np.empty(len(model.params)), 0
    for begin, shape, _ in model.vectors.values():
        size = math.prod(shape) // model.classes
        own = by_class[first : first + size]
        params[begin : begin + own.size] = own.T.ravel()
        first += size
    return params


def lowest_of_nonlinear(
    model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats, starts: Sequence[Floats]
) -> Found | None:
    """Return the lowest loss found from starts and from random ones; None where none of them is finite.

    Of many samples a part is searched first.
    """
    rng = np.random.default_rng(0)
    part = np.sort(rng.choice(y.size, MANY, replace=False)) if y.size > MANY else slice(None)
    some = tuple(column[part] for column in x), y[part]
    begin = [np.asarray(start, float) for start in starts]
    begin += [_random_start(len(model.params), some[0], rng) for _ in range(RANDOM_STARTS)]
    with np.errstate(all="ignore"):
        if loss.of_residual:
            begin = [solve_linear_params(model.program, start, *some) for start in begin]
            # Most of the time is that of starts from which parameters grow without end.
            ends = sorted((_fit_squares(model, start, *some, FEW_STEPS) for start in begin), key=lambda end: end[0])
            ends[:LEADING] = [_fit_squares(model, end[1], *some, MOST_STEPS) for end in ends[:LEADING]]
            ends.sort(key=lambda end: end[0])
            if not loss.is_squared:
                near = [start for _, start in ends[:POLISHED]] + begin[: len(starts)]
                ends = _polish_all(model, loss, near, *some)
        else:
            ends = _polish_all(model, loss, begin, *some)
        ends = sorted((end for end in ends if np.isfinite(end[0]) or end[0] == -np.inf), key=lambda end: end[0])
        if not ends:
            return None
        if ends[0][0] < UNBOUNDED:
            return Found(-np.inf, None, "", "")
        if y.size > MANY:
            ends = _polish_all(model, loss, [end[1] for end in ends[:POLISHED]], x, y)
            ends.sort(key=lambda end: end[0])
    objective = mean_and_gradient(model.program, loss, x, y)
    value, params = ends[0]
    if loss.name in PIECES:
        value, params = _settle_at_kinks(objective, params)
    # The sums of SciPy may differ from those that runs record in the last digits.
    value = min(value, objective(params)[0])
    method = "least squares (SciPy)" if loss.is_squared else "L-BFGS"
    return Found(value, params, method, MULTIPLE.format(len(begin)))


def solve_linear_params(program: Program | Network, theta: Floats, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return parameters of which those that the model is linear in, for the values of the others, are least squares.

    G. H. Golub, V. Pereyra, SIAM Journal on Numerical Analysis 10 (1973).
    """
    linear = program.linear_params
    if not linear:
        return theta
    at = theta.copy()
    at[linear] = 0.0
    residual, derivatives = evaluate(program, at, stack_columns(x, y.size), y)
    design = np.stack([np.broadcast_to(derivatives[k], y.shape) for k in linear], axis=1)
    if not (np.isfinite(design).all() and np.isfinite(residual).all()):
        return theta
    at[linear] = np.linalg.lstsq(design, -np.broadcast_to(residual, y.shape), rcond=None)[0]
    return at


def _mean_of_basis(loss: Loss, basis: Floats, offset: Floats, y: Floats) -> Objective:
    """Return the function from coordinates in a basis to the mean recorded loss and its gradient."""
    options = tuple(loss.options.values())

    def evaluate_at(where: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            prediction = basis @ where + offset
            given = (prediction - y, options) if loss.of_residual else (prediction, y, options)
            return float(np.mean(loss.recorded(given))), basis.T @ loss.derivative(*given) / y.size

    return evaluate_at


def _least_squares_start(loss: Loss, basis: Floats, offset: Floats, y: Floats) -> Floats:
    """Return the start of the search: least squares of the residual, or of predictions that give the mean target."""
    if loss.of_residual:
        return np.asarray(basis.T @ (y - offset) / y.size)
    wanted = np.log(max(float(np.mean(y)), 1e-8)) if loss.name == "poisson" else 0.0
    return np.asarray(basis.T @ (np.full(y.size, wanted) - offset) / y.size)


def _descend(
    objective: Objective,
    start: Floats,
    below: float = np.inf,
    enough: float = 0.0,
    sizes_at: Callable[[Floats], Floats] = np.ones_like,
) -> tuple[float, Floats, bool]:
    """Return the loss and the place at which L-BFGS-B ends, and whether it has settled there.

    It ends earlier where the loss is low enough, or where the steps that are left would not take it below another one,
    if each is as long as the last. Parameters are counted in the sizes at the place where it begins.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 (heavy)

    def guarded(theta: Floats) -> tuple[float, Floats]:
        value, gradient = objective(theta)
        if value < UNBOUNDED:
            return UNBOUNDED * 2, np.zeros_like(gradient)
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, gradient) if finite else (1e300, np.zeros_like(theta))

    value, where = guarded(start)[0], start
    if value >= 1e300:
        return np.inf, start, True
    # The tolerances are for losses of about 1: in other units of y a search would end early.
    scale = abs(value) or 1.0

    sizes = sizes_at(start)

    def scaled(counts: Floats) -> tuple[float, Floats]:
        value, gradient = guarded(counts * sizes)
        return min(value / scale, 1e300), gradient * sizes / scale

    options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-15, "gtol": 0.0, "maxcor": 20}
    for left in reversed(range(RESTARTS)):
        if value <= enough:
            return value, where, True
        end = minimize(scaled, where / sizes, jac=True, method="L-BFGS-B", options=options)
        reached = end.x * sizes
        found = guarded(reached)[0]
        lower = value - found
        if found <= value:
            value, where = found, reached
        if value < UNBOUNDED or lower <= SETTLED * abs(value) + 1e-300:
            return value, where, True
        if value - left * lower > below:
            break
    return value, where, False


def _fit_squares(model: Model, start: Floats, x: tuple[Floats, ...], y: Floats, steps: int) -> tuple[float, Floats]:
    """Return the mean squared residual and the parameters at which Levenberg and Marquardt's method ends."""
    from scipy.optimize import least_squares  # noqa: PLC0415 (heavy)

    columns, params = stack_columns(x, y.size), len(model.params)
    # MINPACK asks for the derivatives where it has asked for the residual last.
    known: dict[bytes, tuple[Floats, Sequence[Floats]]] = {}

    def at(theta: Floats) -> tuple[Floats, Sequence[Floats]]:
        if (place := theta.tobytes()) not in known:
            known.clear()
            known[place] = evaluate(model.program, theta, columns, y)
        return known[place]

    def residual(theta: Floats) -> Floats:
        values = np.broadcast_to(at(theta)[0], y.shape)
        return values if np.isfinite(values).all() else np.nan_to_num(values, nan=1e100, posinf=1e100, neginf=-1e100)

    def jacobian(theta: Floats) -> Floats:
        rows = np.stack([np.broadcast_to(d, y.shape) for d in at(theta)[1]], axis=1)
        return rows if np.isfinite(rows).all() else np.nan_to_num(rows, nan=0.0)

    if np.abs(residual(start)).max() >= 1e100:
        return np.inf, start
    method = "lm" if y.size >= params else "trf"
    try:
        end = least_squares(
            residual, start, jacobian, method=method, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=steps
        )
    except (ValueError, np.linalg.LinAlgError):  # numbers too large for it
        return np.inf, start
    return float(2 * end.cost / y.size), np.asarray(end.x)


def _settle_at_kinks(objective: Objective, start: Floats) -> tuple[float, Floats]:
    """Return the loss and the place at which Nelder and Mead's simplex method, which needs no derivatives, settles."""
    from scipy.optimize import minimize  # noqa: PLC0415 (heavy)

    value, where = objective(start)[0], start
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 400 * start.size, "adaptive": True}
    for _ in range(RESTARTS):
        end = minimize(lambda theta: objective(theta)[0], where, method="Nelder-Mead", options=options)
        if not end.fun < value * (1 - SETTLED):
            break
        value, where = float(end.fun), np.asarray(end.x)
    return value, where


def _polish_all(
    model: Model, loss: Loss, starts: Sequence[Floats], x: tuple[Floats, ...], y: Floats
) -> list[tuple[float, Floats]]:
    """Return the loss and the parameters at which a local search from each start ends."""
    if loss.is_squared:
        return [_fit_squares(model, start, x, y, MOST_STEPS) for start in starts]
    objective = mean_and_gradient(model.program, loss, x, y)
    settings: dict[str, Any] = {}
    if loss.of_residual:
        spread = np.mean(loss.recorded((y - np.mean(y), tuple(loss.options.values()))))
        settings = {"enough": NEGLIGIBLE * float(spread), "sizes_at": partial(_sizes, model, x, y)}
    ends: list[tuple[float, Floats]] = []
    for start in starts:
        lowest = min((value for value, _ in ends), default=np.inf)
        ends.append(_descend(objective, start, lowest, **settings)[:2])
    return ends


def _sizes(model: Model, x: tuple[Floats, ...], y: Floats, theta: Floats) -> Floats:
    """Return the change of each parameter that changes predictions by about the residual, shape (P,).

    In a nonlinear model these may be apart by any power of ten, by the units of x and y.
    """
    residual, derivatives = evaluate(model.program, theta, stack_columns(x, y.size), y)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        changes = [np.sqrt(np.mean(np.square(derivative))) for derivative in derivatives]
        sizes = np.sqrt(np.mean(np.square(residual))) / np.array(changes)
    return np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0)


def _random_start(params: int, x: tuple[Floats, ...], rng: np.random.Generator) -> Floats:
    """Return a start: each parameter a normal draw, one of another order of magnitude, or a value of an input."""
    start = rng.normal(size=params)
    kind = rng.integers(3, size=params)
    start[kind == 1] *= 10.0 ** rng.uniform(-3, 3, np.count_nonzero(kind == 1))
    for k in np.flatnonzero(kind == 2) if x else ():
        column = x[rng.integers(len(x))]
        start[k] = column[rng.integers(column.size)]
    return start


def _linear_program(loss: Loss, basis: Floats, offset: Floats, y: Floats, start: Floats) -> Floats | None:
    """Return the coordinates of the lowest mean of a loss with linear pieces; None if HiGHS does not find them.

    As quantile regression: R. Koenker, G. Bassett, Econometrica 46 (1978). Residuals are those of `start`, in units of
    their median: the tolerances of HiGHS are for numbers of about 1.
    """
    from scipy.optimize import linprog  # noqa: PLC0415 (heavy)
    from scipy.sparse import csr_array, eye_array, hstack, vstack  # noqa: PLC0415

    if loss.of_residual:
        rows, known = basis, basis @ start + offset - y
        unit = float(np.median(np.abs(known))) or 1.0
    else:
        (rows, known), start, unit = _by_side(basis, offset, y), np.zeros(basis.shape[1]), 1.0
    n, size = rows.shape
    pieces = PIECES[loss.name](*loss.options.values())
    above = [hstack([csr_array(slope * rows), -eye_array(n)]) for slope, _ in pieces]
    limits = [-(slope * known + add) / unit for slope, add in pieces]
    cost = np.concatenate([np.zeros(size), np.full(n, 1.0 / n)])
    bounds = [(None, None)] * (size + n)
    solved = linprog(cost, vstack(above), np.concatenate(limits), bounds=bounds, options={"time_limit": 20.0})
    return np.asarray(start + unit * solved.x[:size]) if solved.status == 0 else None


def _separable(basis: Floats, offset: Floats, y: Floats) -> bool:
    """Return whether some coordinates put every sample on the side of its class, at a distance.

    The shortest weighted mean of the rows separates them, or it is zero and nothing does: P. Gordan, Mathematische
    Annalen 6 (1873). False where it is not found in time.
    """
    from scipy.optimize import nnls  # noqa: PLC0415 (heavy)

    # No parameter scales the offset: growing parameters do not make it small.
    rows, _ = _by_side(basis, offset, y)
    columns, wanted = np.vstack([rows.T, np.ones(y.size)]), np.append(np.zeros(rows.shape[1]), 1.0)
    try:
        weights, _ = nnls(columns, wanted, maxiter=min(max(1, MOST_WORK // columns.size), MOST_STEPS_OF_C))
    except RuntimeError:
        return False
    direction = columns[:-1] @ weights
    return bool((rows @ direction).min() > 1e-12 * np.linalg.norm(direction))


def _by_side(basis: Floats, offset: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return rows and offsets of the prediction times the side of the class, 1 or -1."""
    side = 2.0 * y - 1.0
    return basis * side[:, np.newaxis], offset * side
