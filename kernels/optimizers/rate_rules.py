"""Rules whose learning rate changes from update to update; a schedule changes it from epoch to epoch."""
# ruff: noqa: ANN001, ANN202 - one source for three kinds of number; an annotation would name just one of them

# mypy: allow-untyped-defs

from collections.abc import Callable
from functools import cache
from typing import Any

from kernels.optimizers.descent_rules import sgd
from kernels.optimizers.optimizer import Optimizer, check_inner, check_not_negative

SGD = sgd()


@cache
def inverse_scaled_rule(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Return another rule at a rate that is divided by what the clock says."""

    def rule(theta, slots, gradient, lr, clock, options):
        return inner(theta, slots, gradient, lr / clock[1], clock[2:], options[1:])

    return rule


@cache
def inverse_scaled_clock(inner: Callable[..., Any] | None) -> Callable[..., Any]:
    """Return the clock that counts updates t from 1, with t**power, before that of another rule."""

    def count(clock, options):
        updates = clock[0] + 1.0
        return updates, updates ** options[0]

    if inner is None:
        return count

    def count_and_step(clock, options):
        return count(clock, options) + inner(clock[2:], options[1:])

    return count_and_step


def inverse_scaled(inner: Optimizer = SGD, power: float = 0.25) -> Optimizer:
    """Another optimizer at the rate lr / t**power in the t-th update, with t from 1.

    H. Robbins, S. Monro, A stochastic approximation method (1951): sgd converges for 1/2 < power <= 1. As
    ``sklearn.linear_model.SGDRegressor(learning_rate="invscaling", power_t=power)``; with single samples, its averages
    are those of ``averaged(inverse_scaled(sgd, power))``. The schedule `inverse_scaling` counts epochs.
    """
    made = check_inner("inverse_scaled", inner)
    if made.gradient_at:
        raise ValueError(
            f"inverse_scaled takes an optimizer whose gradients are taken where it stands, not {made.name}; averages "
            "go outside: averaged(inverse_scaled(...))"
        )
    return Optimizer(
        "inverse_scaled",
        inverse_scaled_rule(made.rule),
        {"power": check_not_negative("power", power)} | made.options_as_inner,
        made.slots,
        inverse_scaled_clock(made.clock),
        (0.0, 1.0, *made.clock_start),
        made.weight_decay,
        slots_start=made.slots_start,
        needs_norm=made.needs_norm,
        needs_loss=made.needs_loss,
        inner=made,
    )
