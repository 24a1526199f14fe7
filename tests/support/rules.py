"""Update rules compiled by themselves, one text for each rule that there is, and how to forget those of one's own."""

import sys

import numpy as np
from numba import njit

from kernels.base.numba_internals import PlainInnerCompiler
from kernels.base.plugins import PREFIX
from kernels.base.registry import REGISTERED
from kernels.compile.binding import Binder
from kernels.compile.inner_functions import compile_bound
from kernels.compile.kinds import FLOAT32_OPTIMIZERS
from kernels.simd.lanes import as_float32, as_float64, read_lane, write_lane

WIDTH = 16

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
    for name in [name for name in sys.modules if name.startswith(PREFIX)]:
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


def run_on_lanes(starts, memory, gradients, rates, clock, options, out):
    theta, lr, slots = read_lane(starts, 0, WIDTH), read_lane(rates, 0, WIDTH), read_slots(memory)  # noqa: F821
    for number in gradients:
        gradient = as_number(number)  # noqa: F821
        clock = step_clock(clock, options)  # noqa: F821
        known = clock + facts(gradient)  # noqa: F821
        point = point_of_gradient(theta, slots, options)  # noqa: F821
        theta, slots = rule(theta, slots, gradient + 0.1 * point, lr, known, options)  # noqa: F821
    write_lane(theta, out, 0)


def run_all(clock, options, starts, memory, gradients, rates, out, single, end):
    """Run them one by one, on lanes, and on lanes of float32."""
    for i in range(WIDTH):
        out[0, i] = run_alone(starts[i], slots_of(memory, i), gradients, rates[i], clock, options)  # noqa: F821
    on_lanes(starts, memory, gradients, rates, clock, options, out[1])  # noqa: F821
    starts_of, memory_of, gradients_of, rates_of = single
    on_lanes_of_float32(starts_of, memory_of, gradients_of, rates_of, clock, options, end)  # noqa: F821


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


def run_compiled(optimizer, starts, gradients, rates):
    """Where runs end by a compiled rule: alone, on lanes, and on lanes of float32, if it has NumPy's bits there."""
    listed = "".join(f"read_lane(memory, {WIDTH * slot}, {WIDTH}), " for slot in range(optimizer.slots))
    one = "".join(f"memory[{WIDTH * slot} + i], " for slot in range(optimizer.slots))
    made = {"read_lane": read_lane}
    exec(f"def read_slots(memory):\n    return ({listed})\n\ndef slots_of(memory, i):\n    return ({one})\n", made)
    binder, alone = bound_rule(optimizer, run, read_slots=made["read_slots"], slots_of=made["slots_of"])
    lanes, single = (binder.bind(run_on_lanes, as_number=number) for number in (as_float64, as_float32))
    in_float32 = names_of(optimizer) <= set(FLOAT32_OPTIMIZERS)
    single = single if in_float32 else (lambda *given: None)
    entry = binder.bind(run_all, run_alone=alone, on_lanes=lanes, on_lanes_of_float32=single)
    compile_bound(binder, lambda function: INNER)
    given = (starts, np.concatenate([starts[:0], *first_slots(optimizer, starts)]), gradients, rates)
    rounded = tuple(array.astype(np.float32) for array in given)
    known = optimizer.clock_start, tuple(optimizer.options.values())
    found, end = np.empty((2, WIDTH)), np.empty(WIDTH, np.float32)
    njit(error_model="numpy", no_cfunc_wrapper=True)(entry)(*known, *given, found, rounded, end)
    return (*found, end) if in_float32 else found
