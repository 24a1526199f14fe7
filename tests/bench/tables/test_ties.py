"""The truly best choice is among those that are tied, clearly worse ones are not, and failures come last."""

from itertools import product

import numpy as np
import pytest
from numpy import inf, nan
from scipy.stats import t

from sgdbench.tables.ties import compare_choices, fails_more_often, nearly_as_cheap, rank_choices
from tests.support.simulated import NOISES, costs_of

STUDIES = 120


def verdicts(costs, reference=None, **options):
    """How choices compare with one, by default with the best."""
    ranks = ranked(costs)
    return compare_choices(
        np.asarray(costs, float), ranks, ranks.order[0] if reference is None else reference, **options
    )


def tied(costs, **options):
    """Whether no difference is shown, whatever its size."""
    return np.isin(verdicts(costs, **options), ["best", "indistinguishable", "too few runs"])


def ranked(costs, tiebreak=None):
    costs = np.asarray(costs, dtype=float)
    return rank_choices(costs, np.zeros(len(costs)) if tiebreak is None else np.asarray(tiebreak))


def share_tied(rng, medians, pairs, choice=0, studies=STUDIES, **options):
    """In how many of simulated studies a choice is tied with the best."""
    return np.mean([tied(costs_of(rng, medians, pairs, **options))[choice] for _ in range(studies)])


@pytest.mark.parametrize(("more", "verdict"), [(0.99, "indistinguishable"), (1.01, "within 5 %")])
def test_a_moderated_t_test_worked_out_by_hand(more, verdict):
    """Three pairs: two degrees of freedom of their own, and four of the two others that are near the best."""
    own, others, way = 0.01, 0.02, np.array([-1.0, 0, 1])
    error = np.sqrt((2 * own**2 + 4 * others**2) / (2 + 4) / 3)
    critical = t.ppf(1 - 0.04 / 2, 2 + 4) * error  # the last of Holm's levels, which is 4 of the 5 %
    logs = [0 * way, more * critical + own * way, 0.3 + others * way, 0.4 + others * way]
    assert verdicts(np.exp(logs)).tolist() == ["best", verdict, "worse", "worse"]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pairs", [2, 5, 30])
def test_the_best_of_many_equals_is_tied_in_95_of_100_studies(pairs, noise):
    """The worst case: a hundred near ties, among which there is always a luckier one."""
    rng = np.random.default_rng(pairs)
    medians = np.where(np.arange(100) == 0, 0.999, 1.0)
    assert share_tied(rng, medians, pairs, noise=noise, unequal=0.4) >= 0.95


@pytest.mark.parametrize("pairs", [2, 5, 30])
def test_so_is_the_better_of_two(pairs):
    rng = np.random.default_rng(10 + pairs)
    assert share_tied(rng, [0.999, 1.0], pairs, unequal=0.4, studies=400) >= 0.95


def test_two_equals_are_told_apart_in_5_of_100_studies_at_most_and_not_in_none():
    rng = np.random.default_rng(20)
    for pairs in (3, 5, 19, 50):
        both = np.mean([tied(costs_of(rng, [1.0, 1.0], pairs)).all() for _ in range(500)])
        # Either may be the first, and the test has two sides: the level is 4 %, and what is left is for failures.
        assert 0.94 <= both <= 0.985


@pytest.mark.parametrize("pairs", [3, 5, 30])
def test_the_best_is_not_called_worse_than_any_of_its_equals(pairs):
    """Whichever is recommended, also for something else than its cost: here the one that is unluckiest."""
    rng = np.random.default_rng(25 + pairs)
    worse = 0
    for _ in range(STUDIES):
        costs = costs_of(rng, np.ones(30), pairs, unequal=0.4)
        worse += verdicts(costs, reference=ranked(costs).order[-1])[0] == "worse"
    assert worse <= 0.05 * STUDIES


def test_noise_of_some_choices_does_not_hide_small_differences_between_others():
    """High rates make losses a thousand times as noisy as low ones, whose differences five runs tell apart."""
    rng, spreads = np.random.default_rng(26), np.geomspace(1e-4, 0.1, 40)
    seen = []
    for _ in range(20):
        costs = np.exp(rng.normal(0, 1, 5) + spreads[:, np.newaxis] * rng.standard_normal((40, 5)))
        costs[1] *= 1.01
        seen.append(verdicts(costs, reference=0)[1] == "within 5 %")
    assert np.mean(seen) >= 0.9


@pytest.mark.parametrize(("pairs", "factor"), [(3, 3.0), (5, 2.0), (10, 1.4), (30, 1.3)])
def test_what_costs_clearly_more_is_ruled_out(pairs, factor):
    """Where noise is 10 %, and among a hundred choices, half of which cost as much as the best."""
    rng = np.random.default_rng(30 + pairs)
    medians = np.concatenate([np.ones(50), np.full(50, factor)])
    assert share_tied(rng, medians, pairs, choice=-1) <= 0.05


@pytest.mark.parametrize(("pairs", "factor"), [(25, 1.8), (60, 1.4)])
def test_so_it_is_where_tails_are_heavy(pairs, factor):
    rng = np.random.default_rng(40)
    assert share_tied(rng, np.repeat([1.0, factor], 20), pairs, choice=-1, noise="cauchy") <= 0.05


SUCCESSES = [0.8, 0.95, [0.92, *[1.0] * 39], [0.95, *[0.5] * 39], np.linspace(1, 0, 40)]


@pytest.mark.parametrize(("success", "pairs"), [*product(SUCCESSES, (3, 50)), *((0.5, pairs) for pairs in (5, 10, 50))])
def test_the_best_is_tied_where_runs_fail(success, pairs):
    """Whether all choices fail now and then, or the best one more often than others, within the margin.

    Where all fail half the time it takes five pairs: what never succeeds is not tied, and of three runs all fail in one
    of eight cases.
    """
    rng = np.random.default_rng(50 + pairs)
    medians = np.where(np.arange(40) == 0, 0.999, 1.0)
    assert share_tied(rng, medians, pairs, success=success) >= 0.95


@pytest.mark.parametrize(("pairs", "rate"), [(5, 0.05), (10, 0.2), (20, 0.45), (50, 0.65)])
def test_what_fails_clearly_more_often_is_ruled_out_however_cheap(pairs, rate):
    rng = np.random.default_rng(60)
    medians, success = np.repeat([1.0, 0.2], 20), np.repeat([1.0, rate], 20)
    assert share_tied(rng, medians, pairs, choice=-1, success=success) <= 0.1


def test_a_lucky_choice_among_many_that_fail_does_not_rule_them_out():
    """Five successes of five are no surprise where one of a hundred choices has them."""
    successes = np.array([5, *[3] * 60, *[2] * 39])
    costs = np.where(np.arange(5) < successes[:, np.newaxis], 1.0, inf)
    assert not fails_more_often(costs).any()
    successes = np.array([*[5] * 60, *[3] * 20, *[2] * 19, 1])
    costs = np.where(np.arange(5) < successes[:, np.newaxis], 1.0, inf)
    assert fails_more_often(costs).tolist() == [*[False] * 99, True]


def test_without_any_success_nothing_is_tied():
    assert not tied([[inf, inf], [inf, inf]]).any()
    assert tied([[inf, 1.0], [inf, inf]]).tolist() == [True, False]


def test_what_a_start_does_to_all_choices_changes_nothing():
    costs = costs_of(np.random.default_rng(70), np.geomspace(1, 3, 30), 6, success=0.95)
    harder = costs * np.array([1e-6, 1, 1e3, 50, 1e9, 7])
    one, other = ranked(costs), ranked(harder)
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_allclose(one.ratio, other.ratio)
    np.testing.assert_array_equal(tied(costs), tied(harder))
    assert 1 < tied(costs).sum() < 20


def test_runs_in_pairs_tell_more_than_their_medians():
    """The second is cheaper from every start, and its median is higher, as it has one start more."""
    costs = np.array([[10.0, 100, 1000, nan], [9.0, 90, 900, 9000]])
    assert np.nanmedian(costs, axis=1).tolist() == [100, 495]
    assert ranked(costs).order.tolist() == [1, 0]
    assert ranked(costs).ratio == pytest.approx([10 / 9, 1])


def test_choices_that_cost_far_more_do_not_say_what_a_start_costs():
    """The first choice costs less than the second in three pairs of five; the others find other pairs hard."""
    first, second = [-0.2, -0.2, -0.2, 0.4, 0.4], [0.0] * 5
    far = [[10.0, 10, 20, 20, 30]] * 5
    assert rank_choices(np.exp([first, second, *far]), np.zeros(7)).order[0] == 0


def test_success_comes_first_and_a_single_failure_of_many_does_not_count():
    always, some = np.full(100, 2.0), np.where(np.arange(100) % 5 < 2, 1.0, inf)
    cheap = np.where(np.arange(100) == 50, inf, 1.0)
    ranks = ranked([some, always, cheap])
    assert ranks.order.tolist() == [2, 1, 0]
    assert ranks.reliable.tolist() == [False, True, True]


def test_the_margin_of_success_is_not_missed_by_a_rounding_error():
    """It is 0.8 - 0.1 > 0.7 in floating point."""
    costs = np.where(np.arange(10) < [[8], [7], [6]], [[2.0], [1.0], [0.5]], inf)
    assert ranked(costs).reliable.tolist() == [True, True, False]


def test_what_is_not_reliable_is_ranked_by_success_then_cost_then_the_tiebreak():
    costs = np.array([[1.0] * 5, [9] * 5, [2] * 5, [1] * 5, [1] * 5, [3] * 5])
    for choice, failures in enumerate([2, 0, 1, 2, 5, 2]):
        costs[choice, 5 - failures :] = inf
    assert ranked(costs, [5, 0, 0, 4, 0, 0]).order.tolist() == [1, 2, 3, 0, 5, 4]


def test_equal_costs_are_ranked_by_success_then_the_tiebreak_then_as_they_come():
    costs = [[1.0] * 20, [1.0] * 19 + [inf], [1.0] * 20, [1.0] * 20]
    assert ranked(costs, [2, 0, 1, 1]).order.tolist() == [2, 3, 0, 1]


def test_without_noise_differences_are_facts():
    """Such as those of runs in which nothing is drawn."""
    costs = np.repeat([[1.0], [1.2], [1.04], [1.0]], 5, axis=1)
    assert verdicts(costs).tolist() == ["best", "worse", "within 5 %", "indistinguishable"]
    assert verdicts(costs, tolerance=0.05).tolist() == ["best", "worse", "indistinguishable", "indistinguishable"]
    # Compared with another than the first, which is then within 5 % of it.
    assert verdicts(costs, reference=2).tolist() == ["within 5 %", "worse", "best", "within 5 %"]
    assert verdicts(costs, reference=1).tolist() == ["better", "best", "better", "better"]
    assert verdicts(costs[:, :1]).tolist() == ["best", *["too few runs"] * 3]


def test_the_sign_test_takes_over_at_twenty_pairs():
    """There an outlier has no weight, and 19 of 20 pairs decide."""
    costs = np.vstack([np.ones(20), [1.1] * 19 + [1e-9]])
    assert tied(costs).tolist() == [True, False]
    assert tied(costs[:, 1:]).tolist() == [True, True]


def test_pairs_that_were_not_made_do_not_count():
    rng = np.random.default_rng(80)
    costs = costs_of(rng, [1.0, 1.0, 3.0], 8)
    wider = np.column_stack([costs, np.full((3, 2), nan)])
    np.testing.assert_array_equal(tied(costs), tied(wider))
    np.testing.assert_allclose(ranked(costs).ratio, ranked(wider).ratio)


def test_nearly_as_cheap_is_within_half_a_standard_error_or_safely_within_the_tolerance():
    rng = np.random.default_rng(90)
    shape = rng.standard_normal(16)
    shape = (shape - shape.mean()) / shape.std(ddof=1)

    def near(excess, spread):
        """Of two choices with this difference in the logarithm and this standard error of it."""
        costs = np.exp(np.vstack([np.zeros(16), excess + 4 * spread * (shape - np.median(shape))]))
        return nearly_as_cheap(costs, ranked(costs), tolerance=0.05).tolist()

    assert near(0.038, 0.005) == [True, True]  # two errors below log(1.05), which is 0.049
    assert near(0.042, 0.005) == [True, False]
    assert near(0.038, 0.08) == [True, True]  # within half an error
    assert near(0.042, 0.08) == [True, False]
    assert near(0.048, 0.5) == [True, True]
    assert near(0.05, 0.5) == [True, False]  # no error excuses more than the tolerance


def test_an_outlier_of_many_pairs_does_not_make_others_nearly_as_cheap():
    costs = np.vstack([np.ones(20), 1.045 * np.exp(np.linspace(-0.04, 0.04, 20))])
    costs[1, 0] = 1e6
    assert nearly_as_cheap(costs, ranked(costs), tolerance=0.05).tolist() == [True, False]


def test_what_fails_is_not_nearly_as_cheap():
    costs = np.array([[1.0] * 6, [1.0] * 3 + [inf] * 3])
    assert nearly_as_cheap(costs, ranked(costs), tolerance=0.05).tolist() == [True, False]
