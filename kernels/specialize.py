"""Binds the loops to one model, loss and optimizer: one self-contained module on disk, compiled and cached.

Functions passed as arguments, or born in closures, miss numba's disk cache in every new process. So the loops, the loss
and the optimizer are pasted as they stand below the generated text of the model, and the whole lands in the cache
folder under the hash of its content. The next process imports it and finds the machine code beside it.
"""

import hashlib
import inspect
import math
import re
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache as once
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from kernels import cache, lane_math, lanes, loops, order, run, tuples
from kernels.losses import Loss
from kernels.optimizers import Optimizer, decayed
from kernels.program import Program

Function = Callable[..., Any]

HEADER = """\
import numpy as np
from numba import njit
from numpy import (absolute, add, arccos, arcsin, arctan, cos, divide, exp, log, maximum, minimum, multiply, negative,
    power, sign, sin, sqrt, subtract, tan, tanh)

from kernels.lanes import lane_from, lane_into, repeated
from kernels.tuples import all_finite, folded, load, plus, store, times
"""
CONSTANTS = {
    run: ("MAX_EPOCHS", "CONVERGED", "DIVERGED"),
    loops: ("BLOCK", "JOIN"),
    order: ("U0", "U1", "U3", "U11", "U24", "U32", "U40", "LOW32", "WARM_UP"),
}
INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


class Kernel(NamedTuple):
    """A compiled `loops.train` or `loops.train_block`.

    `compile_seconds` is what this process spent to compile it or to load it, `cold_seconds` what compiling took, in
    whatever process that was; nan where nobody wrote it down. `load` reads the machine code from the cache folder once
    more, so that it can be timed.
    """

    train: Callable[..., tuple[int, int]]
    compile_seconds: float
    source: str
    cold_seconds: float
    load: Callable[[], Function]


class Parts(NamedTuple):
    """What tells one kernel from another. The values of options do not: they are arguments of the kernel."""

    program: Program
    derivative: Function
    loss_options: int
    rule: Function
    rule_options: int
    slots: int
    clock: Function | None
    clock_size: int
    per_sample: Function | None
    decays: bool
    fma: bool
    width: int


def specialize(program: Program, loss: Loss, optimizer: Optimizer, *, fma: bool = False, width: int = 1) -> Kernel:
    """The kernel of a model, a loss and an optimizer, compiled at most once in a process.

    Parameters
    ----------
    program : Program
        Of the model.
    fma : bool
        Whether a multiplication and an addition may be fused, which changes the last bits.
    width : int
        How many runs are trained side by side.
    """
    return _built(
        Parts(
            program,
            loss.derivative,
            len(loss.options),
            optimizer.rule,
            len(optimizer.options),
            optimizer.slots,
            optimizer.clock,
            len(optimizer.clock_start),
            optimizer.per_sample,
            optimizer.weight_decay != 0,
            fma,
            width,
        )
    )


def settings(loss: Loss, optimizer: Optimizer) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The values of the options, in the order in which the kernel takes them."""
    return np.array([*loss.options.values(), *optimizer.options.values(), optimizer.weight_decay])


def memory(optimizer: Optimizer, params: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What the optimizer remembers before the first update: the slots of each parameter, then its clock."""
    return np.array([0.0] * (params * optimizer.slots) + [*optimizer.clock_start])


@once
def _built(parts: Parts) -> Kernel:
    started = time.perf_counter()
    text = source(parts)
    # The hash stands in every name: two processes that compile at once could otherwise mix up each other's code. It
    # covers what the module imports, and which functions of the vector math library its code calls.
    imported = "".join(map(inspect.getsource, (lane_math, lanes, tuples)))
    mark = hashlib.sha256(f"{text}{imported}{lane_math.FOUND}".encode()).hexdigest()[:16]
    names = set(re.findall(r"^def (\w+)", text, re.MULTILINE))
    text = _renamed(text, {name: f"{name}_{mark}" for name in names})
    name, entry = f"kernel_{mark}", f"{_trainer(parts).__name__}_{mark}"
    if numba.config.DISABLE_JIT:
        # NumPy's numbers warn where they overflow or wrap around; compiled code does not.
        train = np.errstate(all="ignore")(getattr(_module(name, text), entry))
        return Kernel(train, time.perf_counter() - started, text, 0.0, lambda: train)
    load = partial(_compiled, name, text, entry, _signature(parts))
    dispatcher = load()
    seconds = time.perf_counter() - started
    note = f"{name}.seconds"
    if not dispatcher.stats.cache_hits and dispatcher.stats.cache_path:
        cache.write(note, repr(seconds))
    cold_seconds = _number(cache.read(note)) if dispatcher.stats.cache_hits else seconds
    # The compiled entry itself: no dispatch, and never a second compilation.
    train = dispatcher.get_overload(_signature(parts))
    return Kernel(train, seconds, text, cold_seconds, load)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _compiled(name: str, text: str, entry: str, signature: tuple[types.Type, ...]) -> Any:
    """A function of the module, compiled, or loaded from the cache folder where there is one."""
    folder = cache.folder()
    if folder:
        try:
            return _dispatcher(_module(name, text, folder / f"{name}.py"), entry, signature)
        except Exception as error:  # anything can come out of damaged bytes, and the disk may be full
            for file in folder.glob(f"**/{name}.*"):
                file.unlink(missing_ok=True)
            warnings.warn(
                f"the kernel {name} in {folder} cannot be used ({type(error).__name__}): it is compiled anew",
                RuntimeWarning,
                stacklevel=2,
            )
    return _dispatcher(_module(name, text.replace(", cache=True", "")), entry, signature)


def _dispatcher(module: ModuleType, entry: str, signature: tuple[types.Type, ...]) -> Any:
    dispatcher = getattr(module, entry)
    dispatcher.compile(signature)
    return dispatcher


def _module(name: str, text: str, path: Path | None = None) -> ModuleType:
    """The module with that text. Numba keeps its machine code beside `path`, and looks for it in `sys.modules`."""
    module = ModuleType(name)
    if path:
        if cache.read(path.name) != text:
            cache.write(path.name, text)
        sys.modules[name] = module
    exec(compile(text, path or f"<{name}>", "exec"), module.__dict__)  # noqa: S102 (our own text)
    return module


def _signature(parts: Parts) -> tuple[types.Type, ...]:
    """The argument types of the kernel; the data may be read-only, such as a memory map."""
    samples = types.Array(types.float64, 1, "C", readonly=True)
    vector, table = types.float64[::1], types.float64[:, ::1]
    inputs = parts.program.inputs

    def named(kind: type, *fields: types.Type) -> types.Type:
        return types.NamedTuple(fields, kind)

    return (
        named(
            run.Data,
            types.UniTuple(samples, inputs),
            samples,
            types.UniTuple(vector, inputs),
            vector,
        ),
        named(
            run.Plan,
            vector if parts.width == 1 else table,
            vector,
            types.intp,
            types.boolean,
            types.boolean,
            types.uint64,
            types.float64,
        ),
        named(run.Record, vector, table, vector)
        if parts.width == 1
        else named(run.Block, table, table, table, types.int64[::1], types.int64[::1], table, table),
        named(run.Scratch, types.int64[::1], table),
        types.intp,
        types.intp,
    )


def source(parts: Parts) -> str:
    """The text of the module, before its names are marked."""
    params = parts.program.params
    pieces = [
        HEADER,
        "\n".join(f"{name} = {getattr(module, name)!r}" for module, names in CONSTANTS.items() for name in names),
    ]
    single = parts.width == 1
    inlined: list[str | Function | None] = [
        order.sfc64,
        order.placed,
        order.permute,
        parts.derivative,
        parts.rule,
        parts.clock,
        parts.per_sample,
        decayed if parts.decays else None,
        _model(parts.program),
        _optimizer(parts),
        loops.square_term,
        _sum("gradient", params, parts.width),
        _sum("square", 1, parts.width),
        loops.mean_squared_residual,
        loops.one_epoch,
    ]
    called: list[str | Function | None] = [
        loops.visit,
        loops.judged,
        None if single else loops.settle,
        loops.per_sample_epoch,
        loops.minibatch_epoch,
    ]
    inner = f"{options(fma=parts.fma)}, no_cpython_wrapper=True, no_cfunc_wrapper=True"
    pieces += _decorated(f"{inner}, forceinline=True", inlined)
    pieces += _decorated(inner, called)
    pieces += _decorated(f"{options(fma=parts.fma)}, cache=True", [_trainer(parts)])
    bound = {
        "loss_derivative": parts.derivative.__name__,
        "ZEROS": _zeros(params, parts.width),
        "WIDTH": str(parts.width),
    }
    return _renamed("\n\n".join(pieces) + "\n", bound)


def _trainer(parts: Parts) -> Function:
    return loops.train if parts.width == 1 else loops.train_block


def options(*, fma: bool) -> str:
    """The numba options, as literal text: numba's cache does not see the value behind a name.

    `error_model`: a division by zero gives inf or nan as in NumPy, and costs no test. `nogil`: blocks run in threads,
    and a fit does not stop the rest of the program. `fastmath={'contract'}` lets a multiplication and an addition
    become one FMA, and nothing else. Others are added where they belong: `forceinline` within an epoch, where a call
    would cost more than the arithmetic; no wrappers for what Python never calls, which halves the time to compile.
    """
    return "error_model='numpy', nogil=True" + (", fastmath={'contract'}" if fma else "")


def _decorated(jit_options: str, functions: Sequence[str | Function | None]) -> list[str]:
    texts = [
        function if isinstance(function, str) else inspect.getsource(function) for function in functions if function
    ]
    single = [one.strip() for text in texts for one in re.split(r"^(?=def )", text, flags=re.MULTILINE) if one]
    return [f"@njit({jit_options})\n{one}" for one in single]


def _renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(names)})\b", lambda match: names[match[0]], text)


def _listed(form: str, size: int, first: int = 0) -> str:
    """`form` for first..first+size-1, as the inside of a tuple."""
    return "".join(form.replace("#", str(k)) + ", " for k in range(first, first + size)).rstrip()


def _model(program: Program) -> str:
    """`residual_and_derivatives`, instruction by instruction, and the access to the inputs."""
    names = [f"theta_{k}" for k in range(program.params)] + [f"x_{k}" for k in range(program.inputs)] + ["y"]
    names += [repr(value) for value in program.constants]
    lines = []
    for place, (function, operands) in enumerate(program.instructions):
        used = [names[operand] for operand in operands]
        value = f" {INFIX[function]} ".join(used) if function in INFIX else f"{function}({', '.join(used)})"
        lines.append(f"    v_{place} = {value}\n")
        names.append(f"v_{place}")
    return f"""\
def residual_and_derivatives(theta, x, y):
    {_listed("theta_#", program.params)} = theta
    {_listed("x_#", program.inputs)} = x
{"".join(lines)}    return {names[program.residual]}, ({" ".join(names[d] + "," for d in program.derivatives)})
def inputs_at(x, i):
    return ({_listed("x[#][i]", program.inputs)})
def inputs_from(x, i):
    return ({_listed("lane_from(x[#], i, 8)", program.inputs)})
def gradient_term(theta, x, y, options):
    residual, derivatives = residual_and_derivatives(theta, x, y)
    slope = loss_derivative(residual, options[0])
    return ({_listed("slope * derivatives[#]", program.params)})
"""


def _optimizer(parts: Parts) -> str:
    """The rule for every parameter, and the way of its state and options between arrays and tuples."""
    params, slots = parts.program.params, parts.slots
    theta, state, gradient = (_listed(f"{name}_#", params) for name in ("theta", "state", "gradient"))
    clock = f"    clock = {parts.clock.__name__}(clock, options[1])\n" if parts.clock else ""
    decay = "    gradient_# = decayed(theta_#, gradient_#, options[2])\n" if parts.decays else ""
    rule = f"    theta_#, state_# = {parts.rule.__name__}(theta_#, state_#, gradient_#, lr, clock, options[1])\n"
    rules = "".join((decay + rule).replace("#", str(k)) for k in range(params))
    if parts.per_sample:
        step = f"{parts.per_sample.__name__}(theta[#], slope, derivatives[#], lr)"
        descend = f"({_listed(step, params)}), state"
    else:
        descend = f"update(theta, state, ({_listed('slope * derivatives[#]', params)}), lr, options)"
    cells = [(f"state[{k}][{s}]", k * slots + s) for k in range(params) for s in range(slots)]
    clocks = [(f"state[{params}][{s}]", params * slots + s) for s in range(parts.clock_size)]
    if parts.width == 1:
        own, shared, into = "memory[#]", "memory[#]", "    memory[#] = $\n"
        kept = [into.replace("#", str(cell)).replace("$", value) for value, cell in cells + clocks]
    else:
        own, shared = "lane_from(memory[#], 0, WIDTH)", "memory[#, 0]"
        kept = [f"    lane_into({value}, memory[{cell}], 0)\n" for value, cell in cells]
        kept += [f"    lane_into(repeated({value}, WIDTH), memory[{cell}], 0)\n" for value, cell in clocks]
    states = "".join(f"({_listed(own, slots, k * slots)}), " for k in range(params))
    return f"""\
def update(theta, state, gradient, lr, options):
    {theta} = theta
    {state} clock, = state
    {gradient} = gradient
{clock}{rules}    return ({theta}), ({state} clock,)
def descend(theta, state, slope, derivatives, lr, options):
    return {descend}
def options_from(settings):
    return (
        ({_listed("settings[#]", parts.loss_options)}),
        ({_listed("settings[#]", parts.rule_options, parts.loss_options)}),
        settings[{parts.loss_options + parts.rule_options}],
    )
def state_from(memory):
    return ({states}({_listed(shared, parts.clock_size, params * slots)}),)
def state_into(memory, state):
{"".join(kept) or "    pass"}
def theta_from(params):
    return ({_listed("lane_from(params[#], 0, WIDTH)", params)})
def theta_into(params, theta):
{"".join(f"    lane_into(theta[{k}], params[{k}], 0)" + chr(10) for k in range(params))}
"""


def _sum(what: str, size: int, width: int) -> str:
    """`pairwise_sum` of one kind of term."""
    eight = loops.eight_by_lane if width == 1 else loops.eight_by_turn
    bound = {"term": f"{what}_term", "eight_sums": f"{what}_eight", "pairwise_sum": f"{what}_sum"}
    bound |= {eight.__name__: f"{what}_eight", "ZEROS": _zeros(size, width)}
    return _renamed(inspect.getsource(eight) + inspect.getsource(loops.pairwise_sum), bound)


def _zeros(size: int, width: int) -> str:
    return f"({_listed('-0.0' if width == 1 else f'repeated(-0.0, {width})', size)})"
