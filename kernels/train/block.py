"""Training of many runs that share code, data and visiting order: one after another, or side by side in lanes."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.run import (
    DIVERGED,
    MAX_EPOCHS,
    Block,
    Data,
    Floats,
    Hyperparameters,
    Integers,
    Record,
    allocate_aligned,
    count_evaluated,
    start_lowest,
)
from sgdbench.kernels.compile.kinds import KERNELS, check_kernel, lane_width
from sgdbench.kernels.compile.loss_factor import with_factors
from sgdbench.kernels.data.checkpoints import with_checkpoints
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.train.lost_targets import LARGE_PARAM, first_spurious_zero
from sgdbench.kernels.train.slices import runs_in_slice, slowdown_of, train_in_slices
from sgdbench.kernels.train.trainer import Train, make_trainer

# Runs are distributed in multiples of this on all machines; their lanes may be narrower (`lane_width`).
BLOCK_WIDTH = KERNELS["lanes"].width
# The numbers that are copied between runs and blocks at a time. Copying block by block, which only one thread at a time
# does, takes a tenth of the time of blocks with few epochs; four times as many numbers exceed the second-level cache.
NUMBERS_AT_A_TIME = 2**15
NO_CHECKPOINTS: Integers = np.zeros(0, np.int64)
NO_NUMBERS: Floats = np.zeros(0)
Slices = Callable[..., Iterator[tuple[int, int, float]]]


class Runs(NamedTuple):
    """The state of R runs: `params` (R, P), the optimizer's `memory` (R, M), `status` and `checkpoints` reached (R,).

    If only the ends of epochs are checkpoints, `checkpoints` are epochs done. `losses`, shape (checkpoints trained + 1,
    R), starts with the loss at the first of them; rows past the checkpoint that a run reached are undefined for it.
    `validation_losses` has the same shape, or no rows if the data have no validation samples; `lowest` describes the
    lowest of them so far (`sgdbench.kernels.base.run.start_lowest`). With patience this includes the parameters there,
    which the run keeps; a longer run continues from `params` and needs both. `path`, shape (A, R, P), has the
    parameters at the requested checkpoints, and for a run that had ended, its last ones.
    """

    params: Floats
    memory: Floats
    status: NDArray[np.int64]
    checkpoints: NDArray[np.int64]
    losses: Floats
    seconds: float
    validation_losses: Floats
    lowest: Floats
    path: Floats = np.zeros((0, 0, 0))

    def kept_results(self, first: int = 0) -> "KeptResults":
        """Return the parameters and losses that these runs keep, after training from checkpoint `first` on."""
        if self.validation_losses.size and self.lowest.shape[1] > 2:
            return KeptResults(self.lowest[:, 3:], self.lowest[:, 2], self.lowest[:, 0])
        last = self.checkpoints - first, np.arange(self.checkpoints.size)
        held_out = self.validation_losses[last] if self.validation_losses.size else None
        return KeptResults(self.params, self.losses[last], held_out)


class KeptResults(NamedTuple):
    """The kept parameters of runs, shape (R, P), and their losses, (R,): at the end, or at the lowest held-out loss.

    Without validation samples there are no validation losses.
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
    at: Integers = NO_CHECKPOINTS,
    stopped: Callable[[], bool] = lambda: False,
) -> Runs | None:
    """Train from checkpoint `first` to the last one; return None if `stopped` before that.

    Parameters
    ----------
    kernel : str
        One of `KERNELS`.
    data : Data
        Runs compute in the type of the data, float64 or float32. Missing QR factors are computed if the kernel takes
        losses from them (`sgdbench.kernels.compile.loss_factor`).
    hyper : Hyperparameters
        With rates of shape (epochs, R), a column per run. Without checkpoints, runs are recorded epoch by epoch. With
        settings of shape (S, R), runs have their own options (`sgdbench.kernels.optimizers.run_options`).
    params : array, shape (R, P)
    memory : array, shape (R, M)
    lowest : array, shape (R, 2) or (R, 3 + P), optional
        For runs that continue at checkpoint `first`: `Runs.lowest` at that point.
    at : array, shape (A,), optional
        Checkpoints at which parameters are recorded, as indices into `hyper.checkpoints`, increasing from `first`.
    stopped : callable
        Called about twenty times a second.
    """
    check_kernel(kernel)
    started = time.perf_counter()
    hyper = with_checkpoints(hyper, data.y.size)
    last, count = hyper.checkpoints.size - 1, hyper.rates.shape[1]
    status, shape = np.full(count, MAX_EPOCHS), (last - first + 1, count)
    params = params.astype(data.dtype).astype(float, copy=False)  # rounded as in the kernels, also for `path`
    runs = Runs(
        params,
        memory.copy(),
        status,
        np.full(count, first),
        np.empty(shape),
        0.0,
        np.empty(shape if data.validation_y.size else (0, count)),
        start_lowest(params, hyper.patience) if lowest is None else lowest.copy(),
        np.repeat(params[np.newaxis], at.size, axis=0),
    )
    data = with_factors(kernel, model, loss, data, last + 1)
    train = make_trainer(kernel, model, loss, optimizer, data, options_per_run=hyper.settings.ndim == 2)
    width = lane_width(kernel, data.dtype, model.program, loss)
    slowdown, samples = slowdown_of(kernel, model, width), count_evaluated(data)
    slices = partial(train_in_slices, checkpoints=hyper.checkpoints, first=first, samples=samples, slowdown=slowdown)
    if width == 1:
        steps = _train_in_turn(train, slices, hyper, runs, at, by_row=model.by_row)
    else:
        # If parameters are recorded on the way, each block is in its own slice.
        in_slice = 1 if at.size else runs_in_slice(hyper.checkpoints, first, samples=samples, slowdown=slowdown)
        steps = _train_side_by_side(train, partial(slices, stops=at.tolist()), hyper, runs, at, width, in_slice)
    for _ in steps:
        if stopped():
            return None
    _end_where_targets_are_lost(model, loss, data, runs, first)
    return runs._replace(seconds=time.perf_counter() - started)


def _end_where_targets_are_lost(model: Model, loss: Loss, data: Data, runs: Runs, first: int) -> None:
    """Mark runs with a spurious zero loss as diverged at the first checkpoint that has it, in place."""
    if runs.params.max() <= LARGE_PARAM and runs.params.min() >= -LARGE_PARAM:  # false if there are nans
        return
    for run in np.flatnonzero(np.abs(runs.params).max(axis=1) > LARGE_PARAM):
        losses = runs.losses[: runs.checkpoints[run] - first + 1, run]
        lost = first_spurious_zero(model, loss, runs.params[run], data, losses)
        if lost is not None:
            runs.status[run], runs.checkpoints[run] = DIVERGED, first + lost
            runs.losses[lost:, run] = runs.validation_losses[lost:, run] = np.inf
            runs.lowest[run, 0] = runs.lowest[run, 2:3] = np.inf


def _train_in_turn(
    train: Train, slices: Slices, hyper: Hyperparameters, runs: Runs, at: Integers, *, by_row: bool
) -> Iterator[None]:
    """Train the runs one after another, in place; yield after each slice of time."""
    checkpoints, first = hyper.checkpoints.size, hyper.checkpoints.size - len(runs.losses)
    # Models with vectors record only the last checkpoint, unless others are requested.
    rows = 1 if by_row and not at.size and np.isinf(hyper.patience) else checkpoints
    trajectory, losses = np.empty((rows, runs.params.shape[1])), np.empty(checkpoints)
    validation_losses = np.empty(checkpoints if runs.validation_losses.size else 0)
    for run in range(len(runs.params)):
        trajectory[min(first, rows - 1)], losses[first] = runs.params[run], np.nan
        record = Record(losses, trajectory, runs.memory[run], validation_losses, runs.lowest[run])
        plan = hyper._replace(rates=np.ascontiguousarray(hyper.rates[:, run]))
        if hyper.settings.ndim == 2:
            plan = plan._replace(settings=np.ascontiguousarray(hyper.settings[:, run]))
        for status, done, _seconds in slices(partial(train, plan, record)):  # noqa: B007
            yield
        runs.params[run], runs.status[run], runs.checkpoints[run] = trajectory[min(done, rows - 1)], status, done
        runs.losses[:, run], runs.validation_losses[:, run] = losses[first:], validation_losses[first:]
        runs.path[:, run] = trajectory[np.minimum(at, done)]
        best, lowest = np.searchsorted(hyper.checkpoints, runs.lowest[run, 1]), runs.lowest[run]
        if lowest.size > 2 and best >= first:
            lowest[2], lowest[3:] = losses[best], trajectory[best]


def _train_side_by_side(
    train: Train, slices: Slices, hyper: Hyperparameters, runs: Runs, at: Integers, width: int, in_slice: int
) -> Iterator[None]:
    """Train runs in blocks as wide as a lane, several blocks per slice, in place; the last run pads empty places."""
    count, first = len(runs.params), hyper.checkpoints.size - len(runs.losses)
    plan = hyper._replace(rates=NO_NUMBERS, settings=NO_NUMBERS)  # blocks have their own
    room = _allocate_blocks(runs, hyper, width)
    for start in range(0, count, room.status.size):
        stop = min(start + room.status.size, count)
        blocks = Block._make(part[: -(-(stop - start) // width)] for part in room)
        _fill(blocks, runs, hyper, slice(start, stop), first)
        for begin in range(0, len(blocks.status), in_slice):
            some = Block._make(part[begin : begin + in_slice] for part in blocks)
            for _status, done, _seconds in slices(partial(train, plan, some)):
                if at.size:
                    # Later checkpoints are overwritten when they are reached, unless all runs have ended.
                    mine = slice(start + width * begin, min(start + width * (begin + 1), count))
                    runs.path[np.searchsorted(at, done) :, mine] = some.params[0].T[: mine.stop - mine.start]
                yield
        _collect(blocks, runs, slice(start, stop), first)


def _allocate_blocks(runs: Runs, hyper: Hyperparameters, width: int) -> Block:
    """Return space for as many blocks as the runs fill; the state of a lane begins at a cache line."""
    count, checkpoints, epochs = len(runs.params), hyper.checkpoints.size, len(hyper.rates)
    params, memory, lowest = (rows.shape[1] for rows in (runs.params, runs.memory, runs.lowest))
    numbers = 2 * (params + memory) + checkpoints + epochs
    blocks = min(-(-count // width), max(1, NUMBERS_AT_A_TIME // (width * numbers)))
    settings = hyper.settings.shape[0] * (1 if hyper.settings.ndim == 1 else width)
    return Block(
        params=np.empty((blocks, params, width)),
        memory=np.empty((blocks, memory, width)),
        losses=np.empty((blocks, checkpoints, width)),
        status=np.empty((blocks, width), np.int64),
        checkpoints=np.empty((blocks, width), np.int64),
        now=allocate_aligned(blocks * (params + memory) * width).reshape(blocks, -1),
        validation_losses=np.empty((blocks, checkpoints if runs.validation_losses.size else 0, width)),
        lowest=np.empty((blocks, width, lowest)),
        rates=np.empty((blocks, epochs, width)),
        settings=np.empty((blocks, settings)),
    )


def _fill(blocks: Block, runs: Runs, hyper: Hyperparameters, mine: slice, first: int) -> None:
    """Copy runs, which are at checkpoint `first`, and their hyperparameters into blocks."""
    size, width = blocks.status.size, blocks.status.shape[1]
    full = size == mine.stop - mine.start
    places = mine if full else np.minimum(np.arange(mine.start, mine.start + size), mine.stop - 1)
    now = blocks.now.reshape(len(blocks.now), -1, width)
    now[:, : runs.params.shape[1]] = _by_block(runs.params[places], width)
    now[:, runs.params.shape[1] :] = _by_block(runs.memory[places], width)
    blocks.rates[...] = _by_block(hyper.rates.T[places], width)
    own = hyper.settings.ndim == 2
    blocks.settings[...] = _by_block(hyper.settings.T[places], width).reshape(len(now), -1) if own else hyper.settings
    if runs.validation_losses.size:
        blocks.lowest[...] = runs.lowest[places].reshape(blocks.lowest.shape)
    blocks.status.fill(MAX_EPOCHS)
    blocks.checkpoints.fill(first)
    blocks.losses[:, first].fill(np.nan)


def _collect(blocks: Block, runs: Runs, mine: slice, first: int) -> None:
    """Copy the results of blocks, trained from checkpoint `first` on, into their runs."""
    size = mine.stop - mine.start
    runs.status[mine], runs.checkpoints[mine] = blocks.status.reshape(-1)[:size], blocks.checkpoints.reshape(-1)[:size]
    _to_rows(blocks.params, runs.params[mine])
    _to_rows(blocks.memory, runs.memory[mine])
    _to_rows(blocks.losses[:, first:], runs.losses.T[mine])
    if runs.validation_losses.size:
        _to_rows(blocks.validation_losses[:, first:], runs.validation_losses.T[mine])
        runs.lowest[mine] = blocks.lowest.reshape(-1, blocks.lowest.shape[2])[:size]


def _by_block(rows: Floats, width: int) -> Floats:
    """Return the columns of each block, shape (blocks, K, width), from rows of runs, (blocks * width, K)."""
    return rows.reshape(len(rows) // width, width, rows.shape[1]).transpose(0, 2, 1)


def _to_rows(columns: Floats, rows: Floats) -> None:
    """Copy the columns of each block, shape (blocks, K, width), into rows of runs; padding runs have no row."""
    width = columns.shape[2]
    whole = len(rows) // width
    # Splitting an axis makes a view, and avoiding a copy halves the time.
    rows[: whole * width].reshape(whole, width, rows.shape[1])[...] = columns[:whole].transpose(0, 2, 1)
    rows[whole * width :] = columns[-1].T[: len(rows) - whole * width]
