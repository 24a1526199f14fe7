"""The order in which an epoch visits the samples, from (seed, epoch) alone.

The generator is SFC64 (C. Doty-Humphrey, PractRand), started from the words (seed, epoch, 0) and run for 18 steps to
mix them; the shuffle is Fisher and Yates' with Lemire's unbiased bounded integers (ACM TOMACS 29, 2019). The reference
makes the same permutation from the draws of NumPy's own `Generator(SFC64).integers`.

These functions are compiled inside the kernels. numba's `Generator.shuffle` would cost many times as much for each
element, and seconds of compilation.
"""

import numpy as np

# Mixing a uint64 with a plain integer would turn it into a float in numba.
U1, U3, U11, U24, U32, U40 = (np.uint64(n) for n in (1, 3, 11, 24, 32, 40))
U0, LOW32, WARM_UP = np.uint64(0), np.uint64(0xFFFFFFFF), 18


def sfc64(state):
    """One step of the generator: the next state and 64 random bits."""
    a, b, c, counter = state
    bits = a + b + counter
    return (b ^ (b >> U11), c + (c << U3), ((c << U24) | (c >> U40)) + bits, counter + U1), bits


def permute(order, seed, epoch):
    """Fill `order`, shape (n,), with the permutation of 0..n-1 that belongs to (seed, epoch)."""
    state = (np.uint64(seed), np.uint64(epoch), U0, U1)
    for _ in range(WARM_UP):
        state, _bits = sfc64(state)
    for i in range(order.size):
        order[i] = i
    spare = U0
    has_spare = False
    for i in range(order.size - 1, 0, -1):
        below = np.uint64(i + 1)
        threshold = U0
        while True:
            # Each step of the generator serves two draws, the low half first.
            if has_spare:
                draw = spare
                has_spare = False
            else:
                state, bits = sfc64(state)
                draw, spare = bits & LOW32, bits >> U32
                has_spare = True
            scaled = draw * below
            left = scaled & LOW32
            if left >= below:
                break
            threshold = (LOW32 + U1 - below) % below
            if left >= threshold:
                break
        j = np.int64(scaled >> U32)
        order[i], order[j] = order[j], order[i]
