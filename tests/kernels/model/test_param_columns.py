"""Parameters in the columns of tables, and back."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.model.param_columns import (
    MAX_COLUMNS_PER_PARAM,
    array_columns,
    param_columns,
    params_from_columns,
    params_of_row,
    params_to_columns,
)


@pytest.mark.parametrize(
    ("size", "arrays"), [(2, []), (MAX_COLUMNS_PER_PARAM, []), (MAX_COLUMNS_PER_PARAM + 1, ["param_w"])]
)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_table_has_the_parameters_that_were_put_in(size, arrays, rows):
    model = make_model("w @ x + a*x1**2 + b", [f"x{k}" for k in range(1, size + 1)])
    params = np.random.default_rng(0).normal(size=(rows, len(model.params)))
    table = pd.DataFrame(params_to_columns(model, params))
    assert (array_columns(model), [*table.columns]) == (arrays, param_columns(model))
    assert table.shape[1] == 2 + (1 if arrays else size)
    np.testing.assert_array_equal(params_from_columns(model, table), params)
    for (_, row), expected in zip(table.iterrows(), params, strict=True):
        np.testing.assert_array_equal(params_of_row(model, row), expected)
