"""Many runs that share code, data and visiting order: one after the other, or side by side in lanes."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.base.run import (
    DIVERGED,
    MAX_EPOCHS,
    Block,
    Data,
    Floats,
    Hyperparameters,
    Marks,
    Record,
    allocate_aligned,
    count_evaluated,
    start_lowest,
)
from kernels.compile.kinds import KERNELS, check_kernel, lane_width
from kernels.compile.loss_factor import with_factors
from kernels.data.marks import with_marks
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.optimizers.optimizer import Optimizer
from kernels.train.lost_targets import LARGE, lost_since
from kernels.train.slices import REFERENCE_SLOWDOWN, train_in_slices
from kernels.train.trainer import Train, make_trainer

# Runs are shared out in multiples of this, on all machines alike; their lanes may be narrower (`lane_width`).
WIDTH = KERNELS["lanes"].width
NO_MARKS: Marks = np.zeros(0, np.int64)
Slices = Callable[..., Iterator[tuple[int, int, float]]]


class Runs(NamedTuple):
    """The state of R runs: `params` (R, P), the optimizer's `memory` (R, M), `status` and `marks` reached (R,).

    Where only the ends of epochs are marks, `marks` are epochs done. `losses`, shape (marks trained + 1, R), starts
    with the loss at the first of them; a row past the mark that a run reached has no meaning for it.
    `validation_losses` are of the same shape, or have no rows where the data have no samples for validation; `lowest`
    describes the lowest of them so far (`kernels.base.run.start_lowest`): with patience also the parameters there,
    which a run keeps, while it would go on from `params`. A longer run goes on from both.
    `path`, shape (A, R, P), has the parameters at those marks that were asked for; a run that was over stays there.
    """

    params: Floats
    memory: Floats
    status: NDArray[np.int64]
    marks: NDArray[np.int64]
    losses: Floats
    seconds: float
    validation_losses: Floats
    lowest: Floats
    path: Floats = np.zeros((0, 0, 0))

    def kept(self, first: int = 0) -> "Kept":
        """Return the parameters and losses that runs keep that were trained from mark `first` on."""
        if self.validation_losses.size and self.lowest.shape[1] > 2:
            return Kept(self.lowest[:, 3:], self.lowest[:, 2], self.lowest[:, 0])
        last = self.marks - first, np.arange(self.marks.size)
        held_out = self.validation_losses[last] if self.validation_losses.size else None
        return Kept(self.params, self.losses[last], held_out)


class Kept(NamedTuple):
    """The parameters of runs, shape (R, P), and the losses there, (R,): of the end, or of the lowest held-out loss.

    Without samples for validation there are no losses on them.
    """

    params: Floats
    losses: Floats
    validation_losses: Floats | None


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
    at: Marks = NO_MARKS,
    stopped: Callable[[], bool] = lambda: False,
) -> Runs | None:
    """Train from mark `first` to the last one; return None if `stopped` before that.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    data : Data
        Runs compute with their type, float64 or float32. Missing QR factors are made where the kernel takes losses
        from them (`kernels.compile.loss_factor`).
    hyper : Hyperparameters
        With rates of shape (epochs, R), a column for each run. Without marks, runs are recorded epoch by epoch. With
        settings of shape (S, R), runs have options of their own (`kernels.optimizers.run_options`).
    params : array, shape (R, P)
    memory : array, shape (R, M)
    lowest : array, shape (R, 2) or (R, 3 + P), optional
        Of runs that go on at mark `first`: `Runs.lowest` as it was then.
    at : array, shape (A,), optional
        Marks at which parameters are recorded, as places in `hyper.marks`, increasing from `first` on.
    stopped : callable
        Asked about twenty times a second.
    """
    check_kernel(kernel)
    started = time.perf_counter()
    hyper = with_marks(hyper, data.y.size)
    last, count = hyper.marks.size - 1, hyper.rates.shape[1]
    status, shape = np.full(count, MAX_EPOCHS), (last - first + 1, count)
    runs = Runs(
        params.copy(),
        memory.copy(),
        status,
        np.full(count, first),
        np.empty(shape),
        0.0,
        np.empty(shape if data.validation_y.size else (0, count)),
        start_lowest(params, hyper.patience) if lowest is None else lowest.copy(),
        np.tile(params, (at.size, 1, 1)),
    )
    data = with_factors(kernel, model, loss, data, last + 1)
    train = make_trainer(kernel, model, loss, optimizer, data, options_per_run=hyper.settings.ndim == 2)
    width = lane_width(kernel, data.y.dtype.name, model.program, loss)
    slowdown = REFERENCE_SLOWDOWN if kernel == "reference" else max(1, width // 8)
    slices = partial(train_in_slices, marks=hyper.marks, first=first, samples=count_evaluated(data), slowdown=slowdown)
    if width == 1:
        steps = _train_in_turn(train, slices, hyper, runs, at, by_row=model.by_row)
    else:
        steps = _train_side_by_side(train, partial(slices, stops=at.tolist()), hyper, runs, at, width)
    for _ in steps:
        if stopped():
            return None
    _end_where_targets_are_lost(model, loss, data, runs, first)
    return runs._replace(seconds=time.perf_counter() - started)


def _end_where_targets_are_lost(model: Model, loss: Loss, data: Data, runs: Runs, first: int) -> None:
    """Let runs whose loss of 0 is none diverge at the first mark of it, in place."""
    for run in np.flatnonzero(np.abs(runs.params).max(axis=1) > LARGE):  # all at once: few are
        losses = runs.losses[: runs.marks[run] - first + 1, run]
        lost = lost_since(model, loss, runs.params[run], data.x, data.y, losses)
        if lost is not None:
            runs.status[run], runs.marks[run] = DIVERGED, first + lost
            runs.losses[lost:, run] = runs.validation_losses[lost:, run] = np.inf
            runs.lowest[run, 0] = runs.lowest[run, 2:3] = np.inf


def _train_in_turn(
    train: Train, slices: Slices, hyper: Hyperparameters, runs: Runs, at: Marks, *, by_row: bool
) -> Iterator[None]:
    """Train the runs one after the other, in place; yield after each slice of time."""
    marks, first = hyper.marks.size, hyper.marks.size - len(runs.losses)
    # Models with vectors record the last mark alone, where no other is asked for.
    rows = 1 if by_row and not at.size and np.isinf(hyper.patience) else marks
    trajectory, losses = np.empty((rows, runs.params.shape[1])), np.empty(marks)
    validation_losses = np.empty(marks if runs.validation_losses.size else 0)
    for run in range(len(runs.params)):
        trajectory[min(first, rows - 1)] = runs.params[run]
        record = Record(losses, trajectory, runs.memory[run], validation_losses, runs.lowest[run])
        for status, done, _seconds in slices(partial(train, _columns(hyper, run), record)):  # noqa: B007
            yield
        runs.params[run], runs.status[run], runs.marks[run] = trajectory[min(done, rows - 1)], status, done
        runs.losses[:, run], runs.validation_losses[:, run] = losses[first:], validation_losses[first:]
        runs.path[:, run] = trajectory[np.minimum(at, done)]
        kept, lowest = np.searchsorted(hyper.marks, runs.lowest[run, 1]), runs.lowest[run]
        if lowest.size > 2 and kept >= first:
            lowest[2], lowest[3:] = losses[kept], trajectory[kept]


def _train_side_by_side(
    train: Train, slices: Slices, hyper: Hyperparameters, runs: Runs, at: Marks, width: int
) -> Iterator[None]:
    """Train as many runs at a time as a lane is wide, in place; the last run is repeated in empty places."""
    count, marks = len(runs.params), hyper.marks.size
    first = marks - len(runs.losses)
    remembers, validated = runs.memory.size > 0, runs.validation_losses.size > 0
    # Made once: to make the arrays of a block takes as long as some epochs of a small data set.
    block = _allocate_block(runs, marks, width)
    columns = _columns(hyper, np.arange(width) % count)
    train_block = partial(train, columns, block)
    for start in range(0, count, width):
        mine, size = slice(start, start + width), min(width, count - start)
        _put(block.now, runs.params[mine].T)
        _put(columns.rates, hyper.rates[:, mine])
        if hyper.settings.ndim == 2:
            _put(columns.settings, hyper.settings[:, mine])
        if remembers:
            _put(block.memory_now, runs.memory[mine].T)
        if validated:
            _put(block.lowest.T, runs.lowest[mine].T)
        block.status.fill(MAX_EPOCHS)
        block.marks.fill(first)
        for _status, done, _seconds in slices(train_block):
            if at.size:
                # Later marks are written again when they are reached, unless all runs are over.
                runs.path[np.searchsorted(at, done) :, mine] = block.params.T[:size]
            yield
        runs.params[mine] = block.params.T[:size]
        runs.status[mine], runs.marks[mine] = block.status[:size], block.marks[:size]
        runs.losses[:, mine] = block.losses[first:, :size]
        if remembers:
            runs.memory[mine] = block.memory.T[:size]
        if validated:
            runs.validation_losses[:, mine] = block.validation_losses[first:, :size]
            runs.lowest[mine] = block.lowest[:size]


def _allocate_block(runs: Runs, marks: int, width: int) -> Block:
    """Return room for as many runs as a lane is wide; the state of their lane begins at cache lines."""
    params, memory, known = (rows.shape[1] for rows in (runs.params, runs.memory, runs.lowest))
    return Block(
        params=np.empty((params, width)),
        memory=np.empty((memory, width)),
        losses=np.empty((marks, width)),
        status=np.empty(width, np.int64),
        marks=np.empty(width, np.int64),
        now=allocate_aligned(params * width).reshape(params, width),
        memory_now=allocate_aligned(memory * width).reshape(memory, width),
        validation_losses=np.empty((marks if runs.validation_losses.size else 0, width)),
        lowest=np.empty((width, known)),
    )


def _put(room: Floats, columns: Floats) -> None:
    """Copy columns to the beginning of a room, and the last of them to the rest of it."""
    size = columns.shape[1]
    room[:, :size] = columns
    if size < room.shape[1]:
        room[:, size:] = columns[:, -1:]


def _columns(hyper: Hyperparameters, runs: int | NDArray[np.intp]) -> Hyperparameters:
    """Return the hyperparameters of one run, or of several."""
    rates, settings = np.ascontiguousarray(hyper.rates[:, runs]), hyper.settings
    return hyper._replace(
        rates=rates, settings=settings if settings.ndim == 1 else np.ascontiguousarray(settings[:, runs])
    )
