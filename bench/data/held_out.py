"""Held-out samples of a data set: validation samples decide which settings are best, test samples decide nothing."""

import os
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np

from sgdbench.data.column_file import row_slices, write_samples
from sgdbench.data.table import Dataset
from sgdbench.data.table_errors import join_names
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.validation import Places, choose_split


def hold_out_share(data: Dataset, share: float | None = None, *, test: float | None = None) -> Dataset:
    """Return the data with a share of the samples held out as `validation`, and another as `test`.

    They are the samples that `sgdbench.fit` holds out for ``validation=share`` and ``test=test``.

    Raises
    ------
    ValueError
        If no sample would be held out or none left to train on, or if such samples are already held out.
    """
    _check_once(data, validation=share, test=test)
    if share is None and test is None:
        return data
    held_out, for_test = choose_split(data.y.size, share, test)
    if share is not None:
        data = replace(data, validation=_take(data, held_out))
    if test is not None:
        data = replace(data, test=_take(data, for_test))
    x, y = _take(data, ~(held_out | for_test))
    return replace(data, x=x, y=y)


def _take(data: Dataset, chosen: Places) -> tuple[Floats, Floats]:
    """Return some of the samples; those of memory maps are written to a file that is mapped too."""
    if data.mapped_in is None:
        return data.x[chosen], data.y[chosen]
    pieces = ((data.x[rows][chosen[rows]], data.y[rows][chosen[rows]]) for rows in row_slices(data.y.size))
    return write_samples(pieces, int(np.count_nonzero(chosen)), data.x, data.mapped_in)


def read_held_out(data: Dataset, read: Callable[[str], Dataset], validation: str | None, test: str | None) -> Dataset:
    """Return the data with the samples of other files, loaded by `read`, as its `validation` and its `test`."""
    check_files(data.source, validation, test)
    other, for_test = (None if path is None else read(path) for path in (validation, test))
    return add_held_out(data, other, test=for_test)


def check_files(data: str, validation: str | None, test: str | None) -> None:
    """Refuse one file for two of training, validation and test, which must not share samples."""
    uses = {"the data": data, "the held-out samples": validation, "the test": test}
    for (use, path), (another, same) in combinations(uses.items(), 2):
        if path is not None and same is not None and os.path.realpath(path) == os.path.realpath(same):
            raise ValueError(
                f"{path} is the file of {use} and of {another}: give another file, or a share of the rows such as 0.2"
            )


def add_held_out(data: Dataset, other: Dataset | None = None, *, test: Dataset | None = None) -> Dataset:
    """Return the data with the samples of other data sets as its `validation` and its `test`.

    Raises
    ------
    ValueError
        If they have other columns or classes, as without ``load_table(..., like=data)``, or if such samples are already
        held out.
    """
    _check_once(data, validation=other, test=test)
    for held_out in (other, test):
        if held_out is not None:
            _check_alike(data, held_out)
            data = replace(data, dropped_held_out=data.dropped_held_out + held_out.dropped)
    if other is not None:
        data = replace(data, validation=(other.x, other.y))
    return data if test is None else replace(data, test=(test.x, test.y))


def _check_once(data: Dataset, **parts: object) -> None:
    """Refuse to replace held-out samples by others, because they would then have no use at all."""
    for name, given in parts.items():
        if given is not None and getattr(data, name) is not None:
            raise ValueError(f"data must not hold out samples for {name} already, which would be lost")


def _check_alike(data: Dataset, other: Dataset) -> None:
    """Refuse samples whose columns or classes differ from those of the data."""
    columns, others = ([*one.x_names, one.y_name] for one in (data, other))
    if columns != others:
        raise ValueError(
            f"{other.source} must have the columns of {data.source}, {join_names(columns)}, not {join_names(others)}"
        )
    if data.classes != other.classes or data.categories != other.categories:
        kind = "classes" if data.classes != other.classes else "categories"
        raise ValueError(f"{other.source} must have the {kind} of {data.source}: give load_table its data as like")
