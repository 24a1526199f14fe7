"""Drawing the order in which an epoch visits the samples, from (seed, epoch) alone.

The generator is SFC64 (C. Doty-Humphrey, PractRand), started from the words (seed, epoch, 0) and run for 18 steps to
mix them; the shuffle is Fisher and Yates' with Lemire's unbiased bounded integers (ACM TOMACS 29, 2019). The reference
makes the same permutation from the draws of NumPy's own `Generator(SFC64).integers`.

These functions are compiled inside the kernels. numba's `Generator.shuffle` would cost many times as much for each
element, and seconds of compilation.
"""

import numpy as np

from kernels.data.order import (
    AHEAD_BEGIN,
    AHEAD_EPOCH,
    AHEAD_LEFT,
    AHEAD_SEED,
    AHEAD_STATE,
    BLOCKS,
    BUFFERS,
    COUNT,
    DRAWN,
    FIRST_BUFFER,
    HEAD,
    NEXT,
    NEXT_BLOCK,
    NEXT_PART,
    SIZE,
)

# Mixing a uint64 with a plain integer would turn it into a float in numba.
U1, U3, U11, U24, U32, U40 = (np.uint64(n) for n in (1, 3, 11, 24, 32, 40))
U0, LOW32, WARM_UP = np.uint64(0), np.uint64(0xFFFFFFFF), 18


def begin_order(order, seed, epoch):
    """Draw the order of the blocks, and no places yet."""
    for place in range(SIZE):
        order[place] = 0
    blocks = order[HEAD : HEAD + np.int64(order[COUNT])]
    for block in range(blocks.size):
        blocks[block] = block
    permute((blocks,), blocks.size, seed, epoch + BLOCKS * NEXT_PART)


def draw_places(order, n, seed, epoch):
    """Draw the order of the next samples: of as many blocks as the buffer holds, or of all n samples."""
    blocks, part, count = np.int64(order[COUNT]), 0, 0
    places = order[HEAD + blocks :]
    if blocks == 0:
        for place in range(n):
            places[place] = place
        count = n
    else:
        block, block_size = np.int64(order[NEXT_BLOCK]), np.int64(order[SIZE])
        while block < blocks:
            first = order[HEAD + block] * block_size
            size = min(block_size, n - first)
            if count > 0 and count + size > places.size:
                break
            for place in range(size):
                places[count + place] = first + place
            count += size
            block += 1
        part = FIRST_BUFFER + np.int64(order[BUFFERS])
        order[NEXT_BLOCK] = block
        order[BUFFERS] += 1
    permute((places,), count, seed, epoch + part * NEXT_PART)
    order[NEXT], order[DRAWN] = 0, count


def visit_with_next(data, hyper, epoch, start, stop):
    """Have the samples of an epoch in their order when it begins; return the place of sample `start` of the epoch.

    While it is trained, the samples of the next epoch are swapped in the other half of the room (`draw_ahead`).
    """
    n, ahead = data.y.size, data.ahead
    halves = data.visited_y.size // n
    if start == 0:
        for wanted in range(epoch, min(epoch + halves, hyper.rates.shape[0])):
            if ahead[AHEAD_SEED] != hyper.seed or ahead[AHEAD_EPOCH] != np.uint64(wanted + 1):
                begin_next(data, hyper.seed, wanted)
            if wanted == epoch:
                draw_ahead(data, n)
                # An epoch that is visited again is drawn again: what a run takes does not depend on the run before.
                ahead[AHEAD_EPOCH] = 0
    return epoch % halves * n + start


def begin_next(data, seed, epoch):
    """Copy the samples, and start the generator that swaps them into the order of this epoch."""
    n, ahead = data.y.size, data.ahead
    begin = epoch % (data.visited_y.size // n) * n
    copy_samples(data, begin)
    ahead[AHEAD_SEED], ahead[AHEAD_EPOCH], ahead[AHEAD_BEGIN], ahead[AHEAD_LEFT] = seed, epoch + 1, begin, n
    keep_generator(ahead, start_generator(seed, epoch))


def copy_samples(data, begin):
    """Copy all samples, in their own order, into the room from `begin` on."""
    # Bound to a name here, the tuple is taken apart by the compiler; numba knows neither unpacking nor `strict`.
    columns = data.visited_x + (data.visited_y,)  # noqa: RUF005
    for column, visited in zip(data.x + (data.y,), columns):  # noqa: B905, RUF005
        room = visited[begin : begin + column.size]
        for i in range(column.size):
            room[i] = column[i]


def draw_ahead(data, count):
    """Swap some more samples of the next epoch, where there are any that are not in their place.

    That takes no time beside updates, each of which waits for the one before: the processor does both at once.
    """
    ahead = data.ahead
    left, count = ahead[AHEAD_LEFT], np.uint64(count)
    if left > U1:
        columns = data.visited_x + (data.visited_y,)  # noqa: RUF005
        state = ahead[AHEAD_STATE], ahead[AHEAD_STATE + 1], ahead[AHEAD_STATE + 2], ahead[AHEAD_STATE + 3]
        until = left - count if left > count else U1
        ahead[AHEAD_LEFT], state = swap_down(columns, ahead[AHEAD_BEGIN], left, until, state)
        keep_generator(ahead, state)


def keep_generator(ahead, state):
    """Keep the state of the generator."""
    ahead[AHEAD_STATE], ahead[AHEAD_STATE + 1], ahead[AHEAD_STATE + 2], ahead[AHEAD_STATE + 3] = state


def draw_nothing(data, count):
    """Draw no order ahead."""


def sfc64(state):
    """Step the generator: return its next state and 64 random bits."""
    a, b, c, counter = state
    bits = a + b + counter
    return (b ^ (b >> U11), c + (c << U3), ((c << U24) | (c >> U40)) + bits, counter + U1), bits


def permute(columns, count, seed, epoch):
    """Permute the first elements of the columns, all alike, by (seed, epoch)."""
    swap_down(columns, U0, np.uint64(count), U1, start_generator(seed, epoch))


def start_generator(seed, epoch):
    """Return the state of the generator before its first draw."""
    state = (np.uint64(seed), np.uint64(epoch), U0, U1)
    for _ in range(WARM_UP):
        state, _bits = sfc64(state)
    return state


def swap_down(columns, begin, left, until, state):
    """Swap the last of the first `left` elements from `begin` on with one of them, and so on, down to `until`.

    Returns how many are left, of which there may be one less, and the state of the generator. Counts are unsigned, so
    that no index is tested for its sign, which takes longer than a swap.
    """
    while left > until:
        # Each step of the generator serves two draws, the low half first; one too many leaves element 0 where it is.
        state, bits = sfc64(state)
        left = swap_with_random(columns, begin, left, bits & LOW32)
        left = swap_with_random(columns, begin, left, bits >> U32)
    return left, state


def swap_with_random(columns, begin, left, draw):
    """Swap the last of `left` elements with one of them; return left - 1, or left again where the draw is rejected."""
    scaled = draw * left
    low = scaled & LOW32
    if low < left and low < (LOW32 + U1 - left) % left:
        return left
    last, chosen = begin + left - U1, begin + (scaled >> U32)
    for column in columns:
        column[last], column[chosen] = column[chosen], column[last]
    return left - U1
