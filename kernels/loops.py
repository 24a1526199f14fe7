"""THE hot loops: sample by sample, in minibatches, and the run around them, in legs from mark to mark.

Written once, for floats and for SIMD lanes alike: `theta` is a tuple of parameters, `state` is what the optimizer
carries, `x` a tuple of input columns. The names declared below without a value belong to a model, a loss and an
optimizer: `specialize` binds these functions to each combination of them, and numba compiles what that gives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.factored_loss import sum_of_squares
from kernels.lanes import read_lane, write_lane
from kernels.order import permute
from kernels.run import CONVERGED, DIVERGED, MAX_EPOCHS, POINT, STOPPED, TOTAL
from kernels.tuples import add, all_finite, load, scale, store, sum_lanes

Bound = Callable[..., Any]
# The model
residual_and_derivatives: Bound  # (theta, inputs, y) -> r, (dr/dtheta_k, ...); for losses of both, r is (f, y)
inputs_at: Bound  # (x, i) -> the inputs of sample i
inputs_between: Bound  # (x, start, stop) -> the inputs of samples start..stop-1, as columns
input_lanes_at: Bound  # (x, i) -> the inputs of samples i..i+7, as lanes
# The loss and the optimizer
loss_derivative: Bound  # (r, loss_options) -> dloss/dr
loss_value: Bound  # (r, loss_options) -> loss, where the optimizer needs it
gradient_point: Bound  # (theta, state, options) -> where the gradient is taken
descend: Bound  # (theta, state, r, derivatives, lr, options) -> theta, state
update: Bound  # (theta, state, gradient, lr, options) -> theta, state
read_options: Bound  # (settings) -> options: (those of the loss, those of the optimizer, weight decay)
read_state: Bound  # (memory) -> state
write_state: Bound  # (memory, state)
# pairwise_sum or sum_in_parts, bound to the two things there are to add up
gradient_sum: Bound
recorded_sum: Bound
recorded_loss: Bound  # direct_loss or loss_by_factor
one_run: Bound  # () -> 1, for each run
term: Bound  # gradient_term or recorded_term: (theta, inputs, y, options) -> a tuple of what is added up
zeros: Bound  # () -> a tuple of as many -0.0, which addition leaves alone
eight_sums: Bound  # eight_sums_in_one_lane or eight_sums_in_turn
as_number: Bound  # a number or a lane -> the same, rounded to what the kernel computes with
# In a block of runs
WIDTH: int  # how many
PART: int  # how many of them are added up side by side
part_sum: Bound  # pairwise_sum for so many
read_point: Bound  # (cells, first) -> theta of the runs from the first on, PART of them
write_sum: Bound  # (cells, first, total), the sums of these runs
read_sum: Bound  # (cells) -> the sums of all runs
read_theta: Bound  # (params) -> theta, one lane per row
write_theta: Bound  # (params, theta)

BLOCK = 128
JOIN = -1


def train(data, hyper, record, scratch, first, last):
    """Train legs first..last-1 of a run, from mark to mark; return the status and the last mark reached."""
    options = read_options(hyper.settings)
    per_epoch = samples_per_epoch(data.y.size, hyper.batch_size, hyper.drop_last)
    theta = load(record.trajectory, first, zeros())
    state = read_state(record.memory)
    validated = data.validation_y.size > 0
    done = first
    while True:
        store(record.trajectory, done, theta)
        x, y, losses = data.x, data.y, record.losses
        for held_out in range(1 + validated):
            # In one place, as it is inlined: another takes a tenth longer to compile, a call 50 ns at every mark.
            losses[done] = recorded_loss(theta, x, y, data, held_out, options, scratch)
            x, y, losses = data.validation_x, data.validation_y, record.validation_losses
        status = status_of(record.losses[done], all_finite(theta), hyper.target)
        if validated:
            loss, patience = record.validation_losses[done], hyper.patience * per_epoch
            status = status_by_validation(status, loss, record.lowest, hyper.marks[done], patience)
        if done == last or status != MAX_EPOCHS:
            break
        epoch, start, stop = leg_from(hyper, done, per_epoch)
        lr = as_number(hyper.rates[epoch])
        theta, state = train_leg(theta, state, data, hyper, epoch, start, stop, lr, options, scratch)
        done += 1
    write_state(record.memory, state)
    return status, done


def train_block(data, hyper, block, scratch, first, last):
    """Train legs first..last-1 of as many runs as a lane is wide; return whether all are over, and the last mark.

    A run that is over keeps its results, while the others go on beside it.
    """
    options = read_options(hyper.settings)
    per_epoch = samples_per_epoch(data.y.size, hyper.batch_size, hyper.drop_last)
    theta = read_theta(block.now)
    state = read_state(block.memory_now)
    validated = data.validation_y.size > 0
    done = first
    while True:
        x, y, losses = data.x, data.y, block.losses
        for held_out in range(1 + validated):
            write_lane(recorded_loss(theta, x, y, data, held_out, options, scratch), losses[done], 0)
            x, y, losses = data.validation_x, data.validation_y, block.validation_losses
        write_theta(block.now, theta)
        write_state(block.memory_now, state)
        running = update_status(block, hyper, done, per_epoch)
        if done == last or running == 0:
            break
        epoch, start, stop = leg_from(hyper, done, per_epoch)
        lr = as_number(read_lane(hyper.rates[epoch], 0, WIDTH))
        theta, state = train_leg(theta, state, data, hyper, epoch, start, stop, lr, options, scratch)
        done += 1
    return (MAX_EPOCHS if running else CONVERGED), done


def update_status(block, hyper, done, per_epoch):
    """Store the state and the status of the runs that are not over; returns how many are not over then."""
    running = 0
    validated = block.validation_losses.size > 0
    for run in range(block.status.size):
        if block.status[run] == MAX_EPOCHS:
            finite = True
            for k in range(block.now.shape[0]):
                block.params[k, run] = block.now[k, run]
                finite = finite and np.isfinite(block.now[k, run])
            for k in range(block.memory_now.shape[0]):
                block.memory[k, run] = block.memory_now[k, run]
            block.marks[run] = done
            status = status_of(block.losses[done, run], finite, hyper.target)
            if validated:
                loss, patience = block.validation_losses[done, run], hyper.patience * per_epoch
                status = status_by_validation(status, loss, block.lowest[run], hyper.marks[done], patience)
                if block.lowest.shape[1] > 2 and block.lowest[run, 1] == hyper.marks[done]:
                    block.lowest[run, 2] = block.losses[done, run]
                    for k in range(block.params.shape[0]):
                        block.lowest[run, 3 + k] = block.params[k, run]
            block.status[run] = status
            running += status == MAX_EPOCHS
    return running


def leg_from(hyper, mark, per_epoch):
    """Return the epoch of the leg from this mark to the next, and where the leg begins and ends in visiting order."""
    epoch = hyper.marks[mark] // per_epoch
    return epoch, hyper.marks[mark] - epoch * per_epoch, hyper.marks[mark + 1] - epoch * per_epoch


def train_leg(theta, state, data, hyper, epoch, start, stop, lr, options, scratch):
    """Train part of an epoch, sample by sample or in minibatches; the leg that begins an epoch draws its order."""
    x, y = data.x, data.y
    if hyper.shuffle:
        if start == 0:
            shuffle_samples(data, hyper.seed, epoch)
        x, y = data.visited_x, data.visited_y
    if hyper.batch_size == 1:
        return per_sample_leg(theta, state, inputs_between(x, start, stop), y[start:stop], lr, options)
    return minibatch_leg(theta, state, x, y, start, stop, lr, options, hyper.batch_size, scratch)


def samples_per_epoch(n, batch_size, drop_last):
    """Return how many of n samples an epoch visits."""
    return n - n % batch_size if drop_last else n


def per_sample_leg(theta, state, x, y, lr, options):
    """Step against the gradient of each sample."""
    for i in range(y.size):
        residual, derivatives = residual_and_derivatives(gradient_point(theta, state, options), inputs_at(x, i), y[i])
        theta, state = descend(theta, state, residual, derivatives, lr, options)
    return theta, state


def minibatch_leg(theta, state, x, y, start, stop, lr, options, size, scratch):
    """Step against the mean gradient of each batch, of which the last in an epoch may be smaller."""
    part = 1.0 / size  # a division waits four times as long as a multiplication
    whole = stop - (stop - start) % size
    for first in range(start, whole, size):
        point = gradient_point(theta, state, options)
        total = gradient_sum(point, x, y, first, size, options, scratch)
        theta, state = update(theta, state, scale(total, part), lr, options)
    if whole < stop:
        point = gradient_point(theta, state, options)
        total = gradient_sum(point, x, y, whole, stop - whole, options, scratch)
        theta, state = update(theta, state, scale(total, 1.0 / (stop - whole)), lr, options)
    return theta, state


def direct_loss(theta, x, y, data, held_out, options, scratch):
    """Return the mean over all samples of what is recorded: the squared residual, or the loss itself."""
    (total,) = recorded_sum(theta, x, y, 0, y.size, options, scratch)
    return total / y.size


def loss_by_factor(theta, x, y, data, held_out, options, scratch):
    """Return the mean squared residual from the QR factor of the samples, or from the samples where there is none."""
    # Who gave it a name for each kernel took 5 % of the time of full batches, to count references.
    factor = data.validation_factor if held_out else data.factor
    if factor.shape[0] > 0:
        store(scratch.partials, POINT, theta)
        return sum_of_squares(factor, one_run(), scratch.partials[POINT], 0) / y.size
    return direct_loss(theta, x, y, data, held_out, options, scratch)


def status_of(loss, finite, target):
    """Return the status at a mark, from the loss and whether all parameters are finite."""
    if not (finite and np.isfinite(loss)):
        return DIVERGED
    return CONVERGED if loss <= target else MAX_EPOCHS


def status_by_validation(status, loss, lowest, seen, patience):
    """Note the lowest validation loss and when it was; stop a run that has seen `patience` samples and none lower."""
    if status != DIVERGED and loss < lowest[0]:
        lowest[0], lowest[1] = loss, seen
    return STOPPED if status == MAX_EPOCHS and seen - lowest[1] >= patience else status


def shuffle_samples(data, seed, epoch):
    """Copy the samples and shuffle them into the order in which this epoch visits them."""
    # Bound to a name here, the tuple is taken apart by the compiler; numba knows neither unpacking nor `strict`.
    columns = data.visited_x + (data.visited_y,)  # noqa: RUF005
    for column, visited in zip(data.x + (data.y,), columns):  # noqa: B905, RUF005
        for i in range(column.size):
            visited[i] = column[i]
    permute(columns, seed, epoch)


def pairwise_sum(theta, x, y, start, count, options, scratch):
    """Return the sum of `term` over samples start..start+count-1, in the order in which NumPy's add.reduce adds.

    Up to 128 terms: eight running sums, each an element of a lane, that are added pairwise at the end, and then the
    rest. Above that the sums of two halves, the first rounded down to a multiple of 8; they wait on a stack instead of
    in a recursion, which could not be inlined (a third of the time of a batch of 16).
    """
    total = zeros()
    scratch.counts[0] = count
    left = 1
    waiting = 0
    while left > 0:
        left -= 1
        count = scratch.counts[left]
        if count == JOIN:
            waiting -= 1
            total = add(load(scratch.partials, waiting - 1, zeros()), total)
            store(scratch.partials, waiting - 1, total)
        elif count <= BLOCK:
            total = zeros()
            last = start + count
            if count >= 8:
                whole = last - count % 8
                total = eight_sums(theta, x, y, start, whole, options)
                start = whole
            while start < last:
                total = add(total, term(theta, inputs_at(x, start), y[start], options))
                start += 1
            store(scratch.partials, waiting, total)
            waiting += 1
        else:
            half = count // 2
            half -= half % 8
            scratch.counts[left], scratch.counts[left + 1], scratch.counts[left + 2] = (
                JOIN,
                count - half,
                half,
            )
            left += 3
    return total


def sum_in_parts(theta, x, y, start, count, options, scratch):
    """Return the same sums of more runs than the registers hold: those of so many as they hold, one after the other."""
    point, total = scratch.partials[POINT], scratch.partials[TOTAL]
    store(scratch.partials, POINT, theta)
    for first in range(0, WIDTH, PART):
        write_sum(total, first, part_sum(read_point(point, first), x, y, start, count, options, scratch))
    return read_sum(total)


def eight_sums_in_one_lane(theta, x, y, start, stop, options):
    """Return eight running sums of `term`, added pairwise: every eighth sample in the same element of a lane."""
    sums = term(theta, input_lanes_at(x, start), read_lane(y, start, 8), options)
    for i in range(start + 8, stop, 8):
        sums = add(sums, term(theta, input_lanes_at(x, i), read_lane(y, i, 8), options))
    return sum_lanes(sums)


def eight_sums_in_turn(theta, x, y, start, stop, options):
    """Return the same sums where lanes hold runs: one after the other, so that few of them are alive at a time."""
    total = zeros()
    for half in range(start, start + 8, 4):
        quarter = zeros()
        for first in range(half, half + 4, 2):
            pair = zeros()
            for place in range(first, first + 2):
                single = zeros()
                for i in range(place, stop, 8):
                    single = add(single, term(theta, inputs_at(x, i), y[i], options))
                pair = add(pair, single)
            quarter = add(quarter, pair)
        total = add(total, quarter)
    return total
