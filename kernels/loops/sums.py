"""What the sums of kernels share: the order in which NumPy's add.reduce adds (`pairwise_sum` in its source).

Up to `PAIRWISE_BLOCK` terms: eight running sums that are added pairwise at the end, and then the rest. Above that the
sums of two halves, the first rounded down to a multiple of 8. They wait on a stack instead of in a recursion, which
could not be inlined (a third of the time of a batch of 16).
"""

from kernels.base.run import ADD_TOP_TWO
from kernels.loops.jit import inlined


@inlined
def split(counts, left, count):
    """Put two halves of `count` terms, the first rounded down to a multiple of 8, and their sum on a stack."""
    half = count // 2
    half -= half % 8
    counts[left], counts[left + 1], counts[left + 2] = ADD_TOP_TWO, count - half, half
    return left + 3
