"""Samples that are read part by part, again in every pass, so that there may be more of them than memory holds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Protocol, runtime_checkable

import numpy as np

from kernels.agreement import KERNELS, SINGLE, check_kernel
from kernels.block_shuffle import BlockShuffle, cut_into_blocks
from kernels.checks import describe
from kernels.model import Model
from kernels.run import Floats
from kernels.samples import Samples

PART = 2**17
LARGEST_BATCH = 2**20


@runtime_checkable
class SampleStream(Protocol):
    """Where samples are read from; `bench.data.open_table` returns one for Parquet and Arrow files.

    Every pass gives the same samples. Their columns are contiguous arrays of float64, all finite.

    Attributes
    ----------
    samples : int
        How many there are.
    inputs : int
        How many columns x has.
    blocks : sequence of int
        The samples in each block: what can be read at once from anywhere, such as a row group. Their sum is `samples`.
    """

    samples: int
    inputs: int
    blocks: Sequence[int]

    def parts(self) -> Iterator[Samples]:
        """Yield all samples in their order: parts of any size, each the inputs, one array for each, and y."""
        ...

    def read(self, block: int) -> Iterator[Samples]:
        """Yield the samples of a block in the same way."""
        ...


class ArrayStream:
    """Arrays, which may be memory maps, as a stream.

    Parameters
    ----------
    x : tuple of array, shape (n,)
        One for each input.
    y : array, shape (n,)
    block : int
        Samples in a block; the last one may have fewer.
    """

    def __init__(self, x: tuple[Floats, ...], y: Floats, block: int = PART) -> None:
        self.x, self.y, self.block = x, y, block
        self.samples, self.inputs = y.size, len(x)
        self.blocks: Sequence[int] = cut_into_blocks(y.size, block)

    def parts(self) -> Iterator[Samples]:
        """Yield the blocks in their order."""
        return chain.from_iterable(map(self.read, range(len(self.blocks))))

    def read(self, block: int) -> Iterator[Samples]:
        """Yield views of the samples of a block."""
        part = slice(block * self.block, (block + 1) * self.block)
        yield tuple(column[part] for column in self.x), self.y[part]


def read_ahead(parts: Iterator[Samples]) -> Iterator[Samples]:
    """Yield the same parts, of which the next is read while the caller works on the last.

    One thread reads. What it raises, the caller gets.
    """
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part


def check_stream(model: Model, stream: SampleStream, y: object, blocks: BlockShuffle | None) -> SampleStream:
    """Return a stream that fits a model, and blocks that it can have.

    Raises
    ------
    ValueError
        If it does not, or `y` is given besides it.
    """
    if y is not None:
        raise ValueError(f"y must not be given besides a stream, which has it, and is {describe(y)}")
    if stream.inputs != len(model.inputs):
        raise ValueError(f"x must be a stream with {len(model.inputs)} inputs for {model.inputs}, not {stream.inputs}")
    if blocks and blocks.size is not None:
        raise ValueError(
            f"shuffle must not say the size of blocks for samples that are streamed, and says {blocks.size}: their "
            'blocks are those of the data; accepted are "blocks" and "blocks(buffer=...)"'
        )
    return stream


def check_streamed(kernel: str, dtype: str, record: str | int, batch_size: int, shuffle: bool | str) -> None:
    """Refuse what there is only for samples in memory that are visited as they stand, or all shuffled.

    Raises
    ------
    ValueError
        Naming it and what is accepted.
    """
    if shuffle is not False and not isinstance(shuffle, str):
        raise ValueError(
            'shuffle must be False or "blocks" with samples that are streamed, which cannot be shuffled all together, '
            f"not {describe(shuffle)}"
        )
    what = "with samples that are streamed or shuffled in blocks"
    check_kernel(kernel, (name for name in SINGLE if not KERNELS[name].maps))
    if dtype != "float64":
        raise ValueError(f"dtype must be 'float64' {what}, not {dtype!r}")
    if record != "epoch":
        raise ValueError(f"record must be 'epoch' {what}, not {record!r}")
    if batch_size > LARGEST_BATCH:
        raise ValueError(f"batch_size must be at most {LARGEST_BATCH} {what}, not {batch_size}")


def mean_over(stream: SampleStream, function: Callable[[tuple[Floats, ...], Floats], float]) -> float:
    """Return the mean over all samples of what `function` returns as the mean over those of a part, (x, y)."""
    total = 0.0
    for x, y in stream.parts():
        total += function(x, y) * (y.size / stream.samples)
    return total


def variance_of_targets(stream: SampleStream) -> float:
    """Return the variance of y, that of the population."""
    _, (variance,) = column_moments([y] for _, y in stream.parts())
    return float(variance)


def column_moments(parts: Iterable[Sequence[Floats]]) -> tuple[Floats, Floats]:
    """Return the mean and the variance, that of the population, of each column.

    Part by part: T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983).

    Parameters
    ----------
    parts : iterable of sequences of array, shape (m,)
        One array for each column; m may differ from part to part.
    """
    count, mean, variance = 0, np.zeros(1), np.zeros(1)
    for columns in parts:
        count += columns[0].size
        share = columns[0].size / count
        distance = np.array([np.mean(column) for column in columns]) - mean
        variance = (1 - share) * variance + share * np.array([np.var(column) for column in columns])
        variance += share * (1 - share) * distance * distance
        mean = mean + share * distance
    return mean, variance
