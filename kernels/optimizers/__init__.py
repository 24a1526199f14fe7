"""The optimizers by name, and their text form."""

import copyreg
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sgdbench.kernels.base.registry import Table, registered_in
from sgdbench.kernels.base.spec import make_from_spec
from sgdbench.kernels.optimizers.adam_rules import adabelief, adam, adamax, adamw, adan, nadam, radam, yogi
from sgdbench.kernels.optimizers.adaptive_rules import adadelta, adagrad, rmsprop, rprop
from sgdbench.kernels.optimizers.descent_rules import asgd, momentum, nesterov, polyak, sgd
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.schedule_free_rules import schedule_free_adamw, schedule_free_sgd
from sgdbench.kernels.optimizers.sign_rules import lion, signum
from sgdbench.kernels.optimizers.wrappers import averaged, clipped, inverse_scaled, lookahead

_BUILDERS: tuple[Callable[..., Optimizer], ...] = (
    *(sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw, adadelta, adamax, nadam, radam, rprop, asgd),
    *(lion, signum, adabelief, yogi, adan, schedule_free_sgd, schedule_free_adamw),
    *(averaged, lookahead, clipped, inverse_scaled, polyak),
)
OPTIMIZERS = Table("optimizer", {build.__name__: build for build in _BUILDERS})


def __dir__() -> list[str]:
    """Return the names for consoles to complete."""
    return sorted([*OPTIMIZERS, "OPTIMIZERS", "Optimizer", "make_optimizer", "schedules"])


def make_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer that a text such as ``"momentum(0.9)"`` names; return an Optimizer unchanged.

    Raises
    ------
    ValueError
        If a name or an option is unknown, or a value is out of its range.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    return make_from_spec(optimizer, OPTIMIZERS, "optimizer", inner=make_optimizer)


def _reduce(optimizer: Optimizer) -> str | tuple[Any, ...]:
    """Return how to pickle an optimizer: as its text if possible, since rules of wrappers are local functions.

    The functions of a user's rule are pickled with it, for processes that do not know its name.
    """
    with suppress(ValueError):  # raised for an optimizer that was constructed directly
        if not registered_in(optimizer, "optimizer") and make_optimizer(optimizer.text) == optimizer:
            return make_optimizer, (optimizer.text,)
    return object.__reduce_ex__(optimizer, 2)


copyreg.pickle(Optimizer, _reduce)
