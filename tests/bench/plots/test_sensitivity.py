"""The sensitivity to the learning rate."""

import numpy as np

from bench.charts.colors import colors_of
from bench.charts.loss_axis import LossAxis
from bench.charts.ticks import format_limit
from bench.plots.sensitivity import sensitivity
from bench.tables.outcomes import choice_outcomes
from bench.tables.ranking import ranking
from tests.support.figures import legend, named, texts
from tests.support.frames import make_frame


def draw(frame, **options):
    """The figure of runs."""
    return sensitivity(frame, choice_outcomes(frame, ranking(frame)), **options)


def test_the_final_loss_is_a_median_over_starts_and_seeds():
    losses = [[1.0, 3.0, 9.0], [2.0, 4.0, 20.0]]
    frame = make_frame(6, lr=[0.1] * 3 + [1.0] * 3, seed=[0, 1, 2] * 2, final_loss=np.ravel(losses))
    figure = draw(frame)
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[0.1, 3], [1, 4]])
    for rate, group, reach in zip((0.1, 1.0), losses, axis.collections[0].get_segments(), strict=True):
        np.testing.assert_allclose(reach, [[rate, end] for end in np.quantile(group, [0.1, 0.9])])
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert legend(figure) == ["sgd"]


def test_where_most_diverge_the_line_leaves_and_a_cross_says_so():
    status = ["max_epochs"] * 2 + ["diverged"] * 4
    frame = make_frame(
        6,
        optimizer=["sgd", "adam"] * 3,
        lr=np.repeat([0.1, 1.0, 10.0], 2),
        status=status,
        final_loss=[1.0, 2.0, np.inf, np.nan, np.nan, 1e305],
    )
    figure = draw(frame)
    (axis,) = figure.axes
    colors = colors_of(["sgd", "adam"])
    for name in ("adam", "sgd"):
        loss, crosses, _ = (line for line in axis.lines if line.get_color() == colors[name])
        assert (loss.get_ydata()[1:] > axis.get_ylim()[1]).all()
        assert crosses.get_xdata().tolist() == [1, 10]
    assert "most diverged" in legend(figure)


def test_with_a_target_it_is_what_the_target_costs():
    """How far below the target a run lands says nothing about its rate."""
    costs = [800, 1600, 400, None, None, None]
    status = ["converged"] * 3 + ["max_epochs"] * 2 + ["diverged"]
    frame = make_frame(6, lr=np.repeat([0.1, 0.2], 3), seed=[0, 1, 2] * 2, samples_to_target=costs, status=status)
    figure = draw(frame)
    (axis,) = figure.axes
    assert axis.get_ylabel() == "samples to the target"
    assert axis.lines[0].get_ydata()[0] == 800
    assert axis.lines[0].get_ydata()[1] > axis.get_ylim()[1]
    square = named(axis, "most missed the target").get_marker()
    assert next(line.get_xdata().tolist() for line in axis.lines if line.get_marker() == square) == [0.2]
    assert "most diverged" not in legend(figure)


def test_one_loss_far_above_the_others_does_not_flatten_them():
    losses = [0.5, 0.6, 0.55, 0.7, 4e4]
    figure = draw(make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], final_loss=losses))
    bottom, top = figure.axes[0].get_ylim()
    heights = np.log(np.array(losses[:4]) / bottom) / np.log(top / bottom)
    assert np.ptp(heights) > 0.08
    assert top < 100
    assert f"Medians above {format_limit(top)} are out of view." in texts(figure)


def test_the_sensitivity_shows_the_distance_to_a_known_lowest_loss():
    figure = draw(make_frame(2, lr=[0.1, 0.2], final_loss=[0.51, 0.5001]), shown=LossAxis(0.5))
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.01, 1e-4])
    assert figure.axes[0].get_ylabel() == "final loss above the lowest\npossible, 0.5"


def test_held_out_losses_are_shown_where_choices_are_ranked_by_them():
    frame = make_frame(2, lr=[0.1, 0.2], final_loss=[0.51, 0.5001], validation_loss=[0.6, 0.7])
    figure = draw(frame, shown=LossAxis(0.5, standardized=True))
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.6, 0.7])
    assert figure.axes[0].get_ylabel() == "loss on held-out samples (standardized)"


def test_an_optimizer_has_its_best_other_settings_at_each_rate():
    frame = make_frame(4, lr=[0.1, 0.2] * 2, batch_size=[1, 1, 8, 8], final_loss=[1.0, 2.0, 0.5, 7.0])
    figure = draw(frame)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.5, 2])


def test_no_final_loss_to_show():
    figure = draw(make_frame(2, status="diverged", final_loss=np.nan, lr=[1, 2]))
    assert texts(figure) == "No final loss to show: none of 2 runs ended with a finite one."
