"""Many runs that share code, data and visiting order: one after the other, or side by side in lanes."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.base.run import (
    MAX_EPOCHS,
    Block,
    Data,
    Floats,
    Hyperparameters,
    Record,
    allocate_scratch,
    count_evaluated,
    start_lowest,
)
from kernels.compile.kinds import KERNELS, check_dtype, check_kernel
from kernels.compile.lane_width import lane_width
from kernels.compile.loss_factor import with_factors
from kernels.compile.specialize import Kernel, specialize
from kernels.data.marks import with_marks
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers.optimizer import Optimizer
from kernels.train.fit import Train, trainer
from kernels.train.slices import REFERENCE_SLOWDOWN, train_in_slices

# Of the kernels that train runs side by side.
WIDTH = KERNELS["lanes"].width


class Runs(NamedTuple):
    """Where R runs stand: `params` (R, P), the optimizer's `memory` (R, M), `status` and `marks` reached (R,).

    Where only the ends of epochs are marks, `marks` are epochs done. `losses`, shape (marks trained + 1, R), starts
    with the loss at the first of them; a row past the mark that a run reached has no meaning for it.
    `validation_losses` are of the same shape, or have no rows where the data have no samples for validation; `lowest`
    is what is known of the lowest of them so far (`kernels.base.run.start_lowest`): with patience also the parameters
    there, which are those that a run keeps, while `params` are where it would go on. A longer run goes on from both.
    """

    params: Floats
    memory: Floats
    status: NDArray[np.int64]
    marks: NDArray[np.int64]
    losses: Floats
    seconds: float
    validation_losses: Floats
    lowest: Floats

    def kept(self, first: int = 0) -> "Kept":
        """Return what is kept of runs that were trained from mark `first` on."""
        if self.validation_losses.size and self.lowest.shape[1] > 2:
            return Kept(self.lowest[:, 3:], self.lowest[:, 2], self.lowest[:, 0])
        last = self.marks - first, np.arange(self.marks.size)
        held_out = self.validation_losses[last] if self.validation_losses.size else None
        return Kept(self.params, self.losses[last], held_out)


class Kept(NamedTuple):
    """What runs give: parameters, and the losses there: those of the end, or with patience of the lowest held-out loss.

    `params` has the shape (R, P), the losses (R,); without samples for validation there are no losses on them.
    """

    params: Floats
    losses: Floats
    validation_losses: Floats | None


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
    """Return the kernel of that name, any but `reference`, compiled where it has to be.

    With `options_per_run`, lanes take each run's options of the optimizer from a column of its own.
    """
    check_dtype(dtype, kernel, model, loss, optimizer)
    kind = KERNELS[kernel]
    own, width = options_per_run and kind.width > 1, lane_width(kernel, dtype, model.program, loss)
    return specialize(
        model.program,
        loss,
        optimizer,
        fma=kind.fma,
        width=width,
        options_per_run=own,
        dtype=dtype,
        gathers=gathers,
    )


def train_runs(
    kernel: str,
    model: Model,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    hyper: Hyperparameters,
    params: Floats,
    memory: Floats,
    *,
    first: int = 0,
    lowest: Floats | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Runs | None:
    """Train from mark `first` to the last one; return None if `stopped` before that.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    data : Data
        What it is of, float64 or float32, is what runs compute with. Without QR factors, they are made where the kernel
        takes losses from them (`kernels.compile.loss_factor`).
    hyper : Hyperparameters
        With rates of shape (epochs, R), a column for each run. Without marks, runs are recorded epoch by epoch. With
        settings of shape (S, R), runs have options of their own (`kernels.optimizers.run_options`).
    params : array, shape (R, P)
    memory : array, shape (R, M)
    lowest : array, shape (R, 2) or (R, 3 + P), optional
        Of runs that go on at mark `first`: `Runs.lowest` as it was then.
    stopped : callable
        Asked about twenty times a second.
    """
    check_kernel(kernel)
    dtype = data.y.dtype.name
    started = time.perf_counter()
    hyper = with_marks(hyper, data.y.size)
    last, count = hyper.marks.size - 1, hyper.rates.shape[1]
    whole = np.zeros(count, np.int64)
    shape = last - first + 1, count
    runs = Runs(
        params.copy(),
        memory.copy(),
        whole,
        whole.copy(),
        np.empty(shape),
        0.0,
        np.empty(shape if data.validation_y.size else (0, count)),
        start_lowest(params, hyper.patience) if lowest is None else lowest.copy(),
    )
    if KERNELS[kernel].width > 1:
        own = hyper.settings.ndim == 2
        gathers = data.order.size > 0
        made = compile_kernel(kernel, model, loss, optimizer, options_per_run=own, dtype=dtype, gathers=gathers)
        lanes = made.train
        width = lane_width(kernel, dtype, model.program, loss)
        given = with_factors(kernel, model, loss, data, last + 1)
        finished = _train_side_by_side(lanes, given, hyper, runs, first, stopped, width)
    else:
        slowdown = REFERENCE_SLOWDOWN if kernel == "reference" else 1
        train = trainer(kernel, model, loss, optimizer, dtype)
        finished = _train_in_turn(train, data, hyper, runs, first, stopped, slowdown)
    return runs._replace(seconds=time.perf_counter() - started) if finished else None


def _train_in_turn(
    train: Train, data: Data, hyper: Hyperparameters, runs: Runs, first: int, stopped: Callable[[], bool], slowdown: int
) -> bool:
    """Train the runs one after the other, in place; False if `stopped` before the end."""
    last, count = hyper.marks.size - 1, hyper.rates.shape[1]
    trajectory = np.empty((last + 1, runs.params.shape[1]))
    losses = np.empty(last + 1)
    validation_losses = np.empty(last + 1 if data.validation_y.size else 0)
    for run in range(count):
        trajectory[first] = runs.params[run]
        record = Record(losses, trajectory, runs.memory[run], validation_losses, runs.lowest[run])
        own = _columns(hyper, run)
        legs = partial(train, data, own, record)
        slices = train_in_slices(legs, own.marks, first, samples=count_evaluated(data), slowdown=slowdown)
        for status, done, _seconds in slices:  # noqa: B007
            if stopped():
                return False
        runs.params[run], runs.status[run], runs.marks[run] = trajectory[done], status, done
        runs.losses[:, run], runs.validation_losses[:, run] = losses[first:], validation_losses[first:]
        kept, lowest = np.searchsorted(own.marks, runs.lowest[run, 1]), runs.lowest[run]
        if lowest.size > 2 and kept >= first:
            lowest[2], lowest[3:] = losses[kept], trajectory[kept]
    return True


def _train_side_by_side(
    train: Callable[..., tuple[int, int]],
    data: Data,
    hyper: Hyperparameters,
    runs: Runs,
    first: int,
    stopped: Callable[[], bool],
    width: int,
) -> bool:
    """Train as many runs at a time as a lane is wide, in place; empty places repeat the last run."""
    last, count = hyper.marks.size - 1, hyper.rates.shape[1]
    sums = allocate_scratch(runs.params.shape[1], width)
    for start in range(0, count, width):
        places = np.minimum(np.arange(start, start + width), count - 1)
        shape = last + 1, last + 1 if data.validation_y.size else 0
        block = allocate_block(runs.params[places], runs.memory[places], runs.lowest[places], shape, first)
        own = _columns(hyper, places)

        def step(begin: int, end: int, block: Block = block, own: Hyperparameters = own) -> tuple[int, int]:
            return train(data, own, block, sums, begin, end)

        for _ in train_in_slices(step, own.marks, first, samples=count_evaluated(data), slowdown=width // 8):
            if stopped():
                return False
        mine = slice(start, start + width)
        size = min(width, count - start)
        runs.params[mine], runs.memory[mine] = block.params.T[:size], block.memory.T[:size]
        runs.status[mine], runs.marks[mine] = block.status[:size], block.marks[:size]
        runs.losses[:, mine] = block.losses[first:, :size]
        runs.validation_losses[:, mine] = block.validation_losses[first:, :size]
        runs.lowest[mine] = block.lowest[:size]
    return True


def _columns(hyper: Hyperparameters, runs: int | NDArray[np.intp]) -> Hyperparameters:
    """Return the hyperparameters of one run, or of several."""
    rates, settings = np.ascontiguousarray(hyper.rates[:, runs]), hyper.settings
    return hyper._replace(
        rates=rates, settings=settings if settings.ndim == 1 else np.ascontiguousarray(settings[:, runs])
    )


def allocate_block(params: Floats, memory: Floats, lowest: Floats, marks: tuple[int, int], first: int = 0) -> Block:
    """Return as many runs as a lane is wide, which stand at a mark.

    Parameters
    ----------
    params : array, shape (runs, P)
    memory : array, shape (runs, M)
    lowest : array, shape (runs, 2) or (runs, 3 + P)
    marks : pair of int
        How many losses there is room for, and how many validation losses.
    first : int
        The mark.
    """
    width, now, memory_now = len(params), np.ascontiguousarray(params.T), np.ascontiguousarray(memory.T)
    return Block(
        np.empty(now.shape),
        np.empty(memory_now.shape),
        np.empty((marks[0], width)),
        np.full(width, MAX_EPOCHS),
        np.full(width, first),
        now,
        memory_now,
        np.empty((marks[1], width)),
        lowest,
    )
