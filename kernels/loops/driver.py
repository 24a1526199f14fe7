"""Training loops: segments between checkpoints, with losses, statuses, visiting orders and slices of time.

The driver knows no model and no rule. A kernel trains on some samples, or writes their mean loss, and is called by its
address (`sgdbench.kernels.loops.call`). The driver is therefore compiled once per machine: `drive` for one run,
`drive_blocks` for runs side by side.
"""

from collections.abc import Callable
from functools import cache as once
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import types

from sgdbench.kernels.base import run
from sgdbench.kernels.base.numba_internals import CodeCache, use_cache
from sgdbench.kernels.base.run import CONVERGED, DIVERGED, MAX_EPOCHS, STOPPED
from sgdbench.kernels.data.order import AHEAD_LOADS, CACHED_SAMPLES, ORDERED_PLACES, PREFETCHED_SAMPLES, Order
from sgdbench.kernels.loops.call import MEAN_LOSS, TRAIN_BATCHES, TRAIN_SAMPLES, call_kernel, prefetch_address, shift
from sgdbench.kernels.loops.jit import digest, inlined, inner, options
from sgdbench.kernels.loops.order import IN_TURN, LINE, PAGE, SHUFFLED, next_places
from sgdbench.kernels.simd.blocks import block_at


class Samples(NamedTuple):
    """The samples of a run in the form that kernels take.

    Attributes
    ----------
    size, held_out_size : int
    columns, shuffled, held_out : array, shape (inputs + 1,)
        The addresses of the inputs and of y, which is last: of the training samples, of the copy for shuffled visits,
        and of the held-out samples.
    row, item : int
        The numbers per sample in the first column (the number of inputs for models with vectors, else 1), and the bytes
        per number.
    order : sgdbench.kernels.data.order.Order
    factors : array, shape (1 or 2, P + 1, P + 1)
        The QR factors of the training and held-out samples (`sgdbench.kernels.compile.loss_factor`), or none.
    """

    size: int
    held_out_size: int
    columns: Any
    shuffled: Any
    held_out: Any
    row: int
    item: int
    order: Any
    factors: Any


class Room(NamedTuple):
    """The buffers of a run: the state that a kernel updates, the addresses that it reads, and scratch space.

    Attributes
    ----------
    cells : array, shape (P + M,)
        The parameters of one run, then the memory of its optimizer; runs side by side have theirs in the block.
    slots : int
        The number of slots if all parameters' first slots are stored together, and so on; 0 if stored per parameter.
    columns : array, shape (inputs + 1,)
        Addresses.
    counts, partials : array
        See `sgdbench.kernels.base.run.allocate_scratch`.
    buffers : array
        Addresses.
    """

    cells: Any
    slots: int
    columns: Any
    counts: Any
    partials: Any
    buffers: Any


@inner
def status_of(loss, finite, target):
    """Return the status at a checkpoint, from the loss and whether all parameters are finite."""
    if not (finite and np.isfinite(loss)):
        return DIVERGED
    return CONVERGED if loss <= target else MAX_EPOCHS


@inner
def status_by_validation(status, loss, lowest, samples, patience):
    """Record the lowest validation loss and its checkpoint; stop a run that has since seen `patience` samples."""
    if status != DIVERGED and loss < lowest[0]:
        lowest[0], lowest[1] = loss, samples
    return STOPPED if status == MAX_EPOCHS and samples - lowest[1] >= patience else status


@inlined
def segment_from(hyper, checkpoint, per_epoch):
    """Return the epoch of the segment from this checkpoint to the next, and its begin and end in visiting order."""
    epoch = hyper.checkpoints[checkpoint] // per_epoch
    return (
        epoch,
        hyper.checkpoints[checkpoint] - epoch * per_epoch,
        hyper.checkpoints[checkpoint + 1] - epoch * per_epoch,
    )


@inner
def exchange(cells, memory, slots, params, read):
    """Copy an optimizer's memory to the cells of a kernel, or back; the cells may hold slot after slot."""
    own = params * slots
    for place in range(memory.size):
        at = place
        if place < own:
            at = place % slots * params + place // slots
        if read:
            cells[at] = memory[place]
        else:
            memory[place] = cells[at]


@inner
def write_loss(kernel, samples, room, cells, columns, size, settings, out):
    """Write the mean loss of samples."""
    order = samples.order
    scratch = room.counts, room.partials, room.buffers, order.places, order.ahead
    # This task reads neither a learning rate nor a batch size.
    call_kernel(kernel, (MEAN_LOSS, cells, columns, order.places, 1, size, size, out, settings, out, *scratch))


@inner
def loss_by_factor(factor, cells, size, out):
    """Write the mean squared residuals of runs from the QR factor (`sgdbench.kernels.compile.loss_factor`)."""
    params = factor.shape[0] - 1
    for one in range(out.size):
        total = factor[params, params] * factor[params, params]
        for i in range(params):
            part = -factor[i, params]
            for j in range(i, params):
                part += factor[i, j] * cells[j * out.size + one]
            total += part * part
        out[one] = total / size


@inner
def train_some(kernel, samples, hyper, room, cells, rates, settings, epoch, start, stop, one_run):
    """Train samples of an epoch from `start` on, at most up to `stop`; return where the next ones begin.

    A single run draws the order of the next epoch while it trains; runs side by side leave the processor no idle time
    for that.
    """
    order, size, last = samples.order, hyper.batch_size, samples.columns.size - 1
    if samples.size > CACHED_SAMPLES or size == 1:
        stretch = ORDERED_PLACES if one_run else PREFETCHED_SAMPLES
        stop = min(stop, start + max(1, stretch // size) * size)
    first, count = 0, stop - start
    columns = room.columns
    if hyper.shuffle:
        first, count = next_places(order, samples.size, hyper, epoch, start, stop, one_run)
        columns = samples.shuffled
    else:
        for k in range(last + 1):
            columns[k] = shift(samples.columns[k], start * (samples.row if k == 0 else 1), samples.item)
    if samples.size > CACHED_SAMPLES and one_run:
        order.ahead[AHEAD_LOADS] = SHUFFLED if hyper.shuffle else IN_TURN  # the kernel prefetches between its updates
    elif samples.size > CACHED_SAMPLES:
        for k in range(last + 1):
            row = samples.row if k == 0 else 1
            if hyper.shuffle:
                for i in range(first + count, first + count + min(count, PREFETCHED_SAMPLES)):
                    prefetch_address(shift(columns[k], np.int64(order.places[i]) * row, samples.item))
            else:
                for i in range(PAGE, PAGE + count, LINE):
                    prefetch_address(shift(columns[k], i * row, samples.item))
    task = TRAIN_SAMPLES if size == 1 else TRAIN_BATCHES
    in_order = 0 if hyper.shuffle else 1
    places, scratch = order.places[first:], (room.counts, room.partials, room.buffers, order.places, order.ahead)
    # This task writes no loss.
    call_kernel(kernel, (task, cells, columns, places, in_order, count, size, rates, settings, rates, *scratch))
    return start + count


@inner
def update_status(block, hyper, done, per_epoch):
    """Store the state and the status of the active runs; return the number of runs that remain active."""
    running, params, width = 0, block.params.shape[0], block.status.size
    validated = block.validation_losses.size > 0
    for one in range(width):
        if block.status[one] == MAX_EPOCHS:
            finite = True
            for k in range(params):
                block.params[k, one] = block.now[k * width + one]
                finite = finite and np.isfinite(block.now[k * width + one])
            for k in range(block.memory.shape[0]):
                block.memory[k, one] = block.now[(params + k) * width + one]
            block.checkpoints[one] = done
            status = status_of(block.losses[done, one], finite, hyper.target)
            if validated:
                loss, patience = block.validation_losses[done, one], hyper.patience * per_epoch
                status = status_by_validation(status, loss, block.lowest[one], hyper.checkpoints[done], patience)
                if block.lowest.shape[1] > 2 and block.lowest[one, 1] == hyper.checkpoints[done]:
                    block.lowest[one, 2] = block.losses[done, one]
                    for k in range(params):
                        block.lowest[one, 3 + k] = block.params[k, one]
            block.status[one] = status
            running += status == MAX_EPOCHS
    return running


def drive(kernel, samples, hyper, record, room, first, last):
    """Train segments first..last-1 of a run; return the status and the last checkpoint reached.

    If first > 0, losses[first] is already known, or nan to compute it. Models with vectors may record only the last
    checkpoint.
    """
    per_epoch = samples.size - samples.size % hyper.batch_size if hyper.drop_last else samples.size
    rows, params = record.trajectory.shape
    cells = room.cells
    for k in range(params):
        cells[k] = record.trajectory[min(first, rows - 1), k]
    exchange(cells[params:], record.memory, room.slots, params, True)
    validated = samples.held_out_size > 0
    done, epoch, start, stop = first, 0, 0, 0
    if first > 0 and not np.isnan(record.losses[first]):
        # A slice of time ended at this checkpoint. With many samples, each epoch may be a slice of its own.
        epoch, start, stop = segment_from(hyper, first, per_epoch)
        done += 1
    while True:
        if start == stop:
            finite = True
            for k in range(params):
                record.trajectory[min(done, rows - 1), k] = cells[k]
                finite = finite and np.isfinite(cells[k])
            write_loss(
                kernel, samples, room, cells, samples.columns, samples.size, hyper.settings, record.losses[done:]
            )
            status = status_of(record.losses[done], finite, hyper.target)
            if validated:
                write_loss(
                    kernel,
                    samples,
                    room,
                    cells,
                    samples.held_out,
                    samples.held_out_size,
                    hyper.settings,
                    record.validation_losses[done:],
                )
                loss, patience = record.validation_losses[done], hyper.patience * per_epoch
                status = status_by_validation(status, loss, record.lowest, hyper.checkpoints[done], patience)
            if done == last or status != MAX_EPOCHS:
                break
            epoch, start, stop = segment_from(hyper, done, per_epoch)
            done += 1
        start = train_some(
            kernel, samples, hyper, room, cells, hyper.rates[epoch:], hyper.settings, epoch, start, stop, True
        )
    exchange(cells[params:], record.memory, room.slots, params, False)
    return status, done


@inner
def drive_block(kernel, samples, hyper, block, room, first, last):
    """Train segments first..last-1 of the runs of a block; return whether all have ended, and the last checkpoint.

    A run that has ended keeps its results while the others continue. If first > 0, losses[first] are already known, or
    nan to compute them.
    """
    per_epoch = samples.size - samples.size % hyper.batch_size if hyper.drop_last else samples.size
    cells, settings = block.now, block.settings
    validated = samples.held_out_size > 0
    running, done, epoch, start, stop = 1, first, 0, 0, 0
    if first > 0 and not np.isnan(block.losses[first, 0]):
        epoch, start, stop = segment_from(hyper, first, per_epoch)
        done += 1
    while True:
        if start == stop:
            if samples.factors.shape[0] > 0:
                loss_by_factor(samples.factors[0], cells, samples.size, block.losses[done])
            else:
                write_loss(kernel, samples, room, cells, samples.columns, samples.size, settings, block.losses[done])
            if validated and samples.factors.shape[0] > 0:
                loss_by_factor(samples.factors[1], cells, samples.held_out_size, block.validation_losses[done])
            elif validated:
                write_loss(
                    kernel,
                    samples,
                    room,
                    cells,
                    samples.held_out,
                    samples.held_out_size,
                    settings,
                    block.validation_losses[done],
                )
            running = update_status(block, hyper, done, per_epoch)
            if done == last or running == 0:
                break
            epoch, start, stop = segment_from(hyper, done, per_epoch)
            done += 1
        start = train_some(kernel, samples, hyper, room, cells, block.rates[epoch], settings, epoch, start, stop, False)
    return (MAX_EPOCHS if running else CONVERGED), done


def drive_blocks(kernel, samples, hyper, blocks, room, first, last):
    """Train segments first..last-1 of some blocks; return the status and the last checkpoint of the last block."""
    status, done = MAX_EPOCHS, first
    for number in range(blocks.status.shape[0]):
        status, done = drive_block(kernel, samples, hyper, block_at(blocks, number), room, first, last)
    return status, done


@once
def compile_driver(*, lanes: bool) -> Callable[..., tuple[int, int]]:
    """Return `drive`, or `drive_blocks` for runs side by side, compiled or loaded from the cache folder."""
    function = drive_blocks if lanes else drive
    if numba.config.DISABLE_JIT:
        # NumPy scalars warn on overflow and wrap-around; compiled code does not.
        quiet: Callable[..., tuple[int, int]] = np.errstate(all="ignore")(function)
        return quiet
    signature = _signature(lanes=lanes)
    dispatcher = numba.njit(**options().entry | {"no_cpython_wrapper": False, "no_cfunc_wrapper": True})(function)
    use_cache(dispatcher, CodeCache(f"{function.__name__}_{digest()[:16]}"))
    dispatcher.compile(signature)
    # The compiled function itself, which neither dispatches nor recompiles.
    entry: Callable[..., tuple[int, int]] = dispatcher.get_overload(signature)
    return entry


def _signature(*, lanes: bool) -> tuple[types.Type, ...]:
    """Return the types of the arguments."""
    vector, table, tables = (types.Array(types.float64, dimensions, "C") for dimensions in (1, 2, 3))
    counts, places, ahead = types.int64[::1], types.uint32[::1], types.uint64[::1]
    order = types.NamedTuple((counts, places, places, ahead), Order)
    samples = types.intp, types.intp, counts, counts, counts, types.intp, types.intp, order, tables
    flags = types.boolean, types.boolean
    hyper = vector, vector, types.intp, *flags, types.uint64, types.float64, counts, types.float64
    record: tuple[types.Type, ...] = vector, table, vector, vector, vector
    if lanes:
        per_run = types.int64[:, ::1]
        record = *[tables] * 3, per_run, per_run, table, *[tables] * 3, table
    return (
        types.int64,
        types.NamedTuple(samples, Samples),
        types.NamedTuple(hyper, run.Hyperparameters),
        types.NamedTuple(record, run.Block if lanes else run.Record),
        types.NamedTuple((vector, types.intp, counts, counts, vector, counts), Room),
        types.intp,
        types.intp,
    )
