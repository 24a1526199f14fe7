"""Rules with steps of constant size in the direction of a sign: signum, lion."""

from numpy import sign

from sgdbench.kernels.optimizers.optimizer import Optimizer, check_fractions, check_nonnegative


def signum_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `signum`."""
    (mean,) = slots
    (momentum,) = options
    mean = momentum * mean + (1.0 - momentum) * gradient
    # + 0.0: numba's sign of -0.0 is -0.0, NumPy's is 0.0.
    return theta - lr * sign(mean), (mean,)


def lion_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `lion`."""
    (mean,) = slots
    beta1, beta2, weight_decay = options
    direction = sign((1.0 - beta1) * gradient + beta1 * mean)
    return theta - lr * (direction + weight_decay * theta), ((1.0 - beta2) * gradient + beta2 * mean,)


def signum(momentum: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Step by the sign of a moving average of gradients.

    m <- momentum * m + (1 - momentum) * g;  theta <- theta - lr * sign(m).
    J. Bernstein et al., signSGD: compressed optimisation for non-convex problems (ICML 2018). Same as ``optax.signum``.
    """
    return Optimizer("signum", signum_rule, check_fractions(momentum=momentum), slots=1, weight_decay=weight_decay)


def lion(beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 1e-3) -> Optimizer:
    """Lion: step by the sign of a moving average of gradients, with an extra weight on the newest gradient.

    theta <- theta - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * theta);
    m <- beta2 * m + (1 - beta2) * g.
    X. Chen et al., Symbolic discovery of optimization algorithms (2023), arXiv:2302.06675. Same as ``optax.lion``.
    """
    options = check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(weight_decay=weight_decay)
    return Optimizer("lion", lion_rule, options, slots=1)
