"""Samples of a data set that are held out: some decide which settings are best, others only tell how good that is."""

from dataclasses import replace

import numpy as np

from bench.data.column_file import ROWS, temporary_columns
from bench.data.table import Dataset
from kernels.base.run import Floats
from kernels.data.validation import Places, choose_split


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
        data = replace(data, validation=_take(data, held_out))
    if test is not None:
        data = replace(data, test=_take(data, for_test))
    x, y = _take(data, ~(held_out | for_test))
    return replace(data, x=x, y=y)


def _take(data: Dataset, chosen: Places) -> tuple[Floats, Floats]:
    """Return some of the samples; those of memory maps are written to a file, and mapped too."""
    if data.mapped_in is None:
        return data.x[chosen], data.y[chosen]
    taken = temporary_columns(data.mapped_in, int(np.count_nonzero(chosen)), data.x.shape[1] + 1)
    first = 0
    for begin in range(0, data.y.size, ROWS):
        piece = slice(begin, begin + ROWS)
        rows = np.column_stack([data.x[piece], data.y[piece]])[chosen[piece]]
        taken[first : first + len(rows)] = rows
        first += len(rows)
    return taken[:, :-1], taken[:, -1]


def add_held_out(data: Dataset, other: Dataset | None = None, *, test: Dataset | None = None) -> Dataset:
    """Return the data with the samples of other data sets, of the same columns, as its `validation` and its `test`."""
    if other is not None:
        data = replace(data, dropped=data.dropped + other.dropped, validation=(other.x, other.y))
    if test is not None:
        data = replace(data, dropped=data.dropped + test.dropped, test=(test.x, test.y))
    return data
