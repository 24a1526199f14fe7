"""The chart of the time and the final loss of runs."""

import numpy as np

from sgdbench.charts.chart import Points, Rule
from sgdbench.charts.loss_axis import LossAxis
from sgdbench.charts.times import time_chart
from tests.support.figures import legend
from tests.support.frames import make_frame
from tests.support.golden import hold


def points(chart):
    """The points by optimizer."""
    return {layer.group: layer for layer in chart.panels[0].layers if isinstance(layer, Points)}


def test_the_time_of_two_optimizers():
    losses = [0.2, 0.002, 1e45, 0.1, 0.0, np.inf]
    frame = make_frame(6, optimizer=["sgd", "adam"] * 3, lr=[0.1] * 4 + [0.2] * 2, seed=[0, 0, 1, 1, 0, 0])
    frame = frame.assign(final_loss=losses, seconds=np.array([1, 2, 3, 40, 5, 6]) * 1e-6)
    chart = time_chart(frame, first=10.0, target=0.01)
    assert legend(hold(chart, "times")) == ["adam", "sgd", "target 0.01"]
    (words,) = [said for said in points(chart)["adam"].words if "40 µs" in said]
    assert words == "adam, learning rate 0.1, batch size 1\nnear, seed 1\n40 µs, loss 0.1"


def test_losses_that_diverged_are_above_the_view():
    """They may end at 1e45, beside which all others are zero on a linear axis, too."""
    chart = time_chart(make_frame(3, final_loss=[0.1, 1e-9, 1e45], seconds=1e-6), first=10.0, target=0.01)
    axis = chart.panels[0].y
    assert axis.range[1] < axis.linear.range[1] < 1e5
    assert chart.notes == (
        "The chart shows all 3 configurations, 1 of them above the view. Losses below 10⁻⁴ are drawn at the bottom."
    )


def test_losses_are_distances_to_a_known_lowest_loss():
    frame = make_frame(3, final_loss=[0.51, 0.5, 0.7], seconds=1e-6)
    chart = time_chart(frame, first=2.0, shown=LossAxis(0.5), target=0.4)
    np.testing.assert_allclose(points(chart)["sgd"].y, [0.01, 0.2])
    assert chart.notes == "The chart shows 2 of 3 configurations, with a time and a finite loss above the lowest."
    assert [key.name for key in chart.keys] == ["sgd", "target 0.4, below"]
    assert not any(isinstance(layer, Rule) for layer in chart.panels[0].layers)


def test_no_run_to_show():
    chart = time_chart(make_frame(2, final_loss=np.nan, seconds=1e-6), first=1.0)
    assert chart.notes == "None of 2 configurations has a time, and a finite loss above zero."
