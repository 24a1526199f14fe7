"""The definition of an optimizer: an update rule with its options.

Every rule has the same shape::

    theta, slots = rule(theta, slots, gradient, lr, clock, options)

`theta`, `gradient` and each of the `slots` belong to one parameter (or, as arrays, to all of them). `slots` is the
tuple of the state that the rule keeps per parameter. `clock` is a tuple of numbers that all parameters share, advanced
by ``clock = optimizer.clock(clock, options)`` once per update, before the rule. `options` is a tuple of floats. L2
weight decay is `add_weight_decay`, called before the rule if it is not zero.

These functions are compiled into the kernels, for floats and for SIMD vectors, and are called unchanged with NumPy
arrays. They therefore use only operators and NumPy's elementwise functions, and no branches. Constants and helper
functions of the module may be used. A clock is always a tuple of floats, and may branch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdbench.kernels.base.checks import check_finite, check_integer, check_not_negative, check_real
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.base.spec import spec_text

MAX_SLOTS = 100
"""A kernel of 100 slots is compiled in 8 s, and one of 1,000 not in 100 s."""


@dataclass(frozen=True)
class Optimizer:
    """An update rule with its options.

    Attributes
    ----------
    name : str
        Its key in `OPTIMIZERS`.
    rule : callable
        ``(theta, slots, gradient, lr, clock, options) -> (theta, slots)``, elementwise.
    options : dict
        From names to values, in the order in which `rule` unpacks them.
    slots : int
        The number of values that the rule stores per parameter.
    clock : callable or None
        ``(clock, options) -> clock``, called once per update before the rule; None if there is no clock.
    clock_start : tuple of float
        The clock before the first update.
    weight_decay : float
        L2 penalty: if it is not zero, the caller passes the gradient through `add_weight_decay`. The decoupled decay of
        adamw is one of its `options` instead.
    per_sample : callable or None
        ``(theta, residual, derivative, lr) -> theta``, a shorter form of an update from one sample; None if there is
        none.
    slots_start : tuple of (float or None)
        The slots before the first update, None for the parameter's initial value; empty if all are 0.
    gradient_at : callable or None
        ``(theta, slots, options) -> point``, the point at which the gradient is taken; None for theta. The loss of a
        run is always that of theta, but an average takes its gradients elsewhere.
    needs_norm, needs_loss : bool
        Whether the clock passed to `rule` ends with the squared norm of the gradient, and before that the loss of the
        batch.
    flags : tuple of str
        Options that are true, such as ``"amsgrad"``; each changes the rule.
    inner : Optimizer or None
        The wrapped optimizer; its options are among `options`, as ``inner.<name>``.
    is_exact : bool
        Whether compiled code matches NumPy bit for bit; see `sgdbench.kernels.losses.loss.Loss.is_exact`.
    call : str
        The text of the call, if a user's function built the optimizer; its options may differ from `options`.

    Raises
    ------
    ValueError
        If an option is not a finite number, the weight decay is negative, or there are more than 100 slots.
    """

    name: str
    rule: Callable[..., Any]
    options: dict[str, float] = field(default_factory=dict)
    slots: int = 0
    clock: Callable[..., Any] | None = None
    clock_start: tuple[float, ...] = ()
    weight_decay: float = 0.0
    per_sample: Callable[..., Any] | None = None
    slots_start: tuple[float | None, ...] = ()
    gradient_at: Callable[..., Any] | None = None
    needs_norm: bool = False
    needs_loss: bool = False
    flags: tuple[str, ...] = ()
    inner: "Optimizer | None" = None
    is_exact: bool = True
    call: str = ""

    def __post_init__(self) -> None:
        # As floats, so that 1 and 1.0 give the same text.
        object.__setattr__(self, "options", {name: check_finite(name, value) for name, value in self.options.items()})
        object.__setattr__(self, "slots", check_integer("slots", self.slots, 0, MAX_SLOTS))
        object.__setattr__(self, "weight_decay", check_not_negative("weight_decay", self.weight_decay))

    def __repr__(self) -> str:
        return f"<Optimizer {self.text}>"

    @property
    def text(self) -> str:
        """The text that `make_optimizer` parses back, such as ``"momentum(momentum=0.9)"`` or ``"sgd"``."""
        if self.call:
            return self.call
        own = {name: value for name, value in self.options.items() if not name.startswith("inner.")}
        l2 = {"weight_decay": self.weight_decay} if self.weight_decay and not self.inner else {}
        inner = self.inner.text if self.inner else None
        return spec_text(self.name, own | l2 | dict.fromkeys(self.flags, True), inner)

    @property
    def decay_options(self) -> tuple[int, ...]:
        """The indices of the rule's own options that decay weights; scalars of models with vectors do not decay."""
        return tuple(place for place, name in enumerate(self.options) if name.split(".")[-1] == "weight_decay")

    @property
    def weight_decays(self) -> dict[str, float]:
        """The weight decays: the L2 penalty, and the rule's own by the names of their options."""
        names = [name for place, name in enumerate(self.options) if place in self.decay_options]
        return {"L2": self.weight_decay} | {name: self.options[name] for name in names}

    @property
    def all_slots_start(self) -> tuple[float | None, ...]:
        """The slots before the first update: `slots_start`, or zeros if that is empty."""
        return self.slots_start or (0.0,) * self.slots

    def initial_memory(self, params: Floats) -> Floats:
        """Return the memory before the first update: the slots of each parameter, then the clock.

        Parameters
        ----------
        params : array, shape (P,) or (runs, P)
            The initial parameters of the runs.

        Returns
        -------
        array, shape (P * slots + clock,) or (runs, P * slots + clock)
        """
        runs = params.shape[:-1]
        slots = [params if value is None else np.full(params.shape, value) for value in self.all_slots_start]
        own = np.stack(slots, axis=-1).reshape(*runs, -1) if slots else np.zeros((*runs, 0))
        return np.concatenate([own, np.broadcast_to(self.clock_start, (*runs, len(self.clock_start)))], axis=-1)


def add_weight_decay(theta, gradient, weight_decay):
    """Return g + weight_decay * theta, the gradient of the loss plus weight_decay * theta**2 / 2."""
    return gradient + weight_decay * theta


def check_fractions(**options: float) -> dict[str, float]:
    """Return options after checking that they are in [0, 1)."""
    accepted = "a number in [0, 1)"
    return {name: check_real(name, value, lambda number: 0 <= number < 1, accepted) for name, value in options.items()}


def check_nonnegative(**options: float) -> dict[str, float]:
    """Return options after checking that they are not negative."""
    return {name: check_not_negative(name, value) for name, value in options.items()}
