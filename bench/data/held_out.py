"""Samples of a data set that are held out, so that settings can be judged by data on which nothing was trained."""

from dataclasses import replace

from bench.data.table import Dataset
from kernels.validation import choose_split


def hold_out_share(data: Dataset, share: float) -> Dataset:
    """Return the data without a share of their samples, which are its `validation`.

    They are those that `kernels.fit` holds out for ``validation=share``.

    Raises
    ------
    ValueError
        If no sample would be held out, or none left to train on.
    """
    held_out = choose_split(data.y.size, share)
    return replace(data, x=data.x[~held_out], y=data.y[~held_out], validation=(data.x[held_out], data.y[held_out]))


def add_held_out(data: Dataset, other: Dataset) -> Dataset:
    """Return the data with the samples of another data set, of the same columns, held out."""
    return replace(data, dropped=data.dropped + other.dropped, validation=(other.x, other.y))
