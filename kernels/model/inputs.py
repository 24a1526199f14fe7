"""The inputs of a model: single columns of data and groups of columns, by their names in the expression."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sgdbench.kernels.base.checks import check_sequence, describe
from sgdbench.kernels.model.column_names import ALL_INPUTS, column_name, is_name
from sgdbench.kernels.model.expression import reads_as_number

Given = Sequence[str] | Mapping[str, str | Sequence[str]]


class Inputs(NamedTuple):
    """The inputs of a model.

    Attributes
    ----------
    columns : tuple of str
        The names of all columns.
    groups : dict
        From the name of a group to its first column and its number of columns.
    single : dict
        From a name to the index of its column.
    """

    columns: tuple[str, ...]
    groups: dict[str, tuple[int, int]]
    single: dict[str, int]


def read_inputs(given: Given, *, has_products: bool = False) -> Inputs:
    """Return inputs given as names, which together form the group ``x``, or as a mapping to columns and groups.

    In an expression with products, columns may have any headings. A column can also be used by itself, under the name
    that `sgdbench.kernels.model.column_names.column_name` gives it, unless another column has the same name.
    """
    columns: tuple[str, ...]
    groups: dict[str, tuple[int, int]]
    single: dict[str, int]
    if not isinstance(given, Mapping):
        columns = check_distinct("inputs", given) if has_products else check_names("inputs", given)
        groups = {ALL_INPUTS: (0, len(columns))} if columns else {}
        called = [column_name(column) if has_products else column for column in columns]
        counts = Counter([*called, ALL_INPUTS])
        single = {
            name: place
            for place, (name, column) in enumerate(zip(called, columns, strict=True))
            if name == column or counts[name] == 1
        }
        return Inputs(columns, groups, single)
    check_names("inputs", list(given))
    columns, groups = (), {}
    single = {}
    for name, value in given.items():
        if isinstance(value, str):
            single[name] = len(columns)
            columns += (value,)
        elif not isinstance(value, Sequence) or not value or not all(isinstance(column, str) for column in value):
            raise ValueError(f"inputs[{name!r}] must be the name of a column or a list of them, not {describe(value)}")
        else:
            groups[name] = len(columns), len(value)
            columns += tuple(value)
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(f"inputs must name each column once, and {twice!r} occurs twice")
    return Inputs(columns, groups, single)


def check_names(what: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return names after checking that they are valid in an expression and distinct."""
    listed = check_sequence(what, texts)
    for name in listed:
        if not is_name(name):
            fault = "reads as a number" if isinstance(name, str) and reads_as_number(name) else "is none"
            raise ValueError(f"{what} must be names, and {describe(name)} {fault}")
    return check_distinct(what, listed)


def check_distinct(what: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return texts after checking that they are distinct."""
    listed = check_sequence(what, texts)
    if wrong := [name for name in listed if not isinstance(name, str) or not name]:
        raise ValueError(f"{what} must be texts, not {describe(wrong[0])}")
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise ValueError(f"{what} must be distinct, and {twice!r} occurs twice")
    return listed
