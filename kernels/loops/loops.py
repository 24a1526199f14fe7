"""THE hot loops: sample by sample, in minibatches, and the run around them, in legs from mark to mark.

Written once, for floats and for SIMD lanes alike: `theta` is a tuple of parameters, `state` that of the optimizer, `x`
a tuple of input columns. The names declared below without a value belong to a model, a loss and an optimizer:
`specialize` binds these functions to each combination of them for numba to compile.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.base.run import (
    CONVERGED,
    DIVERGED,
    JOIN,
    LEAF,
    MAX_EPOCHS,
    NARROW,
    POINT,
    STOPPED,
    TOTAL,
    WAITING,
    samples_per_epoch,
)
from kernels.data.order import COUNT, DRAWN, HEAD, NEXT
from kernels.loops.order import begin_order, copy_samples, draw_places, permute
from kernels.simd.blocks import block_at
from kernels.simd.lanes import broadcast, read_lane, write_lane
from kernels.simd.prefetch import PREFETCHED, prefetch
from kernels.simd.tuples import add, load, scale, store, sum_lanes

Bound = Callable[..., Any]
# The model
residual_and_derivatives: Bound  # (theta, inputs, y) -> r, (dr/dtheta_k, ...); for losses of both, r is (f, y)
inputs_at: Bound  # (x, i) -> the inputs of sample i
inputs_between: Bound  # (x, start, stop) -> the inputs of samples start..stop-1, as columns
input_lanes_at: Bound  # (x, i) -> the inputs of samples i..i+7, as lanes
half_lanes_at: Bound  # the same of samples i..i+3
keep_values: Bound  # (values, place, x, y), what samples alone determine, of eight samples
term_at: Bound  # (theta, x, y, i, values, place, options) -> `term` of sample i, from these values
# The loss and the optimizer
loss_derivative: Bound  # (r, loss_options) -> dloss/dr
loss_value: Bound  # (r, loss_options) -> loss, where the optimizer needs it
gradient_point: Bound  # (theta, state, options) -> where the gradient is taken
descend: Bound  # (theta, state, r, derivatives, lr, options) -> theta, state
update: Bound  # (theta, state, gradient, lr, options) -> theta, state
# (settings) -> options: (those of the loss, those of the optimizer, weight decay). Sums are given those of the loss
# alone, so that they are the same functions for all optimizers.
read_options: Bound
read_state: Bound  # (memory, scratch) -> state
write_state: Bound  # (memory, state)
# The run: of models with vectors theta is an array, and `kernels.loops.network` has the loops over samples.
start_from: Bound  # (trajectory, mark, scratch) -> theta
keep: Bound  # (trajectory, mark, theta) -> whether all parameters are finite
train_next: Bound  # train_part, or train_rows of models with vectors
leg: Bound  # per_sample_leg or leg_by_register
# pairwise_sum or sum_in_parts, of gradients and of recorded losses
gradient_sum: Bound
recorded_sum: Bound
recorded_loss: Bound  # direct_loss or loss_by_factor
# gradient_term or recorded_term: (theta, inputs, y, options of the loss) -> a tuple of summands
term: Bound
zeros: Bound  # () -> a tuple of -0.0, which change no sum
eight_sums: Bound  # eight_sums_in_one_lane, eight_sums_in_halves, eight_sums_in_turn or eight_sums_in_registers
as_number: Bound  # a number or a lane -> the same, rounded to the type of the kernel
# (data, hyper, epoch, start, stop), which puts these samples into their room -> the place of the first:
visit: Bound  # visit_with_next, visit_in_copy or gather
draw_ahead: Bound  # (data, count), which goes on with the order of the next epoch, or draw_nothing
STEP: int  # the samples after which it does, where they are trained one by one
take: Bound  # take_samples, or take_places of models with vectors
GATHERS: bool  # whether their room begins with them, and may hold only some of them
# In a block of runs
WIDTH: int  # the number of runs
PART: int  # the number of runs that are added up side by side
PARAMS: int  # the number of parameters of the model
part_sum: Bound  # pairwise_sum of PART runs
read_point: Bound  # (cells, first) -> theta of the runs from the first on, PART of them
write_point: Bound  # (cells, first, theta), of these runs
read_points: Bound  # (cells) -> theta of all runs
write_sum: Bound  # (cells, first, total), the sums of these runs
read_sum: Bound  # (cells) -> the sums of all runs
read_theta: Bound  # (params) -> theta, one lane per row
write_theta: Bound  # (params, theta)

# Of a plain 0 numba makes a type of its own, for which it compiles the functions that are given it once more.
ZERO = np.int64(0)
# Fewer samples stay in the caches of a core. From this one on they are loaded a page of memory before their visit: what
# the processor loads by itself ends with a page.
MANY, AHEAD = np.int64(2**16), np.int64(512)


def train(data, hyper, record, scratch, first, last):
    """Train legs first..last-1 of a run, from mark to mark; return the status and the last mark reached.

    The loss at a first mark that is not 0 is known, or nan.
    """
    options = read_options(hyper.settings)
    per_epoch = samples_per_epoch(data.y.size, hyper.batch_size, hyper.drop_last)
    theta = start_from(record.trajectory, first, scratch)
    state = read_state(record.memory, scratch)
    validated = data.validation_y.size > 0
    scratch.counts[NARROW] = hyper.batch_size < 8 and data.y.size <= MANY
    done, epoch, start, stop = first, 0, 0, 0
    if first > 0 and not np.isnan(record.losses[first]):
        # A slice of time ended at this mark. Of many samples, each epoch may be a slice of its own.
        epoch, start, stop = leg_from(hyper, first, per_epoch)
        done += 1
    while True:
        if start == stop:
            finite = keep(record.trajectory, done, theta)
            x, y, losses = data.x, data.y, record.losses
            for held_out in range(1 + validated):
                # A single call, as it is inlined: a second takes a tenth longer to compile, a call 50 ns at every mark.
                losses[done] = recorded_loss(theta, x, y, data.factors, held_out, options, scratch)
                x, y, losses = data.validation_x, data.validation_y, record.validation_losses
            status = status_of(record.losses[done], finite, hyper.target)
            if validated:
                loss, patience = record.validation_losses[done], hyper.patience * per_epoch
                status = status_by_validation(status, loss, record.lowest, hyper.marks[done], patience)
            if done == last or status != MAX_EPOCHS:
                break
            epoch, start, stop = leg_from(hyper, done, per_epoch)
            done += 1
        lr = as_number(hyper.rates[epoch])
        theta, state, start = train_next(theta, state, data, hyper, epoch, start, stop, lr, options, scratch)
    write_state(record.memory, state)
    return status, done


def train_blocks(data, hyper, blocks, scratch, first, last):
    """Train legs first..last-1 of the runs of some blocks; return the status and the last mark of the last block."""
    status, done = MAX_EPOCHS, first
    for number in range(blocks.status.shape[0]):
        status, done = train_block(data, hyper, block_at(blocks, number), scratch, first, last)
    return status, done


def train_block(data, hyper, block, scratch, first, last):
    """Train legs first..last-1 of the runs of a block; return whether all are over, and the last mark.

    A run that is over keeps its results, while the others go on beside it. The losses at a first mark that is not 0 are
    known, or nan.
    """
    options = read_options(block.settings)
    per_epoch = samples_per_epoch(data.y.size, hyper.batch_size, hyper.drop_last)
    theta = read_theta(block.now)
    state = read_state(block.memory_now, scratch)
    validated = data.validation_y.size > 0
    running, done, epoch, start, stop = 1, first, 0, 0, 0
    if first > 0 and not np.isnan(block.losses[first, 0]):
        epoch, start, stop = leg_from(hyper, first, per_epoch)
        done += 1
    while True:
        if start == stop:
            x, y, losses = data.x, data.y, block.losses
            for held_out in range(1 + validated):
                write_lane(recorded_loss(theta, x, y, data.factors, held_out, options, scratch), losses[done], 0)
                x, y, losses = data.validation_x, data.validation_y, block.validation_losses
            write_theta(block.now, theta)
            write_state(block.memory_now, state)
            running = update_status(block, hyper, done, per_epoch)
            if done == last or running == 0:
                break
            epoch, start, stop = leg_from(hyper, done, per_epoch)
            done += 1
        lr = as_number(read_lane(block.rates[epoch], 0, WIDTH))
        theta, state, start = train_next(theta, state, data, hyper, epoch, start, stop, lr, options, scratch)
    return (MAX_EPOCHS if running else CONVERGED), done


def update_status(block, hyper, done, per_epoch):
    """Store the state and the status of the runs that go on; return the number of those that still do."""
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
    """Return the epoch of the leg from this mark to the next, and its begin and end in visiting order."""
    epoch = hyper.marks[mark] // per_epoch
    return epoch, hyper.marks[mark] - epoch * per_epoch, hyper.marks[mark + 1] - epoch * per_epoch


def train_part(theta, state, data, hyper, epoch, start, stop, lr, options, scratch):
    """Train the samples of a leg, or those that are gathered at a time; return the begin of the next part as well."""
    x, y, first, last = data.x, data.y, start, stop
    if hyper.shuffle:
        x, y = data.visited_x, data.visited_y
        count = min(y.size, stop - start) if GATHERS else stop - start
        first = visit(data, hyper, epoch, start, stop)
        last = first + count
    # Each is called in one place, so that it is inlined.
    if hyper.batch_size == 1:
        inputs = inputs_between(x, first, last)
        theta, state = leg(theta, state, inputs, y[first:last], lr, options, data, scratch)
    else:
        theta, state = minibatch_leg(theta, state, (x, y), first, last, lr, options, hyper.batch_size, data, scratch)
    return theta, state, start + last - first


def per_sample_leg(theta, state, x, y, lr, options, data, scratch):
    """Step against the gradient of each sample."""
    for first in range(0, y.size, STEP):
        if first > MANY:
            prefetch(x, y, first + AHEAD)
        for i in range(first, min(first + STEP, y.size)):
            point = gradient_point(theta, state, options)
            residual, derivatives = residual_and_derivatives(point, inputs_at(x, i), y[i])
            theta, state = descend(theta, state, residual, derivatives, lr, options)
        draw_ahead(data, STEP)
    return theta, state


def leg_by_register(theta, state, x, y, lr, options, data, scratch):
    """Step against the gradient of each sample, the runs of one register after those of another.

    Where the parameters of all runs need more registers than there are, most of them wait in memory in any case. So do
    all of them here, and the update of a register is computed while that of the one before waits for its residual.
    """
    cells, rates = scratch.partials[POINT], scratch.partials[TOTAL]
    store(scratch.partials, POINT, theta)
    write_lane(lr, rates, 0)
    for i in range(y.size):
        inputs = inputs_at(x, i)
        for first in range(0, WIDTH, PART):
            point = read_point(cells, first)
            residual, derivatives = residual_and_derivatives(point, inputs, y[i])
            rate = as_number(read_lane(rates, first, PART))
            point, _ = descend(point, state, residual, derivatives, rate, options)
            write_point(cells, first, point)
    return read_points(cells), state


def minibatch_leg(theta, state, samples, start, stop, lr, options, size, data, scratch):
    """Step against the mean gradient of each batch, of which the last in an epoch may be smaller."""
    x, y = samples
    for first in range(start, stop, size):
        count = min(size, stop - first)
        if first > MANY:
            for place in range(first, first + count, PREFETCHED):
                prefetch(x, y, place + AHEAD)
        point = gradient_point(theta, state, options)
        # One call of the sum, as it is inlined: a second takes a tenth longer to compile.
        total = gradient_sum(point, x, y, first, count, options[0], scratch)
        theta, state = update(theta, state, scale(total, 1.0 / count), lr, options)
        draw_ahead(data, size)
    return theta, state


def direct_loss(theta, x, y, factors, held_out, options, scratch):
    """Return the mean over all samples of the squared residual, or of the loss itself."""
    (total,) = recorded_sum(theta, x, y, ZERO, y.size, options[0], scratch)
    return total / y.size


def loss_by_factor(theta, x, y, factors, held_out, options, scratch):
    """Return the mean squared residual from the QR factor of the samples, or from the samples where there is none."""
    if factors.shape[0] == 0:
        return direct_loss(theta, x, y, factors, held_out, options, scratch)
    factor = factors[held_out]
    store(scratch.partials, POINT, theta)
    rest = broadcast(factor[PARAMS, PARAMS], WIDTH)
    total = rest * rest
    for i in range(PARAMS):
        part = broadcast(-factor[i, PARAMS], WIDTH)
        for j in range(i, PARAMS):
            part = part + factor[i, j] * read_lane(scratch.partials[POINT], j * WIDTH, WIDTH)
        total = total + part * part
    return total / y.size


def status_of(loss, finite, target):
    """Return the status at a mark, from the loss and whether all parameters are finite."""
    if not (finite and np.isfinite(loss)):
        return DIVERGED
    return CONVERGED if loss <= target else MAX_EPOCHS


def status_by_validation(status, loss, lowest, seen, patience):
    """Record the lowest validation loss and its mark; stop a run that has seen `patience` samples since."""
    if status != DIVERGED and loss < lowest[0]:
        lowest[0], lowest[1] = loss, seen
    return STOPPED if status == MAX_EPOCHS and seen - lowest[1] >= patience else status


def visit_in_copy(data, hyper, epoch, start, stop):
    """Copy all samples and shuffle the copy when an epoch begins; return the place of sample `start` of the epoch."""
    if start == 0:
        copy_samples(data, 0)
        permute(data.visited_x + (data.visited_y,), data.y.size, hyper.seed, epoch)  # noqa: RUF005 (numba cannot unpack)
    return start


def gather(data, hyper, epoch, start, stop):
    """Copy samples start..stop-1, as far as there is room, in the order of the epoch, which is drawn as needed."""
    order, filled, count = data.order, 0, min(data.visited_y.size, stop - start)
    if start == 0:
        begin_order(order, hyper.seed, epoch)
    places = order[HEAD + np.int64(order[COUNT]) :]
    while filled < count:
        if order[NEXT] == order[DRAWN]:
            draw_places(order, data.y.size, hyper.seed, epoch)
        first = np.int64(order[NEXT])
        size = min(count - filled, np.int64(order[DRAWN]) - first)
        take(data, filled, places[first : first + size])
        order[NEXT] += size
        filled += size
    return 0


def take_samples(data, filled, chosen):
    """Copy the samples at some places into the room that follows those that are there."""
    columns = data.visited_x + (data.visited_y,)  # noqa: RUF005
    for column, visited in zip(data.x + (data.y,), columns):  # noqa: B905, RUF005
        room = visited[filled : filled + chosen.size]
        for k in range(chosen.size):
            room[k] = column[chosen[k]]


def pairwise_sum(theta, x, y, start, count, options, scratch):
    """Return the sum of `term` over samples start..start+count-1, in the order in which NumPy's add.reduce adds.

    Up to 128 terms: eight running sums, each an element of a lane, that are added pairwise at the end, and then the
    rest. Above that the sums of two halves, the first rounded down to a multiple of 8; they wait on a stack instead of
    in a recursion, which could not be inlined (a third of the time of a batch of 16).
    """
    total = zeros()
    scratch.counts[0] = count
    left = 1
    waiting = WAITING
    while left > 0:
        left -= 1
        count = scratch.counts[left]
        if count == JOIN:
            waiting -= 1
            total = add(load(scratch.partials, waiting - 1, zeros()), total)
            store(scratch.partials, waiting - 1, total)
        elif count <= LEAF:
            total = zeros()
            last = start + count
            if count >= 8:
                whole = last - count % 8
                total = eight_sums(theta, x, y, start, whole, options, scratch)
                start = whole
            while start < last:
                total = add(total, term(theta, inputs_at(x, start), y[start], options))
                start += 1
            store(scratch.partials, waiting, total)
            waiting += 1
        else:
            left = split(scratch.counts, left, count)
    return total


def split(counts, left, count):
    """Put two halves of `count` terms, the first rounded down to a multiple of 8, and their sum on a stack."""
    half = count // 2
    half -= half % 8
    counts[left], counts[left + 1], counts[left + 2] = JOIN, count - half, half
    return left + 3


def sum_in_parts(theta, x, y, start, count, options, scratch):
    """Return the sums of more runs than are added up side by side, part by part."""
    point, total = scratch.partials[POINT], scratch.partials[TOTAL]
    store(scratch.partials, POINT, theta)
    for first in range(0, WIDTH, PART):
        write_sum(total, first, part_sum(read_point(point, first), x, y, start, count, options, scratch))
    return read_sum(total)


def eight_sums_in_one_lane(theta, x, y, start, stop, options, scratch):
    """Return eight running sums of `term`, added pairwise: every eighth sample in the same element of a lane."""
    sums = term(theta, input_lanes_at(x, start), read_lane(y, start, 8), options)
    for i in range(start + 8, stop, 8):
        sums = add(sums, term(theta, input_lanes_at(x, i), read_lane(y, i, 8), options))
    return sum_lanes(sums)


def eight_sums_in_halves(theta, x, y, start, stop, options, scratch):
    """Return the same sums, in two lanes of four where the updates are computed one by one.

    Operations of 512 bits lower the clock rate of processors for what follows, by 8 % on a Xeon: a run that waits for
    one update after the other loses more time by that than its losses take.
    """
    if scratch.counts[NARROW] == 0:
        return eight_sums_in_one_lane(theta, x, y, start, stop, options, scratch)
    one = term(theta, half_lanes_at(x, start), read_lane(y, start, 4), options)
    two = term(theta, half_lanes_at(x, start + 4), read_lane(y, start + 4, 4), options)
    for i in range(start + 8, stop, 8):
        one = add(one, term(theta, half_lanes_at(x, i), read_lane(y, i, 4), options))
        two = add(two, term(theta, half_lanes_at(x, i + 4), read_lane(y, i + 4, 4), options))
    return add(sum_lanes(one), sum_lanes(two))


def eight_sums_in_turn(theta, x, y, start, stop, options, scratch):
    """Return the same sums where lanes hold runs: one after the other, so that few are alive at a time."""
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


def eight_sums_in_registers(theta, x, y, start, stop, options, scratch):
    """Return the same sums of the runs of one register; what samples alone determine is computed before.

    The operands that all runs share are read from memory, which takes no time from the arithmetic. Where they are
    computed on the way, each has to be repeated in a register, at the cost of an operation.
    """
    values = scratch.values
    for i in range(start, stop, 8):
        keep_values(values, i - start, input_lanes_at(x, i), read_lane(y, i, 8))
    a = b = c = d = e = f = g = h = zeros()
    for i in range(start, stop, 8):
        k = i - start
        a = add(a, term_at(theta, x, y, i, values, k, options))
        b = add(b, term_at(theta, x, y, i + 1, values, k + 1, options))
        c = add(c, term_at(theta, x, y, i + 2, values, k + 2, options))
        d = add(d, term_at(theta, x, y, i + 3, values, k + 3, options))
        e = add(e, term_at(theta, x, y, i + 4, values, k + 4, options))
        f = add(f, term_at(theta, x, y, i + 5, values, k + 5, options))
        g = add(g, term_at(theta, x, y, i + 6, values, k + 6, options))
        h = add(h, term_at(theta, x, y, i + 7, values, k + 7, options))
    return add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h)))
