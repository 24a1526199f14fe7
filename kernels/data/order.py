"""The orders in which an epoch visits the samples: drawn from (seed, epoch) with NumPy's own generator.

A full shuffle permutes all samples. A block shuffle permutes blocks of consecutive samples, takes as many blocks as a
buffer holds at a time, and permutes the samples in it. A sample may come at any time of an epoch, but next to it come
only samples of the blocks in its buffer. Where blocks differ much, as in data that are sorted, that is less than a full
shuffle: L. Xu and others, In-database machine learning with CorgiPile: stochastic gradient descent without full data
shuffle, SIGMOD 2022.

The kernels draw the same orders by `kernels.loops.order`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.base.checks import check_integer, describe
from kernels.base.spec import make_from_spec

BLOCK = 8192
BUFFER = 2**18
# Up to this number, samples are copied and swapped themselves. Of more samples, places are swapped, and the samples are
# gathered by them: that needs no copy, but takes 22 ns a sample of two columns where swapping takes 16.
SWAPPED = 2**24
# The parts that are drawn in an epoch besides the order of all samples: the order of the blocks, and of each buffer.
BLOCKS, FIRST_BUFFER, NEXT_PART = 1, 2, 2**32
# An order is one array: this head, the blocks, and the places of the samples that are shuffled together. The head holds
# the next place, the number of places drawn, the next block, the number of buffers drawn, the samples in a block, and
# the number of blocks, which is 0 for a full shuffle.
# The order of the next epoch, which one run draws while it trains this one: the seed and the epoch (counted from 1)
# that it is of, where its samples begin, how many are left to be swapped, and the state of the generator.
AHEAD_SIZE, AHEAD_SEED, AHEAD_EPOCH, AHEAD_BEGIN, AHEAD_LEFT, AHEAD_STATE = 8, 0, 1, 2, 3, 4
HEAD, NEXT, DRAWN, NEXT_BLOCK, BUFFERS, SIZE, COUNT = 6, 0, 1, 2, 3, 4, 5


class BlockShuffle(NamedTuple):
    """A shuffle of blocks of samples, and of the samples of some blocks at a time.

    Attributes
    ----------
    size : int
        Samples in a block; the last block may have fewer.
    buffer : int
        The samples that are shuffled together, at most; a block that is larger is shuffled by itself.
    """

    size: int = BLOCK
    buffer: int = BUFFER

    def __str__(self) -> str:
        return f"blocks(size={self.size}, buffer={self.buffer})"


def make_shuffle(shuffle: bool | str) -> bool | BlockShuffle:
    """Return the shuffle of a setting: True, False, ``"blocks"`` or ``"blocks(size=8192, buffer=1048576)"``."""
    if isinstance(shuffle, (bool, np.bool_)):
        return bool(shuffle)
    if isinstance(shuffle, str) and shuffle.strip().startswith("blocks"):
        return make_from_spec(shuffle, {"blocks": _blocks}, "shuffle")
    raise ValueError(f"shuffle must be True, False or 'blocks', not {describe(shuffle)}")


def canonical_shuffling(text: str) -> str:
    """Return how runs are shuffled, ``"all"`` samples or blocks as for `make_shuffle`, with every option by name."""
    known: dict[str, Callable[..., object]] = {"all": lambda: "all", "blocks": _blocks}
    return str(make_from_spec(text, known, "shuffling"))


def _blocks(size: int = BLOCK, buffer: int = BUFFER) -> BlockShuffle:
    return BlockShuffle(check_integer("size", size), check_integer("buffer", buffer))


def is_gathered(n: int, shuffle: bool | BlockShuffle) -> bool:
    """Return whether samples are gathered by their places, and not swapped in a copy or visited as they stand."""
    return isinstance(shuffle, BlockShuffle) or (shuffle and n > SWAPPED)


def allocate_order(n: int, shuffle: bool | BlockShuffle) -> NDArray[np.uint32]:
    """Return room for the order of n samples (`kernels.loops.order`); none for few that are not shuffled in blocks."""
    if shuffle and n >= 2**31:
        raise ValueError(f"shuffle must be False for 2**31 samples or more, and there are {n}")
    if not is_gathered(n, shuffle):
        return np.empty(0, np.uint32)
    if isinstance(shuffle, BlockShuffle):
        block = min(shuffle.size, n)
        places, blocks = min(n, max(shuffle.buffer, block)), -(-n // block)
    else:
        block, places, blocks = n, n, 0
    order = np.zeros(HEAD + blocks + places, np.uint32)
    order[[SIZE, COUNT]] = block, blocks
    return order


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Fisher and Yates' shuffle of 0..n-1 with the draws of NumPy's SFC64, started from (seed, epoch)."""
    bits = np.random.SFC64()
    words = np.array([seed, epoch, 0, 1], dtype=np.uint64)
    bits.state = {"bit_generator": "SFC64", "state": {"state": words}, "has_uint32": 0, "uinteger": 0}
    bits.random_raw(18, output=False)
    order = list(range(n))  # Python exchanges two places in half the time that an array takes
    if n > 1:
        draws = np.random.Generator(bits).integers(np.arange(n, 1, -1)).tolist()
        for i, j in zip(range(n - 1, 0, -1), draws, strict=True):
            order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def visiting_order(n: int, order: NDArray[np.uint32], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the places of n samples in the order in which an epoch visits them, shape (n,)."""
    if not order.size or not order[COUNT]:
        return permutation(n, seed, epoch)
    block, capacity = int(order[SIZE]), order.size - HEAD - int(order[COUNT])
    begins = np.arange(0, n, block)
    sizes = np.minimum(block, n - begins)
    parts = []
    for number, group in enumerate(buffers(sizes.tolist(), capacity, seed, epoch)):
        read = np.concatenate([np.arange(begins[block], begins[block] + sizes[block]) for block in group])
        parts.append(read[permutation(read.size, seed, epoch + (FIRST_BUFFER + number) * NEXT_PART)])
    return np.concatenate(parts)


def buffers(blocks: Sequence[int], buffer: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the blocks, given by their sizes, that an epoch takes into its buffer each time; one is always taken."""
    found: list[list[int]] = []
    room = 0
    for block in permutation(len(blocks), seed, epoch + BLOCKS * NEXT_PART).tolist():
        if blocks[block] > room or not found:
            found.append([])
            room = buffer
        found[-1].append(block)
        room -= blocks[block]
    return found


def describe_order(n: int, shuffle: bool | BlockShuffle) -> str:
    """Return the order in which epochs visit n samples, for people."""
    if not isinstance(shuffle, BlockShuffle):
        return "all samples shuffled" if shuffle else "as they stand"
    size = min(shuffle.size, n)
    count = -(-n // size)
    if count == 1:
        return f"one block of {n:,} samples, shuffled"
    together = shuffle.buffer // size
    if shuffle.buffer >= n:
        within = "all samples shuffled together"
    else:
        within = f"the samples of {together:,} at a time shuffled" if together > 1 else "the samples of each shuffled"
    return f"{count:,} blocks of {size:,} {'sample' if size == 1 else 'samples'} in a random order, and {within}"
