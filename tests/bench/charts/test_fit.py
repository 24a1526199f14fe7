"""Data and the curves fitted to them."""

import numpy as np
import pytest

from sgdbench.charts.chart import Band, Line, Points, to_data
from sgdbench.charts.colors import colors_of
from sgdbench.charts.fit import fit_chart, pad_range
from sgdbench.plots.draw import draw_chart
from tests.support.figures import legend, visible_pixels
from tests.support.gallery import X, Y, quadratic
from tests.support.golden import hold

STARTS = ["far", "near", "random[0]", "random[1]", "zero"]


def names(chart):
    return [key.name for key in chart.keys]


def test_the_chart_of_two_fits_has_their_residuals_below(monkeypatch):
    monkeypatch.setattr("sgdbench.charts.fit.CURVE_POINTS", 5)
    x = np.linspace(-1, 1, 9)
    params = {"sgd": [1, 0, -2], "adam": [1, 0.5, -2]}
    chart = fit_chart(quadratic, x, x**2 - 2 + 0.01 * (-1) ** np.arange(9), params_by_name=params, start=[0, 0, -1.5])
    figure = hold(chart, "fit")
    axis, below = figure.axes
    assert below.get_xlim() == axis.get_xlim()
    assert (axis.get_xlabel(), below.get_xlabel(), axis.get_ylabel()) == ("", "x", "y")
    assert sorted(legend(figure)) == ["9 samples", "adam", "sgd", "start"]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_the_fit_is_drawn_over_the_data(shape):
    def predict(params, x):
        return quadratic(params, x.ravel())

    params = {"sgd": [1, 0, -2], "adam": [2, 1, 0]}
    chart = fit_chart(predict, X.reshape(shape), Y, params_by_name=params, start=[0, 0, -1], words={"sgd": "sgd, fast"})
    panel = chart.panels[0]
    data, start, adam, sgd = panel.layers
    np.testing.assert_array_equal([data.x, data.y], [X, Y])
    assert start.dashed
    np.testing.assert_array_equal(start.y, np.full_like(start.x, -1))
    np.testing.assert_allclose(sgd.y, sgd.x**2 - 2)
    np.testing.assert_allclose(adam.y, 2 * adam.x**2 + adam.x)
    assert names(chart) == ["50 samples", "start", "adam", "sgd, fast"]
    assert [adam.words, sgd.words] == ["adam", "sgd, fast"]
    assert panel.y.range[1] < 5


def test_a_start_out_of_sight_and_residuals_of_rounding_alone_are_not_drawn():
    chart = fit_chart(quadratic, X, Y + 1e-15, params_by_name={"fit": [1, 0, -2]}, start=[0, 0, 500])
    assert names(chart) == ["50 samples", "fit"]
    assert len(chart.panels) == 1
    assert "The residuals are errors of rounding: at most " in chart.notes


def test_two_classes_of_several_inputs_are_histograms_of_the_predicted_probability():
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = (x[:, 0] > 0).astype(float)
    chart = fit_chart(
        lambda params, x: 1 / (1 + np.exp(-x @ params)), x, y, params_by_name={"fit": [1.0, 0.0]}, classes=("no", "yes")
    )
    (panel,) = chart.panels
    assert panel.x.title == "predicted probability of yes"
    heights = [layer.high[::2] for layer in panel.layers if isinstance(layer, Band)]
    assert [one.sum() for one in heights] == [np.sum(y == 0), np.sum(y == 1)]
    assert heights[0][20:].sum() == heights[1][:20].sum() == 0
    assert (chart.legend, names(chart)) == ("y", ["no", "yes"])
    scores = fit_chart(lambda params, x: x[:, 0], x, y, params_by_name={"fit": []}, classes="ab", differences=False)
    assert scores.panels[0].x.title == "predicted score"


def test_a_fit_that_diverged_is_named():
    chart = fit_chart(quadratic, X, Y, params_by_name={"sgd": [np.nan, 0, np.inf]})
    assert names(chart) == ["50 samples", "sgd (diverged)"]
    assert len(chart.panels[0].layers) == 1


def test_a_fit_far_from_the_data_does_not_hide_them():
    upper, _ = fit_chart(quadratic, X, Y, params_by_name={"sgd": [0, 0, 1e200]}).panels
    assert upper.y.range == (pytest.approx(-2, abs=0.2), pytest.approx(0, abs=0.2))


def test_values_that_differ_by_rounding_alone_have_an_axis():
    assert pad_range(np.array([27.3, np.nextafter(27.3, 0)]), 0.06) == pytest.approx((27.24, 27.36), rel=1e-12)


def test_several_inputs_show_predicted_against_observed():
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x @ [1.0, 2.0]
    chart = fit_chart(lambda params, x: x @ params, x, y, params_by_name={"fit": np.array([1.0, 2.0])}, start=[0, 0])
    (panel,) = chart.panels
    diagonal, start, fit = panel.layers
    assert list(diagonal.x) == list(diagonal.y) == list(panel.x.range)
    np.testing.assert_array_equal([start.x, start.y], [y, np.zeros(30)])
    np.testing.assert_allclose([fit.x, fit.y], [y, y])
    assert (panel.x.title, panel.y.title) == ("y, observed", "y, predicted")
    assert {key.mark for key in chart.keys} == {"line", "dot"}


def test_of_a_large_data_set_a_thousand_samples_are_drawn():
    x = np.linspace(0, 1, 100_000)
    chart = fit_chart(quadratic, x, x, params_by_name={"fit": [0, 1, 0]})
    assert len(chart.panels[0].layers[0].x) == 1000
    assert "1,000 of 100,000 samples are drawn." in chart.notes
    assert names(chart)[0] == "100,000 samples"


def test_points_in_time_are_told_apart():
    """To six digits, a day in seconds since 1970 is one number."""
    x = 1.7e9 + np.arange(60.0)
    chart = to_data(fit_chart(quadratic, x, np.sin(x), params_by_name={"fit": [0, 0, 0]}))
    data = chart["panels"][0]["layers"][0]
    assert data["x"] == x.tolist()
    low, high = chart["panels"][0]["x"]["range"]
    assert x[0] - 3 < low < x[0] < x[-1] < high < x[-1] + 3


def test_five_fits_that_are_the_same_can_all_be_seen():
    chart = fit_chart(quadratic, X, Y, params_by_name=dict.fromkeys(STARTS, (1, 0, -2)))
    figure = draw_chart(chart)
    for name, color in colors_of(STARTS).items():
        assert visible_pixels(figure.axes[0], color) > 100, name
    assert "The fits differ by at most 0." in chart.notes


def test_below_the_curves_are_the_residuals_of_the_best_one_and_what_the_others_add():
    y = Y + 0.01 * (-1) ** np.arange(X.size)
    params = {"good": [1, 0, -2], "off": [1, 0, -1.98]}
    chart = fit_chart(quadratic, X, y, params_by_name=params, start=[0, 0, 0])
    below = chart.panels[1]
    data, good, off = below.layers
    assert [type(layer) for layer in below.layers] == [Points, Line, Line]
    np.testing.assert_allclose(data.y, y - X**2 + 2, atol=1e-12)
    np.testing.assert_array_equal(good.y, 0.0)
    np.testing.assert_allclose(off.y, 0.02)
    assert below.y.range[1] < 0.03
    assert "Below: residuals of good, and the other curves minus it. The fits differ by at most 0.02." in chart.notes
    scores = fit_chart(quadratic, X, y, params_by_name=params, differences=False)
    assert len(scores.panels) == 1
