"""The chart of outcomes against the learning rate."""

import numpy as np
import pytest

from sgdbench.charts.chart import Line, Points
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import PLAIN, LossAxis
from sgdbench.charts.rates import rate_chart, rate_choices
from sgdbench.charts.ticks import format_limit
from sgdbench.tables.outcomes import choice_outcomes
from sgdbench.tables.rank import ranking
from tests.support.frames import make_frame
from tests.support.golden import hold


def chart_of(frame, measure="final_loss", *, shown=PLAIN, **options):
    """The chart of runs."""
    choices = rate_choices(choice_outcomes(frame, ranking(frame)), **options)
    return rate_chart(choices, measure, shown=shown)


def lines_of(chart):
    """The heights of the medians, by the color of their optimizer."""
    layers = [layer for layer in chart.panels[0].layers if isinstance(layer, Line) and layer.width == 2]
    return {line.color: line.y for line in layers}


def markers_of(chart):
    """The rates at which each marker stands."""
    layers = [layer for layer in chart.panels[0].layers if isinstance(layer, Points)]
    return {(points.color, points.marker): list(points.x) for points in layers}


def test_the_chart_of_runs_with_a_target():
    costs = [800, 1600, 400, 900, None, None, None, None, None]
    status = ["converged"] * 4 + ["max_epochs"] * 3 + ["diverged"] * 2
    rates = np.repeat([0.1, 0.2, 0.4], 3)
    frame = make_frame(9, lr=rates, seed=[0, 1, 2] * 3, samples_to_target=costs, status=status)
    chart = chart_of(frame, "samples", target=0.1, samples=1)
    figure = hold(chart, "rates")
    assert figure.axes[0].get_ylabel() == "samples to the target"
    assert [text.get_text() for text in figure.legends[1].get_texts()] == ["most diverged", "most missed the target"]


def test_the_final_loss_is_a_median_over_starts_and_seeds():
    losses = [[1.0, 3.0, 9.0], [2.0, 4.0, 20.0]]
    chart = chart_of(make_frame(6, lr=[0.1] * 3 + [1.0] * 3, seed=[0, 1, 2] * 2, final_loss=np.ravel(losses)))
    ranges, median, points = chart.panels[0].layers
    np.testing.assert_allclose([median.x, median.y], [[0.1, 1], [3, 4]])
    np.testing.assert_allclose(ranges.y[:2], np.quantile(losses[0], [0.1, 0.9]))
    assert points.words[0] == "sgd, learning rate 0.1, batch size 1\nfinal loss: 3 (10\N{EN DASH}90 %: 1.4 to 7.8)"
    assert chart.panels[0].y.linear.range[0] == 0


def test_where_most_diverge_the_line_leaves_and_a_cross_says_so():
    names, rates = ["sgd", "adam"], np.repeat([0.1, 1.0, 10.0], 2)
    status = ["max_epochs"] * 2 + ["diverged"] * 4
    losses = [1.0, 2.0, np.inf, np.nan, np.nan, 1e305]
    chart = chart_of(make_frame(6, optimizer=names * 3, lr=rates, status=status, final_loss=losses))
    for color in colors_of(names).values():
        assert (lines_of(chart)[color][1:] > chart.panels[0].y.range[1]).all()
        assert markers_of(chart)[color, "cross"] == pytest.approx([1, 10], rel=0.02)
    assert [key.name for key in chart.keys] == ["adam", "sgd", "most diverged"]


def test_markers_of_rates_at_which_some_runs_miss_the_target_are_open():
    costs, status = [800, 800, 800, None], ["converged"] * 3 + ["max_epochs"]
    runs = {"lr": [0.1, 0.1, 0.2, 0.2], "seed": [0, 1] * 2, "final_loss": [0.1, 0.1, 0.1, 0.3]}
    frame = make_frame(4, **runs, samples_to_target=costs, status=status)
    markers = markers_of(chart_of(frame, target=0.2))
    assert {marker: rates for (_, marker), rates in markers.items()} == {"dot": [0.1], "circle": [0.2]}


def test_one_loss_far_above_the_others_does_not_flatten_them():
    losses = [0.5, 0.6, 0.55, 0.7, 4e4]
    chart = chart_of(make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], final_loss=losses))
    bottom, top = chart.panels[0].y.range
    assert np.ptp(np.log(np.array(losses[:4]) / bottom) / np.log(top / bottom)) > 0.08
    assert top < 100
    assert f"Medians above {format_limit(top)} are out of view." in chart.notes


def test_losses_are_distances_to_a_known_lowest_loss():
    chart = chart_of(make_frame(2, lr=[0.1, 0.2], final_loss=[0.51, 0.5001]), shown=LossAxis(0.5), target=0.502)
    (line,) = lines_of(chart).values()
    np.testing.assert_allclose(line, [0.01, 1e-4])
    assert chart.panels[0].layers[0].at == pytest.approx(0.002)
    assert chart.panels[0].y.title == "final loss above the lowest\npossible, 0.5"


def test_held_out_losses_are_no_distances():
    frame = make_frame(2, lr=[0.1, 0.2], final_loss=[0.51, 0.5001], validation_loss=[0.6, 0.7])
    chart = chart_of(frame, "validation_loss", shown=LossAxis(0.5, standardized=True))
    (line,) = lines_of(chart).values()
    np.testing.assert_allclose(line, [0.6, 0.7])
    assert chart.panels[0].y.title == "loss on held-out samples (standardized)"


def test_an_optimizer_has_its_best_other_settings_at_each_rate():
    frame = make_frame(4, lr=[0.1, 0.2] * 2, batch_size=[1, 1, 8, 8], final_loss=[1.0, 2.0, 0.5, 7.0])
    (line,) = lines_of(chart_of(frame)).values()
    np.testing.assert_allclose(line, [0.5, 2])


def test_no_final_loss_to_show():
    chart = chart_of(make_frame(2, status="diverged", final_loss=np.nan, lr=[1, 2]))
    assert chart.notes == "No final loss to show: no choice of settings has a finite one."
