"""Optimizers at their best: who is slower, who fails, and by how much."""

import numpy as np
import pytest
from numpy import inf, nan
from simulated import NOISES, costs_of, runs_of

from bench.tables.choice_ranking import ranking
from bench.tables.optimizer_comparison import compare_optimizers, judge
from bench.tables.run_costs import CHOICES


def optimizers(costs, **settings):
    """One choice for each of several optimizers."""
    names = ["sgd", "adam", "rmsprop", "momentum"][: len(costs)]
    return runs_of(costs, optimizer=names, lr=0.1, **settings)


def test_each_optimizer_is_compared_at_its_own_best():
    costs = np.outer([100.0, 140, 300, 200, 250], [1, 3, 2, 5, 4, 1])
    frame = runs_of(costs, optimizer=["sgd", "sgd", "adam", "adam", "adam"], lr=[1, 2, 3, 4, 5])
    table = compare_optimizers(frame)
    assert table.columns.tolist() == [
        "optimizer",
        *[name for name in CHOICES if name != "optimizer"],
        "tried",
        *ranking(frame).columns[len(CHOICES) : -4],
        *("ratio", "ratio_low", "ratio_high", "verdict"),
    ]
    assert table[["optimizer", "lr", "tried", "verdict"]].to_numpy().tolist() == [
        ["sgd", 1, 2, "best"],
        ["adam", 4, 3, "slower"],
    ]
    assert table[["ratio", "ratio_low", "ratio_high"]].to_numpy() == pytest.approx(np.array([[1] * 3, [2] * 3]))


def test_what_fails_is_said_to_fail_however_fast_it_is():
    rng = np.random.default_rng(4)
    costs = costs_of(rng, [100, 20, 20, 100], 20, success=[1, 0.3, 0.65, 1])
    table = compare_optimizers(optimizers(costs)).set_index("optimizer")
    assert table.loc[["adam", "rmsprop"], "verdict"].tolist() == ["fails", "fails"]
    assert set(table.loc[["sgd", "momentum"], "verdict"]) == {"best", "no difference found"}
    assert set(compare_optimizers(optimizers(np.full((2, 5), inf)).assign(final_loss=nan))["verdict"]) == {"fails"}


def test_where_all_fail_half_the_time_one_is_the_best_and_the_others_fail():
    costs = np.array([[100.0] * 5 + [inf] * 5, [110.0] * 5 + [inf] * 5])
    assert compare_optimizers(optimizers(costs))["verdict"].tolist() == ["best", "fails"]


def test_an_optimizer_that_fails_from_one_start_is_infinitely_slower_there():
    costs = np.array([[100.0] * 7, [150, 150, 150, 150, 150, 150, inf]])
    table = compare_optimizers(optimizers(costs))
    assert table["ratio"].tolist() == [1, 1.5]
    assert table["ratio_high"].tolist() == [1, inf]
    both = compare_optimizers(optimizers(np.array([[100, 100, 100, inf], [150, 150, 150, inf]])))
    assert both["ratio"].tolist() == [1, 1.5]


def test_fresh_seeds_judge_the_choices_that_the_ranking_made():
    rng = np.random.default_rng(5)
    frame = runs_of(costs_of(rng, [100, 150, 120, 180], 5), optimizer=["sgd", "sgd", "adam", "adam"], lr=[1, 2, 3, 4])
    ranked = ranking(frame)
    fresh = runs_of(costs_of(rng, [150, 120], 20), optimizer=["sgd", "adam"], lr=[1, 3], seeds=10)
    table = compare_optimizers(fresh, ranked=ranked)
    assert table[["optimizer", "lr", "tried", "runs"]].to_numpy().tolist() == [["adam", 3, 2, 20], ["sgd", 1, 2, 20]]
    assert table["verdict"].tolist() == ["best", "slower"]
    with pytest.raises(ValueError, match=r"^frame must have runs of .*, and it has none of optimizer=adam, lr=3,"):
        compare_optimizers(fresh.head(20), ranked=ranked)


def test_seconds_are_no_better_known_than_the_time_of_an_update():
    costs = np.outer([100.0, 100.0], np.ones(6))
    frame = optimizers(costs, seconds_per_update=[1e-6, 1.03e-6])
    table = compare_optimizers(frame, "seconds")
    assert table["ratio"].tolist() == pytest.approx([1, 1.03])
    assert table["ratio_low"].tolist() == pytest.approx([1, 1.03 * 0.98 / 1.02])
    assert table["ratio_high"].tolist() == pytest.approx([1, 1.03 * 1.02 / 0.98])
    assert table["verdict"].tolist() == ["best", "no difference found"]
    frame = optimizers(costs, seconds_per_update=[1e-6, 1.1e-6])
    assert compare_optimizers(frame, "seconds")["verdict"].tolist() == ["best", "slower"]


@pytest.mark.parametrize("rivals", [2, 4])
@pytest.mark.parametrize("noise", NOISES)
def test_equals_are_told_apart_in_5_of_100_studies_at_most(rivals, noise):
    rng = np.random.default_rng(rivals)
    for pairs in (2, 5, 30):
        slower = [
            judge(costs_of(rng, [1.0] * rivals, pairs, noise=noise, unequal=0.3), np.zeros(rivals))["verdict"]
            .eq("slower")
            .any()
            for _ in range(100)
        ]
        assert np.mean(slower) <= 0.05


@pytest.mark.parametrize("pairs", [6, 12, 30])
def test_of_100_intervals_of_a_ratio_95_hold(pairs):
    rng = np.random.default_rng(7)
    rows = [judge(costs_of(rng, [1.0, 1.5], pairs), np.zeros(2)).loc[1] for _ in range(400)]
    assert 0.93 <= np.mean([row["ratio_low"] <= 1.5 <= row["ratio_high"] for row in rows]) <= 0.97
    assert np.mean([row["verdict"] == "slower" for row in rows]) >= 0.95


def test_fewer_than_five_pairs_give_no_interval_and_may_give_a_verdict():
    costs = costs_of(np.random.default_rng(8), [100, 1000, 105], 4, spread=0.02)
    table = compare_optimizers(optimizers(costs)).set_index("optimizer")
    assert table[["ratio_low", "ratio_high"]].isna().all(axis=None)
    assert table.loc["adam", "verdict"] == "slower"


def test_optimizers_must_be_part_of_a_choice():
    frame = runs_of([[1.0]])
    with pytest.raises(ValueError, match=r"^by must have 'optimizer' among its columns, not only 'lr'$"):
        compare_optimizers(frame, by=["lr"])
    with pytest.raises(ValueError, match=r"^tolerance must be at least 0 and less than 1, not 3$"):
        compare_optimizers(frame, tolerance=3)
