"""Rules that step along the gradient, or along a mean of gradients: sgd, momentum, nesterov, asgd, polyak."""

from numpy import maximum, minimum

from sgdbench.kernels.base.checks import check_finite, check_positive
from sgdbench.kernels.optimizers.optimizer import Optimizer, check_fractions, check_nonnegative

# The smallest normal number.
SMALLEST_NORMAL = 2.0**-1022


def sgd_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `sgd`."""
    return theta - lr * gradient, ()


def sgd_per_sample(theta, residual, derivative, lr):
    """Apply theta <- theta - r * (lr * df/dtheta); r is the derivative of the loss with respect to the residual.

    For a model that is linear in its parameters, lr * df/dtheta does not depend on theta, which removes one
    multiplication from the chain between updates. The last bit differs from `sgd_rule` with g = r * df/dtheta; the
    reference and the kernels both use this order.
    """
    return theta - residual * (lr * derivative)


def momentum_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `momentum`."""
    (velocity,) = slots
    (momentum,) = options
    velocity = momentum * velocity + gradient
    return theta - lr * velocity, (velocity,)


def dampened_momentum_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `momentum` with dampening; the clock holds the weight of this update's gradient."""
    (velocity,) = slots
    share, _ = clock
    velocity = options[0] * velocity + share * gradient
    return theta - lr * velocity, (velocity,)


def dampening_clock(clock, options):
    """Return the weight of the gradient in the velocity, and the weight from the second update on."""
    _, following = clock
    return following, 1.0 - options[1]


def nesterov_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `nesterov`."""
    (velocity,) = slots
    (momentum,) = options
    velocity = momentum * velocity + gradient
    return theta - lr * (gradient + momentum * velocity), (velocity,)


def asgd_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `asgd`."""
    point, step = slots
    (updates,) = clock
    lambd, alpha, t0 = options
    first = maximum(2.0 - updates, 0.0)
    step = first * lr + (1.0 - first) * step
    point = (1.0 - lambd * step) * point - step * gradient
    share = 1.0 / maximum(1.0, updates - 1.0 - t0)
    return share * point + (1.0 - share) * theta, (point, lr / (1.0 + lambd * lr * updates) ** alpha)


def polyak_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `polyak`."""
    loss, norm = clock
    f_min, scaling, eps = options
    step = minimum(lr, maximum(loss - f_min, 0.0) / maximum(norm + eps, SMALLEST_NORMAL))
    return theta - scaling * step * gradient, ()


def first_slot(theta, slots, options):
    """Return the first slot: the iterate that theta averages, at which gradients are taken."""
    return slots[0]


def count_updates(clock, options):
    """Return the number of the update, from 1 if the clock starts at 0, and from 0 if it starts at -1."""
    return (clock[0] + 1.0,)


def sgd(weight_decay: float = 0.0) -> Optimizer:
    """Plain stochastic gradient descent: theta <- theta - lr * g.

    H. Robbins, S. Monro, A stochastic approximation method, Annals of Mathematical Statistics 22 (1951). Same as
    ``torch.optim.SGD``.
    """
    per_sample = None if weight_decay else sgd_per_sample
    return Optimizer("sgd", sgd_rule, weight_decay=weight_decay, per_sample=per_sample)


def momentum(momentum: float = 0.9, weight_decay: float = 0.0, dampening: float = 0.0) -> Optimizer:
    """Heavy ball: v <- momentum * v + (1 - dampening) * g;  theta <- theta - lr * v.

    The first gradient is not dampened. B. T. Polyak, Some methods of speeding up the convergence of iteration methods
    (1964). The learning rate is outside the velocity, as in ``torch.optim.SGD(momentum=...)``.
    """
    options, more = check_fractions(momentum=momentum), check_fractions(dampening=dampening)
    if more["dampening"]:
        return Optimizer(
            "momentum", dampened_momentum_rule, options | more, 1, dampening_clock, (0.0, 1.0), weight_decay
        )
    return Optimizer("momentum", momentum_rule, options, slots=1, weight_decay=weight_decay)


def nesterov(momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Momentum with a look-ahead gradient: v <- momentum * v + g;  theta <- theta - lr * (g + momentum * v).

    I. Sutskever et al., On the importance of initialization and momentum in deep learning (ICML 2013). Same as
    ``torch.optim.SGD(momentum=..., nesterov=True)``.
    """
    options = check_fractions(momentum=momentum)
    return Optimizer("nesterov", nesterov_rule, options, slots=1, weight_decay=weight_decay)


def asgd(lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, weight_decay: float = 0.0) -> Optimizer:
    """Averaged SGD: the average of the iterates from update t0 on, with a rate that also decreases within epochs.

    p <- (1 - lambd * eta) * p - eta * g;  theta <- theta + (p - theta) / max(1, t - 1 - t0);
    eta <- lr / (1 + lambd * lr * t)**alpha, with t from 1.
    B. T. Polyak, A. B. Juditsky, Acceleration of stochastic approximation by averaging (1992). Same as
    ``torch.optim.ASGD``, whose parameters are p and whose state ``ax`` is the average. Here theta, on which the loss is
    reported, is the average.
    """
    return Optimizer(
        "asgd",
        asgd_rule,
        check_nonnegative(lambd=lambd, alpha=alpha, t0=t0),
        2,
        count_updates,
        (0.0,),
        weight_decay,
        slots_start=(None, 0.0),
        gradient_at=first_slot,
    )


def polyak(f_min: float = 0.0, scaling: float = 1.0, eps: float = 0.0) -> Optimizer:
    """Polyak's step: at most the learning rate, by the distance of the batch's loss from f_min.

    theta <- theta - scaling * min(lr, max(f - f_min, 0) / (|g|**2 + eps)) * g, where f is the mean over the batch of
    the trained loss: for the squared loss HALF the mean squared residual.
    B. T. Polyak, Minimization of unsmooth functionals (1969); N. Loizou et al., Stochastic Polyak step-size for SGD
    (AISTATS 2021). Same as ``optax.polyak_sgd(variant="sps+")``.
    """
    options = {"f_min": check_finite("f_min", f_min), "scaling": check_positive("scaling", scaling)}
    options |= check_nonnegative(eps=eps)
    return Optimizer("polyak", polyak_rule, options, needs_norm=True, needs_loss=True)
