"""The loops of `epoch-map` bound to a number of parameters and an optimizer, and compiled.

The samples are data to this kernel, as the rows of a design. So all linear models of so many parameters share it.
"""

import time
from collections.abc import Iterable
from functools import cache as once
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from kernels import epoch_map_loops, loops
from kernels.activity import announce
from kernels.epoch_map_loops import PIECES
from kernels.inner_functions import PlainInnerCompiler
from kernels.linear_data import LinearData
from kernels.losses import make_loss
from kernels.optimizer import Optimizer
from kernels.program import Instruction, Program
from kernels.run import Floats, Hyperparameters
from kernels.specialize import Kernel, compile_or_load, describe_functions, ingredients_of, make_binder
from kernels.unrolled import Ingredients, define

# All functions but this one are inlined: a call with so many arrays takes longer than what the function does.
CALLED = {loops.status_by_validation.__name__}
# As other kernels with fused operations, and without reference counts: an atomic operation for each row of an array
# that gets a name took two thirds of the time. Nothing in the kernel allocates.
OPTIONS = {"error_model": "numpy", "nogil": True, "fastmath": {"contract"}, "_nrt": False}


class Maps(NamedTuple):
    """Room for a map while it is made, and the maps of the legs of an epoch.

    Attributes
    ----------
    packed : array
        The batches of a stretch, those of all pieces side by side: one step for what is left over, then the others.
    packed_keys : array, shape (2, 4)
        What is packed in the two: the first batch, steps, pieces and epoch.
    order : array, shape (n,)
        The visiting order, where the samples are shuffled.
    progress : array, shape (3,)
        The epoch that the order is of, the leg of the epoch, and whether the clock differs at the first update.
    units : array, shape (2, groups, SIZE + 1 + clock, WIDTH)
        The basis vectors, with the clock of a first update and that of others.
    images : array, shape (groups, SIZE, WIDTH)
        What the pieces make of them.
    products : array, shape (2, SIZE, COLUMNS)
        The map as far as it is made, before and after a piece: SIZE + 1 columns, the state of a run, and errors.
    added : array, shape (SIZE, COLUMNS)
        The signs of the errors, 0 for the columns of the map.
    sizes : array, shape (SIZE,)
        Of a run after the pieces so far.
    signs : array, shape (SIZE * PIECES,)
        Of the errors beside a run, 0 in the place of the run.
    curvature : array, shape (1,)
        The largest |H_b| of a batch, or what it is at most.
    slots : array, shape (slots, SIZE, SIZE + 4)
    keys : array, shape (slots, 3)
        Begin, end and rate of the leg that a slot has the map of.
    """

    packed: Floats
    packed_keys: NDArray[np.int64]
    order: NDArray[np.int64]
    progress: NDArray[np.int64]
    units: Floats
    images: Floats
    products: Floats
    added: Floats
    sizes: Floats
    signs: Floats
    curvature: Floats
    slots: Floats
    keys: Floats


class MappedRuns(NamedTuple):
    """R runs that share order and rates, in C vectors of which the last has one run and seven errors.

    Attributes
    ----------
    states : array, shape (2, C, SIZE * PIECES)
        At the last two marks.
    masks : array, shape (2, C * PIECES)
        1 for a run, and 1 for an error.
    squares : array, shape (3, C * PIECES)
        Sums of squared residuals, also of the held-out samples; and room.
    sizes : array, shape (SIZE,)
        Of the largest run.
    worst : array, shape (2 * PIECES,)
        The largest errors of parameters and of losses so far.
    status, reached : array, shape (R,)
    ends : array, shape (R, SIZE)
        The state of a run, at the mark that it has reached.
    losses, validation_losses : array, shape (marks, R)
        From the mark `begin` on.
    lowest : array, shape (R, 2) or (R, 3 + P)
        See `kernels.run.start_lowest`.
    trajectory : array, shape (marks, P)
        Of a single run; else without rows.
    begin : int
    """

    states: Floats
    masks: Floats
    squares: Floats
    sizes: Floats
    worst: Floats
    status: NDArray[np.int64]
    reached: NDArray[np.int64]
    ends: Floats
    losses: Floats
    validation_losses: Floats
    lowest: Floats
    trajectory: Floats
    begin: int


class Shape(NamedTuple):
    """The numbers that a kernel is made for.

    Attributes
    ----------
    size : int
        Of a state: the parameters, and the slots of each.
    columns : int
        Of a map while it is made: its own, the state of a run, and at least three for errors.
    repeats : int
        Basis vectors side by side, as many as registers hold the states of.
    groups : int
        How many times so many make all.
    """

    size: int
    columns: int
    repeats: int
    groups: int

    @classmethod
    def of(cls, params: int, slots: int) -> "Shape":
        """Return the numbers for a model and an optimizer."""
        size = params * (1 + slots)
        repeats = 4 if size <= 4 else 2 if size <= 8 else 1
        return cls(size, -(-(size + 5) // PIECES) * PIECES, repeats, -(-(size + 1) // repeats))


def compile_epoch_map(program: Program, optimizer: Optimizer) -> Kernel:
    """Return the kernel for a model that is linear in its parameters, compiled at most once in a process.

    Parameters
    ----------
    program : Program
        Of the model; it decides only how many parameters there are, and whether the last one is an intercept.
    optimizer : Optimizer
        One of `kernels.epoch_map.AFFINE`.
    """
    repeats = Shape.of(program.params, optimizer.slots).repeats
    linear = linear_program(program.params, 4 // repeats, intercept=has_intercept(program))
    return _build(ingredients_of(linear, make_loss("squared"), optimizer, fma=True, width=repeats * PIECES))


@once
def _build(made_of: Ingredients) -> Kernel:
    with announce("compiling a kernel"):
        started = time.perf_counter()
        params, shape = made_of.program.params, Shape.of(made_of.program.params, made_of.slots)
        binder = make_binder(made_of)
        binder.given |= define(_unroll(made_of))
        binder.given |= {"PARAMS": params, "SIZE": shape.size, "COLUMNS": shape.columns, "STATE": shape.size + 1}
        binder.given |= {"REPEATS": shape.repeats, "PIECES": PIECES, "SIDE": PIECES}
        binder.bind(epoch_map_loops.train)
        digest, source = describe_functions(binder, OPTIONS, CALLED)
        return compile_or_load(binder.functions, digest, source, _signature(), OPTIONS, _inner_options, started)


def _inner_options(function: FunctionType) -> dict[str, Any]:
    """Return the options of a function that Python never calls; see `kernels.inner_functions`."""
    inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": PlainInnerCompiler}
    return OPTIONS | inner | ({} if function.__name__ in CALLED else {"forceinline": True})


def _signature() -> tuple[types.Type, ...]:
    """Return the argument types of the kernel."""
    line, table, tables, four = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3, 4))
    part_of_table = types.Array(types.float64, 2, "A")
    counts, count_table, number = types.int64[::1], types.int64[:, ::1], types.float64

    def named(kind: type, *fields: types.Type) -> types.Type:
        return types.NamedTuple(fields, kind)

    return (
        named(LinearData, *[table] * 3, line, types.intp, types.intp),
        named(
            Hyperparameters,
            *(line, line, types.intp, types.boolean, types.boolean, types.uint64, number, counts, number),
        ),
        named(Maps, line, count_table, counts, counts, four, tables, tables, table, *[line] * 3, tables, table),
        named(
            MappedRuns,
            *(tables, table, table, line, line, counts, counts, table),
            *(part_of_table, part_of_table, table, table, types.intp),
        ),
        types.intp,
        types.intp,
    )


def linear_program(params: int, chains: int, *, intercept: bool) -> Program:
    """Return the program of a model that is the sum of its inputs, each times its parameter.

    The residual adds up in so many chains of fused operations, which take turns: one alone has the fewest operations,
    and waits longest for each. The last parameter may be an intercept, which is multiplied by nothing.
    """
    terms = params - intercept
    instructions = [Instruction("multiply", (k, params + k)) for k in range(terms)]
    one = 2 * params + 1
    total = one + terms

    def add(function: str, left: int, right: int) -> int:
        nonlocal total
        instructions.append(Instruction(function, (left, right)))
        total += 1
        return total

    rest = list(range(one + 1, one + 1 + terms))
    sums = [add("subtract", params - 1 if intercept else rest.pop(0), 2 * params)]
    while rest and len(sums) < chains:
        sums.append(rest.pop(0))
    for place, term in enumerate(rest):
        sums[place % len(sums)] = add("add", sums[place % len(sums)], term)
    while len(sums) > 1:
        sums.append(add("add", sums.pop(0), sums.pop(0)))
    derivatives = [*range(params, params + terms), one][:params]
    return Program(params, params, (1.0,), tuple(instructions), sums[0], tuple(derivatives))


def has_intercept(program: Program) -> bool:
    """Return whether the last parameter of a linear model is multiplied by nothing."""
    constant = program.derivatives[-1] - (program.params + program.inputs + 1)
    return 0 <= constant < len(program.constants) and program.constants[constant] == 1.0


def _unroll(made_of: Ingredients) -> str:
    """Return the source of the functions that the loops declare, parameter by parameter."""
    params, slots, clock = made_of.program.params, made_of.slots, made_of.clock_size
    shape = Shape.of(params, slots)

    def packed(column: int, repeated: str = "read_repeated") -> str:
        return f"{repeated}(packed, at + {column * PIECES}, PIECES, REPEATS)"

    def listed(items: Iterable[str]) -> str:
        return "".join(f"{item}, " for item in items)

    def unit(row: int) -> str:
        return f"read_lane(units[{row}], 0, WIDTH)"

    # y has a part in the constant alone, the last of the basis vectors.
    y = packed(params, "read_last") if shape.size + 1 == shape.repeats else f"{packed(params)} * constant"
    gradient = listed(
        " + ".join(f"{packed(i * (params + 1) + k)} * theta[{k}]" for k in range(params))
        + f" - {packed(i * (params + 1) + params)} * constant"
        for i in range(params)
    )
    state = listed(f"({listed(unit(params + k * slots + s) for s in range(slots))})" for k in range(params))
    clocks = listed(f"units[{shape.size + 1 + c}, 0]" for c in range(clock))
    rows = [f"theta[{k}]" for k in range(params)] + [f"state[{k}][{s}]" for k in range(params) for s in range(slots)]
    stores = "".join(f"    write_lane({value}, images[{row}], 0)\n" for row, value in enumerate(rows))
    return (
        f"def sample_at(packed, at, constant):\n    return ({listed(map(packed, range(params)))}), {y}\n\n"
        f"def batch_gradient(theta, packed, at, constant):\n    return ({gradient})\n\n"
        f"def read_basis(units):\n"
        f"    return ({listed(map(unit, range(params)))}), ({state}({clocks}),), {unit(shape.size)}\n\n"
        f"def write_images(images, theta, state):\n{stores}"
    )
