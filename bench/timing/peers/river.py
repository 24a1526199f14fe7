"""river: LinearRegression on the design matrix of a model that is linear in its parameters, sample by sample."""

from collections.abc import Callable

import numpy as np
from river import linear_model, optim

from bench.timing.peers.arrays import mean_square, run_by_run
from bench.timing.problem import Problem, Trained
from kernels.run import Floats


def prepare(problem: Problem) -> Callable[[], Trained]:
    """Return a call that trains with a `learn_one` for each sample, a dict that is made before.

    Its loss is the square, not half of it: its rate is half of ours. Its weights start from zero: what it learns is how
    far they are from the start, on targets less what the start explains.
    """
    matrix, targets = problem.linear_system()
    inputs = [dict(enumerate(row)) for row in matrix.tolist()]

    def train(init: Floats, rates: Floats) -> tuple[Floats, list[float]]:
        left = targets - matrix @ init
        samples = list(zip(inputs, left.tolist(), strict=True))
        rate = optim.schedulers.Constant(0.0)
        model = linear_model.LinearRegression(optim.SGD(rate), intercept_lr=0.0)
        moved = np.zeros(init.size)
        losses = [mean_square(matrix, left, moved)]
        for lr in rates.tolist():
            rate.learning_rate = lr / 2
            for sample, target in samples:
                model.learn_one(sample, target)
            weights = model.weights
            moved = np.array([weights[k] for k in range(init.size)])
            losses.append(mean_square(matrix, left, moved))
        return init + moved, losses

    return run_by_run(problem, train)
