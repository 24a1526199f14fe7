"""The quadratic in NumPy: the training loop as lessons write it, and a careful one over NumPy scalars."""

from collections.abc import Callable
from functools import partial

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.timing.peers.arrays import run_by_run
from sgdbench.timing.problem import Problem, Trained


def prepare(problem: Problem, *, scalars: bool = False) -> Callable[[], Trained]:
    """Return a call that trains as lessons do, run by run, or sample by sample over NumPy scalars."""
    (x,), y = problem.x, problem.y
    train = partial(train_scalars, x, y) if scalars else partial(train_lesson, x, y, problem.batch_size)
    return run_by_run(problem, train)


def train_lesson(x: Floats, y: Floats, size: int, init: Floats, rates: Floats) -> tuple[Floats, list[float]]:
    """Train with the loop as lessons write it: np.mean, np.array and a new parameter vector for every update."""
    params = init
    losses = [_loss(params, x, y)]
    for lr in rates:
        for start in range(0, x.size - size + 1, size):
            x_batch, y_batch = x[start : start + size], y[start : start + size]
            a, b, c = params
            residual = a * x_batch**2 + b * x_batch + c - y_batch
            gradient = np.array([np.mean(residual * x_batch**2), np.mean(residual * x_batch), np.mean(residual)])
            params = params - lr * gradient
        losses.append(_loss(params, x, y))
    return params, losses


def train_scalars(x: Floats, y: Floats, init: Floats, rates: Floats) -> tuple[Floats, list[float]]:
    """Train with the careful loop, sample by sample, without an array or a function call in an update."""
    a, b, c = params = init
    losses = [_loss(params, x, y)]
    for lr in rates:
        for i in range(x.size):
            x_i = x[i]
            step = lr * (a * x_i * x_i + b * x_i + c - y[i])
            a -= step * x_i * x_i
            b -= step * x_i
            c -= step
        params = np.array([a, b, c])
        losses.append(_loss(params, x, y))
    return params, losses


def _loss(params: Floats, x: Floats, y: Floats) -> float:
    a, b, c = params
    return float(np.mean((a * x**2 + b * x + c - y) ** 2))
