"""scikit-learn: SGDRegressor on the design matrix of a model that is linear in its parameters, sample by sample."""

from collections.abc import Callable

import numpy as np
import sklearn
from sklearn.linear_model import SGDRegressor

from sgdbench.kernels.base.run import Floats
from sgdbench.timing.peers.arrays import mean_square, run_by_run
from sgdbench.timing.problem import Problem, Trained


def prepare(problem: Problem) -> Callable[[], Trained]:
    """Return a call that trains with a `partial_fit` per epoch, at the rate `eta0`; its loss is r**2 / 2."""
    matrix, targets = problem.linear_system()

    def train(init: Floats, rates: Floats) -> tuple[Floats, list[float]]:
        model = SGDRegressor(penalty=None, learning_rate="constant", fit_intercept=False, shuffle=False)
        # The first `partial_fit` would set these to zeros.
        model.coef_, model.intercept_, model.t_ = init.copy(), np.zeros(1), 1.0
        losses = [mean_square(matrix, targets, init)]
        for lr in rates:
            model.eta0 = lr
            try:
                model.partial_fit(matrix, targets)
            except ValueError:  # raised for numbers that are not finite
                return np.full(init.size, np.nan), losses + [np.nan] * (rates.size + 1 - len(losses))
            losses.append(mean_square(matrix, targets, model.coef_))
        return model.coef_, losses

    call = run_by_run(problem, train)

    def unchecked() -> Trained:
        with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            return call()

    return unchecked
