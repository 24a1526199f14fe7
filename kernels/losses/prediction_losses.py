"""Losses of a prediction f = f(x; theta) and its target y, and their derivatives with respect to the prediction.

They classify (`logistic`, `hinge`), model counts (`poisson`), or minimize the model itself (`objective`). The gradient
of a batch is the mean over its samples of loss'(f, y) * df/dtheta. Like the functions of
`sgdbench.kernels.losses.residual_losses`, these are compiled into the kernels and called with NumPy arrays: only
operators and NumPy's elementwise functions, no branches.
"""

import numpy as np
from numpy import absolute, exp, log, log1p, maximum, sign
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss, Metric, Targets

SMALLEST_LOG_ARGUMENT = 1e-300


def are_classes(y: Floats) -> NDArray[np.bool_]:
    """Return which targets are 0 or 1."""
    accepted: NDArray[np.bool_] = (y == 0.0) | (y == 1.0)
    return accepted


def are_counts(y: Floats) -> NDArray[np.bool_]:
    """Return which targets are nonnegative."""
    return y >= 0.0


CLASS_TARGETS = Targets(are_classes, "0 or 1", classes=True)
COUNT_TARGETS = Targets(are_counts, "0 or more")


def accuracy(prediction: Floats, target: Floats) -> float:
    """Return the share of samples whose prediction has the right sign: positive for targets of 1."""
    return float(np.mean((prediction > 0.0) == (target == 1.0)))


ACCURACY = Metric("accuracy", accuracy)


def logistic_value(prediction, target, options):
    """Return log(1 + exp(s)) with s = f for targets of 0 and s = -f for targets of 1."""
    side = (1.0 - 2.0 * target) * prediction
    return maximum(side, 0.0) + log1p(exp(-absolute(side)))


def logistic_derivative(prediction, target, options):
    """Return 1 / (1 + exp(-f)) - y, without this form's cancellation for targets of 1."""
    sign_of_class = 1.0 - 2.0 * target
    return sign_of_class / (1.0 + exp(-sign_of_class * prediction))


def hinge_value(prediction, target, options):
    """Return max(0, 1 - f) for targets of 1, max(0, 1 + f) for targets of 0."""
    return maximum(1.0 - (2.0 * target - 1.0) * prediction, 0.0) + 0.0


def hinge_derivative(prediction, target, options):
    """Return -1 for targets of 1 and 1 for targets of 0 where the value is positive or at the kink; otherwise 0."""
    sign_of_class = 2.0 * target - 1.0
    beyond = sign(maximum(sign_of_class * prediction - 1.0, 0.0))
    return -sign_of_class * (1.0 - beyond)


def poisson_value(prediction, target, options):
    """Return exp(f) - y * f + y * log(y) - y, which is 0 at f = log(y); with 0 * log(0) = 0."""
    lowest = target * log(maximum(target, SMALLEST_LOG_ARGUMENT)) - target
    return maximum(exp(prediction) - target * prediction + lowest, 0.0)


def poisson_derivative(prediction, target, options):
    """Return exp(f) - y."""
    return exp(prediction) - target


def objective_value(prediction, target, options):
    """Return f, broadcast to a vector if f or y is one."""
    return prediction + 0.0 * target


def objective_derivative(prediction, target, options):
    """Return 1, broadcast to a vector if f or y is one."""
    return 0.0 * (prediction + target) + 1.0


def probability(prediction: Floats) -> Floats:
    """Return 1 / (1 + exp(-f))."""
    return np.asarray(1.0 / (1.0 + np.exp(-prediction)))


def logistic() -> Loss:
    """Log loss of a classifier with targets 0 and 1, whose prediction f is the log odds of class 1.

    log(1 + exp(f)) - y * f, with the derivative 1 / (1 + exp(-f)) - y. D. R. Cox, The regression analysis of binary
    sequences, Journal of the Royal Statistical Society B 20 (1958). Same as ``torch.nn.BCEWithLogitsLoss`` and
    ``sklearn.linear_model.SGDClassifier(loss="log_loss")``.
    """
    return Loss(
        "logistic",
        logistic_value,
        logistic_derivative,
        is_exact=False,
        of_residual=False,
        records="log loss",
        targets=CLASS_TARGETS,
        metric=ACCURACY,
        mean=probability,
    )


def hinge() -> Loss:
    """Hinge loss of a classifier with targets 0 and 1: zero if a sample is on the right side of the margin |f| = 1.

    max(0, 1 - s * f) with s = 2 * y - 1, with the derivative -s where s * f <= 1, else 0. C. Cortes and V. Vapnik,
    Support-vector networks, Machine Learning 20 (1995). Same as ``sklearn.linear_model.SGDClassifier(loss="hinge")``.
    """
    records = "hinge loss"
    return Loss(
        "hinge",
        hinge_value,
        hinge_derivative,
        of_residual=False,
        records=records,
        targets=CLASS_TARGETS,
        metric=ACCURACY,
    )


def poisson() -> Loss:
    """Half the Poisson deviance of counts, whose prediction f is the log of the expected count.

    exp(f) - y * f + y * log(y) - y, with the derivative exp(f) - y: the negative log-likelihood up to a constant that
    makes the loss of an exact prediction 0. J. A. Nelder and R. W. M. Wedderburn, Generalized linear models,
    Journal of the Royal Statistical Society A 135 (1972). Same as ``sklearn.linear_model.PoissonRegressor``; the
    gradient is that of ``torch.nn.PoissonNLLLoss``.
    """
    return Loss(
        "poisson",
        poisson_value,
        poisson_derivative,
        is_exact=False,
        of_residual=False,
        records="half Poisson deviance",
        targets=COUNT_TARGETS,
        mean=np.exp,
    )


def objective() -> Loss:
    """Take the prediction itself as the loss, ignoring the target, to minimize a function of the parameters."""
    value, derivative = objective_value, objective_derivative
    return Loss("objective", value, derivative, of_residual=False, records="objective", nonnegative=False)
