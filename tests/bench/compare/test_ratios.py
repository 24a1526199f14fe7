"""Ratios of times and of costs, pair by pair, and their intervals."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import quantile_test

from sgdbench.compare.ratios import EPOCHS_COST, MIN_PAIRS, Sample, _places, times
from tests.support.benchmark_files import WOBBLE
from tests.support.frames import best_runs, compare_ranked_runs, make_frame


@pytest.mark.parametrize("new", [Sample.of(2 * WOBBLE[:4]), Sample(2.0, np.array([]))])
def test_without_enough_rounds_there_is_a_ratio_and_no_interval(new):
    row = times({"row": Sample.of(WOBBLE)}, {"row": new}).iloc[0]
    assert row["ratio"] == pytest.approx(2, rel=0.02)
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["note"] == "fewer than 5 rounds"


def reaching(epochs_to_target, **columns):
    """Runs of one choice that differ in their seed and start, and reached the target after these epochs or never."""
    reached = pd.array(epochs_to_target, dtype="Int64")
    status = np.where(reached.isna(), "max_epochs", "converged")
    seeds = list(range(len(reached)))
    return make_frame(len(reached), seed=seeds, start=seeds, epochs_to_target=reached, status=status, **columns)


def test_epochs_are_compared_run_by_run_whatever_their_order():
    before = reaching([10, 20, 30, 40, 50, 60, 70, 80])
    after = reaching([20, 40, 60, 80, 100, 120, 140, 160]).sample(frac=1, random_state=0)
    table = compare_ranked_runs(EPOCHS_COST, before, after)
    assert table["row"].tolist() == [EPOCHS_COST.best, "epochs: sgd lr=0.1 batch=1 constant shuffled"]
    assert table[["ratio", "low", "high"]].to_numpy().tolist() == [[2, 2, 2]] * 2
    assert table["A_epochs"].tolist() == [45, 45]


def test_a_run_that_missed_the_target_takes_forever_and_is_counted():
    row = compare_ranked_runs(EPOCHS_COST, reaching([5] * 10), reaching([5, 5, 5, *[None] * 7])).iloc[1]
    assert (row["A_converged"], row["B_converged"], row["pairs"]) == (10, 3, 10)
    assert (row["low"], row["ratio"], row["high"]) == (1, np.inf, np.inf)
    assert np.isnan(row["B_epochs"])


def test_the_interval_of_a_median_is_that_of_scipy():
    for count in range(MIN_PAIRS, 300):
        expected = quantile_test(np.arange(count), q=0, p=0.5).confidence_interval(0.95)
        assert _places(count, count).tolist() == list(expected)


def test_pairs_of_a_seed_that_differ_alike_from_all_starts_count_once():
    once, ratios = np.arange(12), np.arange(1.0, 13)

    def repeat(values, starts):
        own = {"seed": np.tile(once, starts), "init": np.repeat([f"s{k}" for k in range(starts)], 12)}
        return reaching(np.tile(values, starts).astype(int).tolist()).assign(**own)

    one, three = (
        compare_ranked_runs(EPOCHS_COST, repeat(7 + 0 * once, k), repeat(7 * ratios, k)).iloc[1] for k in (1, 3)
    )
    assert three["pairs"] == 36
    assert three[["ratio", "low", "high"]].tolist() == one[["ratio", "low", "high"]].tolist() == [6.5, 3, 10]
    of_few = (repeat(values, 3).query("seed < 5") for values in (7 + 0 * once, 7 * ratios))
    few = compare_ranked_runs(EPOCHS_COST, *of_few).iloc[1]
    assert few["note"] == "fewer than 6 independent seeds"


@pytest.mark.parametrize(
    ("before", "after", "interval", "note"),
    [
        pytest.param([4] * 6 + [None] * 20, [8] * 6 + [None] * 20, [2, 2, 2], "", id="pairs that both missed it"),
        ([4] * 5 + [None] * 20, [8] * 5 + [None] * 20, [np.nan, 2, np.nan], "too few reached the target"),
        ([4] * 3, [8] * 3, [np.nan, 2, np.nan], "fewer than 6 pairs of start and seed"),
        pytest.param([0] * 6, [0] * 6, [1, 1, 1], "", id="at the target from the start"),
    ],
)
def test_only_pairs_of_which_one_reached_the_target_tell_anything(before, after, interval, note):
    row = compare_ranked_runs(EPOCHS_COST, reaching(before), reaching(after)).iloc[1]
    np.testing.assert_array_equal(row[["low", "ratio", "high"]].astype(float), interval)
    assert row["note"] == note


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(reaching([None] * 6), reaching([None] * 6), id="never at the target"),
        pytest.param(reaching([9] * 8), reaching([9] * 8).assign(start=range(100, 108)), id="starts of one name"),
    ],
)
def test_runs_without_a_pair_to_compare_are_no_row(before, after):
    assert compare_ranked_runs(EPOCHS_COST, before, after).empty


def test_the_best_of_each_are_compared_though_they_have_no_setting_in_common():
    before = pd.concat([reaching([9] * 6, optimizer="adam"), reaching([8] * 6, optimizer="sgd")], ignore_index=True)
    after = reaching([2] * 6, optimizer="rmsprop")
    table = compare_ranked_runs(EPOCHS_COST, before, after)
    assert table["row"].tolist() == [EPOCHS_COST.best]
    assert table["ratio"].tolist() == [0.25]
    assert set(best_runs(before)["optimizer"]) == {"sgd"}
