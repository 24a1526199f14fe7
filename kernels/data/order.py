"""The orders in which epochs visit the samples, drawn from (seed, epoch) with NumPy's generator.

A full shuffle permutes all samples. A block shuffle permutes blocks of consecutive samples, fills a buffer with as many
blocks as it holds, and permutes the samples in the buffer. Any sample may come at any time of an epoch, but its
neighbours come only from the same buffer. If blocks differ much, as in sorted data, this mixes less than a full shuffle
does: L. Xu and others, In-database machine learning with CorgiPile: stochastic gradient descent without full data
shuffle, SIGMOD 2022.

The kernels draw the same orders with `sgdbench.kernels.loops.order`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.checks import check_integer, describe
from sgdbench.kernels.base.spec import make_from_spec

DEFAULT_BLOCK_SIZE = 8192
DEFAULT_BUFFER_SIZE = 2**18
# Up to this many samples, which fit the caches of a core, a run draws the order of the next epoch while it trains the
# current one. With more samples, both would wait for memory.
CACHED_SAMPLES = 2**16
MAX_PLACES = 2**32
"""The places that a number of an order may be."""
# The parts of an epoch that are drawn besides the order of all samples: the order of blocks, and of each buffer.
ORDER_OF_BLOCKS, ORDER_OF_FIRST_BUFFER, PART_STRIDE = 1, 2, 2**32
ORDERED_PLACES = 1024
"""The places 0, 1, 2, ... before the drawn ones, so that unshuffled samples are also visited by places."""
PREFETCHED_SAMPLES = 128
"""With many samples, this many are trained while the next ones are prefetched."""
# Indices into `Order.head` and `Order.ahead`.
BLOCK_SIZE, BUFFER_SIZE, STRIDE, NEXT_PLACE, END_OF_PLACES, NEXT_BLOCK, BUFFERS = range(7)
AHEAD_LOADS, AHEAD_SEED, AHEAD_EPOCH, AHEAD_BEGIN, AHEAD_LEFT, AHEAD_STATE = range(6)


class Order(NamedTuple):
    """The places of the samples in visiting order, as far as they have been drawn.

    Attributes
    ----------
    head : array of int64, shape (7,)
        The distance between samples, by which places are multiplied. For a block shuffle: the samples per block and per
        buffer, the next place and the end of the places drawn (counted from `ORDERED_PLACES`), the next block, and the
        number of buffers drawn.
    blocks : array of uint32
        The order of the blocks; empty for a full shuffle.
    places : array of uint32
        `ORDERED_PLACES` places in order, then the places drawn: for two epochs, for one, or for a buffer and a batch.
    ahead : array of uint64, shape (9,)
        Whether samples are prefetched. Then the order of the next epoch: its seed, the epoch (counted from 1), where
        its places begin, how many are left to swap, and the state of the generator.
    """

    head: NDArray[np.int64]
    blocks: NDArray[np.uint32]
    places: NDArray[np.uint32]
    ahead: NDArray[np.uint64]


class BlockShuffle(NamedTuple):
    """A shuffle of blocks of samples, and of the samples in a buffer of some blocks.

    Attributes
    ----------
    size : int
        Samples per block; the last block may have fewer.
    buffer : int
        The maximum number of samples shuffled together; a larger block is shuffled by itself.
    """

    size: int = DEFAULT_BLOCK_SIZE
    buffer: int = DEFAULT_BUFFER_SIZE

    def __str__(self) -> str:
        return f"blocks(size={self.size}, buffer={self.buffer})"


def make_shuffle(shuffle: bool | str) -> bool | BlockShuffle:
    """Return the shuffle for a setting: True, False, ``"blocks"`` or ``"blocks(size=8192, buffer=1048576)"``."""
    if isinstance(shuffle, (bool, np.bool_)):
        return bool(shuffle)
    if isinstance(shuffle, str) and shuffle.strip().startswith("blocks"):
        return make_from_spec(shuffle, {"blocks": _blocks}, "shuffle")
    raise ValueError(f"shuffle must be True, False or 'blocks', not {describe(shuffle)}")


def canonical_shuffling(text: str) -> str:
    """Return the canonical text of a shuffle, ``"all"`` samples or blocks as for `make_shuffle`, with all options."""
    builders: dict[str, Callable[..., object]] = {"all": lambda: "all", "blocks": _blocks}
    return str(make_from_spec(text, builders, "shuffling"))


def _blocks(size: int = DEFAULT_BLOCK_SIZE, buffer: int = DEFAULT_BUFFER_SIZE) -> BlockShuffle:
    return BlockShuffle(check_integer("size", size), check_integer("buffer", buffer))


def allocate_order(n: int, shuffle: bool | BlockShuffle, batch_size: int = 1, stride: int = 1) -> Order:
    """Return space for an order (`sgdbench.kernels.loops.order`) of n samples that are visited in batches of this size.

    Shuffled samples are `stride` numbers apart.
    """
    if shuffle and n >= 2**31:
        raise ValueError(f"shuffle must be False for 2**31 samples or more, and there are {n}")
    block = capacity = n
    blocks, drawn = 0, 0
    if isinstance(shuffle, BlockShuffle):
        block = min(shuffle.size, n)
        capacity, blocks = min(n, max(shuffle.buffer, block)), -(-n // block)
        drawn = capacity + batch_size
    elif shuffle:
        drawn = 2 * n if n <= CACHED_SAMPLES else n
    # Prefetching reads past the last place; these places are valid and unused.
    places = np.zeros(ORDERED_PLACES + drawn + PREFETCHED_SAMPLES, np.uint32)
    places[:ORDERED_PLACES] = np.arange(ORDERED_PLACES)
    head = np.array([block, capacity, stride, 0, 0, 0, 0])
    return Order(head, np.zeros(blocks, np.uint32), places, np.zeros(AHEAD_STATE + 4, np.uint64))


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the Fisher-Yates shuffle of 0..n-1 with the draws of NumPy's SFC64, seeded by (seed, epoch)."""
    bits = np.random.SFC64()
    words = np.array([seed, epoch, 0, 1], dtype=np.uint64)
    bits.state = {"bit_generator": "SFC64", "state": {"state": words}, "has_uint32": 0, "uinteger": 0}
    bits.random_raw(18, output=False)
    order = list(range(n))  # swapping list items takes half the time of swapping array elements
    if n > 1:
        draws = np.random.Generator(bits).integers(np.arange(n, 1, -1)).tolist()
        for i, j in zip(range(n - 1, 0, -1), draws, strict=True):
            order[i], order[j] = order[j], order[i]
    return np.array(order, np.int64)


def visiting_order(n: int, order: Order, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the places of n samples in the order in which an epoch visits them, shape (n,)."""
    if not order.blocks.size:
        return permutation(n, seed, epoch)
    block, capacity = int(order.head[BLOCK_SIZE]), int(order.head[BUFFER_SIZE])
    begins = np.arange(0, n, block)
    sizes = np.minimum(block, n - begins)
    parts = []
    for number, group in enumerate(buffers(sizes.tolist(), capacity, seed, epoch)):
        read = np.concatenate([np.arange(begins[block], begins[block] + sizes[block]) for block in group])
        parts.append(read[permutation(read.size, seed, epoch + (ORDER_OF_FIRST_BUFFER + number) * PART_STRIDE)])
    return np.concatenate(parts)


def buffers(blocks: Sequence[int], buffer: int, seed: int, epoch: int) -> list[list[int]]:
    """Return, for each filling of the buffer, the blocks in it, given by their sizes; it holds at least one."""
    found: list[list[int]] = []
    room = 0
    for block in permutation(len(blocks), seed, epoch + ORDER_OF_BLOCKS * PART_STRIDE).tolist():
        if blocks[block] > room or not found:
            found.append([])
            room = buffer
        found[-1].append(block)
        room -= blocks[block]
    return found


def describe_order(n: int, shuffle: bool | BlockShuffle) -> str:
    """Return a description of the order in which epochs visit n samples."""
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
