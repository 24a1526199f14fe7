"""Optimizers at their best: who is slower, who fails, and by how much."""

import numpy as np
import pandas as pd
import pytest
from numpy import inf, nan

from sgdbench.tables.confirm import confirm
from sgdbench.tables.costs import CHOICES
from sgdbench.tables.optimizer_comparison import compare_optimizers, compare_with, find_best
from sgdbench.tables.rank import ranking
from tests.support.simulated import costs_of, runs_of


def optimizers(costs, **settings):
    """One choice for each of several optimizers."""
    names = ["sgd", "adam", "rmsprop", "momentum"][: len(costs)]
    return runs_of(costs, optimizer=names, lr=0.1, **settings)


def compare(frame):
    """The comparison by the ranking of the runs themselves."""
    return compare_optimizers(frame, ranking(frame))


def test_each_optimizer_is_compared_at_its_own_best():
    costs = np.outer([100.0, 140, 300, 200, 250], [1, 3, 2, 5, 4, 1])
    frame = runs_of(costs, optimizer=["sgd", "sgd", "adam", "adam", "adam"], lr=[1, 2, 3, 4, 5])
    table = compare(frame)
    assert table.columns.tolist() == [
        "optimizer",
        *[name for name in CHOICES if name != "optimizer"],
        "tried",
        *ranking(frame).columns[len(CHOICES) : -5],
        "cost",
        *("ratio", "ratio_low", "ratio_high", "verdict"),
    ]
    assert table[["optimizer", "lr", "tried", "verdict"]].to_numpy().tolist() == [
        ["sgd", 1, 2, "best"],
        ["adam", 4, 3, "worse"],
    ]
    assert table[["ratio", "ratio_low", "ratio_high"]].to_numpy() == pytest.approx(np.array([[1] * 3, [2] * 3]))


def test_what_fails_is_said_to_fail_however_fast_it_is():
    rng = np.random.default_rng(4)
    costs = costs_of(rng, [100, 20, 20, 100], 20, success=[1, 0.3, 0.65, 1])
    table = compare(optimizers(costs)).set_index("optimizer")
    assert set(table.index[-2:]) == {"adam", "rmsprop"}
    assert table.loc[["adam", "rmsprop"], "verdict"].tolist() == ["fails", "fails"]
    assert set(table.loc[["sgd", "momentum"], "verdict"]) == {"best", "indistinguishable"}
    assert set(compare(optimizers(np.full((2, 5), inf)).assign(final_loss=nan))["verdict"]) == {"fails"}


def test_where_all_fail_half_the_time_one_is_the_best_and_the_others_fail():
    costs = np.array([[100.0] * 5 + [inf] * 5, [110.0] * 5 + [inf] * 5])
    assert compare(optimizers(costs))["verdict"].tolist() == ["best", "fails"]


def test_an_optimizer_that_fails_from_one_start_is_infinitely_slower_there():
    costs = np.array([[100.0] * 7, [150, 150, 150, 150, 150, 150, inf]])
    table = compare(optimizers(costs))
    assert table["ratio"].tolist() == [1, 1.5]
    assert table["ratio_high"].tolist() == [1, inf]
    both = compare(optimizers(np.array([[100, 100, 100, inf], [150, 150, 150, inf]])))
    assert both["ratio"].tolist() == [1, 1.5]


def test_fresh_seeds_judge_the_choices_that_the_ranking_made():
    rng = np.random.default_rng(5)
    frame = runs_of(costs_of(rng, [100, 150, 120, 180], 5), optimizer=["sgd", "sgd", "adam", "adam"], lr=[1, 2, 3, 4])
    ranked = ranking(frame)
    fresh = runs_of(costs_of(rng, [150, 120], 20), optimizer=["sgd", "adam"], lr=[1, 3], seeds=10)
    table = compare_optimizers(fresh, ranked)
    assert table[["optimizer", "lr", "tried", "runs"]].to_numpy().tolist() == [["sgd", 1, 2, 20], ["adam", 3, 2, 20]]
    assert table["verdict"].tolist() == ["best", "better"]
    # Which is then what is recommended.
    table = compare_optimizers(fresh, confirm(ranked, fresh))
    assert table["optimizer"].tolist() == ["adam", "sgd"]
    assert table["verdict"].tolist() == ["best", "worse"]
    with pytest.raises(ValueError, match=r"^frame must have runs of .*, and it has none of optimizer=adam, lr=3,"):
        compare_optimizers(fresh.head(20), ranked)


def test_seconds_are_no_better_known_than_the_time_of_an_update():
    errors = np.full(2, 0.98), np.full(2, 1.02)
    table = compare_with(np.outer([1.0, 1.03], np.ones(6)), 0, errors=errors)
    assert table["ratio"].tolist() == [1, 1.03]
    assert table["ratio_low"].tolist() == pytest.approx([1, 1.03 * 0.98 / 1.02], abs=0.005)
    assert table["ratio_high"].tolist() == pytest.approx([1, 1.03 * 1.02 / 0.98], abs=0.005)
    assert table["verdict"].tolist() == ["best", "indistinguishable"]
    table = compare_with(np.outer([1.0, 1.1], np.ones(6)), 0, errors=errors)
    assert table["verdict"].tolist() == ["best", "worse"]


@pytest.mark.parametrize("noise", ["normal", "cauchy"])  # in ratios of equals, skewed noise is symmetric
def test_equals_are_told_apart_in_5_of_100_studies_at_most(noise):
    """Whichever of them the others are compared with, also the luckiest one."""
    rng = np.random.default_rng(4)
    for pairs in (2, 6, 30):
        different = 0
        for _ in range(60):
            costs = costs_of(rng, [1.0] * 4, pairs, noise=noise, unequal=0.3)
            verdicts = pd.concat([compare_with(costs, best)["verdict"] for best in range(4)])
            different += verdicts.isin(["worse", "better"]).any()
        assert different <= 0.06 * 60


@pytest.mark.parametrize("pairs", [8, 30])
@pytest.mark.parametrize("rivals", [2, 4])
def test_of_100_studies_all_intervals_of_ratios_hold_in_95(pairs, rivals):
    rng = np.random.default_rng(7)
    medians = np.linspace(1, 1.5, rivals)
    held, slower = [], 0
    for _ in range(200):
        table = compare_with(costs_of(rng, medians, pairs), 0).sort_index()
        held.append((table["ratio_low"] <= 1.002 * medians) & (medians <= 1.002 * table["ratio_high"]))
        slower += table["verdict"].iloc[-1] == "worse"
    assert slower > 0.95 * 200
    assert np.all(held, axis=1).mean() >= (0.93 if rivals == 2 else 0.95)


def test_the_first_is_the_best_unless_another_is_clearly_better():
    rng = np.random.default_rng(9)
    assert find_best(costs_of(rng, [1.0, 0.95, 1.1], 20, spread=0.3)) == 0  # which may be chance
    assert find_best(costs_of(rng, [1.0, 0.97], 20, spread=1e-3)) == 0  # which does not matter
    assert find_best(costs_of(rng, [1.0, 0.9, 0.5], 20, spread=0.02)) == 2
    assert find_best(costs_of(rng, [1.0, 3.0, 2.0], 20, success=[0.3, 1, 1])) == 2
    assert find_best(np.full((3, 20), inf)) == 0


def test_where_each_is_beaten_by_another_the_first_remains():
    """Each is the fastest from a third of the starts, so that it beats one of the others."""
    costs = np.tile([[1.0, 2, 3], [2, 3, 1], [3, 1, 2]], 40)
    assert [compare_with(costs, row)["verdict"].tolist().count("better") for row in range(3)] == [1, 1, 1]
    assert find_best(costs) == 0
    assert find_best(np.vstack([np.full(120, inf), costs])) == 1


def test_fewer_than_five_pairs_give_no_interval_and_no_verdict():
    costs = costs_of(np.random.default_rng(8), [100, 1000, 105], 4, spread=0.02)
    table = compare(optimizers(costs)).set_index("optimizer")
    assert table[["ratio_low", "ratio_high"]].isna().all(axis=None)
    assert table.loc["adam", "verdict"] == "too few runs"
