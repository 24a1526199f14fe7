"""Data and the curves fitted to them."""

import numpy as np
import pytest

from bench.charts.colors import colors_of
from bench.charts.fit_curves import pad_range
from tests.support.figures import legend, lines, texts, visible_pixels
from tests.support.gallery import X, Y, fitted_curve, quadratic

STARTS = ["far", "near", "random[0]", "random[1]", "zero"]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_the_fit_is_drawn_over_the_data(shape):
    def predict(params, x):
        return quadratic(params, x.ravel())

    figure = fitted_curve(
        predict, X.reshape(shape), Y, params_by_name={"sgd": [1, 0, -2], "adam": [2, 1, 0]}, start=[0, 0, -1]
    )
    axis = figure.axes[0]
    data, start, adam, sgd = axis.lines
    np.testing.assert_array_equal(data.get_xydata(), np.transpose([X, Y]))
    assert start.get_linestyle() == "--"
    np.testing.assert_array_equal(start.get_ydata(), np.full_like(start.get_xdata(), -1))
    np.testing.assert_allclose(sgd.get_ydata(), sgd.get_xdata() ** 2 - 2)
    np.testing.assert_allclose(adam.get_ydata(), 2 * adam.get_xdata() ** 2 + adam.get_xdata())
    assert legend(figure) == ["data", "start", "adam", "sgd"]
    assert axis.get_ylim()[1] < 5


def test_a_start_out_of_sight_and_residuals_of_rounding_alone_are_not_drawn():
    figure = fitted_curve(quadratic, X, Y + 1e-15, params_by_name={"fit": [1, 0, -2]}, start=[0, 0, 500])
    assert legend(figure) == ["data", "fit"]
    assert len(figure.axes) == 1
    assert "The residuals are errors of rounding: at most " in texts(figure)


def test_two_classes_of_several_inputs_are_histograms_of_the_predicted_probability():
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = (x[:, 0] > 0).astype(float)
    figure = fitted_curve(
        lambda params, x: 1 / (1 + np.exp(-x @ params)), x, y, params_by_name={"fit": [1.0, 0.0]}, classes=("no", "yes")
    )
    (axis,) = figure.axes
    assert axis.get_xlabel() == "predicted probability of yes"
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert [sum(one) for one in heights] == [np.sum(y == 0), np.sum(y == 1)]
    assert sum(heights[0][20:]) == sum(heights[1][:20]) == 0


def test_a_fit_that_diverged_is_named():
    figure = fitted_curve(quadratic, X, Y, params_by_name={"sgd": [np.nan, 0, np.inf]})
    assert legend(figure) == ["data", "sgd (diverged)"]
    assert len(lines(figure.axes[0])) == 1


def test_a_fit_far_from_the_data_does_not_hide_them():
    axis, _ = fitted_curve(quadratic, X, Y, params_by_name={"sgd": [0, 0, 1e200]}).axes
    assert axis.get_ylim() == (pytest.approx(-2, abs=0.2), pytest.approx(0, abs=0.2))


def test_values_that_differ_by_rounding_alone_have_an_axis():
    assert pad_range(np.array([27.3, np.nextafter(27.3, 0)]), 0.06) == pytest.approx((27.24, 27.36), rel=1e-12)


def test_several_inputs_show_predicted_against_observed():
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x @ [1.0, 2.0]
    figure = fitted_curve(
        lambda params, x: x @ params, x, y, params_by_name={"fit": np.array([1.0, 2.0])}, start=[0, 0]
    )
    (axis,) = figure.axes
    start, fit = lines(axis)
    np.testing.assert_array_equal(start, [y, np.zeros(30)])
    np.testing.assert_allclose(fit, [y, y])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("y, observed", "y, predicted")


def test_of_a_large_data_set_a_thousand_samples_are_drawn():
    x = np.linspace(0, 1, 100_000)
    figure = fitted_curve(quadratic, x, x, params_by_name={"fit": [0, 1, 0]})
    assert len(figure.axes[0].lines[0].get_xdata()) == 1000
    assert "1,000 of 100,000 samples are drawn." in texts(figure)


def test_five_fits_that_are_the_same_can_all_be_seen():
    figure = fitted_curve(quadratic, X, Y, params_by_name=dict.fromkeys(STARTS, (1, 0, -2)))
    for name, color in colors_of(STARTS).items():
        assert visible_pixels(figure.axes[0], color) > 100, name
    assert "The fits differ by at most 0." in texts(figure)


def test_below_the_curves_are_the_residuals_of_the_best_one_and_what_the_others_add():
    y = Y + 0.01 * (-1) ** np.arange(X.size)
    figure = fitted_curve(quadratic, X, y, params_by_name={"good": [1, 0, -2], "off": [1, 0, -1.98]}, start=[0, 0, 0])
    axis, below = figure.axes
    data, good, off = below.lines
    np.testing.assert_allclose(data.get_ydata(), y - X**2 + 2, atol=1e-12)
    np.testing.assert_array_equal(good.get_ydata(), 0.0)
    np.testing.assert_allclose(off.get_ydata(), 0.02)
    assert below.get_ylim()[1] < 0.03
    assert below.get_xlim() == axis.get_xlim()
    assert "Below: the same, minus the best curve, good. The fits differ by at most 0.02." in texts(figure)
