"""The paths of many runs: where they stand at some marks, recorded while they train."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.base.run import MAX_EPOCHS, NO_LOWEST, Data, Floats, Hyperparameters, Marks, Record, allocate_scratch
from kernels.compile.kinds import KERNELS
from kernels.compile.lane_width import lane_width
from kernels.compile.loss_factor import with_factors
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers.optimizer import Optimizer
from kernels.train.block import allocate_block, compile_kernel
from kernels.train.fit import Train, trainer


class Paths(NamedTuple):
    """Where R runs stood at A marks: `params` (A, R, P) and `losses` (A, R).

    A run that was over before a mark stands there as it ended: with this `status` at this one of the `marks`, (R,).
    """

    params: Floats
    losses: Floats
    status: NDArray[np.int64]
    marks: NDArray[np.int64]


def record_paths(
    kernel: str,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    hyper: Hyperparameters,
    params: Floats,
    memory: Floats,
    at: Marks,
) -> Paths:
    """Train runs from their starts to a mark, and return where they stood at some marks on the way.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    hyper : Hyperparameters
        With rates of shape (epochs, R), a column for each run, and with marks.
    params : array, shape (R, P)
    memory : array, shape (R, M)
    at : array, shape (A,)
        Places in the marks of `hyper`, increasing from 0.
    """
    count = len(params)
    paths = Paths(
        np.empty((at.size, *params.shape)), np.empty((at.size, count)), np.empty(count, int), np.empty(count, int)
    )
    dtype = data.y.dtype.name
    if KERNELS[kernel].width > 1:
        lanes = compile_kernel(kernel, model, loss, optimizer, dtype=dtype, gathers=data.order.size > 0).train
        width = lane_width(kernel, dtype, model.program, loss)
        given = with_factors(kernel, model, loss, data, hyper.marks.size)
        _record_side_by_side(lanes, given, hyper, params, memory, at, paths, width)
    else:
        _record_in_turn(trainer(kernel, model, loss, optimizer, dtype), data, hyper, params, memory, at, paths)
    return paths


def _record_side_by_side(
    train: Callable[..., tuple[int, int]],
    data: Data,
    hyper: Hyperparameters,
    params: Floats,
    memory: Floats,
    at: Marks,
    paths: Paths,
    width: int,
) -> None:
    """Train as many runs at a time as a lane is wide; empty places repeat the last run."""
    sums = allocate_scratch(params.shape[1], width)
    room = hyper.marks.size, hyper.marks.size if data.validation_y.size else 0
    for start in range(0, len(params), width):
        places = np.minimum(np.arange(start, start + width), len(params) - 1)
        block = allocate_block(params[places], memory[places], np.full((width, 2), NO_LOWEST), room)
        own = hyper._replace(rates=np.ascontiguousarray(hyper.rates[:, places]))
        mine = slice(start, min(start + width, len(params)))
        size = mine.stop - start
        # The first leg, from 0 to 0, judges the starts: where all meet the target, there is no other.
        for place, (begin, end) in enumerate(pairwise([0, *at.tolist()])):
            status, _ = train(data, own, block, sums, begin, end)
            paths.params[place, mine] = block.params.T[:size]
            if status != MAX_EPOCHS:
                paths.params[place:, mine] = block.params.T[:size]
                break
        paths.status[mine], paths.marks[mine] = block.status[:size], block.marks[:size]
        reached = np.minimum(at[:, np.newaxis], block.marks[:size])
        paths.losses[:, mine] = block.losses[reached, np.arange(size)]


def _record_in_turn(
    train: Train, data: Data, hyper: Hyperparameters, params: Floats, memory: Floats, at: Marks, paths: Paths
) -> None:
    """Train the runs one after the other."""
    size = hyper.marks.size
    losses, trajectory = np.empty(size), np.empty((size, params.shape[1]))
    validation_losses = np.empty(size if data.validation_y.size else 0)
    for run in range(len(params)):
        trajectory[0] = params[run]
        own = hyper._replace(rates=np.ascontiguousarray(hyper.rates[:, run]))
        record = Record(losses, trajectory, memory[run].copy(), validation_losses, np.array(NO_LOWEST))
        paths.status[run], done = train(data, own, record, 0, int(at[-1]))
        paths.marks[run], reached = done, np.minimum(at, done)
        paths.params[:, run], paths.losses[:, run] = trajectory[reached], losses[reached]
