"""Training functions for given samples: the reference, or a kernel compiled for a model, a loss and an optimizer."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.run import (
    LAYOUT,
    Data,
    Hyperparameters,
    allocate_aligned,
    allocate_buffers,
    allocate_scratch,
)
from sgdbench.kernels.compile.build import build
from sgdbench.kernels.compile.kinds import check_dtype
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.loops.call import addresses
from sgdbench.kernels.loops.driver import Room, Samples, compile_driver
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.network import Network
from sgdbench.kernels.optimizers.optimizer import Optimizer

Train = Callable[[Hyperparameters, Any, int, int], tuple[int, int]]
"""From settings, a `Record` or a `Block`, and two checkpoints to the status and the checkpoint that was reached."""


def make_trainer(
    kernel: str,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    *,
    options_per_run: bool = False,
) -> Train:
    """Return the function that trains on these samples with a kernel, which is compiled if necessary.

    Kernels of width 1 train a `Record`, others train blocks of as many runs as their lanes are wide, in the arrays of
    one `Block`. They compute in the type of the samples, float64 or float32.
    """
    dtype = data.dtype
    if kernel == "reference":
        with IMPORT_LOCK:
            from sgdbench.kernels.reference import remember_order, train  # noqa: PLC0415 (kernels never need it)

        check_dtype(dtype, kernel, model, loss, optimizer)
        return partial(train, model.program, loss, optimizer, data, visiting=remember_order(data))
    spec = KernelSpec(kernel, model, loss, optimizer, options_per_run, dtype)
    built = build(module_of(spec))
    drive = compile_driver(lanes=spec.width > 1)
    samples, (room, scratch) = _samples_of(data), _room_of(spec, data)

    def train_from(hyper: Hyperparameters, record: Any, first: int, last: int) -> tuple[int, int]:
        return drive(built.address, samples, hyper, record, room, first, last)

    # Kernels use the addresses of these arrays, so the function must keep them alive.
    train_from.arrays = data, scratch  # type: ignore[attr-defined]
    return train_from


def _samples_of(data: Data) -> Samples:
    """Return the samples in the form that kernels take."""
    return Samples(
        data.y.size,
        data.validation_y.size,
        addresses((*data.x, data.y)),
        addresses((*data.shuffled_x, data.shuffled_y)),
        addresses((*data.validation_x, data.validation_y)),
        data.x[0].size // data.y.size if data.x else 1,
        data.y.itemsize,
        data.order,
        data.factors,
    )


def _room_of(spec: KernelSpec, data: Data) -> tuple[Room, Any]:
    """Return the buffers of a run, and the arrays whose addresses they contain."""
    program, width, optimizer = spec.model.program, spec.width, spec.optimizer
    params, n = len(spec.model.params), max(data.y.size, data.validation_y.size)
    memory = params * optimizer.slots + len(optimizer.clock_start)
    cells = allocate_aligned(params + memory if width == 1 else 0)
    columns = addresses([data.y] * (len(data.x) + 1))
    if isinstance(program, Network):
        units = program.layers[0].units, program.scores, program.dots
        buffers = allocate_buffers(program.layout, *units, optimizer.slots, n, width, spec.dtype)
        counts = np.concatenate([np.zeros(LAYOUT, np.int64), program.layout])
        return Room(cells, optimizer.slots, columns, counts, np.empty(0), addresses(buffers)), buffers
    # An instruction computes each value that depends on samples alone; a single run stores none.
    values = len(program.instructions) if width > 1 else 0
    scratch = allocate_scratch(params, n, width, values, spec.dtype)
    return Room(cells, 0, columns, scratch.counts, scratch.partials, addresses([scratch.values])), scratch
