"""Rules with a learning rate per parameter, scaled by its gradients: adagrad, adadelta, rmsprop, rprop."""

from dataclasses import replace

from numpy import maximum, minimum, sign, sqrt, where

from sgdbench.kernels.base.checks import check_between, check_bool, check_positive, check_real
from sgdbench.kernels.optimizers.descent_rules import count_updates
from sgdbench.kernels.optimizers.optimizer import Optimizer, check_fractions, check_nonnegative


def adagrad_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adagrad`."""
    (total,) = slots
    (eps,) = options
    total = total + gradient * gradient
    return theta - lr * gradient / (sqrt(total) + eps), (total,)


def decayed_adagrad_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adagrad` with a decaying learning rate."""
    eps, lr_decay, _ = options
    return adagrad_rule(theta, slots, gradient, lr / (1.0 + clock[0] * lr_decay), clock, (eps,))


def adadelta_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `adadelta`."""
    square, moved = slots
    rho, eps = options
    square = rho * square + (1.0 - rho) * gradient * gradient
    step = sqrt(moved + eps) / sqrt(square + eps) * gradient
    return theta - lr * step, (square, rho * moved + (1.0 - rho) * step * step)


def rmsprop_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `rmsprop`."""
    (square,) = slots
    alpha, eps = options
    square = alpha * square + (1.0 - alpha) * gradient * gradient
    return theta - lr * gradient / (sqrt(square) + eps), (square,)


def rmsprop_momentum_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `rmsprop` with momentum."""
    square, velocity = slots
    alpha, eps, momentum = options
    square = alpha * square + (1.0 - alpha) * gradient * gradient
    velocity = momentum * velocity + gradient / (sqrt(square) + eps)
    return theta - lr * velocity, (square, velocity)


def centered_rmsprop_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of centered `rmsprop`, with momentum or with a momentum of 0."""
    square, mean, velocity = slots
    alpha, eps, momentum = options
    square = alpha * square + (1.0 - alpha) * gradient * gradient
    mean = alpha * mean + (1.0 - alpha) * gradient
    velocity = momentum * velocity + gradient / (sqrt(square - mean * mean) + eps)
    return theta - lr * velocity, (square, mean, velocity)


def rprop_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `rprop`."""
    before, step = slots
    (first,) = clock
    etaminus, etaplus, step_min, step_max = options
    agreement = sign(before * gradient)
    same, opposite = maximum(agreement, 0.0), maximum(-agreement, 0.0)
    step = first * lr + (1.0 - first) * step
    step = step * (same * etaplus + opposite * etaminus + (1.0 - same - opposite))
    step = minimum(maximum(step, step_min), step_max)
    gradient = (1.0 - opposite) * gradient
    return theta - sign(gradient) * step, (gradient, step)


def mark_first_update(clock, options):
    """Return 1 at the first update, and 0 later."""
    return (where(clock[0] < 0.0, 1.0, 0.0),)


def adagrad(
    eps: float = 1e-10, weight_decay: float = 0.0, lr_decay: float = 0.0, initial_accumulator_value: float = 0.0
) -> Optimizer:
    """Adagrad: a learning rate per parameter that only decreases.

    s <- s + g**2;  theta <- theta - lr / (1 + t * lr_decay) * g / (sqrt(s) + eps), with t from 0 and s from
    initial_accumulator_value.
    J. Duchi, E. Hazan, Y. Singer, Adaptive subgradient methods, JMLR 12 (2011). Same as ``torch.optim.Adagrad``.
    """
    options = check_nonnegative(eps=eps)
    more = check_nonnegative(lr_decay=lr_decay, initial_accumulator_value=initial_accumulator_value)
    if not any(more.values()):
        return Optimizer("adagrad", adagrad_rule, options, slots=1, weight_decay=weight_decay)
    start = (more["initial_accumulator_value"],)
    return Optimizer(
        "adagrad", decayed_adagrad_rule, options | more, 1, count_updates, (-1.0,), weight_decay, slots_start=start
    )


def adadelta(rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0) -> Optimizer:
    """Adadelta: steps in the units of the parameters, scaled to the size of recent steps.

    s <- rho * s + (1 - rho) * g**2;  d <- sqrt(u + eps) / sqrt(s + eps) * g;  theta <- theta - lr * d;
    u <- rho * u + (1 - rho) * d**2.
    M. D. Zeiler, ADADELTA: an adaptive learning rate method (2012), arXiv:1212.5701. Same as ``torch.optim.Adadelta``,
    whose default lr is 1.
    """
    options = check_fractions(rho=rho) | {"eps": check_positive("eps", eps)}
    return Optimizer("adadelta", adadelta_rule, options, slots=2, weight_decay=weight_decay)


def rmsprop(
    alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0, momentum: float = 0.0, *, centered: bool = False
) -> Optimizer:
    """RMSprop: Adagrad with a moving average of squared gradients.

    s <- alpha * s + (1 - alpha) * g**2;  theta <- theta - lr * g / (sqrt(s) + eps).
    With momentum: v <- momentum * v + g / (sqrt(s) + eps);  theta <- theta - lr * v. Centered: s minus the square of
    m <- alpha * m + (1 - alpha) * g replaces s.
    T. Tieleman, G. Hinton, Lecture 6.5, Coursera (2012); centered: A. Graves (2013), arXiv:1308.0850. Same as
    ``torch.optim.RMSprop``.
    """
    options, more = check_fractions(alpha=alpha) | check_nonnegative(eps=eps), check_fractions(momentum=momentum)
    made = Optimizer("rmsprop", rmsprop_rule, options, slots=1, weight_decay=weight_decay)
    if check_bool("centered", centered):
        return replace(made, rule=centered_rmsprop_rule, options=options | more, slots=3, flags=("centered",))
    if momentum:
        return replace(made, rule=rmsprop_momentum_rule, options=options | more, slots=2)
    return made


def rprop(etaminus: float = 0.5, etaplus: float = 1.2, step_min: float = 1e-6, step_max: float = 50.0) -> Optimizer:
    """Resilient backpropagation, which uses only the signs of the gradient; meant for full batches.

    The step of a parameter, lr at first, is multiplied by etaplus if the sign of its gradient stays the same. If the
    sign changes, the step is multiplied by etaminus and not taken. It stays within step_min and step_max.
    M. Riedmiller, H. Braun, A direct adaptive method for faster backpropagation learning (1993). Same as
    ``torch.optim.Rprop``.
    """
    options = {
        "etaminus": check_between("etaminus", etaminus, 0, 1),
        "etaplus": check_real("etaplus", etaplus, lambda eta: eta > 1.0, "a number above 1"),
        **check_nonnegative(step_min=step_min),
        "step_max": check_positive("step_max", step_max),
    }
    return Optimizer("rprop", rprop_rule, options, 2, mark_first_update, (-1.0,))
