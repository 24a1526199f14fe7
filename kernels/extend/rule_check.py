"""A rule of the user's own, tried on a small problem before it is used.

A wrong rule is refused in one sentence with its own file and line. A right one is noted in the cache folder, under a
digest of all that was compiled, so that the next process does not compile it again.
"""

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba import types

from kernels import reference
from kernels.base import cache
from kernels.base.checks import first_sentence
from kernels.base.run import NO_LOWEST, Floats, Hyperparameters, Record
from kernels.compile.binding import Binder, constants_and_functions
from kernels.compile.inner_functions import compile_bound, inner_options_of, options_of
from kernels.compile.kinds import KERNELS, largest_error
from kernels.compile.specialize import describe_bound, ingredients_of, make_binder
from kernels.data.marks import with_marks
from kernels.data.samples import allocate_data
from kernels.extend.rule_source import Candidate
from kernels.loops import order, short_run
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers.optimizer import Optimizer, add_weight_decay
from kernels.optimizers.run_options import option_values
from kernels.simd import math as lane_math

WIDTH = KERNELS["lanes"].width
RATE = 0.05
X = np.array([-1.0, -0.7, -0.45, -0.2, 0.1, 0.35, 0.6, 0.8, 1.0])
Y = np.array([-1.3, -0.2, 0.1, 0.4, 1.1, 1.9, 2.4, 2.2, 3.3])
# Functions that are not correctly rounded differ by this much at most, where a step depends on them.
TOLERANCE = 1e-9
# With these and + - * /, compiled code gives the bits that NumPy gives.
EXACT = (np.sqrt, np.absolute, np.fabs, np.minimum, np.maximum, np.sign, np.negative, np.square, np.float64, abs)
ON_LANES = "+ - * / **, abs, sqrt, minimum, maximum, sign, exp, tanh, " + ", ".join(
    function.__name__ for function in lane_math.IN_LIBRARY
)
NO_BRANCHES = (
    "a rule is computed for many parameters at a time and has no branches and no comparisons: use np.minimum, "
    "np.maximum, np.sign, np.abs"
)
COMPARISONS = {"gt", "ge", "lt", "le", "eq", "ne", "bool", "not_", "is_true", "and_", "or_", "where"}
IN_PLACE = {"iadd", "isub", "imul", "itruediv", "ipow"}


def try_rule(about: Candidate, loss: Loss, optimizer: Optimizer, functions: Sequence[FunctionType]) -> bool:
    """Train a small problem by the reference and by the kernels' hot loop, for one run and for a lane of runs.

    Parameters
    ----------
    about : Candidate
    loss, optimizer
        One of them is the candidate's.
    functions : sequence of functions
        All that the candidate is made of, bound.

    Returns
    -------
    bool
        Whether compiled code gives the bits of the reference for certain.
    """
    model = Model("a*x + b")
    with explained(about):
        wanted = _train_by_reference(model, loss, optimizer)
    exact = all(map(is_rounded_alike, functions))
    for width in (1, WIDTH):
        made_of = ingredients_of(model.program, loss, optimizer)._replace(width=width)
        binder = make_binder(made_of)
        binder.bind(short_run.train_one if width == 1 else short_run.train_lane, draw_ahead=order.draw_nothing)
        note = f"rule_{describe_bound(binder, made_of)[0][:32]}.checked"
        same, close = (f"{verdict} with numba {numba.__version__}" for verdict in ("exact", "close"))
        # Without compilation a trial says nothing about compiled code.
        known = None if numba.config.DISABLE_JIT else cache.read(note)
        if known not in (same, close):
            with explained(about):
                train = _compile(binder, made_of, width)
            found = _train_compiled(train, loss, optimizer, width)
            expected = [values[:width] for values in wanted]
            known = same if _compare(about, found, expected, "fused" if width == 1 else "lanes") else close
            if not numba.config.DISABLE_JIT:
                cache.write(note, known)
        exact = exact and known == same
    return exact


@contextmanager
def explained(about: Candidate, given: str = "", advice: str = NO_BRANCHES) -> Iterator[None]:
    """Raise any error in the block as one sentence about the candidate, with the line in its file.

    Where a tuple or an array has another length than the rule supposes, the sentence ends with what it is `given`;
    where the rule branches on an array, with an `advice`.
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
        fault = message if type(error) is ValueError else f"{type(error).__name__}: {message}"
        if isinstance(error, numba.NumbaError):
            line, fault = _line_of_numba(message, about.files), _name_fault(message)
        elif "truth value of an array" in message:
            fault = f"branches on an array: {advice}"
        elif any(words in message for words in ("values to unpack", "tuple index", "broadcast together")):
            fault = message.strip() + given
        place = f"in line {line}: " if line else ""
        raise about.error(f"{place}{' '.join(fault.split())}") from None


def _line_of_numba(message: str, files: set[str]) -> int | None:
    """Return the first line in the user's files that numba names."""
    places = re.findall(r"(?:typing of [^\n]*? at|File) \"?([^\n\"]+?)\"?(?:, line | \()(\d+)", message)
    return next((int(line) for file, line in places if any(name.endswith(file.lstrip("./")) for name in files)), None)


def _name_fault(message: str) -> str:
    """Return the fault that numba finds, in words."""
    no_implementation = r"No implementation of function Function\((?:<[^\n]*?(?:function|ufunc) '?)?(\w+)"
    unknown = r"unsupported NumPy function '(numpy\.\S+)'|Untyped global name '(\w+)'"
    if found := re.search(unknown, message):
        return f"uses {found[1] or found[2]}, which numba does not know"
    if found := re.search(no_implementation, message):
        of_lanes = "(Lane(" in message
        if found[1] == "where" or (of_lanes and found[1] in COMPARISONS):
            return f"compares numbers: {NO_BRANCHES}"
        if found[1] in IN_PLACE:
            return "changes a number in place, such as v += gradient: write v = v + gradient"
        how = "which is not known for many runs side by side" if of_lanes else "in a way that numba does not know"
        return f"uses {found[1]}, {how}: there are {ON_LANES}, of NumPy"
    if "annot unify" in message:
        return (
            "a number has another type after an update than before: compute it from theta or the gradient, such as "
            "0.0 * gradient in place of 0"
        )
    return f"numba cannot compile it: {first_sentence(message)}"


def is_rounded_alike(function: FunctionType) -> bool:
    """Return whether a function uses only operations that are correctly rounded everywhere."""
    values, takes_powers = constants_and_functions(function)
    called = [value for value in values if callable(value) and not isinstance(value, FunctionType)]
    return not takes_powers and all(any(value is one for one in EXACT) for value in called)


def _starts() -> Floats:
    """Return the starts of the runs of a lane, shape (WIDTH, 2)."""
    return np.random.default_rng(0).standard_normal((WIDTH, 2))


def _train_by_reference(model: Model, loss: Loss, optimizer: Optimizer) -> list[Floats]:
    """Return the parameters and the memory of all runs of a lane after all samples."""
    params, memories = _starts(), optimizer.initial_memory(_starts())
    data = allocate_data((X,), Y, shuffle=False)
    options = option_values(loss, optimizer)
    hyper = with_marks(Hyperparameters(np.array([RATE]), options, 1, True, False, 0, -np.inf), Y.size)
    for start, memory in zip(params, memories, strict=True):
        record = Record(np.empty(2), np.stack([start, start]), memory, np.empty(0), np.array(NO_LOWEST))
        reference.train(model.program, loss, optimizer, data, hyper, record, 0, 1)
        start[:] = record.trajectory[1]
    return [params, memories]


def _compile(binder: Binder, made_of: Any, width: int) -> Callable[..., None]:
    """Compile the hot loop, as a kernel has it."""
    entry = binder.functions[-1]
    if numba.config.DISABLE_JIT:
        return np.errstate(all="ignore")(entry)
    compile_bound(binder, partial(inner_options_of, made_of))
    vector, table = types.float64[::1], types.float64[:, ::1]
    compiled = numba.njit(**options_of(made_of))(entry)
    memory = vector if width == 1 else table
    compiled.compile((table, memory, vector, types.UniTuple(vector, 1), vector, vector))
    return compiled  # type: ignore[no-any-return]


def _train_compiled(train: Callable[..., None], loss: Loss, optimizer: Optimizer, width: int) -> list[Floats]:
    """Return the same as `_train_by_reference`, for one run or for all."""
    params = _starts()[:width].copy()
    memory = optimizer.initial_memory(params)
    given = option_values(loss, optimizer), (X,), Y, np.full(width, RATE)
    if width == 1:
        train(params, memory[0], *given)
        return [params, memory]
    params, memory = np.ascontiguousarray(params.T), np.ascontiguousarray(memory.T)
    train(params, memory, *given)
    return [params.T, memory.T]


def _compare(about: Candidate, found: list[Floats], wanted: list[Floats], kernel: str) -> bool:
    """Return whether parameters and memory have the bits of the reference; refuse a rule if they differ by much."""
    for what, ours, expected in zip(("a parameter", "a slot or the clock"), found, wanted, strict=True):
        if largest_error(ours, expected) > TOLERANCE:
            place = np.unravel_index(np.argmax(np.abs(ours - expected)), ours.shape)
            raise about.error(
                f"results differ: after {Y.size} updates of a*x + b, {what} is {ours[place]:.6g} in the kernel "
                f"{kernel} and {expected[place]:.6g} in the reference, which calls a rule with the arrays of all "
                "parameters; it must treat each parameter by itself, and give the same whenever it is called"
            )
    return all(np.array_equal(*pair, equal_nan=True) for pair in zip(found, wanted, strict=True))


def try_calls(about: Candidate, optimizer: Optimizer) -> None:
    """Call each function of an optimizer once with arrays, and check the form of its result."""
    options = tuple(optimizer.options.values())
    theta, gradient = np.array([0.5, -1.5]), np.array([0.25, 2.0])
    starts, size = optimizer.all_slots_start, len(optimizer.clock_start)
    if len(starts) != optimizer.slots:
        raise about.error(f"slots is {optimizer.slots}, and slots_start has {len(starts)} values")
    if size and not optimizer.clock:
        raise about.error("there is a clock_start, and no clock")
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
    known = (*clock, *[1.0] * (optimizer.needs_loss + optimizer.needs_norm))
    with explained(about, f"; it is given {len(slots)} slots, a clock of {len(known)} and {len(options)} options"):
        returned = optimizer.rule(theta, slots, gradient, RATE, known, options)
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], tuple):
        wanted = "theta and a tuple of slots, as in `return theta - lr * gradient, ()`"
        raise about.error(f"it must return {wanted}, not {_form(returned)}")
    if len(returned[1]) != optimizer.slots:
        raise about.error(f"it returns {len(returned[1])} slots, and slots={optimizer.slots} is registered")
    for what, value in (("theta", returned[0]), *(("a slot", slot) for slot in returned[1])):
        if np.shape(value) != theta.shape and not (what == "a slot" and np.shape(value) == ()):
            raise about.error(f"it returns {_form(value)} for {what} where theta is an array of shape (2,)")
    if optimizer.per_sample:
        decayed = add_weight_decay(theta, gradient, optimizer.weight_decay)
        wanted = optimizer.rule(theta, slots, decayed, RATE, known, options)[0]
        with explained(about):
            found = optimizer.per_sample(theta, 0.5, 2.0 * gradient, RATE)
        if not np.allclose(found, wanted, rtol=TOLERANCE):
            raise about.error(f"its per_sample takes {theta} to {found}, and its rule to {wanted}")


def _form(value: Any) -> str:
    """Describe a value that a function returned."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.40}"


def try_derivative(about: Candidate, loss: Loss) -> None:
    """Hold the derivative of a loss against differences of its value."""
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
