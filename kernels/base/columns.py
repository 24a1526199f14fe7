"""The inputs of a model as columns: arrays are matched by position, tables by name.

A table is a mapping of names to columns, or a data frame: of pandas, or of any package whose frames list their column
names and return a column by name.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import check_array, describe, list_names
from sgdbench.kernels.base.run import Floats

# pandas.get_dummies makes indicator columns of bools.
NUMBER_OR_BOOL_KINDS = "biuf"
Inputs = ArrayLike | Mapping[str, ArrayLike] | None
Params = ArrayLike | Mapping[str, ArrayLike | Mapping[str, float]]
"""Values of parameters: in order, or by name; those of a vector also by the names of its inputs."""


def stack_columns(columns: Sequence[Floats], n: int) -> Floats:
    """Return columns of n values as the rows of one array, shape (len(columns), n); `columns` may be empty."""
    return np.reshape(columns, (len(columns), n))


def input_columns(inputs: Sequence[str], x: Inputs, *, by_row: bool = False) -> tuple[Floats, ...]:
    """Return the inputs as contiguous columns, without a copy if they already are.

    Parameters
    ----------
    inputs : sequence of str
    x : array, shape (n,) for one input or (n, inputs), or a table; None for no inputs
        Other columns of a table are ignored. A tuple of one array per input, shape (n,), as in
        `sgdbench.FitResult.validation`, is a sequence of columns.
    by_row : bool
        Whether the columns of an array are views of it, so that the inputs of a sample stay adjacent.
    """
    if not inputs:
        if x is not None and getattr(x, "shape", ())[1:] != (0,):
            raise ValueError(f"x must be None for a model without inputs, not {describe(x)}")
        return ()
    if x is None:
        raise ValueError(f"x must be given, for the inputs {describe(tuple(inputs))}")
    if (
        isinstance(x, tuple)
        and len(x) == len(inputs)
        and all(isinstance(one, np.ndarray) and one.ndim == 1 for one in x)
    ):
        x = dict(zip(inputs, x, strict=True))
    names = column_names(x)
    return _columns_of_array(inputs, x, by_row=by_row) if names is None else _columns_of_table(inputs, x, names)


def column_names(x: Any) -> list[object] | None:
    """Return the column names of a table; None for anything else, such as an array or a pandas Series.

    Raises
    ------
    ValueError
        For a lazy frame, which is a query and has no columns yet, and for a structured array.
    """
    if isinstance(x, Mapping):
        return list(x)
    if isinstance(x, np.ndarray) and x.dtype.names:
        raise ValueError(
            "x must be a table or an array of numbers, not a structured array: convert it with pandas.DataFrame(x)"
        )
    if hasattr(type(x), "collect"):
        raise ValueError(f"x must be a table in memory, not a {type(x).__name__}: call its collect() first")
    # A Series (one dimension) exposes the labels of its index as attributes; Arrow tables have both attributes.
    if not hasattr(x, "columns") or getattr(x, "ndim", 2) != 2:
        return None
    return list(x.column_names if hasattr(x, "column_names") else x.columns)


def target_name(x: Any, y: Any) -> object:
    """Return the name of the column of x that the targets are; None if x has no such column."""
    name = _name_of(y)
    return name if name in (column_names(x) or []) else None


def _name_of(y: Any) -> object:
    return y if isinstance(y, str) else getattr(y, "name", None)


def take_targets(x: Any, y: Any, called: str = "y") -> tuple[Any, Any]:
    """Return inputs and targets; y may be a column of x or its name, which is then not an input."""
    names = column_names(x) or []
    name = _name_of(y)
    if name is not None and hasattr(x, "column_names"):  # an Arrow table returns no column for a duplicated name
        for one in names:
            _check_single(str(one), names.count(one))
    if isinstance(y, str):
        if y not in names:
            known = f"a table of the columns {list_names(map(repr, names))}" if names else "an array"
            raise ValueError(
                f"{called} must be targets or the name of a column of x, not {describe(y)}, where x is {known}"
            )
        _check_single(y, names.count(y))
        y = x[name]
    elif name is None or name not in names or not _are_equal(x[name], y):
        return x, y
    return {one: x[one] for one in names if one != name}, y


def _check_single(name: str, count: int) -> None:
    if count > 1:
        raise ValueError(f"x has {count} columns {name!r}: rename all but one")


def _are_equal(column: Any, y: Any) -> bool:
    try:
        return np.array_equal(column, y)
    except TypeError:  # pandas.NA in an object column, which is refused in any case
        return False


def check_row_order(x: Any, y: Any) -> None:
    """Refuse pandas data whose labels come in different orders: samples are matched by position."""
    columns, which, remedy = [x], "x and y", "take y.loc[x.index]"
    if isinstance(x, Mapping):
        columns, which, remedy = list(x.values()), "the columns of x and y", "pandas.DataFrame aligns them"
    indices = [getattr(one, "index", None) for one in (*columns, y)]
    indexes: list[Any] = [index for index in indices if hasattr(index, "equals")]  # list.index is a method
    for other in indexes[1:]:
        first, ends = indexes[0], (*other[:1], *other[-1:])
        with suppress(TypeError):  # lists and unhashable labels are not compared
            if len(first) != len(other) or first.equals(other) or any(label not in first for label in ends):
                continue
            # Python's labels: indexes of different types may be equal, and pandas compares only some types.
            places = {label: place for place, label in enumerate(first.tolist())}
            order, every = [places.get(label) for label in other.tolist()], range(len(other))
            if order != list(every) and set(order) == set(every):
                raise ValueError(f"{which} must be in the same order, but their indexes differ: {remedy}")


def _columns_of_array(inputs: Sequence[str], x: Any, *, by_row: bool) -> tuple[Floats, ...]:
    table = check_array("x", x, NUMBER_OR_BOOL_KINDS)
    if table.ndim == 1:
        table = table[:, np.newaxis]
    if table.ndim != 2 or table.shape[1] != len(inputs):
        shape = f"(n, {len(inputs)})" if len(inputs) > 1 else "(n,) or (n, 1)"
        raise ValueError(f"x must have shape {shape} for the inputs {list_names(inputs)}, not {np.shape(x)}")
    if by_row:
        return tuple(np.ascontiguousarray(table).T)
    return tuple(np.ascontiguousarray(column) for column in table.T)


def _columns_of_table(inputs: Sequence[str], x: Any, names: list[object]) -> tuple[Floats, ...]:
    columns: list[Floats] = []
    # A frame made from an array has integers as column names.
    keys, counts = {str(name): name for name in names}, Counter(map(str, names))
    for name in inputs:
        if name not in keys:
            raise ValueError(
                f"x must have a column of the name of each input, and {name!r} is not among "
                f"{list_names(map(repr, names))}; the columns of arrays go by position"
            )
        _check_single(name, counts[name])
        given = x[keys[name]]
        _check_single(name, len(getattr(given, "columns", ())))  # pandas returns a frame for a duplicated name
        column = check_array(f"x[{name!r}]", given, NUMBER_OR_BOOL_KINDS)
        if column.ndim != 1:
            raise ValueError(f"x[{name!r}] must have shape (n,), not {column.shape}")
        if columns and column.size != columns[0].size:
            raise ValueError(f"x[{name!r}] must have {columns[0].size} values, as x[{inputs[0]!r}], not {column.size}")
        columns.append(np.ascontiguousarray(column))
    return tuple(columns)
