"""Rules that need the whole gradient: clipping by its norm, and the Polyak step."""
# ruff: noqa: ANN001, ANN201, ANN202 - one source for three kinds of number; an annotation would name just one of them

# mypy: allow-untyped-defs

from collections.abc import Callable
from functools import cache
from typing import Any

from numpy import maximum, minimum, sqrt

from kernels.base.checks import check_real
from kernels.optimizers.descent_rules import sgd
from kernels.optimizers.optimizer import Optimizer, add_weight_decay, check_inner, check_not_negative, check_positive

SGD = sgd()
# The smallest normal number.
TINY = 2.0**-1022


@cache
def clipped_rule(inner: Callable[..., Any], decays: bool) -> Callable[..., Any]:
    """Return another rule with the gradient scaled down; weight decay is added afterwards."""

    def rule(theta, slots, gradient, lr, clock, options):
        share = minimum(1.0, options[0] / (sqrt(clock[-1]) + 1e-6))
        return inner(theta, slots, share * gradient, lr, clock[:-1], options[1:])

    def rule_with_decay(theta, slots, gradient, lr, clock, options):
        share = minimum(1.0, options[0] / (sqrt(clock[-1]) + 1e-6))
        gradient = add_weight_decay(theta, share * gradient, options[1])
        return inner(theta, slots, gradient, lr, clock[:-1], options[2:])

    return rule_with_decay if decays else rule


@cache
def clipped_clock(inner: Callable[..., Any], own: int) -> Callable[..., Any]:
    """Return the clock of another rule, whose options come behind one or two of our own."""

    def behind_one(clock, options):
        return inner(clock, options[1:])

    def behind_two(clock, options):
        return inner(clock, options[2:])

    return behind_two if own > 1 else behind_one


def polyak_rule(theta, slots, gradient, lr, clock, options):
    """Apply one update of `polyak`."""
    loss, norm = clock
    f_min, scaling, eps = options
    step = minimum(lr, maximum(loss - f_min, 0.0) / maximum(norm + eps, TINY))
    return theta - scaling * step * gradient, ()


def clipped(inner: Optimizer = SGD, max_norm: float = 1.0) -> Optimizer:
    """Another optimizer, given gradients whose norm is at most max_norm.

    g <- g * min(1, max_norm / (|g| + 1e-6)), over all parameters; weight decay of the inner optimizer comes after.
    R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks (ICML 2013). As
    ``torch.nn.utils.clip_grad_norm_``.
    """
    made = check_inner("clipped", inner)
    if made.gradient_at or made.needs_norm:
        raise ValueError(
            f"clipped takes an optimizer of the gradient alone, not {made.name}; averages go outside: "
            "averaged(clipped(...))"
        )
    own = {"max_norm": check_positive("max_norm", max_norm)}
    decay = {"inner.weight_decay": made.weight_decay} if made.weight_decay else {}
    return Optimizer(
        "clipped",
        clipped_rule(made.rule, bool(decay)),
        own | decay | made.options_as_inner,
        made.slots,
        made.clock and clipped_clock(made.clock, len(own) + len(decay)),
        made.clock_start,
        slots_start=made.slots_start,
        needs_norm=True,
        inner=made,
    )


def polyak(f_min: float = 0.0, scaling: float = 1.0, eps: float = 0.0) -> Optimizer:
    """Polyak's step, at most the learning rate, from how far the loss of the batch is above f_min.

    theta <- theta - scaling * min(lr, max(f - f_min, 0) / (|g|**2 + eps)) * g, where f is the mean over the batch of
    the loss that is trained: for the squared loss HALF the mean squared residual.
    B. T. Polyak, Minimization of unsmooth functionals (1969); N. Loizou et al., Stochastic Polyak step-size for SGD
    (AISTATS 2021). As ``optax.polyak_sgd(variant="sps+")``.
    """
    options = {
        "f_min": check_real("f_min", f_min, lambda value: True, "a finite number"),
        "scaling": check_positive("scaling", scaling),
        "eps": check_not_negative("eps", eps),
    }
    return Optimizer("polyak", polyak_rule, options, needs_norm=True, needs_loss=True)
