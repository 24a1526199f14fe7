"""Which values are shown."""

import pandas as pd

from sgdbench.charts.choices import in_grid_order, spread_evenly


def test_names_are_in_the_order_of_the_grid_where_it_is_known():
    column = pd.Series(pd.Categorical(["b", "a"], categories=["c", "b", "a"]))
    assert in_grid_order(["a", "b", "c"], column) == ["c", "b", "a"]
    assert in_grid_order(["a", "b"], column.astype(str)) == ["a", "b"]


def test_spread_keeps_the_ends():
    assert spread_evenly(range(100), 5) == [0, 25, 50, 74, 99]
    assert spread_evenly("abc", 5) == ["a", "b", "c"]
    assert spread_evenly([], 5) == []
