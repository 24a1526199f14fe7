"""Losses of the residual r = f(x; theta) - y, and their derivatives.

The gradient of a batch is the mean over its samples of loss'(r) * df/dtheta. For ``squared``, r**2 / 2, that
is the gradient of HALF the mean squared error, as in scikit-learn.

The ``*_derivative`` functions are compiled into the kernels, for floats and for SIMD vectors, and are called unchanged
with NumPy arrays. They therefore use only operators and NumPy's elementwise functions, and no branches.
"""

from numpy import absolute, log, log1p, maximum, minimum, sign, sinh, tanh

from sgdbench.kernels.base.checks import check_between, check_not_negative, check_positive
from sgdbench.kernels.losses.loss import Loss


def squared_value(residual, options):
    """Return r**2 / 2."""
    return 0.5 * residual * residual


def squared_derivative(residual, options):
    """Return r."""
    return residual


def huber_value(residual, options):
    """Return r**2 / 2 where |r| <= delta, delta * (|r| - delta / 2) beyond."""
    (delta,) = options
    size = absolute(residual)
    clipped = minimum(size, delta)
    return clipped * (size - 0.5 * clipped)


def huber_derivative(residual, options):
    """Return r, clipped to [-delta, delta]."""
    (delta,) = options
    return minimum(maximum(residual, -delta), delta)


def logcosh_value(residual, options):
    """Return log(cosh(r)), as log1p(2 sinh(r/2)**2) up to |r| = 20 and as a line of slope 1 beyond.

    cosh itself overflows beyond 710. The usual |r| + log1p(exp(-2|r|)) - log(2) cancels to noise below |r| = 1e-8,
    where the loss is r**2 / 2; this form is accurate there. At 20 the slope is 1 to within 1e-16.
    """
    size = absolute(residual)
    near = minimum(size, 20.0)
    root = sinh(0.5 * near)
    return log1p(2.0 * root * root) + (size - near)


def logcosh_derivative(residual, options):
    """Return tanh(r)."""
    return tanh(residual)


def absolute_value(residual, options):
    """Return |r|."""
    return absolute(residual)


def absolute_derivative(residual, options):
    """Return the sign of r, 0 at 0."""
    return sign(residual)


def quantile_value(residual, options):
    """Return (1 - tau) * r where r >= 0, -tau * r elsewhere."""
    (tau,) = options
    return maximum((1.0 - tau) * residual, -tau * residual) + 0.0


def quantile_derivative(residual, options):
    """Return 1 - tau where r > 0, -tau where r < 0, and 0 at 0."""
    (tau,) = options
    side = sign(residual)
    return (1.0 - tau) * maximum(side, 0.0) + tau * minimum(side, 0.0)


def cauchy_value(residual, options):
    """Return scale**2 / 2 * log(1 + (r / scale)**2), in a form that does not overflow beyond 1e100 scales."""
    (scale,) = options
    size = absolute(residual) / scale
    near = minimum(size, 1e100)
    return 0.5 * scale * scale * (log1p(near * near) + 2.0 * log(maximum(size * 1e-100, 1.0)))


def cauchy_derivative(residual, options):
    """Return r / (1 + (r / scale)**2)."""
    (scale,) = options
    ratio = residual / scale
    return residual / (1.0 + ratio * ratio)


def epsilon_insensitive_value(residual, options):
    """Return |r| - epsilon, and 0 where that is negative."""
    (epsilon,) = options
    return maximum(absolute(residual) - epsilon, 0.0)


def epsilon_insensitive_derivative(residual, options):
    """Return the sign of r where |r| > epsilon, 0 elsewhere."""
    (epsilon,) = options
    return sign(residual - minimum(maximum(residual, -epsilon), epsilon))


def squared() -> Loss:
    """Least squares: r**2 / 2."""
    records = "mean squared residual"
    return Loss("squared", squared_value, squared_derivative, records=records, is_squared=True, degree=2)


def huber(delta: float = 1.0) -> Loss:
    """Quadratic up to |r| = delta, linear beyond, so that an outlier pulls no harder than delta.

    r**2 / 2 where |r| <= delta, else delta * (|r| - delta / 2). P. J. Huber, Robust estimation of a location
    parameter, Annals of Mathematical Statistics 35 (1964). Same as ``torch.nn.HuberLoss``.
    """
    options = {"delta": check_positive("delta", delta)}
    return Loss("huber", huber_value, huber_derivative, options)


def logcosh() -> Loss:
    """Smooth between r**2 / 2 near zero and |r| - log(2) far away: log(cosh(r))."""
    return Loss("logcosh", logcosh_value, logcosh_derivative, is_exact=False)


def absolute_loss() -> Loss:
    """Least absolute deviations: |r|, whose mean is lowest at the median of the targets.

    The derivative is sign(r), and 0 at 0. Same as ``torch.nn.L1Loss``.
    """
    return Loss("absolute", absolute_value, absolute_derivative, degree=1)


def quantile(tau: float = 0.5) -> Loss:
    """Pinball loss, whose mean is lowest at the tau-quantile of the targets.

    tau * (y - f) where the target y lies above f, (1 - tau) * (f - y) below; the derivative at 0 is 0. R. Koenker and
    G. Bassett, Regression quantiles, Econometrica 46 (1978). Same as ``sklearn.linear_model.QuantileRegressor``.
    """
    options = {"tau": check_between("tau", tau, 0, 1)}
    return Loss("quantile", quantile_value, quantile_derivative, options, degree=1)


def cauchy(scale: float = 1.0) -> Loss:
    """Quadratic near zero, logarithmic far away, so that far outliers have little influence.

    scale**2 / 2 * log(1 + (r / scale)**2), with the derivative r / (1 + (r / scale)**2), which is largest at
    |r| = scale. Same as ``scipy.optimize.least_squares(loss="cauchy", f_scale=scale)``.
    """
    options = {"scale": check_positive("scale", scale)}
    return Loss("cauchy", cauchy_value, cauchy_derivative, options, is_exact=False)


def epsilon_insensitive(epsilon: float = 0.1) -> Loss:
    """Zero up to |r| = epsilon, linear beyond, as in support vector regression: max(|r| - epsilon, 0).

    The derivative is sign(r) where |r| > epsilon, else 0. V. Vapnik, The Nature of Statistical Learning Theory (1995).
    Same as ``sklearn.linear_model.SGDRegressor(loss="epsilon_insensitive")``.
    """
    options, records = {"epsilon": check_not_negative("epsilon", epsilon)}, "epsilon_insensitive loss"
    return Loss(
        "epsilon_insensitive", epsilon_insensitive_value, epsilon_insensitive_derivative, options, records=records
    )
