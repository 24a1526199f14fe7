"""Drawing the order in which an epoch visits the samples, from (seed, epoch) alone.

The generator is SFC64 (C. Doty-Humphrey, PractRand), started from the words (seed, epoch, 0) and run for 18 steps to
mix them; the shuffle is Fisher and Yates' with Lemire's unbiased bounded integers (ACM TOMACS 29, 2019). The reference
makes the same permutation from the draws of NumPy's own `Generator(SFC64).integers`.

These functions are compiled inside the kernels. numba's `Generator.shuffle` would cost many times as much for each
element, and seconds of compilation.
"""

import numpy as np

from kernels.data.order import BLOCKS, BUFFERS, COUNT, DRAWN, FIRST_BUFFER, HEAD, NEXT, NEXT_BLOCK, NEXT_PART, SIZE

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
    permute((blocks,), seed, epoch + BLOCKS * NEXT_PART)


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
    permute((places[:count],), seed, epoch + part * NEXT_PART)
    order[NEXT], order[DRAWN] = 0, count


def sfc64(state):
    """Step the generator: return its next state and 64 random bits."""
    a, b, c, counter = state
    bits = a + b + counter
    return (b ^ (b >> U11), c + (c << U3), ((c << U24) | (c >> U40)) + bits, counter + U1), bits


def permute(columns, seed, epoch):
    """Permute the columns, arrays of one length, all alike, by (seed, epoch)."""
    state = (np.uint64(seed), np.uint64(epoch), U0, U1)
    for _ in range(WARM_UP):
        state, _bits = sfc64(state)
    i = columns[0].size - 1
    while i > 0:
        # Each step of the generator serves two draws, the low half first; one too many leaves element 0 where it is.
        state, bits = sfc64(state)
        i = swap_with_random(columns, i, bits & LOW32)
        i = swap_with_random(columns, i, bits >> U32)


def swap_with_random(columns, i, draw):
    """Swap element i with one of 0..i; returns i - 1, or i again where the draw is rejected."""
    below = np.uint64(i + 1)
    scaled = draw * below
    left = scaled & LOW32
    if left < below and left < (LOW32 + U1 - below) % below:
        return i
    j = np.int64(scaled >> U32)
    for column in columns:
        column[i], column[j] = column[j], column[i]
    return i - 1
