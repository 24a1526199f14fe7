"""Which runs and which values are shown."""

import pandas as pd

from bench.plots.choices import in_grid_order, select_best_runs, spread_evenly
from bench.tables.ranking import ranking
from tests.support.frames import make_frame


def test_each_optimizer_keeps_the_settings_of_its_best_choice():
    columns = {"optimizer": ["sgd"] * 4 + ["adam"] * 2, "lr": [0.1, 0.1, 0.2, 0.2, 0.1, 0.2]}
    frame = make_frame(6, **columns, batch_size=[1, 8, 1, 8, 8, 1], final_loss=[5, 4, 1, 3, 2, 9])
    assert select_best_runs(frame, ranking(frame))["config_id"].tolist() == ["run2", "run4"]


def test_the_recommended_choice_is_the_best_one_of_its_optimizer():
    """All succeed at the same cost: the rate in the middle is farthest from failing, though it is not listed first."""
    frame = make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], status="converged", samples_to_target=100, final_loss=0.5)
    ranked = ranking(frame)
    assert ranked["lr"].iloc[0] != 0.4
    assert select_best_runs(frame, ranked)["lr"].tolist() == ranked.loc[ranked["recommended"], "lr"].tolist() == [0.4]


def test_names_are_in_the_order_of_the_grid_where_it_is_known():
    column = pd.Series(pd.Categorical(["b", "a"], categories=["c", "b", "a"]))
    assert in_grid_order(["a", "b", "c"], column) == ["c", "b", "a"]
    assert in_grid_order(["a", "b"], column.astype(str)) == ["a", "b"]


def test_spread_keeps_the_ends():
    assert spread_evenly(range(100), 5) == [0, 25, 50, 74, 99]
    assert spread_evenly("abc", 5) == ["a", "b", "c"]
    assert spread_evenly([], 5) == []
