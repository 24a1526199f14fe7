"""Specializing: the loops bound to one model, loss and optimizer, compiled by numba and kept on disk.

numba's disk cache misses functions that are passed as arguments or defined in closures in every new process. So the
loops are bound to globals of the kernel's own (`binding`), in a module that is named after a digest of all that they
are bound to. The next process makes the same module and finds the machine code in the cache folder.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from kernels.base import cache, run
from kernels.base.announcements import announce
from kernels.base.checks import errors_in_one_line
from kernels.base.forking import wait_when_forking
from kernels.base.numba_internals import LOCKS, CodeCache, global_compiler_lock, use_cache
from kernels.compile.binding import Binder, source_of
from kernels.compile.inner_functions import compile_bound, digest_of_code, inner_options_of, options_of
from kernels.compile.network_loops import bind_network, common_names
from kernels.compile.unrolled import Ingredients, define, unroll
from kernels.loops import loops, order
from kernels.losses.loss import Loss
from kernels.model.network import Network
from kernels.model.program import Program
from kernels.optimizers.optimizer import Optimizer
from kernels.simd.prefetch import PREFETCHED

# The samples between two parts of the order that is drawn ahead, and of many samples those that are loaded ahead. Of a
# plain integer numba would make a type of its own, for which all that is called with it would be compiled once more.
STEP = np.int64(PREFETCHED)
_loaded: set[Ingredients] = set()
wait_when_forking(*LOCKS)


class Kernel(NamedTuple):
    """A compiled `loops.train` or `loops.train_blocks`.

    Attributes
    ----------
    train : callable
    source : str
        The Python code that was compiled, to be read.
    cold_seconds : float
        The time in which it was compiled, in whatever process that was; nan where it is not known.
    load : callable
        Reads the machine code from the cache folder once more, so that it can be timed.
    """

    train: Callable[..., tuple[int, int]]
    source: str
    cold_seconds: float
    load: Callable[[], Any]


def ingredients_of(program: Program | Network, loss: Loss, optimizer: Optimizer) -> Ingredients:
    """Return the ingredients of the kernel of a model, a loss and an optimizer that trains one run at a time."""
    layers = program.structure if isinstance(program, Network) else ()
    has_vectors = bool(layers) or bool(program.weights)
    return Ingredients(
        program.layers[-1].program if isinstance(program, Network) else program,
        loss.derivative,
        None if loss.is_squared and not optimizer.needs_loss else loss.value,
        len(loss.options),
        loss.of_residual,
        loss.is_squared,
        optimizer.needs_loss,
        optimizer.rule,
        len(optimizer.options),
        optimizer.slots,
        optimizer.clock,
        len(optimizer.clock_start),
        optimizer.per_sample,
        optimizer.gradient_at,
        optimizer.needs_norm,
        optimizer.weight_decay != 0,
        layers,
        optimizer.decay_options if has_vectors else (),
    )


@once
def specialize(made_of: Ingredients) -> Kernel:
    """Return a kernel, compiled or loaded from the cache folder at most once in a process."""
    with announce("compiling a kernel"):
        started = time.perf_counter()
        binder, name, source = _bind(made_of)
        entry, note = binder.functions[-1], f"{name}.seconds"
        if numba.config.DISABLE_JIT:
            # NumPy's numbers warn where they overflow or wrap around; compiled code does not.
            train = np.errstate(all="ignore")(entry)
            return Kernel(train, source, 0.0, lambda: train)
        # numba finds a function's module by its name.
        sys.modules[name] = ModuleType(name)
        entry.__module__ = name
        signature = _signature(made_of)
        # Where the machine code is stored, the functions that the entry calls are not needed.
        prepare = once(partial(compile_bound, binder, partial(inner_options_of, made_of)))
        load = partial(_compile, entry, CodeCache(name, prepare), source, signature, options_of(made_of))
        with errors_in_one_line("no kernel can be compiled of this"):
            dispatcher = load()
        _loaded.add(made_of)
        cold_seconds = time.perf_counter() - started
        if dispatcher.stats.cache_hits:
            cold_seconds = float(cache.read(note) or "nan")
        else:
            cache.write(note, repr(cold_seconds))
        # The compiled entry itself: no dispatch, and never a second compilation.
        return Kernel(dispatcher.get_overload(signature), source, cold_seconds, load)


def is_stored(made_of: Ingredients) -> bool:
    """Return whether the machine code of a kernel is in this process or the cache folder, or none is needed."""
    if numba.config.DISABLE_JIT or made_of in _loaded:
        return True
    _, name, _ = _bind(made_of)
    return CodeCache(name).is_stored(_signature(made_of))


@once
def _bind(made_of: Ingredients) -> tuple[Binder, str, str]:
    """Return the functions of a kernel, its name and its source."""
    binder, digest, source = bind_loops(made_of)
    return binder, f"kernel_{digest[:16]}", source


def bind_loops(made_of: Ingredients) -> tuple[Binder, str, str]:
    """Bind the loops to the ingredients of a kernel.

    Returns
    -------
    binder : Binder
        Its functions are plain Python, `loops.train` or `loops.train_blocks` the last.
    digest : str
        Of all that is bound, the options of the compiler, and the functions on lanes that this machine has.
    source : str
        All of it, to be read.
    """
    if made_of.layers:
        binder = bind_network(made_of)
        return binder, *describe_bound(binder, made_of)
    binder = make_binder(made_of)
    parts = {"gradient": made_of.part, "recorded": made_of.recorded_part}
    eight_sums = {"gradient": loops.eight_sums_in_one_lane if made_of.width == 1 else loops.eight_sums_in_turn}
    eight_sums["recorded"] = loops.eight_sums_in_registers if made_of.by_register else eight_sums["gradient"]
    if made_of.narrows:
        eight_sums["recorded"] = loops.eight_sums_in_halves
    sums = {name: _bind_sum(binder, name, made_of.width, part, eight_sums[name]) for name, part in parts.items()}
    recorded = loops.loss_by_factor if made_of.by_factor else loops.direct_loss
    recorded_loss = binder.bind(recorded, recorded_sum=sums["recorded"])
    leg = loops.leg_by_register if made_of.moves_by_register else loops.per_sample_leg
    leg = binder.bind(leg, PART=made_of.register)
    entry = loops.train if made_of.width == 1 else loops.train_blocks
    binder.bind(
        entry, leg=leg, gradient_sum=sums["gradient"], recorded_sum=sums["recorded"], recorded_loss=recorded_loss
    )
    return binder, *describe_bound(binder, made_of)


def _bind_sum(binder: Binder, name: str, width: int, part: int, eight_sums: Any) -> FunctionType:
    """Return `loops.gradient_sum` or `loops.recorded_sum`, of all runs at once or part by part."""
    given = binder.given
    own = {"term": given[f"{name}_term"], "zeros": given[f"{name}_zeros"], "eight_sums": eight_sums, "PART": part}
    bound = binder.bind(loops.pairwise_sum, **own)
    if part == width:
        return bound
    write, read = given[f"write_{name}_sum"], given[f"read_{name}_sum"]
    return binder.bind(loops.sum_in_parts, part_sum=bound, write_sum=write, read_sum=read, PART=part)


def make_binder(made_of: Ingredients) -> Binder:
    """Return a binder that knows the names that `loops` declares."""
    written = define(unroll(made_of))
    # Lanes leave the processor no time for a second thing.
    ahead = made_of.width == 1 and not made_of.gathers
    visit = order.visit_with_next if ahead else loops.gather if made_of.gathers else loops.visit_in_copy
    return Binder(
        written
        | common_names(made_of)
        | {
            "zeros": written["theta_zeros"],
            "train_next": loops.train_part,
            "take": loops.take_samples,
            "visit": visit,
            "draw_ahead": order.draw_ahead if ahead else order.draw_nothing,
            "STEP": STEP if ahead else np.int64(sys.maxsize),
            "PARAMS": made_of.program.params,
        }
    )


def describe_bound(binder: Binder, made_of: Ingredients) -> tuple[str, str]:
    """Return the digest and the source of the bound functions; see `bind_loops`."""
    source = f"# numba.njit({options_of(made_of)})\n\n{source_of(binder.functions)}"
    return digest_of_code(binder.digest, source), source


def _compile(
    entry: FunctionType,
    kept: CodeCache,
    source: str,
    signature: tuple[types.Type, ...],
    options: dict[str, Any],
) -> Any:
    """Compile the entry of a kernel, or load it from the cache folder where there is one."""
    note = f"{kept.name}.py"
    if cache.read(note) != source:  # nothing loads it; it is there to be read
        cache.write(note, source)
    dispatcher = numba.njit(**options, no_cfunc_wrapper=True)(entry)  # C never calls it
    use_cache(dispatcher, kept)
    # While another thread holds the lock, the process does not fork, so that no process begins without its collections.
    with global_compiler_lock, _collections_paused():
        dispatcher.compile(signature)
    return dispatcher


@contextmanager
def _collections_paused() -> Iterator[None]:
    """Pause Python's garbage collector, which would take a tenth of the time of a compilation."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@once
def _signature(made_of: Ingredients) -> tuple[types.Type, ...]:
    """Return the argument types of the kernel; the data may be read-only, such as a memory map."""
    element, lanes = numba.from_dtype(np.dtype(made_of.dtype)), made_of.width > 1
    samples, visited = types.Array(element, 1, "C", readonly=True), types.Array(element, 1, "C")
    inputs, visited_inputs = (types.UniTuple(column, made_of.program.inputs) for column in (samples, visited))
    if made_of.layers:
        inputs, visited_inputs, visited = types.UniTuple(samples, 1), types.Tuple(()), types.int64[::1]
    vector, table, tables = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3))
    counts, order = types.int64[::1], types.uint32[::1]
    ahead = types.uint64[::1]
    data = inputs, samples, visited_inputs, visited, order, ahead, inputs, samples, tables
    flags = types.boolean, types.boolean
    hyper = vector, vector, types.intp, *flags, types.uint64, types.float64, counts, types.float64
    per_run = types.int64[:, ::1]
    blocks = *[tables] * 3, per_run, per_run, *[tables] * 5, tables if made_of.options_per_run else table
    record = vector, table, vector, vector, vector
    whole = ("layout", "counts", "rows")
    room = tuple(types.int64[::1] if name in whole else types.Array(element, 1, "C") for name in run.Room._fields)
    return (
        types.NamedTuple(data, run.Data),
        types.NamedTuple(hyper, run.Hyperparameters),
        types.NamedTuple(blocks, run.Block) if lanes else types.NamedTuple(record, run.Record),
        types.NamedTuple(room, run.Room) if made_of.layers else types.NamedTuple((counts, table, visited), run.Scratch),
        types.intp,
        types.intp,
    )
