"""Rules that take their gradients at one point and give another: averages, lookahead, schedule-free learning."""
# ruff: noqa: ANN001, ANN201, ANN202 - one source for three kinds of number; an annotation would name just one of them

# mypy: allow-untyped-defs

from collections.abc import Callable
from functools import cache
from typing import Any

from numpy import maximum, sqrt

from kernels.base.checks import check_real
from kernels.optimizers.adam_rules import TINY
from kernels.optimizers.descent_rules import count_updates, first_slot, sgd
from kernels.optimizers.optimizer import (
    Optimizer,
    add_weight_decay,
    check_fraction,
    check_inner,
    check_not_negative,
    check_positive,
)

SGD = sgd()


@cache
def averaged_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule that gives the mean of what another has given."""

    def rule(theta, slots, gradient, lr, clock, options):
        point, memory = inner(slots[0], slots[1:], gradient, lr, clock[1:], options)
        share = 1.0 / clock[0]
        return (1.0 - share) * theta + share * point, (point,) + memory  # noqa: RUF005 - numba unpacks no tuple

    return rule


@cache
def lookahead_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule that follows another from time to time."""

    def rule(theta, slots, gradient, lr, clock, options):
        fast, memory = inner(slots[0], slots[1:], gradient, lr, clock[2:], options[2:])
        now = clock[1]
        theta = theta + now * (options[1] * (fast - theta))
        return theta, (now * theta + (1.0 - now) * fast,) + memory  # noqa: RUF005 - numba unpacks no tuple

    return rule


@cache
def averaged_clock(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the clock that counts updates from 1, before that of another rule."""
    if inner is None:
        return count_updates

    def count_and_step(clock, options):
        return count_updates(clock, options) + inner(clock[1:], options)

    return count_and_step


@cache
def lookahead_clock(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the clock that counts updates up to the period, and says when it is over, before that of another rule."""
    if inner is None:
        return count_up_to_period

    def count_and_step(clock, options):
        return count_up_to_period(clock, options) + inner(clock[2:], options[2:])

    return count_and_step


def count_up_to_period(clock, options):
    """Return how many updates have passed since the last one that was followed, and whether this one is followed."""
    passed = clock[0] + 1.0
    return (0.0, 1.0) if passed >= options[0] else (passed, 0.0)


def averaged(inner: Optimizer = SGD) -> Optimizer:
    """Polyak-Ruppert averaging: the mean of all that another optimizer gives, which goes on as if alone.

    p as by the inner optimizer, with gradients at p;  theta <- theta + (p - theta) / t, with t from 1.
    B. T. Polyak, A. B. Juditsky, Acceleration of stochastic approximation by averaging, SIAM J. Control Optim. 30
    (1992); D. Ruppert (1988).
    """
    made = _inner("averaged", inner)
    return _behind("averaged", made, averaged_rule(made.rule), {}, averaged_clock(made.clock), (0.0,))


def lookahead(inner: Optimizer = SGD, sync_period: int = 5, slow_step_size: float = 0.5) -> Optimizer:
    """Lookahead: `sync_period` updates by another optimizer, then a share of the way after it; from there it goes on.

    p as by the inner optimizer, with gradients at p; after every sync_period updates theta <- theta + slow_step_size *
    (p - theta), and p <- theta.
    M. R. Zhang et al., Lookahead optimizer: k steps forward, 1 step back (NeurIPS 2019). As ``optax.lookahead``.
    """
    made = _inner("lookahead", inner)
    own = {
        "sync_period": check_real(
            "sync_period",
            sync_period,
            lambda number: number >= 1.0 and number.is_integer(),
            "a whole number of at least 1",
        ),
        "slow_step_size": check_positive("slow_step_size", slow_step_size),
    }
    return _behind("lookahead", made, lookahead_rule(made.rule), own, lookahead_clock(made.clock), (0.0, 0.0))


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
    """Return the mean of the iterates, each with the square of the largest rate so far as its weight."""
    weight = largest * largest
    weights = weights + weight
    # Where all rates so far were 0, nothing has moved.
    share = weight / maximum(weights, TINY)
    return (1.0 - share) * theta + share * point, (point, weights, largest)


def schedule_free_adamw_clock(clock, options):
    """Advance beta2**t to the next update."""
    return (maximum(clock[0] * options[1], TINY),)


def schedule_free_sgd(beta1: float = 0.9, weight_decay: float = 0.0) -> Optimizer:
    """Schedule-free SGD: the average in place of a schedule.

    y = beta1 * theta + (1 - beta1) * z;  z <- z - lr * g(y);  theta <- theta + c * (z - theta), with c the share of
    this update in the sum of the squares of the largest rates so far.
    A. Defazio et al., The road less scheduled (NeurIPS 2024), arXiv:2405.15682. As ``optax.contrib.schedule_free_sgd``.
    """
    return Optimizer(
        "schedule_free_sgd",
        schedule_free_sgd_rule,
        {"beta1": check_fraction("beta1", beta1)},
        3,
        weight_decay=check_not_negative("weight_decay", weight_decay),
        slots_start=(None, 0.0, 0.0),
        gradient_at=schedule_free_point,
    )


def schedule_free_adamw(
    beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, weight_decay: float = 0.0
) -> Optimizer:
    """Schedule-free AdamW: `schedule_free_sgd` with the steps of Adam without its momentum.

    z <- z - lr * (g(y) / (sqrt(v / (1 - beta2**t)) + eps) + weight_decay * y), with v and t as in `adam`.
    A. Defazio et al., The road less scheduled (NeurIPS 2024). As ``optax.contrib.schedule_free_adamw``.
    """
    return Optimizer(
        "schedule_free_adamw",
        schedule_free_adamw_rule,
        {
            "beta1": check_fraction("beta1", beta1),
            "beta2": check_fraction("beta2", beta2),
            "eps": check_not_negative("eps", eps),
            "weight_decay": check_not_negative("weight_decay", weight_decay),
        },
        4,
        schedule_free_adamw_clock,
        (1.0,),
        slots_start=(None, 0.0, 0.0, 0.0),
        gradient_at=schedule_free_point,
    )


def _inner(name: str, inner: object) -> Optimizer:
    """Return the optimizer that another is made of."""
    made = check_inner(name, inner)
    if made.gradient_at:
        raise ValueError(f"{name} takes an optimizer whose gradients are taken where it stands, not {made.name}")
    return made


def _behind(
    name: str,
    inner: Optimizer,
    rule: Callable[..., Any],
    own: dict[str, float],
    clock: Callable[..., Any],
    clock_start: tuple[float, ...],
) -> Optimizer:
    """Return an optimizer that follows the path of another, with what is its own before what is the other's."""
    return Optimizer(
        name,
        rule,
        own | inner.options_as_inner,
        1 + inner.slots,
        clock,
        clock_start + inner.clock_start,
        inner.weight_decay,
        slots_start=(None, *inner.all_slots_start),
        gradient_at=first_slot,
        needs_norm=inner.needs_norm,
        needs_loss=inner.needs_loss,
        inner=inner,
    )
