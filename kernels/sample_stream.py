"""Samples that are read part by part, again in every pass, so that there may be more of them than memory holds."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from kernels.block_shuffle import BlockShuffle, cut_into_blocks
from kernels.checks import check_integer, describe
from kernels.model import Model
from kernels.run import Floats
from kernels.samples import Samples

# As many as stay in the caches: least squares of a quadratic take 12 ns a sample, and 31 with four times as many.
SAMPLES_PER_PART = 2**15
LARGEST_BATCH = 2**20
N = TypeVar("N", float, Floats)


@runtime_checkable
class SampleStream(Protocol):
    """Where samples are read from; `bench.data.open_table` returns one for Parquet and Arrow files.

    Every pass gives the same samples. Their columns are arrays of real numbers, all finite. A part must stay as it is
    when the next one is asked for, which another thread does to read ahead.

    Attributes
    ----------
    samples : int
        How many there are.
    inputs : int
        How many columns x has.
    blocks : sequence of int
        The samples in each block: what can be read at once from anywhere, such as a row group. Their sum is `samples`.

    A stream that knows the names of its inputs has them as `x_names`. One that has words for the place of a sample says
    them by `describe_row(row)`.
    """

    samples: int
    inputs: int
    blocks: Sequence[int]

    def parts(self) -> Iterator[Samples]:
        """Yield all samples in their order, in parts of any size: a tuple of the inputs, one array for each, and y."""
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

    def __init__(self, x: tuple[Floats, ...], y: Floats, block: int = SAMPLES_PER_PART) -> None:
        for column in x:
            if column.shape != y.shape:
                raise ValueError(f"x must be columns of the shape of y, {y.shape}, not {column.shape}")
        self.x, self.y, self.block = x, y, check_integer("block", block)
        self.samples, self.inputs = y.size, len(x)
        self.blocks: Sequence[int] = cut_into_blocks(y.size, block)

    def parts(self) -> Iterator[Samples]:
        """Yield the blocks in their order."""
        return chain.from_iterable(map(self.read, range(len(self.blocks))))

    def read(self, block: int) -> Iterator[Samples]:
        """Yield views of the samples of a block."""
        part = slice(block * self.block, (block + 1) * self.block)
        yield tuple(column[part] for column in self.x), self.y[part]


def read_ahead(parts: Iterator[Samples]) -> Generator[Samples, None, None]:
    """Yield the same parts, of which the next is read while the caller works on the last.

    One thread reads. What it raises, the caller gets.
    """
    with ThreadPoolExecutor(1, "read-ahead") as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part


def checked_parts(stream: SampleStream, parts: Iterable[Samples], samples: int) -> Generator[Samples, None, None]:
    """Yield parts of a stream, but those without samples.

    Raises
    ------
    ValueError
        If a part is no inputs and y of one length, or there are more or fewer samples than `samples`.
    """
    seen = 0
    for x, y in parts:
        if len(x) != stream.inputs or any(np.shape(column) != np.shape(y) for column in x):
            shapes = ", ".join(str(np.shape(column)) for column in x)
            raise ValueError(
                f"a part of a stream must be {stream.inputs} inputs and y of one shape (m,), not ({shapes}) and "
                f"{np.shape(y)}"
            )
        seen += y.size
        if seen > samples:
            break
        if y.size:
            yield x, y
    if seen != samples:
        found = "more" if seen > samples else f"{seen:,}"
        raise ValueError(f"a stream must give as many samples as it says, {samples:,}, and gave {found}")


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
    names = getattr(stream, "x_names", model.inputs)
    if set(names) == set(model.inputs) and tuple(names) != tuple(model.inputs):
        raise ValueError(f"x must have its columns in the order of the model's inputs, {model.inputs}, not {names}")
    if sum(stream.blocks) != stream.samples or min(stream.blocks, default=0) < 0 or stream.samples < 1:
        raise ValueError(
            f"a stream must have blocks that are all of its samples, at least one, and has {stream.samples:,} samples "
            f"and {sum(stream.blocks):,} in blocks"
        )
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
    if dtype != "float64":
        raise ValueError(f"dtype must be 'float64' {what}, not {dtype!r}")
    if record != "epoch":
        raise ValueError(f"record must be 'epoch' {what}, not {record!r}")
    if batch_size > LARGEST_BATCH:
        raise ValueError(f"batch_size must be at most {LARGEST_BATCH} {what}, not {batch_size}")


def small_parts(stream: SampleStream) -> Iterator[Samples]:
    """Yield all samples in parts whose intermediate results stay in the caches."""
    for x, y in checked_parts(stream, stream.parts(), stream.samples):
        for first in range(0, y.size, SAMPLES_PER_PART):
            part = slice(first, first + SAMPLES_PER_PART)
            yield tuple(column[part] for column in x), y[part]


def mean_over(stream: SampleStream, function: Callable[[tuple[Floats, ...], Floats], N]) -> N:
    """Return the mean over all samples of what `function` returns as the mean over those of a part, (x, y)."""
    total: Any = 0.0
    for x, y in small_parts(stream):
        total += function(x, y) * (y.size / stream.samples)
    mean: N = total
    return mean


def variance_of_targets(stream: SampleStream) -> float:
    """Return the variance of y, that of the population."""
    _, (variance,) = column_moments([y] for _, y in small_parts(stream))
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
        if not columns[0].size:
            continue
        count += columns[0].size
        share = columns[0].size / count
        distance = np.array([np.mean(column) for column in columns]) - mean
        variance = (1 - share) * variance + share * np.array([np.var(column) for column in columns])
        variance += share * (1 - share) * distance * distance
        mean = mean + share * distance
    return mean, variance
