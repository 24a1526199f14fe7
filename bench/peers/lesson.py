"""The training loop in NumPy as lessons write it, and a careful one over NumPy scalars; the samples as they stand."""

import numpy as np

from bench.problem import Problem, Trained
from kernels.run import Floats


def train_lesson(problem: Problem) -> Trained:
    """The loop as everyone writes it: np.mean, np.array and a new parameter vector for every update."""
    x, y, size = problem.x, problem.y, problem.batch_size
    params = problem.init
    trajectory, losses = [params], [_loss(params, x, y)]
    for lr in problem.rates:
        for start in range(0, x.size - size + 1, size):
            x_batch, y_batch = x[start : start + size], y[start : start + size]
            a, b, c = params
            residual = a * x_batch**2 + b * x_batch + c - y_batch
            gradient = np.array([np.mean(residual * x_batch**2), np.mean(residual * x_batch), np.mean(residual)])
            params = params - lr * gradient
        trajectory.append(params)
        losses.append(_loss(params, x, y))
    return Trained(np.array(trajectory), np.array(losses))


def train_scalars(problem: Problem) -> Trained:
    """The careful loop, sample by sample, without an array or a function call in an update."""
    x, y = problem.x, problem.y
    a, b, c = problem.init
    trajectory, losses = [problem.init], [_loss(problem.init, x, y)]
    for lr in problem.rates:
        for i in range(x.size):
            x_i = x[i]
            step = lr * (a * x_i * x_i + b * x_i + c - y[i])
            a -= step * x_i * x_i
            b -= step * x_i
            c -= step
        params = np.array([a, b, c])
        trajectory.append(params)
        losses.append(_loss(params, x, y))
    return Trained(np.array(trajectory), np.array(losses))


def _loss(params: Floats, x: Floats, y: Floats) -> float:
    a, b, c = params
    return float(np.mean((a * x**2 + b * x + c - y) ** 2))
