"""Runs of a seed from several starts count as what they are worth: intervals and ties hold where they end alike."""

import numpy as np
import pytest
from numpy import inf, nan

from sgdbench.tables.intervals import Pairs, design_effects, median_interval, share_interval, wilson_interval
from sgdbench.tables.optimizer_comparison import compare_with
from sgdbench.tables.ties import NOT_TIED, compare_choices, fails_more_often, rank_choices


def make_pairs(starts, seeds):
    return Pairs(np.repeat(np.arange(starts), seeds), np.tile(np.arange(seeds), starts))


def draw(rng, rows, starts, seeds, alike):
    """Logarithms of costs, of whose variance the share `alike` is that of the seeds."""
    shared, own = rng.standard_normal((rows, 1, seeds)), rng.standard_normal((rows, starts, seeds))
    return 0.3 * (np.sqrt(alike) * shared + np.sqrt(1 - alike) * own).reshape(rows, -1)


def test_runs_that_end_alike_are_worth_as_many_as_there_are_seeds():
    rng = np.random.default_rng(0)
    assert design_effects(draw(rng, 3, 4, 20, 1.0), make_pairs(4, 20)).tolist() == pytest.approx([4] * 3)
    assert np.median(design_effects(draw(rng, 200, 4, 50, 0.0), make_pairs(4, 50))) == pytest.approx(1.1, abs=0.1)
    by_start = np.repeat([1.0, 2.0, 3.0], 5)  # from each start always the same, but for rounding
    by_start[[0, 5, 10]] *= 1 + 1e-15
    with_gaps = np.array([1.0, 2, nan, 4, 5, 1, 2, 3, nan, 5])
    assert design_effects(by_start[np.newaxis], make_pairs(3, 5)).tolist() == [1]
    assert design_effects(with_gaps[np.newaxis], make_pairs(1, 10)).tolist() == [1]
    assert 1 < design_effects(with_gaps[np.newaxis], make_pairs(2, 5))[0] <= 2


def test_a_design_effect_worked_out_by_hand():
    """Two starts and three seeds, in differences from the mean of each start: 1, 0, -1 and 2, -1, -1.

    The sums over the starts of a seed are 3, -1 and -2: squared 14 in all, over 8 of the runs themselves. Two more
    seeds with the effect 2, that of two starts that end alike: (3 * 14 / 8 + 2 * 2) / 5 = 1.85. Where starts end
    contrary to each other, it is 4 / (3 + 2), and counts as 1.
    """
    values = np.array([[5.0, 4, 3, 8, 5, 5], [1, 0, -1, -1, 0, 1]])
    assert design_effects(values, make_pairs(2, 3)).tolist() == pytest.approx([1.85, 1])


@pytest.mark.parametrize("alike", [0.5, 0.99])
@pytest.mark.parametrize(("starts", "seeds"), [(2, 8), (3, 20), (20, 5)])
def test_intervals_of_medians_hold(starts, seeds, alike):
    values = np.exp(draw(np.random.default_rng(1), 2000, starts, seeds, alike))
    low, high = median_interval(values, pairs=make_pairs(starts, seeds))
    assert 0.92 <= np.mean((low <= 1) & (high >= 1)) <= 0.98


def test_what_fails_with_a_seed_from_all_starts_fails_once():
    rng, pairs = np.random.default_rng(3), make_pairs(5, 5)
    fails = []
    for _ in range(300):
        succeeds = np.tile(rng.random((10, 1, 5)) < 0.8, (1, 5, 1)).reshape(10, -1)
        fails.append(fails_more_often(np.where(succeeds, 1.0, inf), pairs=pairs)[0])
    assert np.mean(fails) <= 0.01  # without the pairs: 0.2
    by_start = np.where(pairs.starts == 0, inf, 1.0)  # whatever the seed
    assert fails_more_often(np.stack([np.ones(25), by_start]), pairs=pairs).tolist() == [False, False]
    far = np.where(pairs.starts < 3, inf, 1.0)
    assert fails_more_often(np.stack([np.ones(25), far]), pairs=pairs).tolist() == [False, True]


def test_the_best_is_tied_and_ratios_hold():
    rng, pairs, truth = np.random.default_rng(2), make_pairs(5, 8), np.linspace(0.0, 0.2, 10)
    tied, held = [], []
    for _ in range(150):
        costs = np.exp(truth[:, np.newaxis] + draw(rng, 10, 5, 8, 0.95))
        ranks = rank_choices(costs, np.zeros(10))
        tied.append(compare_choices(costs, ranks, ranks.order[0], pairs=pairs)[0] not in NOT_TIED)
        ratio = compare_with(costs[[0, 9]], 0, pairs=pairs).loc[1]
        held.append(ratio["ratio_low"] <= np.exp(0.2) <= ratio["ratio_high"])
    assert np.mean(tied) >= 0.95
    assert np.mean(held) >= 0.92  # without the pairs: 0.7


@pytest.mark.parametrize("choices", [1, 10])
def test_intervals_of_shares_hold_where_all_runs_of_a_choice_succeed(choices):
    """They say nothing of whether runs of a seed fail together, and counted as independent: 32 of 100 held."""
    rng, pairs, held = np.random.default_rng(5), make_pairs(10, 5), []
    for _ in range(200):
        succeeds = np.repeat(rng.random((choices, 1, 5)) < 0.9, 10, axis=1).reshape(choices, -1)
        low, high = share_interval(succeeds.astype(float), pairs)
        held.append((low <= 0.9) & (high >= 0.9))
    assert np.mean(held) >= 0.89  # as of five runs of one start
    with_one = np.ones((3, 50))
    with_one[0, 0] = 0  # of which the runs of the same seed do not fail
    assert (share_interval(with_one, pairs)[0][1:] > 0.8).all()
    # Nor do starts that succeed whatever the seed is, or those of a single seed.
    by_start = np.stack([np.ones(50), pairs.starts < 7])
    for own, chosen in ((by_start, pairs), (by_start[:, ::5], make_pairs(10, 1))):
        made = own.shape[1]
        np.testing.assert_array_equal(share_interval(own, chosen), wilson_interval(own.sum(axis=1), [made, made]))


@pytest.mark.parametrize("seeds", [2, 3])
def test_the_best_is_tied_where_few_seeds_are_run_from_many_starts(seeds):
    """Pairs of one seed differ alike, and the variance between seeds was underestimated: it was in 82 to 92 of 100."""
    rng, pairs = np.random.default_rng(4), make_pairs(10, seeds)
    tied = []
    for _ in range(300):
        costs = np.exp(1.7 * draw(rng, 10, 10, seeds, 1.0))
        ranks = rank_choices(costs, np.zeros(10))
        tied.append(compare_choices(costs, ranks, ranks.order[0], pairs=pairs)[0] not in NOT_TIED)
    assert np.mean(tied) >= 0.95
