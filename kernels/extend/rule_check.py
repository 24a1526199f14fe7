"""A rule that is registered, tried on a small problem: by the reference, and by the hot loop of the kernels.

What is wrong with it is said in words, with its own file and line. What was found to be right is noted in the cache
folder, under a digest of all that was compiled, so that the next process does not compile it again.
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
from kernels.compile.binding import compile_bound, constants_and_functions, place_of
from kernels.compile.kinds import KERNELS, largest_error
from kernels.compile.specialize import describe_bound, ingredients_of, inner_options_of, make_binder, options_of
from kernels.data.marks import with_marks
from kernels.data.samples import allocate_data
from kernels.loops import short_run
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers.optimizer import Optimizer
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


def try_rule(subject: str, loss: Loss, optimizer: Optimizer, functions: Sequence[FunctionType]) -> bool:
    """Train a small problem by the reference and by the kernels' hot loop, for one run and for a lane of runs.

    Parameters
    ----------
    subject : str
        What is tried, with its place; sentences begin with it.
    loss, optimizer
    functions : sequence of functions
        The user's own, bound: an error in one of them is told with its line.

    Returns
    -------
    bool
        Whether compiled code gives the bits of the reference for certain.

    Raises
    ------
    ValueError
        If it cannot be computed or compiled, or the results differ.
    """
    model = Model("a*x + b")
    files = {function.__code__.co_filename for function in functions}
    with explained(subject, files):
        starts, memories = _train_by_reference(model, loss, optimizer)
    uncertain = not all(map(is_rounded_alike, functions))
    for width in (1, WIDTH):
        made_of = ingredients_of(model.program, loss, optimizer, width=width)
        binder = make_binder(made_of)
        binder.bind(short_run.train_one if width == 1 else short_run.train_lane)
        note = f"rule_{describe_bound(binder, made_of)[0][:32]}.checked"
        verdicts = [f"{verdict} with numba {numba.__version__}" for verdict in ("exact", "close")]
        # Without compilation nothing is learnt of what can be compiled.
        if not numba.config.DISABLE_JIT and (known := cache.read(note)) in verdicts:
            uncertain |= known == verdicts[1]
            continue
        with explained(subject, files):
            train = _compile(binder.functions, made_of, width)
        found = _train_compiled(train, loss, optimizer, width)
        wanted = [starts[:width], memories[:width]]
        same = all(np.array_equal(*pair, equal_nan=True) for pair in zip(found, wanted, strict=True))
        _refuse_difference(subject, found[0], wanted[0], found[1], wanted[1], width)
        if not numba.config.DISABLE_JIT:
            cache.write(note, verdicts[0 if same else 1])
        uncertain |= not same
    return not uncertain


@contextmanager
def explained(subject: str, files: set[str], given: str = "", advice: str = NO_BRANCHES) -> Iterator[None]:
    """Make of whatever goes wrong in the user's functions one sentence with a line of theirs.

    Where a tuple has another length than they suppose, the sentence ends with what they are `given`, and where they
    branch on an array with an `advice`.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except Exception as error:
        message = str(error)
        if message.startswith(subject):
            raise
        line = _line_in_traceback(error, files)
        fault = message if type(error) is ValueError else f"{type(error).__name__}: {message}"
        if isinstance(error, numba.NumbaError):
            line, fault = _explain_numba(message, files)
        elif "truth value of an array" in message:
            fault = f"branches on an array: {advice}"
        elif "values to unpack" in message or "tuple index" in message:
            fault = message + given
        place = f"in line {line}: " if line else ""
        raise ValueError(f"{subject}: {place}{' '.join(fault.split())}") from None


def _line_in_traceback(error: Exception, files: set[str]) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno for frame in reversed(frames) if frame.filename in files), None)


def _explain_numba(message: str, files: set[str]) -> tuple[int | None, str]:
    """Return the line of the user's that numba names first, and what it says in words."""
    places = re.findall(r"(?:typing of [^\n]*? at|File) \"?([^\n\"]+?)\"?(?:, line | \()(\d+)", message)
    own = [int(line) for file, line in places if any(name.endswith(file.lstrip("./")) for name in files)]
    line = own[0] if own else None
    return line, _name_fault(message)


def _name_fault(message: str) -> str:
    """Return what numba complains of, in words."""
    no_implementation = r"No implementation of function Function\(<[^\n]*?(?:function|ufunc) '?(\w+)"
    unknown = r"unsupported NumPy function '(numpy\.\S+)'|Untyped global name '(\w+)'"
    if found := re.search(unknown, message):
        return f"uses {found[1] or found[2]}, which numba does not know"
    if found := re.search(no_implementation, message):
        if "(Lane(" not in message:
            return f"uses {found[1]} in a way that numba does not know"
        if found[1] in COMPARISONS:
            return f"compares numbers: {NO_BRANCHES}"
        return f"uses {found[1]}, which is not known for many runs side by side: there are {ON_LANES}, of NumPy"
    if "annot unify" in message:
        return (
            "a number is of another kind after an update than before: what it returns must follow from theta or the "
            "gradient, such as 0.0 * gradient in the place of 0"
        )
    return f"numba cannot compile it: {first_sentence(message)}"


def is_rounded_alike(function: FunctionType) -> bool:
    """Return whether there is nothing in a function but what is correctly rounded everywhere."""
    values, takes_powers = constants_and_functions(function)
    called = [value for value in values if callable(value) and not isinstance(value, FunctionType)]
    return not takes_powers and all(any(value is one for one in EXACT) for value in called)


def _starts() -> Floats:
    """Where the runs of a lane start, shape (WIDTH, 2)."""
    return np.random.default_rng(0).standard_normal((WIDTH, 2))


def _train_by_reference(model: Model, loss: Loss, optimizer: Optimizer) -> tuple[Floats, Floats]:
    """Return the parameters and the memory of all runs of a lane after all samples."""
    params, memories = _starts(), optimizer.initial_memory(_starts())
    data = allocate_data((X,), Y, shuffle=False)
    options = option_values(loss, optimizer)
    hyper = with_marks(Hyperparameters(np.array([RATE]), options, 1, True, False, 0, -np.inf), Y.size)
    for start, memory in zip(params, memories, strict=True):
        record = Record(np.empty(2), np.stack([start, start]), memory, np.empty(0), np.array(NO_LOWEST))
        reference.train(model.program, loss, optimizer, data, hyper, record, 0, 1)
        start[:] = record.trajectory[1]
    return params, memories


def _compile(functions: list[FunctionType], made_of: Any, width: int) -> Callable[..., None]:
    """Compile the hot loop, as a kernel has it."""
    entry = functions[-1]
    if numba.config.DISABLE_JIT:
        return np.errstate(all="ignore")(entry)
    compile_bound(functions, "rule_check", partial(inner_options_of, made_of))
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


def _refuse_difference(
    subject: str, params: Floats, wanted: Floats, memory: Floats, wanted_memory: Floats, width: int
) -> None:
    """Refuse a rule of which compiled code makes something else."""
    kernel = "fused" if width == 1 else "lanes"
    for what, found, expected in (("a parameter", params, wanted), ("a slot or the clock", memory, wanted_memory)):
        if largest_error(found, expected) > TOLERANCE:
            place = np.unravel_index(np.argmax(np.abs(found - expected)), found.shape)
            raise ValueError(
                f"{subject}: results differ: after {Y.size} updates of a*x + b, {what} is {found[place]:.6g} in the "
                f"kernel {kernel} and {expected[place]:.6g} in the reference, which calls a rule with the arrays of "
                "all parameters; it must treat each parameter by itself, and give the same whenever it is called"
            )


def try_calls(subject: str, optimizer: Optimizer, functions: Sequence[FunctionType]) -> None:
    """Call each function of an optimizer once with arrays, and check the form of what it returns.

    Raises
    ------
    ValueError
        If something else comes back than a rule is to return.
    """
    options, files = tuple(optimizer.options.values()), {function.__code__.co_filename for function in functions}
    theta, gradient = np.array([0.5, -1.5]), np.array([0.25, 2.0])
    starts = optimizer.all_slots_start
    if len(starts) != optimizer.slots:
        raise ValueError(f"{subject}: slots is {optimizer.slots}, and slots_start has {len(starts)} values")
    slots = tuple(theta.copy() if start is None else np.full(2, start) for start in starts)
    clock: Any = optimizer.clock_start
    if clock and not optimizer.clock:
        raise ValueError(f"{subject}: there is a clock_start, and no clock")
    with explained(subject, files):
        if optimizer.clock:
            clock = optimizer.clock(clock, options)
        if optimizer.gradient_at:
            point = optimizer.gradient_at(theta, slots, options)
    if not isinstance(clock, tuple) or len(clock) != len(optimizer.clock_start):
        wanted = f"a tuple of {len(optimizer.clock_start)}, as clock_start is"
        raise ValueError(f"{subject}: its clock must return {wanted}, not {_form(clock)}")
    if optimizer.gradient_at and np.shape(point) != theta.shape:
        raise ValueError(f"{subject}: its gradient_at must return a point for theta, not {_form(point)}")
    known = (*clock, *[1.0] * (optimizer.needs_loss + optimizer.needs_norm))
    given = f"; it is given {len(slots)} slots, a clock of {len(known)} and {len(options)} options"
    with explained(subject, files, given):
        returned = optimizer.rule(theta, slots, gradient, RATE, known, options)
    if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[1], tuple):
        raise ValueError(
            f"{subject}: it must return theta and a tuple of slots, as in `return theta - lr * gradient, ()`, "
            f"not {_form(returned)}"
        )
    if len(returned[1]) != optimizer.slots:
        raise ValueError(f"{subject}: it returns {len(returned[1])} slots, and registered are slots={optimizer.slots}")
    for what, value in zip(["theta", *["a slot"] * optimizer.slots], [returned[0], *returned[1]], strict=True):
        if np.shape(value) != theta.shape and not (what == "a slot" and np.shape(value) == ()):
            raise ValueError(f"{subject}: it returns {_form(value)} for {what} where theta is an array of shape (2,)")


def _form(value: Any) -> str:
    """Describe what a function returned."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else f"{value!r:.40}"


def try_derivative(subject: str, loss: Loss, functions: Sequence[FunctionType]) -> None:
    """Hold the derivative of a loss against differences of its value.

    Raises
    ------
    ValueError
        If they are not the same.
    """
    at, step = np.array([-2.9, -1.3, -0.37, 0.21, 0.83, 2.6]), 1e-6
    targets = () if loss.of_residual else (np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]),)
    given = (*targets, tuple(loss.options.values()))
    with explained(subject, {function.__code__.co_filename for function in functions}):
        derivative = np.broadcast_to(loss.derivative(at, *given), at.shape)
        ahead, behind = loss.value(at + step, *given), loss.value(at - step, *given)
        slope = np.broadcast_to((ahead - behind) / (2 * step), at.shape)
    wrong = ~(np.abs(derivative - slope) <= 1e-4 * np.maximum(1.0, np.abs(slope)))
    if wrong.any():
        place = int(np.argmax(wrong))
        raise ValueError(
            f"{subject}: the derivative at the {'residual' if loss.of_residual else 'prediction'} {at[place]:g} is "
            f"{derivative[place]:.6g}, and the value changes there by {slope[place]:.6g}"
        )


def subject_of(kind: str, name: str, function: FunctionType) -> str:
    """Return what sentences about a rule begin with."""
    place = place_of(function).partition(" ")[2]
    return f"the {kind} {name} {place}"
