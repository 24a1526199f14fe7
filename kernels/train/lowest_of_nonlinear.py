"""The lowest loss of a nonlinear model, by local searches from many starts."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.model.program import Program
from sgdbench.kernels.train.local_search import (
    FULLY_SEARCHED_SAMPLES,
    MAX_EVALUATIONS,
    MAX_RUNS,
    MAX_SIMPLEX_EVALUATIONS,
    UNBOUNDED_BELOW,
    Found,
    Objective,
    affordable_evaluations,
    affordable_searches,
    cost_of_gradient,
    cost_of_step,
    descend,
    mean_and_gradient,
    settle_at_kinks,
)
from sgdbench.kernels.train.lowest_of_linear import LINEAR_PIECES, LOCAL_SEARCHES_NOTE

MIN_SAMPLES_PER_PARAM, SUBSET_EVALUATIONS = 10, 500
"""Samples per parameter in the subset searched first (more if steps are cheap), and the steps assumed for that."""
RANDOM_STARTS = 24
"""Starts besides those of the study."""
POLISHED_PLACES = 4
"""The places from which another loss is minimized, and the minima on a part of many samples that are refined."""
FIRST_EVALUATIONS, LEADING_EVALUATIONS, LEADING_PLACES = 50, 400, 8
"""Evaluations of the residual from each start, and from each of the lowest places, and their number."""
SEARCH_STAGES = ((None, 1, 100), (8, 1, 1000), (3, 4, 2000))
"""Stages for other losses: how many of the lowest places continue, the runs from each, and the evaluations per run."""
EXACT_FIT_SHARE = 1e-7
"""Residuals below this fraction of the constant's loss count as an exact fit."""


def lowest_of_nonlinear(
    model: Model, loss: Loss, x: tuple[Floats, ...], y: Floats, starts: Sequence[Floats]
) -> Found | None:
    """Return the lowest loss found from the given and from random starts; None if it is finite at none of them.

    With many samples, a subset is searched first.
    """
    rng, params = np.random.default_rng(0), len(model.params)
    cost = cost_of_step if loss.of_residual else cost_of_gradient
    many = max(
        MIN_SAMPLES_PER_PARAM * params,
        affordable_evaluations(cost(1, params), SUBSET_EVALUATIONS, FULLY_SEARCHED_SAMPLES),
    )
    part = np.sort(rng.choice(y.size, many, replace=False)) if y.size > many else slice(None)
    some = tuple(column[part] for column in x), y[part]
    begin = [np.asarray(start, float) for start in starts]
    begin += [_random_start(params, some[0], rng) for _ in range(RANDOM_STARTS)]
    if model.network is not None:
        # In hidden units of many inputs, draws of size 1 add up to sums at which tanh is flat.
        begin += [model.draw_start(seed) for seed in range(RANDOM_STARTS)]
    with np.errstate(all="ignore"):
        if loss.of_residual:
            begin = [solve_linear_params(model.program, start, *some) for start in begin]
            # Starts from which parameters grow without bound take most of the time.
            each = cost_of_step(some[1].size, params)
            few, most = (
                affordable_evaluations(each, len(begin), FIRST_EVALUATIONS),
                affordable_evaluations(each, LEADING_PLACES, LEADING_EVALUATIONS),
            )
            ends = sorted((_fit_squares(model, start, *some, few) for start in begin), key=lambda end: end[0])
            ends[:LEADING_PLACES] = [_fit_squares(model, end[1], *some, most) for end in ends[:LEADING_PLACES]]
            ends.sort(key=lambda end: end[0])
            if not loss.is_squared:
                near = _lowest_places(mean_and_gradient(model.program, loss, *some), [end[1] for end in ends] + begin)
                ends = _polish_all(model, loss, near + begin[: len(starts)], *some)
        else:
            each = cost_of_gradient(some[1].size, params)
            ends = _search_in_stages(mean_and_gradient(model.program, loss, *some), begin, each)
        ends = sorted((end for end in ends if np.isfinite(end[0]) or end[0] == -np.inf), key=lambda end: end[0])
        if not ends:
            return None
        if ends[0][0] < UNBOUNDED_BELOW:
            return Found(-np.inf, None, "", "")
        if y.size > many:
            ends = _polish_all(model, loss, [end[1] for end in ends[:POLISHED_PLACES]], x, y)
            ends.sort(key=lambda end: end[0])
    objective = mean_and_gradient(model.program, loss, x, y)
    value, lowest = ends[0]
    if loss.name in LINEAR_PIECES:
        value, lowest = settle_at_kinks(
            objective, lowest, affordable_evaluations(cost_of_gradient(y.size, params), 1, MAX_SIMPLEX_EVALUATIONS)
        )
    # SciPy's sums may differ from recorded losses in the last digits.
    value = min(value, objective(lowest)[0])
    method = "least squares (SciPy)" if loss.is_squared else "L-BFGS"
    return Found(value, lowest, method, LOCAL_SEARCHES_NOTE.format(len(begin)))


def _lowest_places(objective: Objective, places: Sequence[Floats]) -> list[Floats]:
    """Return the first place and those of the lowest losses, one per distinct loss, `POLISHED_PLACES` in all.

    With outliers, all minima of squares may coincide, and a search with another loss does not leave that minimum.
    """
    by_loss = {float(f"{objective(place)[0]:.4g}"): place for place in reversed(places)}
    lowest = sorted(value for value in by_loss if np.isfinite(value))
    return [places[0], *(by_loss[value] for value in lowest[: POLISHED_PLACES - 1])]


def _search_in_stages(objective: Objective, starts: Sequence[Floats], each: int) -> list[tuple[float, Floats]]:
    """Return the losses and places at which local searches end: short ones from all starts, long ones from the best.

    In flat valleys a complete search takes thousands of evaluations, of `each` multiplications, and the first hundred
    show approximately where it will end.
    """
    ends = [(math.inf, start) for start in starts]
    for count, times, steps in SEARCH_STAGES:
        places = [place for _, place in ends[:count]]
        affordable = affordable_evaluations(each, times * len(places), steps)
        ends = _descend_all(objective, places, times=times, steps=affordable)
        ends.sort(key=lambda end: end[0])
    return ends


def _descend_all(objective: Objective, starts: Sequence[Floats], **settings: Any) -> list[tuple[float, Floats]]:
    """Return the losses and places at which searches end; each is abandoned if it would not beat those before it."""
    ends: list[tuple[float, Floats]] = []
    for start in starts:
        lowest = min((value for value, _ in ends), default=math.inf)
        ends.append(descend(objective, start, lowest, **settings)[:2])
    return ends


def solve_linear_params(program: Program | Network, theta: Floats, x: tuple[Floats, ...], y: Floats) -> Floats:
    """Return the parameters after solving those in which the model is linear by least squares, given the others.

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


def _fit_squares(model: Model, start: Floats, x: tuple[Floats, ...], y: Floats, steps: int) -> tuple[float, Floats]:
    """Return the mean squared residual and the parameters at which Levenberg-Marquardt ends."""
    from scipy.optimize import least_squares  # noqa: PLC0415 (heavy)

    columns, params = stack_columns(x, y.size), len(model.params)
    # MINPACK requests derivatives at the point of its last residual.
    evaluated: dict[bytes, tuple[Floats, Sequence[Floats]]] = {}

    def at(theta: Floats) -> tuple[Floats, Sequence[Floats]]:
        if (place := theta.tobytes()) not in evaluated:
            evaluated.clear()
            evaluated[place] = evaluate(model.program, theta, columns, y)
        return evaluated[place]

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
    except (ValueError, np.linalg.LinAlgError):  # numbers may be too large
        return np.inf, start
    return float(2 * end.cost / y.size), np.asarray(end.x)


def _polish_all(
    model: Model, loss: Loss, starts: Sequence[Floats], x: tuple[Floats, ...], y: Floats
) -> list[tuple[float, Floats]]:
    """Return the loss and the parameters at which a local search from each start ends."""
    params = len(model.params)
    if loss.is_squared:
        each = cost_of_step(y.size, params)
        starts = starts[: affordable_searches(each, len(starts))]
        return [
            _fit_squares(model, start, x, y, affordable_evaluations(each, len(starts), LEADING_EVALUATIONS))
            for start in starts
        ]
    objective = mean_and_gradient(model.program, loss, x, y)
    steps = affordable_evaluations(cost_of_gradient(y.size, params), MAX_RUNS * len(starts), MAX_EVALUATIONS)
    settings: dict[str, Any] = {"steps": steps}
    if loss.of_residual:
        spread = np.mean(loss.recorded(loss.arguments(y - np.mean(y), y)))
        enough = EXACT_FIT_SHARE * float(spread) if loss.nonnegative else -np.inf
        settings |= {"enough": enough, "sizes_at": partial(_sizes, model, x, y)}
    return _descend_all(objective, starts, **settings)


def _sizes(model: Model, x: tuple[Floats, ...], y: Floats, theta: Floats) -> Floats:
    """Return the change of each parameter that changes predictions by about the residual, shape (P,).

    In a nonlinear model these may differ by any power of ten, depending on the units of x and y.
    """
    residual, derivatives = evaluate(model.program, theta, stack_columns(x, y.size), y)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        changes = [np.sqrt(np.mean(np.square(derivative))) for derivative in derivatives]
        sizes = np.sqrt(np.mean(np.square(residual))) / np.array(changes)
    return np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0)


def _random_start(params: int, x: tuple[Floats, ...], rng: np.random.Generator) -> Floats:
    """Return a start: per parameter a normal draw, a draw of another order of magnitude, or a value of an input."""
    start = rng.normal(size=params)
    kind = rng.integers(3, size=params)
    start[kind == 1] *= 10.0 ** rng.uniform(-3, 3, np.count_nonzero(kind == 1))
    for k in np.flatnonzero(kind == 2) if x else ():
        column = x[rng.integers(len(x))]
        start[k] = column[rng.integers(column.size)]
    return start
