"""The order of an epoch whose samples are too many, or too far away, to be shuffled all together.

The blocks of the data come in an order that is drawn anew for each epoch. As many as a buffer holds are read at a time,
and the samples in it are shuffled as by `kernels.order`. All draws are from (seed, epoch), so that the order does not
depend on how the samples are read. A sample may come at any time of an epoch, but next to it come only samples of the
blocks in its buffer. Where blocks differ much, as in data that are sorted, that is less than a full shuffle: L. Xu and
others, In-database machine learning with CorgiPile: stochastic gradient descent without full data shuffle, SIGMOD 2022.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.checks import check_integer
from kernels.reference import permutation
from kernels.spec import make_from_spec

BLOCK = 8192
BUFFER = 2**18
# Parts of what is drawn in an epoch: the order of the blocks, and that of the samples in each buffer. Part 0 would be
# the order of all samples, of a full shuffle.
BLOCKS, FIRST_BUFFER = 1, 2
NEXT_PART = 2**32


class BlockShuffle(NamedTuple):
    """How the samples of an epoch are shuffled.

    Attributes
    ----------
    size : int or None
        Samples in a block; None for those that the data have, such as the row groups of a file.
    buffer : int
        The samples that are shuffled together, at most; a block that is larger is by itself.
    """

    size: int | None = None
    buffer: int = BUFFER


def make_block_shuffle(text: str) -> BlockShuffle:
    """Return what ``"blocks"`` or ``"blocks(size=8192, buffer=1048576)"`` says.

    Raises
    ------
    ValueError
        For any other text.
    """
    return make_from_spec(text, {"blocks": _blocks}, "shuffle")


def _blocks(size: int | None = None, buffer: int = BUFFER) -> BlockShuffle:
    return BlockShuffle(None if size is None else check_integer("size", size), check_integer("buffer", buffer))


def cut_into_blocks(n: int, size: int | None) -> list[int]:
    """Return the sizes of the blocks of n samples in arrays; the last one may be smaller."""
    size = size or BLOCK
    whole, rest = divmod(n, size)
    return [size] * whole + [rest] * (rest > 0)


def draw_key(epoch: int, part: int) -> int:
    """Return what takes the place of the epoch where the order of a part of it is drawn."""
    return epoch + part * NEXT_PART


def buffers(blocks: Sequence[int], buffer: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the blocks that an epoch reads into its buffer each time, in the order in which it does.

    Parameters
    ----------
    blocks : sequence of int
        The samples in each.
    buffer : int
        How many it holds, at least one block.
    seed, epoch : int
    """
    found: list[list[int]] = []
    room = 0
    for block in permutation(len(blocks), seed, draw_key(epoch, BLOCKS)).tolist():
        if blocks[block] > room or not found:
            found.append([])
            room = buffer
        found[-1].append(block)
        room -= blocks[block]
    return found


def visiting_order(blocks: Sequence[int], buffer: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits the samples, as places in the data, shape (n,).

    The parameters are those of `buffers`.
    """
    begins = np.cumsum(blocks) - blocks
    order = []
    for number, group in enumerate(buffers(blocks, buffer, seed, epoch)):
        read = np.concatenate([np.arange(begins[block], begins[block] + blocks[block]) for block in group])
        order.append(read[permutation(read.size, seed, draw_key(epoch, FIRST_BUFFER + number))])
    return np.concatenate(order)


def describe_order(shuffle: bool | BlockShuffle, blocks: Sequence[int] = ()) -> str:
    """Return the order in which epochs visit the samples, for people.

    Parameters
    ----------
    shuffle : bool or BlockShuffle
    blocks : sequence of int
        The samples in each, where they are shuffled.
    """
    if not isinstance(shuffle, BlockShuffle):
        return "all samples shuffled" if shuffle else "as they stand"
    least, most = min(blocks), max(blocks)
    if len(blocks) == 1:
        return f"one block of {most:,} samples, shuffled"
    alike = len(set(blocks[:-1])) == 1 and blocks[-1] <= blocks[0]
    sizes = f"{most:,}" if alike else f"{least:,} to {most:,}"
    if shuffle.buffer >= sum(blocks):
        within = "all samples shuffled together"
    elif alike:
        together = shuffle.buffer // most
        within = f"the samples of {together:,} at a time shuffled" if together > 1 else "the samples of each shuffled"
    else:
        within = f"up to {shuffle.buffer:,} samples at a time, or those of one block, shuffled"
    return f"{len(blocks):,} blocks of {sizes} {'sample' if most == 1 else 'samples'} in a random order, and {within}"
