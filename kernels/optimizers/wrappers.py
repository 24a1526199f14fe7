"""Optimizers that wrap another one: averaged, lookahead, clipped, inverse_scaled.

The options, the clock and the slot of a wrapper precede those of the inner optimizer.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from numpy import minimum, sqrt, where

from sgdbench.kernels.base.checks import check_positive, check_real, describe
from sgdbench.kernels.optimizers.descent_rules import count_updates, first_slot, sgd
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay, check_nonnegative

SGD = sgd()


@cache
def averaged_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule that averages the iterates of an inner rule."""

    def rule(theta, slots, gradient, lr, clock, options):
        point, memory = inner(slots[0], slots[1:], gradient, lr, clock[1:], options)
        share = 1.0 / clock[0]
        return (1.0 - share) * theta + share * point, (point,) + memory  # noqa: RUF005 - numba unpacks no tuple

    return rule


@cache
def lookahead_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule that moves towards the iterate of an inner rule once per period."""

    def rule(theta, slots, gradient, lr, clock, options):
        fast, memory = inner(slots[0], slots[1:], gradient, lr, clock[2:], options[2:])
        now = clock[1]
        theta = theta + now * (options[1] * (fast - theta))
        return theta, (now * theta + (1.0 - now) * fast,) + memory  # noqa: RUF005 - numba unpacks no tuple

    return rule


@cache
def clipped_rule(inner: Callable[..., Any], decays: bool) -> Callable[..., Any]:
    """Return the inner rule with a scaled-down gradient; weight decay is added afterwards."""

    def rule(theta, slots, gradient, lr, clock, options):
        share = minimum(1.0, options[0] / (sqrt(clock[-1]) + 1e-6))
        return inner(theta, slots, share * gradient, lr, clock[:-1], options[1:])

    def rule_with_decay(theta, slots, gradient, lr, clock, options):
        share = minimum(1.0, options[0] / (sqrt(clock[-1]) + 1e-6))
        gradient = add_weight_decay(theta, share * gradient, options[1])
        return inner(theta, slots, gradient, lr, clock[:-1], options[2:])

    return rule_with_decay if decays else rule


@cache
def inverse_scaled_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the inner rule with a learning rate divided by the second number of the clock."""

    def rule(theta, slots, gradient, lr, clock, options):
        return inner(theta, slots, gradient, lr / clock[1], clock[2:], options[1:])

    return rule


def count_up_to_period(clock, options):
    """Return the number of updates since theta last moved, and 1 if it moves in this one, else 0."""
    passed = clock[0] + 1.0
    moves = passed >= options[0]
    return where(moves, 0.0, passed), where(moves, 1.0, 0.0)


def count_and_raise(clock, options):
    """Return the number t of the update, from 1, and t**power."""
    updates = clock[0] + 1.0
    return updates, updates ** options[0]


@cache
def clock_before(own: Any, size: int, inner: Callable[..., Any], skipped: int) -> Callable[..., Any]:
    """Return a clock of `size` numbers, if any, then the clock of the inner optimizer, which skips some options."""

    def clocks(clock, options):
        return own(clock, options) + inner(clock[size:], options[skipped:])

    def clock_of_inner(clock, options):
        return inner(clock, options[skipped:])

    return clocks if own else clock_of_inner


def averaged(inner: Optimizer = SGD) -> Optimizer:
    """Polyak-Ruppert averaging: the mean of all iterates of an inner optimizer, which the averaging does not affect.

    p steps by the inner optimizer, with gradients at p;  theta <- theta + (p - theta) / t, with t from 1.
    B. T. Polyak, A. B. Juditsky, Acceleration of stochastic approximation by averaging, SIAM J. Control Optim. 30
    (1992); D. Ruppert (1988).
    """
    _check_inner("averaged", inner)
    made = _wrap("averaged", inner, averaged_rule(inner.rule), {}, count_updates, (0.0,))
    return _with_iterate(made)


def lookahead(inner: Optimizer = SGD, sync_period: int = 5, slow_step_size: float = 0.5) -> Optimizer:
    """Lookahead: move towards an inner optimizer's iterate every `sync_period` updates, and restart it from there.

    p steps by the inner optimizer, with gradients at p; after every sync_period updates theta <- theta +
    slow_step_size * (p - theta), and p <- theta.
    M. R. Zhang et al., Lookahead optimizer: k steps forward, 1 step back (NeurIPS 2019). Same as ``optax.lookahead``.
    """
    _check_inner("lookahead", inner)
    accepted = "a whole number of at least 1"
    period = check_real("sync_period", sync_period, lambda number: number >= 1.0 and number.is_integer(), accepted)
    own = {"sync_period": period, "slow_step_size": check_positive("slow_step_size", slow_step_size)}
    made = _wrap("lookahead", inner, lookahead_rule(inner.rule), own, count_up_to_period, (0.0, 0.0))
    return _with_iterate(made)


def clipped(inner: Optimizer = SGD, max_norm: float = 1.0) -> Optimizer:
    """Gradient clipping: an inner optimizer with gradients scaled to a norm of at most max_norm.

    g <- g * min(1, max_norm / (|g| + 1e-6)), over all parameters; weight decay of the inner optimizer comes after.
    R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks (ICML 2013). Same as
    ``torch.nn.utils.clip_grad_norm_``.
    """
    _check_inner("clipped", inner)
    if inner.needs_norm:
        raise ValueError(f"clipped takes an optimizer that does not need the norm of the gradient, not {inner.name}")
    decay = {"inner.weight_decay": inner.weight_decay} if inner.weight_decay else {}
    own = {"max_norm": check_positive("max_norm", max_norm)} | decay
    made = _wrap("clipped", inner, clipped_rule(inner.rule, bool(decay)), own, None, ())
    return replace(made, weight_decay=0.0, needs_norm=True)


def inverse_scaled(inner: Optimizer = SGD, power: float = 0.25) -> Optimizer:
    """Inverse scaling: an inner optimizer with the learning rate lr / t**power at update t, with t from 1.

    H. Robbins, S. Monro, A stochastic approximation method (1951): sgd converges for 1/2 < power <= 1. Same as
    ``sklearn.linear_model.SGDRegressor(learning_rate="invscaling", power_t=power)``; with single samples, its averages
    are those of ``averaged(inverse_scaled(sgd, power))``. The schedule `inverse_scaling` counts epochs.
    """
    _check_inner("inverse_scaled", inner)
    rule, own = inverse_scaled_rule(inner.rule), check_nonnegative(power=power)
    return _wrap("inverse_scaled", inner, rule, own, count_and_raise, (0.0, 1.0))


def _check_inner(name: str, inner: object) -> None:
    """Refuse anything that a wrapper cannot wrap."""
    if not isinstance(inner, Optimizer):
        raise ValueError(f"{name} is made of another optimizer, as in {name}(adam), not of {describe(inner)}")
    if inner.gradient_at:
        raise ValueError(
            f"{name} takes an optimizer that evaluates gradients at its parameters, not {inner.name}; put averages "
            "outside, as in averaged(clipped(adam))"
        )


def _wrap(
    name: str,
    inner: Optimizer,
    rule: Callable[..., Any],
    own: dict[str, float],
    clock: Callable[..., Any] | None,
    start: tuple[float, ...],
) -> Optimizer:
    """Return an optimizer whose own rule, options and clock precede those of the inner optimizer."""
    if inner.clock:
        clock = clock_before(clock, len(start), inner.clock, len(own))
    return replace(
        inner,
        name=name,
        rule=rule,
        options=own | {f"inner.{option}": value for option, value in inner.options.items()},
        clock=clock,
        clock_start=start + inner.clock_start,
        per_sample=None,
        flags=(),
        call="",
        inner=inner,
    )


def _with_iterate(made: Optimizer) -> Optimizer:
    """Return a wrapper whose first slot is the iterate of the inner optimizer, at which gradients are taken."""
    start = (None, *made.all_slots_start)
    return replace(made, slots=1 + made.slots, slots_start=start, gradient_at=first_slot)
