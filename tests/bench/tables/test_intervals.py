"""Intervals hold on distributions that are known, and errors of many tests stay rare."""

import numpy as np
import pytest
from numpy import inf, nan
from scipy.stats import binomtest

from sgdbench.tables.intervals import holm_rejections, median_interval, row_medians, wilson_interval
from tests.support.simulated import NOISES


def coverage(values, truth, confidence=0.95):
    low, high = median_interval(values, confidence)
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("count", [5, 6, 8, 15, 100])
def test_of_100_intervals_of_a_median_95_hold(count, noise):
    rng = np.random.default_rng(count)
    values = np.exp(np.clip(0.3 * NOISES[noise](rng, (8000, count)), -200, 200))
    assert 0.93 <= coverage(values, 1.0) <= 0.97


def test_other_confidences_hold_too():
    values = np.exp(np.random.default_rng(1).standard_normal((8000, 25)))
    assert coverage(values, 1.0, 0.8) == pytest.approx(0.8, abs=0.015)
    assert coverage(values, 1.0, 0.99) == pytest.approx(0.99, abs=0.005)


@pytest.mark.parametrize("count", [5, 8, 20])
def test_they_hold_where_runs_fail(count):
    """Of 100 runs 30 fail: the median over all of them is a quantile of the others."""
    rng = np.random.default_rng(2)
    logs = rng.standard_normal((8000, count))
    truth = np.exp(np.quantile(np.random.default_rng(3).standard_normal(10**6), 0.5 / 0.7))
    values = np.where(rng.random(logs.shape) < 0.3, inf, np.exp(logs))
    assert 0.93 <= coverage(values, truth) <= 0.97


def test_where_most_runs_fail_the_upper_end_is_infinite():
    """And in more than 95 of 100, as there is nothing above infinity."""
    values = np.where(np.random.default_rng(4).random((8000, 10)) < 0.6, inf, 1.0)
    assert coverage(values, inf) >= 0.95


@pytest.mark.parametrize("count", [5, 6, 9, 30])
@pytest.mark.parametrize("steps", [1, 3, 10, 100])
def test_where_values_repeat_more_of_them_hold(count, steps):
    """No interval is exact where costs are whole numbers; these are never too narrow."""
    rng = np.random.default_rng(5)
    for fraction in (0.05, 0.45, 0.95):
        values = np.ceil((steps + fraction) * np.exp(0.2 * rng.standard_normal((4000, count))))
        # Of 100 values 50 are below `steps` and a bit, so the one in the middle is the next whole number.
        assert coverage(values, steps + 1.0) >= 0.93


def test_five_values_give_their_range_and_fewer_give_nothing():
    values = np.array([[3.0, 1.0, 5.0, 2.0, 4.0], [3.0, 1.0, 5.0, 2.0, nan], [7.0, nan, nan, nan, nan]])
    low, high = median_interval(values)
    np.testing.assert_array_equal(low, [1, nan, nan])
    np.testing.assert_array_equal(high, [5, nan, nan])
    low, high = median_interval(values, 0.875)
    np.testing.assert_array_equal((low[1], high[1]), (1, 5))


def test_ends_are_interpolated_on_logarithms():
    # The interval of six values has 0.96875, that of the inner four 0.78125; 0.95 is reached after 5 parts of 14.
    values = np.exp(np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]))
    low, high = median_interval(values)
    np.testing.assert_allclose([*np.log(low), *np.log(high)], [5 / 14, 5 - 5 / 14])


def test_negative_values_have_an_interval_too():
    """As log-likelihoods; there was one of five values alone."""
    low, high = median_interval(np.array([[-5.0, -4, -3, -2, -1, 0], [-1, 0, 1, 2, 3, inf]]))
    np.testing.assert_allclose([low, high], [[5 / 14 - 5, 5 / 14 - 1], [-5 / 14, inf]])
    for count in (6, 10, 20):
        assert 0.935 <= coverage(np.random.default_rng(count).standard_normal((8000, count)), 0.0) <= 0.965


def test_ends_are_values_of_the_sample_where_two_are_equal():
    low, high = median_interval(np.array([[1.0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 5], [1, 2, 3, 3, 4, 5]]))
    np.testing.assert_array_equal(low, [1, 1, 1])
    np.testing.assert_array_equal(high, [5, 5, 5])


def test_zeros_infinities_and_missing_values():
    values = np.array([[0.0, 0, 1, 2, inf, inf, nan], [nan, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]])
    low, high = median_interval(values)
    np.testing.assert_array_equal(low, [0, 0, 1])
    np.testing.assert_array_equal(high, [inf, 1, 1])
    np.testing.assert_array_equal(row_medians(values), [1.5, 1, 1])


def test_medians_are_those_of_each_row():
    values = np.random.default_rng(6).standard_normal((50, 8))
    np.testing.assert_array_equal(row_medians(values), np.median(values, axis=1))
    np.testing.assert_array_equal(row_medians(values[:, :7]), np.median(values[:, :7], axis=1))
    values[:, 3] = nan
    np.testing.assert_array_equal(row_medians(values), np.nanmedian(values, axis=1))
    extremes = np.array([[1.0, inf], [-inf, 1.0], [inf, inf], [nan, nan]])
    np.testing.assert_array_equal(row_medians(extremes), [inf, -inf, inf, nan])
    assert np.isnan(row_medians(np.empty((2, 0)))).all()


def test_shares_have_wilsons_interval():
    cases = [(k, n) for n in (1, 2, 5, 12, 100) for k in range(n + 1)]
    low, high = wilson_interval(*np.transpose(cases))
    expected = [binomtest(k, n).proportion_ci(0.95, method="wilson") for k, n in cases]
    np.testing.assert_allclose(low, [bounds.low for bounds in expected], atol=1e-15)
    np.testing.assert_allclose(high, [bounds.high for bounds in expected])
    assert low.min() == 0
    assert high.max() == 1


def test_holm_rejects_step_by_step_and_stops():
    p = np.array([0.01, 0.04, 0.03, 0.005, 0.026])
    # 0.005 <= 0.05/5, 0.01 <= 0.05/4, 0.026 > 0.05/3: it ends, although 0.04 <= 0.05/1.
    assert holm_rejections(p, 0.05).tolist() == [True, False, False, True, False]
    assert holm_rejections(np.array([0.04]), 0.05).tolist() == [True]
    # The smallest is held against the strictest level, and the next one against a milder one.
    assert holm_rejections(np.array([0.04, 0.011]), 0.05).tolist() == [True, True]
    assert holm_rejections(np.array([0.06, 0.03]), 0.05).tolist() == [False, False]
    assert holm_rejections(np.array([]), 0.05).size == 0
