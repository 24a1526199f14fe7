"""The mean loss of a model with its gradient, and local searches for its minimum with SciPy."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.network import Network, run_network
from sgdbench.kernels.model.program import Program

MAX_RUNS, SETTLED_DECREASE, MAX_EVALUATIONS = 8, 1e-7, 2000
"""The maximum number of L-BFGS runs, the relative decrease below which none is added, and the evaluations per run."""
MAX_SIMPLEX_EVALUATIONS = 30_000
"""Evaluations of the simplex method, as many as L-BFGS may take; with a hundred parameters it would go on for hours."""
AFFORDABLE_MULTIPLICATIONS, MIN_EVALUATIONS = 3_000_000_000, 10
"""Multiplications of all searches of a stage (some seconds), and the minimum evaluations per search."""
UNBOUNDED_BELOW = -1e12
"""A loss below this counts as unbounded."""
FULLY_SEARCHED_SAMPLES = 20_000
"""With more samples, a subset is searched first; a linear program of as many rows takes some seconds."""
UNSETTLED_NOTE = "the search did not converge; the lowest loss may be lower"


class Found(NamedTuple):
    """The lowest loss found (-inf if it decreases without bound), its parameters, the method and a note."""

    loss: float
    params: Floats | None
    method: str
    note: str


Objective = Callable[[Floats], tuple[float, Floats]]


def affordable_evaluations(each: int, searches: int, most: int) -> int:
    """Return how many evaluations, at most `most`, each search may make if one takes `each` multiplications.

    With many samples and many parameters, complete searches would take hours.
    """
    return max(MIN_EVALUATIONS, min(most, AFFORDABLE_MULTIPLICATIONS // (each * searches)))


def affordable_searches(each: int, most: int) -> int:
    """Return how many searches, up to `most`, can afford `MIN_EVALUATIONS` of `each` multiplications."""
    return max(1, min(most, AFFORDABLE_MULTIPLICATIONS // (MIN_EVALUATIONS * each)))


def cost_of_gradient(samples: int, params: int) -> int:
    """Return the approximate number of multiplications of a mean loss with its gradient."""
    return 10 * samples * params


def cost_of_step(samples: int, params: int) -> int:
    """Return the approximate number of multiplications of a Levenberg-Marquardt step: a QR factorization."""
    return samples * params * (params + 20)


def mean_and_gradient(program: Program | Network, loss: Loss, x: tuple[Floats, ...], y: Floats) -> Objective:
    """Return the function from parameters to the mean recorded loss and its gradient, shape (P,)."""
    columns = stack_columns(x, y.size)
    factor = 2.0 if loss.is_squared else 1.0
    if isinstance(program, Network):
        return partial(_mean_by_layers, program, loss, columns, y)

    def evaluate_at(theta: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            loss_arguments, derivatives = loss.evaluate(program, theta, columns, y)
            slope = np.broadcast_to(factor * loss.derivative(*loss_arguments), y.shape)
            gradient = np.array([np.mean(slope * derivative) for derivative in derivatives])
            return float(np.mean(np.broadcast_to(loss.recorded(loss_arguments), y.shape))), gradient

    return evaluate_at


def _mean_by_layers(network: Network, loss: Loss, x: Floats, y: Floats, theta: Floats) -> tuple[float, Floats]:
    """Return the mean recorded loss and its gradient, summed by matrix products."""
    factor = 2.0 if loss.is_squared else 1.0
    with np.errstate(all="ignore"):
        forward = run_network(network, theta, x, y if loss.of_residual else np.zeros_like(y))
        loss_arguments = loss.arguments(forward.values[-1] if network.scores > 1 else forward.values[-1][0], y)
        slopes = np.reshape(factor * loss.derivative(*loss_arguments), (network.scores, -1))
        gradient = np.empty(network.params)
        for term in forward.terms(slopes):
            sums = term.slope.sum(axis=1) if term.source is None else (term.slope @ term.source.T).ravel()
            gradient[term.places] = sums / y.size
        return float(np.mean(loss.recorded(loss_arguments))), gradient


def descend(
    objective: Objective,
    start: Floats,
    below: float = np.inf,
    enough: float = -np.inf,
    sizes_at: Callable[[Floats], Floats] = np.ones_like,
    *,
    times: int = MAX_RUNS,
    steps: int = MAX_EVALUATIONS,
) -> tuple[float, Floats, bool]:
    """Return the loss and the parameters at which L-BFGS-B ends, and whether it has converged.

    It is restarted where it ended, up to `times` runs in all, each with at most `steps` evaluations. It stops at a loss
    of `enough`, or if the remaining runs, each lowering the loss as much as the last one, would not take it `below`.
    Parameters are scaled by `sizes_at` the start.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 (heavy)

    def guarded(theta: Floats) -> tuple[float, Floats]:
        value, gradient = objective(theta)
        if value < UNBOUNDED_BELOW:
            return UNBOUNDED_BELOW * 2, np.zeros_like(gradient)
        finite = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, gradient) if finite else (1e300, np.zeros_like(theta))

    value, where = guarded(start)[0], start
    if value >= 1e300:
        return np.inf, start, True
    # SciPy's tolerances assume losses of about 1: in other units of y, a search would end early.
    scale = abs(value) or 1.0

    sizes = sizes_at(start)

    def scaled(counts: Floats) -> tuple[float, Floats]:
        value, gradient = guarded(counts * sizes)
        return min(value / scale, 1e300), gradient * sizes / scale

    options = {"maxiter": 1000, "maxfun": steps, "ftol": 1e-15, "gtol": 0.0, "maxcor": 20}
    for left in reversed(range(times)):
        if value <= enough:
            return value, where, True
        with _blas_of_scipy().limit(limits=1):
            end = minimize(scaled, where / sizes, jac=True, method="L-BFGS-B", options=options)
        reached = end.x * sizes
        lowest = guarded(reached)[0]
        lower = value - lowest
        if lowest <= value:
            value, where = lowest, reached
        if value < UNBOUNDED_BELOW or lower <= SETTLED_DECREASE * abs(value) + 1e-300:
            return value, where, True
        if value - left * lower > below:
            break
    return value, where, False


@cache
def _blas_of_scipy() -> ThreadpoolController:
    """Return the control over the threads of SciPy's BLAS.

    OpenBLAS solves the few equations of an L-BFGS-B step in several threads, which wait for each other: on a busy
    machine a search takes ten times as long. The objective's products, which may be large, use NumPy's own BLAS if the
    two are separate, as in wheels.
    """
    every = ThreadpoolController()
    own = [one.filepath for one in every.lib_controllers if "scipy" in str(Path(one.filepath).parent)]
    return every.select(filepath=own)


def settle_at_kinks(objective: Objective, start: Floats, most: int) -> tuple[float, Floats]:
    """Return the loss and the parameters at which Nelder-Mead, a simplex method without derivatives, converges.

    It ends earlier after `most` evaluations.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 (heavy)

    value, where, left = objective(start)[0], start, most
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 400 * start.size, "adaptive": True}
    while left > 0:
        settings = options | {"maxfev": left}
        end = minimize(lambda theta: objective(theta)[0], where, method="Nelder-Mead", options=settings)
        if not end.fun < value * (1 - SETTLED_DECREASE):
            break
        value, where, left = float(end.fun), np.asarray(end.x), left - end.nfev
    return value, where
