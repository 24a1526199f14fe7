"""Trial of a user's rule before it is used: a faulty one is refused in one sentence with its file and line."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.compile.kinds import largest_error
from sgdbench.kernels.extend.rule_source import Candidate
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.symbol import NO_BRANCHES, TraceError
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay
from sgdbench.kernels.tape.trace import Traced, trace_loss, trace_optimizer

LEARNING_RATE, UPDATES, PARAMS = 0.05, 9, 32
# The largest error of functions that are not correctly rounded.
TOLERANCE = 1e-9


@contextmanager
def explained(about: Candidate, arguments: str = "", advice: str = NO_BRANCHES) -> Iterator[None]:
    """Raise any error in the block as one sentence about the candidate, with the line in its file.

    If a tuple or an array has another length than the rule expects, the sentence ends with `arguments`, what the rule
    receives; if the rule branches on an array, it ends with `advice`.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        message = str(error)
        if message.startswith(about.subject):
            raise
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((frame.lineno for frame in frames if frame.filename in about.files), None)
        fault = (
            message
            if isinstance(error, TraceError) or type(error) is ValueError
            else f"{type(error).__name__}: {message}"
        )
        if "truth value of an array" in message:
            fault = f"branches on an array: {advice}"
        elif any(words in message for words in ("values to unpack", "tuple index", "broadcast together")):
            fault = message.strip() + arguments
        place = f"in line {line}: " if line else ""
        raise about.error(f"{place}{' '.join(fault.split())}") from None


def trace_rule(about: Candidate, rule: Optimizer | Loss) -> dict[str, Traced]:
    """Return the traced code of each function of a rule, after checking that it matches the function on arrays."""
    with explained(about):
        traced = trace_optimizer(rule) if isinstance(rule, Optimizer) else trace_loss(rule)
        if isinstance(rule, Optimizer):
            _compare_updates(about, rule, traced)
        else:
            _compare_values(about, rule, traced)
    return traced


def _compare_updates(about: Candidate, optimizer: Optimizer, traced: Mapping[str, Traced]) -> None:
    """Refuse an optimizer whose updates of many parameters differ from updates one parameter at a time."""
    draws = np.random.default_rng(0)
    theta: Floats = draws.standard_normal(PARAMS)
    slots = tuple(theta.copy() if start is None else np.full(PARAMS, start) for start in optimizer.all_slots_start)
    clock: Any = tuple(map(np.float64, optimizer.clock_start))
    options = {name: np.float64(value) for name, value in optimizer.options.items()}
    for _ in range(UPDATES):
        gradient: Floats = draws.standard_normal(PARAMS)
        numbers = options | {"theta": theta, "gradient": gradient, "lr": LEARNING_RATE}
        if optimizer.clock:
            before = {f"clock_{k}": one for k, one in enumerate(clock)}
            clock = optimizer.clock(clock, tuple(options.values()))
            _compare(about, "the clock", traced["clock"].evaluate(options | before), clock)
        more = (2.0,) * (optimizer.needs_loss + optimizer.needs_norm)
        numbers |= {f"slot_{k}": one for k, one in enumerate(slots)} | {"loss": 2.0, "norm": 2.0}
        numbers |= {f"clock_{k}": one for k, one in enumerate(clock)}
        if optimizer.gradient_at:
            point = optimizer.gradient_at(theta, slots, tuple(options.values()))
            _compare(about, "the point of the gradient", traced["gradient_at"].evaluate(numbers), [point])
        theta, slots = optimizer.rule(theta, slots, gradient, LEARNING_RATE, (*clock, *more), tuple(options.values()))
        _compare(about, "a parameter or a slot", traced["rule"].evaluate(numbers), [theta, *slots])


def _compare_values(about: Candidate, loss: Loss, traced: Mapping[str, Traced]) -> None:
    """Refuse a loss whose values of many samples differ from values one sample at a time."""
    at, options = np.linspace(-3, 3, PARAMS), loss.options
    targets = () if loss.of_residual else ((np.arange(PARAMS) % 2).astype(float),)
    numbers = options | {"residual": at, "prediction": at, "target": targets[0] if targets else at}
    for name, function in (("value", loss.value), ("derivative", loss.derivative)):
        _compare(
            about, f"the {name}", traced[name].evaluate(numbers), [function(at, *targets, tuple(options.values()))]
        )


def _compare(about: Candidate, what: str, returned: list[Any], expected: Any) -> None:
    for one, other in zip(returned, expected, strict=True):
        shape = np.broadcast_shapes(np.shape(one), np.shape(other))
        alone, joint = (np.array(np.broadcast_to(value, shape), float) for value in (one, other))
        if largest_error(alone, joint) > TOLERANCE:
            place = np.unravel_index(np.argmax(np.abs(alone - joint)), alone.shape)
            raise about.error(
                f"results differ: {what} is {alone[place]:.6g} where one number is computed by itself, and "
                f"{joint[place]:.6g} where many are; a rule must treat each parameter and each sample by itself, and "
                "give the same whenever it is called"
            )


def try_calls(about: Candidate, optimizer: Optimizer) -> None:
    """Call each function of an optimizer once with arrays, and check the form of its result."""
    options = tuple(optimizer.options.values())
    theta, gradient = np.array([0.5, -1.5]), np.array([0.25, 2.0])
    starts, size = optimizer.all_slots_start, len(optimizer.clock_start)
    if len(starts) != optimizer.slots:
        raise about.error(f"slots is {optimizer.slots}, and slots_start has {len(starts)} values")
    if size and not optimizer.clock:
        raise about.error("there is a clock_start but no clock")
    slots = tuple(theta.copy() if start is None else np.full(2, start) for start in starts)
    clock: Any = optimizer.clock_start
    with explained(about):
        if optimizer.clock:
            clock = optimizer.clock(clock, options)
        point = optimizer.gradient_at(theta, slots, options) if optimizer.gradient_at else theta
    if not isinstance(clock, tuple) or len(clock) != size:
        raise about.error(f"its clock must return a tuple of {size}, as clock_start is, not {_form(clock)}")
    if np.shape(point) != theta.shape:
        raise about.error(f"its gradient_at must return a point for theta, not {_form(point)}")
    clock_and_loss = (*clock, *[1.0] * (optimizer.needs_loss + optimizer.needs_norm))
    with explained(
        about, f"; it is given {len(slots)} slots, a clock of {len(clock_and_loss)} and {len(options)} options"
    ):
        returned = optimizer.rule(theta, slots, gradient, LEARNING_RATE, clock_and_loss, options)
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], tuple):
        valid = "theta and a tuple of slots, as in `return theta - lr * gradient, ()`"
        raise about.error(f"it must return {valid}, not {_form(returned)}")
    if len(returned[1]) != optimizer.slots:
        raise about.error(f"it returns {len(returned[1])} slots, and slots={optimizer.slots} is registered")
    for what, value in (("theta", returned[0]), *(("a slot", slot) for slot in returned[1])):
        if np.shape(value) != theta.shape and not (what == "a slot" and np.shape(value) == ()):
            raise about.error(f"it returns {_form(value)} for {what} where theta is an array of shape (2,)")
    if optimizer.per_sample:
        decayed = add_weight_decay(theta, gradient, optimizer.weight_decay)
        expected = optimizer.rule(theta, slots, decayed, LEARNING_RATE, clock_and_loss, options)[0]
        with explained(about):
            per_sample = optimizer.per_sample(theta, 0.5, 2.0 * gradient, LEARNING_RATE)
        if not np.allclose(per_sample, expected, rtol=TOLERANCE):
            raise about.error(f"its per_sample takes {theta} to {per_sample}, and its rule to {expected}")


def _form(value: Any) -> str:
    """Describe a value that a function returned."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.40}"


def try_derivative(about: Candidate, loss: Loss) -> None:
    """Check the derivative of a loss against finite differences of its value."""
    at, step = np.array([-2.9, -1.3, -0.37, 0.21, 0.83, 2.6]), 1e-6
    targets = () if loss.of_residual else (np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]),)
    given, of = (*targets, tuple(loss.options.values())), "residual" if loss.of_residual else "prediction"
    with explained(about):
        derivative = loss.derivative(at, *given)
        ahead, behind = loss.value(at + step, *given), loss.value(at - step, *given)
        for what, value in (("value", ahead), ("derivative", derivative)):
            if np.shape(value) != at.shape:
                advice = f"compute it from the {of}, such as 0.0 * {of} + 1.0 in place of 1.0"
                raise about.error(f"its {what} is {_form(value)} for {at.size} samples: {advice}")
        slope = (ahead - behind) / (2 * step)
    wrong = ~(np.abs(derivative - slope) <= 1e-4 * np.maximum(1.0, np.abs(slope)))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise about.error(
            f"the derivative at the {of} {at[place]:g} is {derivative[place]:.6g}, and the value changes there by "
            f"{slope[place]:.6g}"
        )
