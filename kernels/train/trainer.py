"""Functions that train on given samples: the reference, or a kernel compiled for a model, a loss and an optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any

from kernels.base.run import Data, Hyperparameters, allocate_room, allocate_scratch
from kernels.compile.kinds import KERNELS, check_dtype, lane_width
from kernels.compile.specialize import Kernel, specialize
from kernels.compile.unrolled import Form
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.network import Network
from kernels.optimizers.optimizer import Optimizer
from kernels.reference import train

Train = Callable[[Hyperparameters, Any, int, int], tuple[int, int]]
"""From settings, a `Record` or a `Block`, and two marks to the status and the mark that was reached."""


def compile_kernel(
    kernel: str,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    *,
    options_per_run: bool = False,
    dtype: str = "float64",
    gathers: bool = False,
) -> Kernel:
    """Return the kernel of that name, any but `reference`, compiled at most once in a process.

    With `options_per_run`, lanes take each run's options of the optimizer from a column of its own.
    """
    form = form_of(kernel, model, loss, optimizer, options_per_run=options_per_run, dtype=dtype, gathers=gathers)
    return specialize(model.program, loss, optimizer, **form)


def form_of(
    kernel: str, model: Model, loss: Loss, optimizer: Optimizer, *, options_per_run: bool, dtype: str, gathers: bool
) -> Form:
    """Return the form of the kernel of that name; see `compile_kernel`."""
    check_dtype(dtype, kernel, model, loss, optimizer)
    kind, width = KERNELS[kernel], lane_width(kernel, dtype, model.program, loss)
    own = options_per_run and width > 1
    return Form(fma=kind.fma, width=width, options_per_run=own, dtype=dtype, gathers=gathers)


def make_trainer(
    kernel: str, model: Model, loss: Loss, optimizer: Optimizer, data: Data, *, options_per_run: bool = False
) -> Train:
    """Return the function that trains on these samples with a kernel, compiled where it has to be.

    Kernels of width 1 train a `Record`, the others blocks of as many runs as their lanes are wide, in the arrays of one
    `Block`. They compute with float64 or float32, as the samples are.
    """
    dtype = data.dtype
    if kernel == "reference":
        check_dtype(dtype, kernel, model, loss, optimizer)
        return partial(train, model.program, loss, optimizer, data)
    compiled = compile_kernel(
        kernel,
        model,
        loss,
        optimizer,
        options_per_run=options_per_run,
        dtype=dtype,
        gathers=data.order.size > 0,
    ).train
    width, program = lane_width(kernel, dtype, model.program, loss), model.program
    if isinstance(program, Network):
        units = program.layers[0].units, program.scores
        scratch: Any = allocate_room(program.layout, *units, optimizer.slots, data.y.size, width, dtype)
    else:
        # Each value that samples alone determine is made by an instruction; a run by itself keeps none.
        values = len(program.instructions) if width > 1 else 0
        n = max(data.y.size, data.validation_y.size)
        scratch = allocate_scratch(len(model.params), n, width, values, dtype)
    return lambda hyper, record, first, last: compiled(data, hyper, record, scratch, first, last)
