"""Iteration over samples in pieces, so that intermediate results stay in the caches, and memory maps on disk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import Samples

# Least squares of a quadratic take 12 ns per sample in such pieces, and 31 ns in pieces four times as large.
SAMPLES_PER_PIECE = 2**15
N = TypeVar("N", float, Floats)


def in_pieces(samples: Samples, most: int = SAMPLES_PER_PIECE) -> Iterator[Samples]:
    """Yield views of all samples, in pieces of at most `most`."""
    x, y = samples
    for first in range(0, y.size, most):
        piece = slice(first, first + most)
        yield tuple(column[piece] for column in x), y[piece]


def mean_over(samples: Samples, function: Callable[[tuple[Floats, ...], Floats], N]) -> N:
    """Return the mean over all samples of `function(x, y)`, which returns the mean over a piece."""
    total: Any = 0.0
    for x, y in in_pieces(samples):
        total += function(x, y) * (y.size / samples[1].size)
    mean: N = total
    return mean


@np.errstate(over="ignore")  # infinity is a valid result
def variance(values: Floats) -> float:
    """Return the population variance of numbers; exactly 0 if all are equal, although their mean may be rounded."""
    _, (variances,) = column_moments([y - values[0]] for _, y in in_pieces(((), values)))
    return float(variances)


def column_moments(pieces: Iterable[Sequence[Floats]]) -> tuple[Floats, Floats]:
    """Return the means and the population variances of columns that come in pieces of any size.

    T. F. Chan, G. H. Golub, R. J. LeVeque, The American Statistician 37 (1983).
    """
    count, mean, variance = 0, np.zeros(1), np.zeros(1)
    for columns in pieces:
        if not columns[0].size:
            continue
        count += columns[0].size
        share = columns[0].size / count
        distance = np.array([np.mean(column) for column in columns]) - mean
        variance = (1 - share) * variance + share * np.array([np.var(column) for column in columns])
        variance += share * (1 - share) * distance * distance
        mean = mean + share * distance
    return mean, variance
