"""The loops of models with vectors: sample by sample and in minibatches, over weights of any number.

They stand in the places of the loops over tuples of `kernels.loops.loops`, around which a run is the same. Numbers of a
run lie in flat arrays, which are read by `get` and written by `put`; where runs are trained side by side, a number is a
lane of them. The inputs are one flat array, a row for each sample. Sums are added in NumPy's order, as there.

The weights of a dot with the inputs are updated from sample i in the pass that takes the dot with sample i + 1: weights
that do not fit the first cache are read once for each sample. Every second pass goes backwards over them, and begins
with what the one before has left in that cache.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.base.run import BACKWARDS, JOIN, LEAF, ROWS
from kernels.loops.loops import ZERO, gather, split
from kernels.loops.order import permute
from kernels.simd.lanes import align_stack, pointers, read_lane
from kernels.simd.tuples import add, sum_lanes

Bound = Callable[..., Any]
get: Bound  # (cells, place) -> a number
put: Bound  # (number, cells, place)
nothing: Bound  # () -> -0.0, which changes no sum
maximum: Bound  # of two numbers, as in `kernels.model.functions`
as_number: Bound  # a number -> the same, rounded to the type of the kernel
# (theta, slots, x, at, y, dots, options, room, row) -> the loss, where it is needed, and the derivatives by the symbols
head: Bound
dots_of_row: Bound  # (room, row) -> the dots of a sample, or () where there are many, which stay in the room
keep_terms: Bound  # (terms, room, row): the derivatives go to the room, where they are not there
value_of_loss: Bound  # (theta, slots, x, at, y, options, room, row) -> the loss that is recorded
# (theta, slots, x, first, count, options, room): the dots of samples with the inputs, where the gradient is taken
take_dots: Bound
take_dots_of_loss: Bound  # the same with theta
leg: Bound  # each_sample, each_batch or by_batch_size
# A `step` is what the rule is given besides: lr, known, options.
move: Bound  # (theta, slots, x, at, after, terms, step, room) -> the next dots, after the update
move_by_gradient: Bound  # (theta, slots, part, step, room), where the gradient is this part of a sum
gradient_of_samples: Bound  # (x, count, room, level): the gradients of some samples from their derivatives
step_clock: Bound  # (clock, options) -> clock
known_of_sample: Bound  # (clock, loss) -> the numbers that the rule is given
known_of_batch: Bound  # (clock, part, room) -> the same
SUMS: int  # the sums of a batch besides its gradient: 1 where its loss is needed
GATHERS: bool
# In a sum
TURNS: int  # the terms up to which a sum is never taken backwards
leaf: Bound  # leaf_of_one, leaf_of_lanes or leaf_of_losses
touch: Bound  # (theta, slots, place, factor, s, step, params) -> a weight, updated where it learns
touch_eight: Bound  # the same of eight weights of one run
input_at: Bound  # (x, place) -> an input, or a hidden unit
no_sum: Bound  # () -> a sum that changes no other: a number, or one for each of four or eight samples
sum_at: Bound  # (stack, place) -> a sum
keep_sum: Bound  # (sum, stack, place)
join: Bound  # (sum, sum) -> their sum, of one or of each of several
terms: Bound  # (weight, x, rows, place) -> its products with the inputs of four or eight samples
eight_terms: Bound  # the same of eight weights of one run
add_up: Bound  # the sums of eight terms, for each sample -> the sum of each
eight_nothings: Bound  # () -> -0.0 for each of eight samples
losses_of_eight: Bound  # (theta, x, y, first, options, room) -> the losses of samples first..first+7 of one run
product: Bound  # (of, i) -> term i
sum_of_terms: Bound  # sum_by_eight or sum_in_order
add_losses: Bound  # sum_of_losses
sum_numbers: Bound  # (count, of) -> the sum of count numbers, one at every step; of = cells, first, step


def train_rows(theta, state, data, hyper, epoch, start, stop, lr, options, room):
    """Train the samples of a leg, or those whose places are drawn at a time; return the begin of the next part too."""
    first, last = start, stop
    if hyper.shuffle:
        if GATHERS:
            first, last = 0, min(data.visited_y.size, stop - start)
            gather(data, hyper, epoch, start, stop)
        elif start == 0:
            shuffle_places(data, hyper.seed, epoch)
    samples, room = (pointers(data.x[0]), pointers(data.y), pointers(data.visited_y)), pointers(room)
    state = leg(theta, state, samples, first, last, hyper.shuffle, hyper.batch_size, lr, options, room)
    return theta, state, start + last - first


def shuffle_places(data, seed, epoch):
    """Shuffle the places of all samples."""
    places = data.visited_y
    for place in range(places.size):
        places[place] = place
    permute((places,), data.y.size, seed, epoch)


def take_places(data, filled, chosen):
    """Take the places of some samples, in the order of the epoch."""
    for k in range(chosen.size):
        data.visited_y[filled + k] = chosen[k]


def by_batch_size(theta, state, samples, first, last, shuffled, size, lr, options, room):
    """Step against the gradient of each sample or of each batch."""
    if size == 1:
        return each_sample(theta, state, samples, first, last, shuffled, size, lr, options, room)
    return each_batch(theta, state, samples, first, last, shuffled, size, lr, options, room)


def each_sample(theta, state, samples, first, last, shuffled, size, lr, options, room):
    """Step against the gradient of each sample."""
    align_stack(nothing())
    slots, clock = state
    x, y, places = samples
    inputs = room.layout[1]
    row = places[first] if shuffled else first
    at = row * inputs
    room.rows[ZERO] = at
    take_dots(theta, slots, x, ZERO, ZERO + 1, options, room)
    dots = dots_of_row(room, ZERO)
    for i in range(first, last):
        following = min(i + 1, last - 1)
        following = places[following] if shuffled else following
        loss, terms = head(theta, slots, x, at, as_number(y[row]), dots, options, room, ZERO)
        clock = step_clock(clock, options[1])
        known = known_of_sample(clock, loss)
        room.counts[BACKWARDS] = i % 2
        dots = move(theta, slots, x, at, following * inputs, terms, (lr, known, options), room)
        row = following
        at = row * inputs
    return slots, clock


def each_batch(theta, state, samples, first, last, shuffled, size, lr, options, room):
    """Step against the mean gradient of each batch, of which the last in an epoch may be smaller."""
    align_stack(nothing())
    slots, clock = state
    while first < last:
        count = min(size, last - first)
        gradient_of_batch(theta, slots, samples, first, count, shuffled, options, room)
        part = as_number(1.0 / count)
        clock = step_clock(clock, options[1])
        move_by_gradient(theta, slots, part, (lr, known_of_batch(clock, part, room), options), room)
        first += count
    return slots, clock


def gradient_of_batch(theta, slots, samples, start, count, shuffled, options, room):
    """Add up the gradients and the losses of a batch, in NumPy's order; the sums are the first row of the partials."""
    x, y, places = samples
    width = room.layout[0] + SUMS
    room.counts[0] = count
    left = 1
    waiting = 0
    while left > 0:
        left -= 1
        count = room.counts[left]
        if count == JOIN:
            waiting -= 1
            for place in range(width):
                one, other = (waiting - 1) * width + place, waiting * width + place
                put(get(room.partials, one) + get(room.partials, other), room.partials, one)
        elif count <= LEAF:
            for i in range(count):
                row = places[start + i] if shuffled else start + i
                room.rows[i] = row * room.layout[1]
            for i in range(count):
                if i % ROWS == 0:
                    take_dots(theta, slots, x, i, min(ROWS, count - i), options, room)
                row = places[start + i] if shuffled else start + i
                target, dots = as_number(y[row]), dots_of_row(room, i)
                _, terms = head(theta, slots, x, room.rows[i], target, dots, options, room, i)
                keep_terms(terms, room, i)
            gradient_of_samples(x, count, room, waiting * width)
            start += count
            waiting += 1
        else:
            left = split(room.counts, left, count)


def mean_of_losses(theta, x, y, factors, held_out, options, room):
    """Return the mean over all samples of the squared residual, or of the loss itself."""
    align_stack(nothing())
    room, size = pointers(room), y.size
    of = theta, pointers(y), pointers(x[0]), 0.0, (0.0, (), options), room
    return add_losses(of, size, room) / size


def leaf_of_losses(of, count, first):
    """Return the sum of the losses of up to 128 samples, from the first on: eight running sums, and then the rest.

    A cell for each sample would take the room of weights in the first cache.
    """
    theta, y, x, _, (_, _, options), room = of
    whole = count - count % 8
    sums = min(whole, 8)
    for i in range(count):
        room.rows[i] = (first + i) * room.layout[1]
    for i in range(count):
        if i % ROWS == 0:
            take_dots_of_loss(theta, theta, x, i, min(ROWS, count - i), options, room)
        loss = value_of_loss(theta, theta, x, room.rows[i], as_number(y[first + i]), options, room, i)
        place = i % 8 + sums * (i >= whole)
        if sums <= i < whole:
            loss = get(room.losses, place) + loss
        put(loss, room.losses, place)
    return sum_numbers(sums + count - whole, (room.losses, ZERO, ZERO + 1))


def leaf_of_losses_by_eight(of, count, first):
    """Return the sum of `leaf_of_losses`, eight samples of one run at a time: each has a running sum."""
    theta, y, x, _, (_, _, options), room = of
    start = count - count % 8
    sums = eight_nothings()
    for i in range(0, start, 8):
        sums = sums + losses_of_eight(theta, x, y, first + i, options, room)
    (total,) = sum_lanes((sums,))
    for i in range(first + start, first + count):
        room.rows[ZERO] = i * room.layout[1]
        take_dots_of_loss(theta, theta, x, ZERO, ZERO + 1, options, room)
        total = total + value_of_loss(theta, theta, x, room.rows[ZERO], as_number(y[i]), options, room, ZERO)
    return total


def sum_by_eight(count, of):
    """Return the sum of up to 128 terms, `product` of each: eight running sums, one after the other, then the rest."""
    total = no_sum()
    start = 0
    if count >= 8:
        start = count - count % 8
        for half in range(0, 8, 4):
            quarter = no_sum()
            for first in range(half, half + 4, 2):
                pair = no_sum()
                for begin in range(first, first + 2):
                    single = product(of, begin)
                    for i in range(begin + 8, start, 8):
                        single = join(single, product(of, i))
                    pair = join(pair, single)
                quarter = join(quarter, pair)
            total = join(total, quarter)
    while start < count:
        total = join(total, product(of, start))
        start += 1
    return total


def sum_of_losses(of, size, room):
    """Return the sum of the losses of all samples: of leaves of up to 128, as NumPy's add.reduce splits them."""
    total = nothing()
    room.counts[0] = size
    left = 1
    start = waiting = ZERO
    while left > 0:
        left -= 1
        count = room.counts[left]
        if count == JOIN:
            waiting -= 1
            total = get(room.sums, waiting - 1) + total
            put(total, room.sums, waiting - 1)
        elif count <= LEAF:
            total = leaf(of, count, start)
            start += count
            put(total, room.sums, waiting)
            waiting += 1
        else:
            left = split(room.counts, left, count)
    return total


def dot(of, order, first, at, after, room, stack):
    """Return the dot of weights from the first on with the inputs from `after` on, added up in an order of the layout.

    Where the weights learn, they are first updated with the inputs from `at` on. The leaf, of up to 128 terms, is
    handed what the dot is `of`: theta, slots, x, s, step, params, where s is the derivative by the dot. A sum of more
    than `TURNS` terms may be taken from the last leaf to the first, which changes no bit of it. To find the leaves by
    halving here, as in `sum_of_losses`, takes a tenth of the time of 784 weights.
    """
    total = no_sum()
    size, length = room.layout[order], room.layout[order + 1]
    back = room.counts[BACKWARDS] if size > TURNS else ZERO
    start = back * size
    waiting = ZERO
    begin = order + 2 + back * length
    for place in range(begin, begin + length):
        count = room.layout[place]
        if count == JOIN:
            waiting -= 1
            total = join(sum_at(stack, waiting - 1), total)
            keep_sum(total, stack, waiting - 1)
        else:
            start -= back * count
            total = leaf(of, count, first + start, at + start, after + start)
            start += (1 - back) * count
            if length > 1:
                keep_sum(total, stack, waiting)
            waiting += 1
    return total


def leaf_of_one(of, count, first, at, after):
    """Return the dot of up to 128 weights of one run: eight running sums, each an element of a vector."""
    theta, slots, x, s, step, params = of
    total = nothing()
    start = 0
    if count >= 8:
        start = count - count % 8
        weights = touch_eight(theta, slots, first, read_lane(x, at, 8), s, step, params)
        sums = weights * read_lane(x, after, 8)
        for f in range(8, start, 8):
            weights = touch_eight(theta, slots, first + f, read_lane(x, at + f, 8), s, step, params)
            sums = sums + weights * read_lane(x, after + f, 8)
        (total,) = sum_lanes((sums,))
    while start < count:
        weight = touch(theta, slots, first + start, input_at(x, at + start), s, step, params)
        total = total + weight * input_at(x, after + start)
        start += 1
    return total


def leaf_of_lanes(of, count, first, at, after):
    """Return the dots of up to 128 weights of many runs: eight running sums, four at a time.

    One at a time, each would read weights at a distance of 2 KB: at every second step the processor takes such a load
    for one of the store before it, whose address has the same last twelve bits.
    """
    total = nothing()
    start = 0
    if count >= 8:
        start = count - count % 8
        for half in range(0, 8, 4):
            # Sums begin with their first terms: to add these to -0.0 would take operations too.
            one = term_of(of, first, at, after, half)
            two = term_of(of, first, at, after, half + 1)
            three = term_of(of, first, at, after, half + 2)
            four = term_of(of, first, at, after, half + 3)
            for f in range(half + 8, start, 8):
                one = one + term_of(of, first, at, after, f)
                two = two + term_of(of, first, at, after, f + 1)
                three = three + term_of(of, first, at, after, f + 2)
                four = four + term_of(of, first, at, after, f + 3)
            total = total + ((one + two) + (three + four))
    while start < count:
        total = total + term_of(of, first, at, after, start)
        start += 1
    return total


def term_of(of, first, at, after, f):
    """Return the product of a weight, which is updated first where it learns, and its input."""
    theta, slots, x, s, step, params = of
    weight = touch(theta, slots, first + f, input_at(x, at + f), s, step, params)
    return weight * input_at(x, after + f)


def leaf_of_samples_of_one(of, count, first, at, after):
    """Return the dots of up to 128 weights of one run with the inputs of four or eight samples.

    In the place of s is, of four, where they begin; of eight, which lie one after the other, how far apart.
    """
    theta, slots, x, rows, step, params = of
    total = no_sum()
    start = 0
    if count >= 8:
        start = count - count % 8
        weights = touch_eight(theta, slots, first, 0.0, 0.0, step, params)
        sums = eight_terms(weights, x, rows, after)
        for f in range(8, start, 8):
            weights = touch_eight(theta, slots, first + f, 0.0, 0.0, step, params)
            sums = add(sums, eight_terms(weights, x, rows, after + f))
        total = add_up(sums)
    while start < count:
        weight = touch(theta, slots, first + start, 0.0, 0.0, step, params)
        total = join(total, terms(weight, x, rows, after + start))
        start += 1
    return total


def leaf_of_four(of, count, first, at, after):
    """Return the dots of up to 128 weights with the inputs of four samples, for which they are read once."""
    return sum_of_terms(count, (of, first, after))


def product_of_four(of, f):
    """Return the products of a weight with the inputs of four samples; in the place of s are those where they begin."""
    (theta, slots, x, rows, step, params), first, after = of
    weight = touch(theta, slots, first + f, 0.0, 0.0, step, params)
    return terms(weight, x, rows, after + f)


def sum_in_order(count, of):
    """Return the sum of `sum_by_eight`, one term after the other."""
    total = no_sum()
    for i in range(count):
        total = join(total, product(of, i))
    return total


def softmax(room, count, own):
    """Return the log loss of scores for a class, and leave the exponentials of the others and their sum in the room."""
    highest = get(room.scores, 0)
    for k in range(1, count):
        highest = maximum(highest, get(room.scores, k))
    chosen = get(room.scores, own) - highest
    total = np.exp(get(room.scores, 0) - highest)
    put(total, room.scores, 0)
    for k in range(1, count):
        power = np.exp(get(room.scores, k) - highest)
        put(power, room.scores, k)
        total = total + power
    put(total, room.scores, count)
    return np.log(total) - chosen
