"""Samples of a data set that are held out: some decide which settings are best, others only tell how good that is."""

from dataclasses import replace

from bench.data.table import Dataset
from kernels.validation import choose_split


def hold_out_share(data: Dataset, share: float | None = None, *, test: float | None = None) -> Dataset:
    """Return the data without a share of their samples, which are its `validation`, and another, its `test`.

    They are those that `kernels.fit` holds out for ``validation=share`` and ``test=test``.

    Raises
    ------
    ValueError
        If no sample would be held out, or none left to train on.
    """
    held_out, for_test = choose_split(data.y.size, share, test)
    if share is not None:
        data = replace(data, validation=(data.x[held_out], data.y[held_out]))
    if test is not None:
        data = replace(data, test=(data.x[for_test], data.y[for_test]))
    left = ~(held_out | for_test)
    return replace(data, x=data.x[left], y=data.y[left])


def add_held_out(data: Dataset, other: Dataset | None = None, *, test: Dataset | None = None) -> Dataset:
    """Return the data with the samples of other data sets, of the same columns, as its `validation` and its `test`."""
    if other is not None:
        data = replace(data, dropped=data.dropped + other.dropped, validation=(other.x, other.y))
    if test is not None:
        data = replace(data, dropped=data.dropped + test.dropped, test=(test.x, test.y))
    return data
