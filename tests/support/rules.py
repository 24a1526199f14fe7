"""One text for each update rule that there is, and how to forget those of one's own."""

import sys

from sgdbench.kernels.base.plugins import MODULE_PREFIX
from sgdbench.kernels.base.registry import REGISTERED

# One text for each rule that there is, since their options are no part of what is compiled. Plain sgd is in most
# kernels that tests compile; adam and momentum are within others here.
FORMS = """
momentum(0.5, dampening=0.3); nesterov(0.7, weight_decay=0.1); adagrad(1e-3, 0.1);
adagrad(initial_accumulator_value=0.5); rmsprop(0.9, 1e-4, 0.1); rmsprop(momentum=0.9);
rmsprop(0.9, momentum=0.5, centered=true); adamw(0.8, 0.9, weight_decay=0.1, amsgrad=true);
adadelta(0.5, 1e-3, 0.1); adamax(0.5, 0.9, 1e-3, 0.1); nadam(weight_decay=0.1, decoupled_weight_decay=true);
radam(weight_decay=0.1, decoupled_weight_decay=true); rprop(0.3, 1.5, 1e-3, 0.5); asgd(0.01, 0.5, 20, 0.1);
lion(0.8, 0.7, 0.1); signum(0.5); adabelief(0.8, 0.9, 1e-3, 1e-4); yogi(0.8, 0.9, 1e-2);
adan(0.9, 0.8, 0.95, 1e-3, 1e-4, 0.1); schedule_free_sgd(0.7, 0.1); schedule_free_adamw(0.95, 0.9, 1e-3, 0.1);
polyak(0.2, eps=0.1); averaged(clipped(momentum(0.5), 0.1));
lookahead(clipped(inverse_scaled(adam(0.8, weight_decay=0.1), 0.7), 0.1), 3, 0.8)
"""
FORMS = [" ".join(text.split()) for text in FORMS.split(";")]


def forget_rules():
    """Forget all rules and plug-ins, as a new process has none."""
    for known in REGISTERED.values():
        known.clear()
    for name in [name for name in sys.modules if name.startswith(MODULE_PREFIX)]:
        del sys.modules[name]


def names_of(optimizer):
    return {optimizer.name} | (names_of(optimizer.inner) if optimizer.inner else set())


def code_of(rule):
    """The code of a rule and of those that it calls."""
    inner = [cell.cell_contents for cell in rule.__closure__ or ()]
    return {rule.__code__}.union(*(code_of(one) for one in inner if callable(one)))


def first_slots(optimizer, start):
    """The slots before the first update, of parameters that start there."""
    values = optimizer.slots_start or (0.0,) * optimizer.slots
    return tuple(start if value is None else 0.0 * start + value for value in values)
