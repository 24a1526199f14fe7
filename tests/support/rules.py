"""Update rules compiled by themselves, and one text for each rule that there is."""

from kernels.base.numba_internals import PlainInnerCompiler
from kernels.compile.binding import Binder

# One text for each rule that there is, since their options are no part of what is compiled.
FORMS = """
sgd(weight_decay=0.1); momentum(0); momentum(0.5, dampening=0.3); nesterov(0.7, weight_decay=0.1);
adagrad(1e-3, 0.1); adagrad(initial_accumulator_value=0.5); rmsprop(0.9, 1e-4, 0.1); rmsprop(momentum=0.9);
rmsprop(0.9, momentum=0.5, centered=true); adam(weight_decay=0.1); adam(amsgrad=true); adamw(weight_decay=0);
adamw(0.8, 0.9, weight_decay=0.1, amsgrad=true); adadelta(0.5, 1e-3, 0.1); adamax(0.5, 0.9, 1e-3, 0.1);
nadam(0.8, 0.9, 1e-3, 0.1, momentum_decay=0.1); nadam(weight_decay=0.1, decoupled_weight_decay=true);
radam(beta2=0.5); radam(weight_decay=0.1, decoupled_weight_decay=true); rprop(0.3, 1.5, 1e-3, 0.5);
asgd(0.01, 0.5, 20, 0.1); clipped; clipped(adam(weight_decay=0.1), 0.3); clipped(momentum(0.5), max_norm=0.2);
inverse_scaled; inverse_scaled(adam(weight_decay=0.1), 0.7); lion(0.8, 0.7, 0.1); signum(0.5);
adabelief(0.8, 0.9, 1e-3, 1e-4); yogi(0.8, 0.9, 1e-2); adan(0.9, 0.8, 0.95, 1e-3, 1e-4, 0.1); lookahead;
lookahead(adam(0.8), 3, 0.8); schedule_free_sgd(0.7, 0.1); schedule_free_adamw(0.95, 0.9, 1e-3, 0.1);
polyak(0.2, eps=0.1); averaged; averaged(clipped(adam, 0.1))
"""
FORMS = [" ".join(text.split()) for text in FORMS.split(";")]


def first_slots(optimizer, start):
    """The slots before the first update, of parameters that start there."""
    values = optimizer.slots_start or (0.0,) * optimizer.slots
    return tuple(start if value is None else 0.0 * start + value for value in values)


# As within kernels: what only compiled code calls has neither wrappers nor machine code of its own.
INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True}


INNER |= {"pipeline_class": PlainInnerCompiler}


def run(theta, slots, gradients, lr, clock, options):
    for gradient in gradients:
        clock = step_clock(clock, options)  # noqa: F821 - bound below
        known = clock + facts(gradient)  # noqa: F821
        point = point_of_gradient(theta, slots, options)  # noqa: F821
        theta, slots = rule(theta, slots, gradient + 0.1 * point, lr, known, options)  # noqa: F821
    return theta


def bound_rule(optimizer, function, **given):
    """A function bound to the parts of an optimizer; the loss and the norm are made up."""
    size = optimizer.needs_loss + optimizer.needs_norm
    facts = (lambda gradient: (), lambda gradient: (3.0 + gradient,), lambda gradient: (1.0, 3.0 + gradient))[size]
    parts = {
        "rule": optimizer.rule,
        "step_clock": optimizer.clock or (lambda clock, options: clock),
        "point_of_gradient": optimizer.gradient_at or (lambda theta, slots, options: theta),
        "facts": facts,
    }
    binder = Binder(parts | given)
    return binder, binder.bind(function)
