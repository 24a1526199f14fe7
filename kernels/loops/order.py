"""Drawing the order in which an epoch visits the samples, from (seed, epoch) alone.

The generator is SFC64 (C. Doty-Humphrey, PractRand), started from the words (seed, epoch, 0) and run for 18 steps to
mix them; the shuffle is Fisher and Yates' with Lemire's unbiased bounded integers (ACM TOMACS 29, 2019). The reference
makes the same permutation from the draws of NumPy's own `Generator(SFC64).integers`.

These functions are compiled into the kernels. numba's `Generator.shuffle` would cost many times as much per element,
and seconds of compilation.
"""

import numpy as np

from sgdbench.kernels.data.order import (
    AHEAD_BEGIN,
    AHEAD_EPOCH,
    AHEAD_LEFT,
    AHEAD_LOADS,
    AHEAD_SEED,
    AHEAD_STATE,
    BLOCK_SIZE,
    BUFFER_SIZE,
    BUFFERS,
    END_OF_PLACES,
    NEXT_BLOCK,
    NEXT_PLACE,
    ORDER_OF_BLOCKS,
    ORDER_OF_FIRST_BUFFER,
    ORDERED_PLACES,
    PART_STRIDE,
    STRIDE,
)
from sgdbench.kernels.loops.jit import inlined, inner
from sgdbench.kernels.simd.prefetch import prefetch

# numba converts a uint64 combined with a plain integer to float.
U1, U3, U11, U24, U32, U40 = (np.uint64(n) for n in (1, 3, 11, 24, 32, 40))
U0, LOW32, WARM_UP = np.uint64(0), np.uint64(0xFFFFFFFF), 18
DRAWN_TOGETHER = 8
SHUFFLED, IN_TURN = 1, 2
"""The visiting order of prefetched samples."""
PAGE, LINE = 512, 8
LOADED_AHEAD, MOST_LOADED = 64, 64
"""The visits between the load of a sample and its own, and the most samples that are loaded together."""
"""The samples after which one run draws as many places of the next epoch."""


@inlined
def sfc64(state):
    """Step the generator: return its next state and 64 random bits."""
    a, b, c, counter = state
    bits = a + b + counter
    return (b ^ (b >> U11), c + (c << U3), ((c << U24) | (c >> U40)) + bits, counter + U1), bits


@inlined
def swap_with_random(places, begin, left, draw):
    """Swap the last of `left` places with a random one; return left - 1, or left if the draw is rejected."""
    scaled = draw * left
    low = scaled & LOW32
    if low < left and low < (LOW32 + U1 - left) % left:
        return left
    last, chosen = begin + left - U1, begin + (scaled >> U32)
    places[last], places[chosen] = places[chosen], places[last]
    return left - U1


@inlined
def swap_down(places, begin, left, until, state):
    """Swap the last of the first `left` places from `begin` on with a random one, repeatedly, down to `until`.

    Return the number of places left, possibly one less than `until`, and the state of the generator. Counts are
    unsigned: testing the sign of an index would take longer than a swap.
    """
    while left > until:
        # Each step of the generator gives two draws, the low half first; a surplus draw leaves place 0 unchanged.
        state, bits = sfc64(state)
        left = swap_with_random(places, begin, left, bits & LOW32)
        left = swap_with_random(places, begin, left, bits >> U32)
    return left, state


@inlined
def start_generator(seed, epoch):
    """Return the state of the generator before its first draw."""
    state = (np.uint64(seed), np.uint64(epoch), U0, U1)
    for _ in range(WARM_UP):
        state, _bits = sfc64(state)
    return state


@inlined
def permute(places, begin, count, seed, epoch):
    """Permute `count` places from `begin` on, by (seed, epoch)."""
    swap_down(places, np.uint64(begin), np.uint64(count), U1, start_generator(seed, epoch))


@inlined
def keep_generator(ahead, state):
    """Store the state of the generator."""
    ahead[AHEAD_STATE], ahead[AHEAD_STATE + 1], ahead[AHEAD_STATE + 2], ahead[AHEAD_STATE + 3] = state


@inner
def draw(order, count):
    """Draw further places of the order that was begun, if any are left.

    Drawing is free between updates: each update waits for the one before, and the processor does both at once.
    """
    places, ahead = order
    left, count = ahead[AHEAD_LEFT], np.uint64(count)
    if left > U1:
        state = ahead[AHEAD_STATE], ahead[AHEAD_STATE + 1], ahead[AHEAD_STATE + 2], ahead[AHEAD_STATE + 3]
        until = left - count if left > count else U1
        ahead[AHEAD_LEFT], state = swap_down(places, ahead[AHEAD_BEGIN], left, until, state)
        keep_generator(ahead, state)


@inner
def load_ahead(x, y, places, first, count, shuffled):
    """Prefetch as many samples as were just trained, out of those visited some time later.

    Samples in order are prefetched one page ahead: the processor's own prefetching ends at a page boundary.
    """
    if shuffled:
        for i in range(first + LOADED_AHEAD, first + LOADED_AHEAD + min(count, MOST_LOADED)):
            prefetch(x, y, np.int64(places[i]))
    else:
        for i in range(first + PAGE, first + PAGE + count, LINE):
            prefetch(x, y, i)


@inlined
def work_ahead(order, x, y, places, first, count):
    """Prefetch samples if there are many, otherwise draw places of the next epoch.

    Either is free between updates, each of which waits for the one before, but both together are not.
    """
    if order[1][AHEAD_LOADS] > U0:
        load_ahead(x, y, places, first, count, order[1][AHEAD_LOADS] == SHUFFLED)
    else:
        draw(order, count)


@inner
def begin_order(order, n, seed, epoch, begin):
    """Write the places in order, from `begin` on, and start the generator that shuffles them for this epoch."""
    ahead, stride = order.ahead, order.head[STRIDE]
    for place in range(n):
        order.places[begin + place] = place * stride
    ahead[AHEAD_SEED], ahead[AHEAD_EPOCH], ahead[AHEAD_BEGIN], ahead[AHEAD_LEFT] = seed, epoch + 1, begin, n
    keep_generator(ahead, start_generator(seed, epoch))


@inner
def next_of_all(order, n, hyper, epoch, start, draws_ahead):
    """Return where the place of sample `start` of an epoch is; the order is drawn as the epoch begins, or earlier."""
    ahead = order.ahead
    orders = 2 if draws_ahead and order.places.size > ORDERED_PLACES + 2 * n else 1
    if start == 0:
        for drawn_epoch in range(epoch, max(epoch + 1, min(epoch + orders, hyper.rates.shape[0]))):
            if ahead[AHEAD_SEED] != hyper.seed or ahead[AHEAD_EPOCH] != np.uint64(drawn_epoch + 1):
                begin_order(order, n, hyper.seed, drawn_epoch, ORDERED_PLACES + drawn_epoch % orders * n)
            if drawn_epoch == epoch:
                draw((order.places, order.ahead), n)
                # A repeated epoch is drawn again, so that the time of a run does not depend on the run before.
                ahead[AHEAD_EPOCH] = 0
    return ORDERED_PLACES + epoch % orders * n + start


@inner
def draw_buffer(order, n, seed, epoch, begin):
    """Draw the places of as many blocks as the buffer holds, from `begin` on; return the number of samples."""
    head, blocks, places = order.head, order.blocks, order.places
    block, count = head[NEXT_BLOCK], 0
    while block < blocks.size:
        first = np.int64(blocks[block]) * head[BLOCK_SIZE]
        size = min(head[BLOCK_SIZE], n - first)
        if count > 0 and count + size > head[BUFFER_SIZE]:
            break
        for place in range(size):
            places[begin + count + place] = (first + place) * head[STRIDE]
        count += size
        block += 1
    permute(places, begin, count, seed, epoch + (ORDER_OF_FIRST_BUFFER + head[BUFFERS]) * PART_STRIDE)
    head[NEXT_BLOCK] = block
    head[BUFFERS] += 1
    return count


@inner
def next_of_blocks(order, n, hyper, epoch, start, stop):
    """Return the result of `next_places` for a block shuffle, whose buffer may hold leftover samples."""
    head, blocks, places = order.head, order.blocks, order.places
    if start == 0:
        for block in range(blocks.size):
            blocks[block] = block
        permute(blocks, 0, blocks.size, hyper.seed, epoch + ORDER_OF_BLOCKS * PART_STRIDE)
        head[NEXT_PLACE] = head[END_OF_PLACES] = head[NEXT_BLOCK] = head[BUFFERS] = 0
    needed = min(hyper.batch_size, stop - start)
    left = head[END_OF_PLACES] - head[NEXT_PLACE]
    if left < needed:
        for k in range(left):
            places[ORDERED_PLACES + k] = places[ORDERED_PLACES + head[NEXT_PLACE] + k]
        while left < needed:
            left += draw_buffer(order, n, hyper.seed, epoch, ORDERED_PLACES + left)
        head[NEXT_PLACE], head[END_OF_PLACES] = 0, left
    begin, count = ORDERED_PLACES + head[NEXT_PLACE], stop - start
    if left < count:
        count = left - left % hyper.batch_size
    head[NEXT_PLACE] += count
    return begin, count


@inner
def next_places(order, n, hyper, epoch, start, stop, draws_ahead):
    """Return where the places of samples start, start + 1, ... of an epoch begin, and how many are drawn.

    The places reach up to `stop`, or stop earlier after whole batches. A run that draws ahead calls `draw` while it
    trains the epoch.
    """
    if order.blocks.size > 0:
        return next_of_blocks(order, n, hyper, epoch, start, stop)
    return next_of_all(order, n, hyper, epoch, start, draws_ahead), stop - start
