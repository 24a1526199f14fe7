"""How many independent runs the runs of a choice are worth.

Runs with one seed from several starts visit the samples in the same order. Where they forget their starts they end
alike, and three starts with twenty seeds say no more than twenty runs. The design effect (L. Kish, Survey Sampling,
1965) is the variance of a mean over the runs, relative to that over as many independent ones.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kernels.base.run import Floats

# The design effect of few seeds is not well known: it is averaged with the largest one, or with that of other choices,
# as if there were this many more seeds.
MORE_SEEDS = 2


class Pairs(NamedTuple):
    """The start and the seed of each column of a matrix of runs, as numbers from 0, shape (pairs,) each."""

    starts: NDArray[np.intp]
    seeds: NDArray[np.intp]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Pairs":
        """Return those of the runs of a frame, by its columns `init` and `seed`."""
        return cls(*(pd.factorize(frame[name])[0] for name in ("init", "seed")))


def design_effects(
    values: Floats, pairs: Pairs | None, usual: NDArray[np.bool_] | None = None, unknown: float = 1.0
) -> Floats:
    """Return the design effect of each row of a matrix of runs, from 1 to the number of starts; shape (rows,).

    The `values`, shape (rows, pairs), are finite, or NaN for runs that were not made; without `pairs` runs are
    independent. The starts are given, and the seeds are drawn: what counts is the difference of a run from the mean of
    its start, and the sums of these over the starts of a seed. Where seeds make no difference, the effect is what the
    rows `usual` together tell, or `unknown` where seeds make none in any of them.
    """
    if pairs is None or not pairs.starts.max(initial=0):
        return np.ones(len(values))
    made = ~np.isnan(values)
    given = np.where(made, values, 0.0)
    means = _sum_groups(given, pairs.starts) / np.maximum(_sum_groups(made, pairs.starts), 1)
    rest = np.where(made, given - means[:, pairs.starts], 0.0)
    rest[np.abs(rest) <= 1e-9 * np.abs(given)] = 0.0  # rounding
    among, within = (_sum_groups(rest, pairs.seeds) ** 2).sum(axis=1), (rest**2).sum(axis=1)
    starts, seeds = _sum_groups(made, pairs.seeds).max(axis=1, initial=1), pairs.seeds.max() + 1
    known = usual is not None and bool(within[usual].any())
    expected = among[usual].sum() / within[usual].sum() if known else starts
    with np.errstate(invalid="ignore", divide="ignore"):
        effects = (seeds * among / within + MORE_SEEDS * expected) / (seeds + MORE_SEEDS)
    return np.asarray(np.clip(np.where(within > 0, effects, expected if known else unknown), 1.0, starts))


def count_independent(counts: Floats | NDArray[np.intp] | int, effects: Floats | float) -> NDArray[np.int64]:
    """Return the number of independent runs that runs count as, by their design effects, rounded down."""
    return np.asarray(np.floor(counts / effects + 1e-9), dtype=np.int64)


def scale_rank(rank: int, of: int, count: int) -> int:
    """Return the place among `count` sorted values at the share of the sample at which `rank` is among `of`."""
    return ((2 * rank + 1) * count - of) // (2 * of)


def _sum_groups(values: Floats | NDArray[np.bool_], numbers: NDArray[np.intp]) -> Floats:
    """Return the sums of the columns with each number, shape (rows, numbers)."""
    order = np.argsort(numbers, kind="stable")
    begins = np.searchsorted(numbers[order], np.arange(numbers.max() + 1))
    return np.add.reduceat(values[:, order], begins, axis=1, dtype=np.float64)
