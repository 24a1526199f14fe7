"""The hot loops of `epoch-map`: stretches of an epoch become affine maps, and runs go from mark to mark through them.

A stretch is cut into as many pieces as a vector has elements. Basis vectors go through all pieces side by side, which
gives a map for each piece, and the maps of the pieces are multiplied. Basis vectors, REPEATS at a time, and pieces make
one lane: element ``b * PIECES + p`` is basis vector b in piece p.

Beside the runs, in the elements that their last vector has left, go errors: what all roundings so far may have brought
about, with seven patterns of signs. Each map carries them on, and adds those that come about within it.

Written in the way of `loops`, and bound and compiled as that is. A state has SIZE numbers: the parameters, then the
slots in the order of the optimizer's memory. A map has SIZE rows of SIZE + 1 numbers, the constant last.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.factored_loss import residual_part, sum_of_squares
from kernels.lanes import read_lane, write_lane
from kernels.loops import samples_per_epoch, status_by_validation, status_of
from kernels.order import permute
from kernels.run import CONVERGED, DIVERGED, MAX_EPOCHS

Bound = Callable[..., Any]
# As in `loops`, for lanes of WIDTH elements
residual_and_derivatives: Bound
descend: Bound
update: Bound
read_options: Bound
# Written out by `kernels.epoch_map_kernel`
sample_at: Bound  # (packed, at, constant) -> inputs, y
batch_gradient: Bound  # (theta, packed, at, constant) -> the mean gradient of a batch
read_basis: Bound  # (units) -> theta, state, constant
write_images: Bound  # (images, theta, state)
PARAMS: int
SIZE: int
COLUMNS: int
STATE: int  # SIZE + 1, the column of a run's state while a map is made
REPEATS: int
WIDTH: int  # REPEATS * PIECES

PIECES = 8
# Half the distance from 1 to the next float.
ROUNDOFF = 2.0**-53
# What the errors of a run may be by the estimate, relative where a parameter or a loss exceeds 1.
BOUND = 1e-12
BROKEN = -1
# In the place of an epoch: maps are to be made anew.
STARTS = -2
# Of errors within a piece.
MOST_GROWTH = 16.0
# Errors are looked at after the first leg of a map, at every mark of a run that grows, and else at every so many.
JUDGED = 4
# In a slot, behind the columns of the map: the sizes of the runs when it was made, how far they may be from the one
# whose state went along, and the errors that the map adds.
SIZES, SPREAD, ADDED = 1, 2, 3


def train(data, hyper, maps, runs, first, last):
    """Take runs that share order and rates from mark `first` to `last`; return whether all are over, and the last mark.

    That is BROKEN where errors may have exceeded the bound. The state at mark m is in ``runs.states[m % 2]``.
    """
    options = read_options(hyper.settings)
    per_epoch = samples_per_epoch(data.samples, hyper.batch_size, hyper.drop_last)
    done, judged, reach = first, True, 0.0
    epoch = hyper.marks[first] // per_epoch
    if maps.progress[0] == STARTS:
        maps.progress[0] = -1
        for slot in range(maps.keys.shape[0]):
            maps.keys[slot, 0] = -1.0
        for place in range(2 * PIECES):
            runs.worst[place] = 0.0
    while True:
        judged = judged or done % JUDGED == 0 or done == last
        running, reached = record_mark(data, hyper, runs, done, judged, per_epoch)
        growing = reached > reach
        reach = reached if judged else reach
        if done == last or running == 0:
            break
        begin = epoch * per_epoch
        start, stop = hyper.marks[done] - begin, hyper.marks[done + 1] - begin
        if hyper.shuffle and maps.progress[0] != epoch:
            maps.progress[0] = epoch
            for i in range(maps.order.size):
                maps.order[i] = i
            permute((maps.order,), hyper.seed, epoch)
        # The same leg of the epoch before has the same map, if it begins and ends there at the same rate.
        maps.progress[1] = 0 if start == 0 else maps.progress[1] + 1
        slot = maps.progress[1] if maps.progress[1] < maps.slots.shape[0] else maps.slots.shape[0] - 1
        lr, key = hyper.rates[epoch], maps.keys[slot]
        fresh = done == 0 and maps.progress[2] > 0
        new = hyper.shuffle or fresh or key[0] != start or key[1] != stop or key[2] != lr
        judged = new or growing
        if new:
            build_map(data, hyper, maps, runs, done, slot, epoch, start, stop, lr, options, fresh)
            key[0], key[1], key[2] = (-1 if fresh else start), stop, lr
        advance(maps, runs, slot, done)
        done += 1
        epoch += stop == per_epoch
    count = runs.status.size
    for run in range(count):
        if runs.status[run] == MAX_EPOCHS:
            place = run if run < count - 1 else (runs.states.shape[1] - 1) * PIECES
            end(runs, runs.states[done % 2], run, place, done, MAX_EPOCHS)
    status = MAX_EPOCHS if running else CONVERGED
    for place in range(PIECES):
        # In this form nan is too much.
        if not (runs.worst[place] <= BOUND and runs.worst[PIECES + place] <= BOUND):
            status = BROKEN
    return status, done


def build_map(data, hyper, maps, runs, mark, slot, epoch, start, stop, lr, options, fresh):
    """Make the map of samples start..stop-1 of an epoch in visiting order.

    Where the clock of the optimizer is another one at the first update of a run (`fresh`), that is a piece by itself.
    """
    made, now = maps.slots[slot], runs.states[mark % 2]
    for i in range(SIZE):
        state = now[now.shape[0] - 1, i * PIECES]
        for k in range(COLUMNS):
            maps.products[0, i, k] = 1.0 if i == k else 0.0
        maps.products[0, i, STATE] = state
        made[i, SIZE + SIZES] = runs.sizes[i]
        made[i, SIZE + SPREAD] = runs.sizes[i] + abs(state) if runs.status.size > 1 else 0.0
    size, shared = hyper.batch_size, runs.status.size > 1
    columns = PARAMS + 1 if size == 1 else PARAMS * (PARAMS + 1)
    most = maps.packed.size // (PIECES * columns) - 1
    # One batch may stretch errors by lr |H_b| - 1. Where that exceeds 1, they could grow and shrink again unseen within
    # a piece: pieces are short then.
    stretch = lr * maps.curvature[0] - 1.0
    if stretch > 1.0:
        growth, few = stretch, 1
        while growth * stretch < MOST_GROWTH and few < most:
            growth *= stretch
            few += 1
        most = few
    first, last, pieces = start // size, -(-stop // size), start - start
    while first < last:
        clock, steps, count = 1, 1, last - first
        if fresh and first == 0:
            clock, count = 0, 1
        elif count >= PIECES:
            steps, count = count // PIECES, PIECES
            steps = most if steps > most else steps
        add_pieces(
            data, hyper, maps, made, epoch, first, steps, count, stop, columns, clock, lr, options, pieces, shared
        )
        first += steps * count
        pieces += count
    product = maps.products[pieces % 2]
    for i in range(SIZE):
        for k in range(SIZE + 1):
            made[i, k] = product[i, k]
        worst = 0.0
        for k in range(STATE + 1, COLUMNS):
            worst = abs(product[i, k]) if abs(product[i, k]) > worst else worst
        made[i, SIZE + ADDED] = worst


def add_pieces(data, hyper, maps, made, epoch, first, steps, count, stop, columns, clock, lr, options, pieces, shared):
    """Put `count` pieces of `steps` batches each, from batch `first` on, behind the map as far as it is made."""
    stride = PIECES * columns
    base = stride if steps > 1 else 0
    pack(data, hyper, maps, base, epoch, first, steps, count, stop, columns, maps.products[1 - pieces % 2])
    for group in range(maps.images.shape[0]):
        theta, state, constant = read_basis(maps.units[clock, group])
        at = base
        for _ in range(steps):
            if hyper.batch_size == 1:
                inputs, y = sample_at(maps.packed, at, constant)
                residual, derivatives = residual_and_derivatives(theta, inputs, y)
                theta, state = descend(theta, state, residual, derivatives, lr, options)
            else:
                theta, state = update(theta, state, batch_gradient(theta, maps.packed, at, constant), lr, options)
            at += stride
        write_images(maps.images[group], theta, state)
    # They add up as a random walk. Their size is that of what was found on random problems, several times over.
    roundings = ROUNDOFF * (0.4 + 0.055 * np.sqrt(steps))
    for piece in range(count):
        multiply(data.largest, maps, made, pieces + piece, piece, roundings, lr, shared)


def pack(data, hyper, maps, base, epoch, first, steps, count, stop, columns, moments):
    """Lay out the batches of pieces side by side, unless they are: samples as they are, batches as mean x (x^T, y)."""
    known, drawn = maps.packed_keys[0 if base == 0 else 1], epoch if hyper.shuffle else 0
    if known[0] == first and known[1] == steps and known[2] == count and known[3] == drawn:
        return
    known[0], known[1], known[2], known[3] = first, steps, count, drawn
    size, begin = hyper.batch_size, first * hyper.batch_size
    for piece in range(count):
        at = base + piece
        for _ in range(steps):
            if size == 1:
                row = data.rows[maps.order[begin] if hyper.shuffle else begin]
                for k in range(PARAMS + 1):
                    maps.packed[at + k * PIECES] = row[k]
            else:
                end = begin + size if begin + size < stop else stop
                add_up_moments(data.rows, maps.order, begin, end, moments)
                share = 1.0 / (end - begin)
                for i in range(PARAMS):
                    for k in range(PARAMS + 1):
                        maps.packed[at + (i * (PARAMS + 1) + k) * PIECES] = moments[i, k] * share
            begin += size
            at += PIECES * columns


def add_up_moments(rows, order, begin, end, moments):
    """Add up x (x^T, y) over the samples of a batch; an order without elements leaves them as they stand."""
    for i in range(PARAMS):
        for k in range(PARAMS + 1):
            moments[i, k] = 0.0
    for sample in range(begin, end):
        row = rows[order[sample] if order.size > 0 else sample]
        for i in range(PARAMS):
            for k in range(PARAMS + 1):
                moments[i, k] += row[i] * row[k]


def multiply(largest, maps, made, done, piece, roundings, lr, shared):
    """Put a piece behind the map of those done: the errors of that pass through it, and it adds its own.

    An update rounds a parameter, and the gradient in proportion to the terms that it is the sum of. What comes about
    early in a piece passes through it, what comes about late does not: both are counted.
    """
    before, after = maps.products[done % 2], maps.products[(done + 1) % 2]
    gradient = largest[PARAMS]
    for i in range(SIZE):
        size = abs(before[i, STATE])
        if shared:
            for k in range(SIZE):
                size += abs(before[i, k]) * made[k, SIZE + SPREAD]
        maps.sizes[i] = size
        if i < PARAMS:
            gradient += largest[i] * size
    for i in range(SIZE):
        slope = largest[i] * lr if i < PARAMS else largest[(i - PARAMS) * PARAMS // (SIZE - PARAMS + (SIZE == PARAMS))]
        rounding = maps.sizes[i] = roundings * (maps.sizes[i] + slope * gradient)
        for chunk in range(0, COLUMNS, PIECES):
            row = read_lane(before, i * COLUMNS + chunk, PIECES)
            write_lane(row + rounding * read_lane(maps.added, i * COLUMNS + chunk, PIECES), before, i * COLUMNS + chunk)
    for i in range(SIZE):
        for chunk in range(0, COLUMNS, PIECES):
            row = maps.sizes[i] * read_lane(maps.added, i * COLUMNS + chunk, PIECES)
            for j in range(SIZE):
                factor = maps.images[j // REPEATS, i, j % REPEATS * PIECES + piece]
                row = row + factor * read_lane(before, j * COLUMNS + chunk, PIECES)
            write_lane(row, after, i * COLUMNS + chunk)
        constant = maps.images[SIZE // REPEATS, i, SIZE % REPEATS * PIECES + piece]
        after[i, SIZE] += constant
        after[i, STATE] += constant


def advance(maps, runs, slot, mark):
    """Apply a map to all runs, and to the errors that go along, to which those of this map are added."""
    made, now, following = maps.slots[slot], runs.states[mark % 2], runs.states[(mark + 1) % 2]
    growth = 1.0
    for i in range(SIZE):
        if runs.sizes[i] > made[i, SIZE + SIZES] * growth:
            growth = runs.sizes[i] / made[i, SIZE + SIZES]
    for chunk in range(now.shape[0]):
        at = chunk * SIZE * PIECES
        run = read_lane(runs.masks, chunk * PIECES, PIECES)
        for i in range(SIZE):
            image = made[i, SIZE] * run
            if chunk == now.shape[0] - 1:
                image = image + growth * made[i, SIZE + ADDED] * read_lane(maps.signs, i * PIECES, PIECES)
            for j in range(SIZE):
                image = image + made[i, j] * read_lane(now, at + j * PIECES, PIECES)
            write_lane(image, following, at + i * PIECES)


def record_mark(data, hyper, runs, mark, judged, per_epoch):
    """Store the losses and the status of the runs that are not over.

    Returns
    -------
    running : int
        How many are not over then.
    reach : float
        As from `judge`, where this mark is to be `judged`; else 0.
    """
    now = runs.states[mark % 2]
    last, count, validated = now.shape[0] - 1, runs.status.size, data.held_out > 0
    factor = data.factor
    for row in range(1 + validated):
        for chunk in range(last + 1):
            write_lane(squares(factor, runs, now, chunk), runs.squares[row], chunk * PIECES)
        factor = data.validation_factor
    running = 0
    least, most = np.inf, 0.0
    for run in range(count):
        if runs.status[run] == MAX_EPOCHS:
            place = run if run < count - 1 else last * PIECES
            loss = runs.squares[0, place] / data.samples
            runs.losses[mark - runs.begin, run] = loss
            # A parameter that is not finite makes the loss so too.
            status = status_of(loss, True, hyper.target)
            if validated:
                held_out = runs.squares[1, place] / data.held_out
                runs.validation_losses[mark - runs.begin, run] = held_out
                patience = hyper.patience * per_epoch
                status = status_by_validation(status, held_out, runs.lowest[run], hyper.marks[mark], patience)
                keep_lowest(runs, now, run, place, hyper.marks[mark], loss)
            if status != DIVERGED:
                least, most = (loss if loss < least else least), (loss if loss > most else most)
            if status == MAX_EPOCHS:
                running += 1
            else:
                end(runs, now, run, place, mark, status)
    if runs.trajectory.shape[0] > 0:
        for k in range(PARAMS):
            runs.trajectory[mark, k] = now[last, k * PIECES]
    if (judged and running > 0) or (running == 0 and most > 0.0):
        return running, judge(data, runs, now, least, most)
    return running, 0.0


def squares(factor, runs, now, chunk):
    """Return the sum of the squared residuals of a vector of runs."""
    return sum_of_squares(factor, read_lane(runs.masks, chunk * PIECES, PIECES), now, chunk * SIZE * PIECES)


def keep_lowest(runs, now, run, place, seen, loss):
    """Store the loss and the parameters of a run at the mark of its lowest validation loss, where they are kept."""
    if runs.lowest.shape[1] > 2 and runs.lowest[run, 1] == seen:
        runs.lowest[run, 2] = loss
        for k in range(PARAMS):
            runs.lowest[run, 3 + k] = now[place // PIECES, k * PIECES + place % PIECES]


def end(runs, now, run, place, mark, status):
    """Keep the state in which a run stands; one that is no longer finite must not go on beside the others."""
    runs.status[run], runs.reached[run] = status, mark
    chunk, element = place // PIECES, place % PIECES
    for i in range(SIZE):
        runs.ends[run, i] = now[chunk, i * PIECES + element]
        if status == DIVERGED and runs.status.size > 1:
            now[chunk, i * PIECES + element] = runs.masks[0, place] = 0.0


def judge(data, runs, now, least_loss, most_loss):
    """Note how large the runs are, and how far the errors may have brought parameters and losses by now.

    Of runs that share a map the largest counts, as errors grow with a run. Return how large the terms of a residual may
    be.
    """
    last = now.shape[0] - 1
    is_error = read_lane(runs.masks, (last + 1 + last) * PIECES, PIECES)
    worst = read_lane(runs.worst, 0, PIECES)
    reach = data.largest[PARAMS]
    for i in range(SIZE):
        size = abs(now[last, i * PIECES])
        if last > 0:
            most = abs(read_lane(now, i * PIECES, PIECES))
            for chunk in range(1, last):
                most = np.maximum(most, abs(read_lane(now, (chunk * SIZE + i) * PIECES, PIECES)))
            write_lane(most, runs.squares[2], 0)
            for place in range(PIECES):
                size = runs.squares[2, place] if runs.squares[2, place] > size else size
        # What is smaller than 1 may be off by as much as what is 1, and a velocity as that of such a gradient.
        if i < PARAMS:
            reach += data.largest[i] * size
        least = 1.0 if i < PARAMS else reach
        size = least if size < least else size
        runs.sizes[i] = size
        if i < PARAMS:
            worst = np.maximum(
                worst,
                abs(read_lane(now, (last * SIZE + i) * PIECES, PIECES))
                * is_error
                * (1.0 / size if size > 1.0 else 1.0),
            )
    write_lane(worst, runs.worst, 0)
    # An error e changes the loss by 2 r'R e + |R e|^2, over the samples, with r = R theta - q. Of several runs only the
    # length of r is known: relative to a loss above 1 it is most at twice the smallest loss there is.
    share = 1.0 / data.samples
    off = read_lane(runs.squares[0], last * PIECES, PIECES) * is_error * share
    loss = most_loss
    if last == 0:
        cross = 0.0 * off
        for i in range(PARAMS):
            part = residual_part(data.factor, read_lane(runs.masks, 0, PIECES), now, 0, i)
            write_lane(part, runs.squares[2], 0)
            cross = cross + runs.squares[2, 0] * part
        off = abs(2.0 * share * cross * is_error + off)
    else:
        minimum = data.factor[PARAMS, PARAMS] * data.factor[PARAMS, PARAMS] * share
        loss = 2.0 * minimum if minimum > 0.5 else 1.0
        loss = least_loss if least_loss > loss else loss
        loss = most_loss if most_loss < loss else loss
        off = off + 2.0 * np.sqrt(loss - minimum if loss > minimum else 0.0) * np.sqrt(off)
    # The loss itself is rounded too.
    seen = ROUNDOFF * reach
    off = (off + seen * (2.0 * np.sqrt(loss) + seen)) * (1.0 / loss if loss > 1.0 else 1.0)
    write_lane(np.maximum(read_lane(runs.worst, PIECES, PIECES), off), runs.worst, PIECES)
    return reach
