"""Parameters as table columns: one per number, or one of arrays for a vector of more than thirty numbers.

Columns are named ``param_b`` and ``param_w[hp]``, or ``param_W`` for arrays of all numbers of the vector.
"""

import math
from typing import Any

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.model.model import Model

MAX_COLUMNS_PER_PARAM = 30
PARAM_PREFIX, START_PREFIX = "param_", "start_"


def _parts(model: Model) -> list[tuple[str, int, int]]:
    """Return each column's name, its first parameter, and the number of parameters in its arrays; 0 for a number."""
    if not model.vectors:
        return [(name, place, 0) for place, name in enumerate(model.params)]
    parts = []
    for name, (first, shape, _) in model.vectors.items():
        size = math.prod(shape)
        if size > MAX_COLUMNS_PER_PARAM:
            parts.append((name, first, size))
        else:
            parts += [(model.params[place], place, 0) for place in range(first, first + size)]
    return parts


def param_columns(model: Model, prefix: str = PARAM_PREFIX) -> list[str]:
    """Return the names of the columns."""
    return [prefix + name for name, _, _ in _parts(model)]


def array_columns(model: Model) -> list[str]:
    """Return the names of the columns that hold arrays."""
    return [PARAM_PREFIX + name for name, _, size in _parts(model) if size]


def params_to_columns(model: Model, params: Floats, prefix: str = PARAM_PREFIX) -> dict[str, Any]:
    """Return parameters, shape (rows, P), as columns: arrays of numbers, and lists of arrays."""
    return {
        prefix + name: list(params[:, first : first + size]) if size else params[:, first]
        for name, first, size in _parts(model)
    }


def params_from_columns(model: Model, columns: Any, prefix: str = PARAM_PREFIX) -> Floats:
    """Return parameters, shape (rows, P), from the columns of a data frame or of a mapping."""
    parts = _parts(model)
    count = len(columns[prefix + parts[0][0]])
    params = np.empty((count, len(model.params)))
    for name, first, size in parts:
        column = columns[prefix + name]
        if size:
            params[:, first : first + size] = np.stack([*column]) if count else np.empty((0, size))
        else:
            params[:, first] = column
    return params


def params_of_row(model: Model, row: Any) -> Floats:
    """Return the parameters of a row of a data frame, shape (P,)."""
    values = [np.atleast_1d(np.asarray(row[name], float)) for name in param_columns(model)]
    return np.concatenate(values)
