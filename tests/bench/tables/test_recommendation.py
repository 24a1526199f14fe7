import numpy as np
import pandas as pd
import pytest

from sgdbench.tables.costs import CHOICES, decide_by_seconds, run_costs
from sgdbench.tables.facts import Recommendation
from sgdbench.tables.rank import ranking, rate_factors, recommend
from sgdbench.tables.ties import rank_choices
from sgdbench.tables.words import say_recommendation
from tests.support.simulated import runs_of

SAME = {"schedule": "constant", "batch_size": 1, "shuffle": True}


def choices(rates, optimizer="sgd"):
    return pd.DataFrame({"optimizer": optimizer, "lr": rates} | SAME)


def advice(costs, good=True, cost="samples", **settings):
    """The row that is recommended of choices that are ranked by costs, shape (choices, pairs), and why."""
    runs = run_costs(runs_of(costs, **settings), CHOICES)
    ranks = rank_choices(runs.comparable(cost, 1e-28), np.zeros(len(costs)))
    return recommend(runs, ranks, np.broadcast_to(good, len(costs)), cost)


def test_the_only_choice_and_the_only_good_one():
    assert advice([[100]]) == (0, Recommendation("samples", 1, 1, 1, "updates", 1.0))
    first = Recommendation("samples", 3, 1, 1, "updates", 1.0)
    assert advice([[100] * 5, [200] * 5, [201] * 5], [True, False, False]) == (0, first)


def test_the_fewest_updates_where_they_differ_by_more_than_half():
    costs = [[1000] * 5, [1010] * 5, [1020] * 5]
    found = advice(costs, batch_size=[1, 16, 2], lr=0.1)
    assert found == (1, Recommendation("samples", 3, 3, 1, "updates", 1.0))
    # By rank where they differ by less, or may, as far as these runs tell.
    assert advice(costs, batch_size=[10, 14, 2], lr=0.1) == (0, Recommendation("samples", 3, 3, 2, "updates", 1.0))
    assert advice([[1000, 2000], [1010, 1990]], batch_size=[1, 2], lr=0.1)[0] == 0
    assert advice(costs, [True, False, True], batch_size=[1, 16, 2], lr=0.1)[0] == 2
    # Not where these are what choices are ranked by.
    assert advice([[1600] * 5, [1601] * 5], cost="updates", batch_size=[16, 16], lr=[0.1, 0.2])[0] == 0


def test_the_fewest_seconds_where_updates_are_timed_and_differ():
    """An update of sixteen samples that takes as long as sixteen of one saves nothing."""
    costs, sizes = [[1600] * 5, [1616] * 5], [1, 16]
    for seconds, row in ((1e-8, 1), (16e-8, 0), (40e-8, 0)):
        timed = advice(costs, batch_size=sizes, lr=0.1, seconds_per_update=[1e-8, seconds])
        assert timed[0] == row
    assert (timed[1].alike, timed[1].fewest, timed[1].unit) == (2, 1, "seconds")
    # Those of one that is not timed are not known, and updates count.
    assert advice(costs, batch_size=sizes, lr=0.1, seconds_per_update=[1e-8, np.nan])[0] == 1


def test_runs_without_a_target_spend_what_they_make_until_they_end():
    """A rate that is farther from diverging was taken, with sixteen times the updates of one that ends as low."""
    frame = runs_of(np.full((4, 5), np.inf), lr=[0.1, 0.2, 0.4, 0.1], batch_size=[1, 1, 1, 16])
    table = ranking(frame.assign(final_loss=0.5), "final_loss")
    assert table[["lr", "batch_size"]].iloc[0].tolist() == [0.1, 16]
    assert table["reason"][0] == say_recommendation(Recommendation("final_loss", 4, 4, 1, "updates", 1.0))
    assert table["verdict"].tolist() == ["best", *["indistinguishable"] * 3]


def test_updates_are_timed_where_their_time_may_decide():
    costs = [[1000] * 5, [1010] * 5, [3000] * 5]
    assert decide_by_seconds(ranking(runs_of(costs, batch_size=[1, 16, 1], lr=[0.1, 0.1, 0.2])))
    assert not decide_by_seconds(ranking(runs_of(costs, batch_size=[1, 1, 16], lr=[0.1, 0.2, 0.1])))


def test_then_the_one_farthest_from_rates_that_fail():
    rates, fails = [0.4, 0.1, 0.2, 0.05, 0.8], [np.inf] * 5
    costs = [[100] * 5, [101] * 5, [102] * 5, [300] * 5, fails]
    good = [True, True, True, False, False]
    # 0.05 to 0.4 are reliable: 0.1 can be halved, and doubled too, 0.2 as well; the first of the two is taken.
    row, reason = advice(costs, good, lr=rates)
    assert row == 1
    assert (reason.alike, reason.fewest, reason.factor) == (3, 3, 2)
    # Not a neighbour that fails.
    assert advice([*costs[:3], fails, fails], good, lr=rates)[0] == 2


def test_of_a_range_of_rates_it_is_the_geometric_middle():
    rates = np.geomspace(0.01, 1, 9)
    order = np.random.default_rng(1).permutation(9)
    row, reason = advice([[100] * 5] * 9, lr=rates[order])
    assert rates[order][row] == pytest.approx(0.1)
    assert reason.factor == pytest.approx(10)


def test_factors_know_where_ranges_end():
    table = choices([0.1, 0.2, 0.4, 0.8, 1.6, 0.1, 0.2, 0.4], [*"aaaaabbb"])
    good = np.array([True, True, True, False, True, True, True, True])
    assert rate_factors(table, good).tolist() == [1, 2, 1, 1, 1, 1, 2, 1]


def test_factors_do_not_depend_on_the_order_and_on_the_last_digits_of_a_grid():
    rates = np.array([float(f"{rate:.12g}") for rate in np.geomspace(0.003, 3, 25)])
    table = choices(np.tile(rates, 2), np.repeat(["a", "b"], 25))
    factors = rate_factors(table, np.ones(50, bool))
    np.testing.assert_array_equal(factors[:25], factors[25:])
    np.testing.assert_array_equal(factors[:25], factors[:25][::-1])
    order = np.random.default_rng(2).permutation(50)
    np.testing.assert_array_equal(rate_factors(table.iloc[order], np.ones(50, bool)), factors[order])
