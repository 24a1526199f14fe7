"""The summation order that all kernels share: that of NumPy's add.reduce (`pairwise_sum` in its source).

Up to `PAIRWISE_BLOCK` terms: eight running sums, added pairwise at the end, and then the remaining terms. Above that,
the sum of two halves, the first rounded down to a multiple of 8. Halves wait on a stack, because a recursion could not
be inlined (a third of the time of a batch of 16).
"""

from sgdbench.kernels.base.run import ADD_TOP_TWO
from sgdbench.kernels.loops.jit import inlined


@inlined
def split(counts, left, count):
    """Push onto a stack two halves of `count` terms, the first rounded down to a multiple of 8, and their sum."""
    half = count // 2
    half -= half % 8
    counts[left], counts[left + 1], counts[left + 2] = ADD_TOP_TWO, count - half, half
    return left + 3
