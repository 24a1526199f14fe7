"""Schedule-free learning: averaging replaces a schedule."""

from numpy import maximum, sqrt

from sgdbench.kernels.optimizers.adam_rules import SMALLEST_POWER
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay, check_fractions, check_nonnegative


def schedule_free_sgd_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `schedule_free_sgd`."""
    point, weights, largest = slots
    largest = maximum(largest, lr)
    return _schedule_free(theta, point - lr * gradient, weights, largest)


def schedule_free_adamw_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `schedule_free_adamw`."""
    point, weights, largest, square = slots
    _, beta2, eps, weight_decay = options
    largest = maximum(largest, lr)
    square = beta2 * square + (1.0 - beta2) * gradient * gradient
    step = gradient / (sqrt(square) * (1.0 / sqrt(1.0 - clock[0])) + eps)
    step = add_weight_decay(schedule_free_point(theta, slots, options), step, weight_decay)
    theta, own = _schedule_free(theta, point - lr * step, weights, largest)
    return theta, own + (square,)  # noqa: RUF005 - numba unpacks no tuple


def schedule_free_point(theta, slots, options):
    """Return the point between the average and the iterate."""
    return options[0] * theta + (1.0 - options[0]) * slots[0]


def _schedule_free(theta, point, weights, largest):
    """Return the mean of the iterates, each weighted by the square of the largest learning rate so far."""
    weight = largest * largest
    weights = weights + weight
    # If all rates so far were 0, nothing has moved.
    share = weight / maximum(weights, SMALLEST_POWER)
    return (1.0 - share) * theta + share * point, (point, weights, largest)


def schedule_free_adamw_clock(clock, options):
    """Advance beta2**t to the next update."""
    return (maximum(clock[0] * options[1], SMALLEST_POWER),)


def schedule_free_sgd(beta1: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Schedule-free SGD: averaging instead of a schedule.

    y = beta1 * theta + (1 - beta1) * z;  z <- z - lr * g(y);  theta <- theta + c * (z - theta), with c this update's
    share of the sum of the squares of the largest rates so far.
    A. Defazio et al., The road less scheduled (NeurIPS 2024), arXiv:2405.15682. Same as
    ``optax.contrib.schedule_free_sgd``.
    """
    return Optimizer(
        "schedule_free_sgd",
        schedule_free_sgd_rule,
        check_fractions(beta1=beta1),
        3,
        weight_decay=weight_decay,
        slots_start=(None, 0.0, 0.0),
        gradient_at=schedule_free_point,
    )


def schedule_free_adamw(
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
) -> Optimizer:
    """Schedule-free AdamW: `schedule_free_sgd` with the steps of Adam without its momentum.

    z <- z - lr * (g(y) / (sqrt(v / (1 - beta2**t)) + eps) + weight_decay * y), with v and t as in `adam`.
    A. Defazio et al., The road less scheduled (NeurIPS 2024). Same as ``optax.contrib.schedule_free_adamw``.
    """
    return Optimizer(
        "schedule_free_adamw",
        schedule_free_adamw_rule,
        check_fractions(beta1=beta1, beta2=beta2) | check_nonnegative(eps=eps, weight_decay=weight_decay),
        4,
        schedule_free_adamw_clock,
        (1.0,),
        slots_start=(None, 0.0, 0.0, 0.0),
        gradient_at=schedule_free_point,
    )
