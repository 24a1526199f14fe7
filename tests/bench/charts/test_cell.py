"""The loss curves of the runs in a cell, and of one run."""

import numpy as np
import pytest

from sgdbench.charts.cell import cell_charts, run_chart, thin_curves
from sgdbench.charts.chart import Line, Rule
from sgdbench.charts.loss_axis import LossAxis
from tests.support.figures import legend
from tests.support.frames import make_curves, make_frame
from tests.support.gallery import decay
from tests.support.golden import hold


def lines(chart):
    """The lines of a chart."""
    return [layer for layer in chart.panels[0].layers if isinstance(layer, Line)]


def charts_of(frame, curves, most=101, **options):
    """The charts of the cells of the runs of one optimizer."""
    return cell_charts(frame, thin_curves(frame, curves, most), ["optimizer"], **options)["sgd"]


def test_the_runs_of_a_cell_with_a_target_and_held_out_samples():
    frame = make_frame(3, init=["near", "random[0]", "random[1]"], seed=[0, 1, 2])
    frame = frame.assign(status=["converged", "max_epochs", "diverged"], final_loss=[0.002, 0.3, np.inf])
    curves = make_curves({"run0": [10, 0.1, 0.002], "run1": [10, 1, 0.3], "run2": [10, 1e9, np.inf]})
    (chart,) = charts_of(frame, curves.assign(validation_loss=2 * curves["loss"]), target=0.01)
    figure = hold(chart, "cell")
    assert legend(figure) == ["near", "random[0]", "random[1]", "on held-out samples", "target 0.01"]
    assert figure.axes[0].get_xlabel() == "samples seen"
    assert {(line.group, line.dashed) for line in lines(chart)} == {(g, d) for g in ("near", "random") for d in (0, 1)}


def test_the_words_about_a_run_say_how_it_ended():
    frame = make_frame(2, seed=[0, 1], status=["converged", "diverged"], final_loss=[0.002, np.inf])
    (chart,) = charts_of(frame, make_curves(decay([1, 2])))
    assert [line.words for line in lines(chart)] == [
        "near, seed 0\nreached the target: 8,000 samples seen, loss 0.002",
        "near, seed 1\ndiverged: 8,000 samples seen, loss ∞",
    ]


def test_cells_stand_row_by_row_of_the_batch_sizes_and_one_without_runs_is_empty():
    frame = make_frame(3, lr=[0.1, 0.2, 0.2], batch_size=[1, 1, 8])
    cells = charts_of(frame, make_curves(decay([1, 2, 4])))
    assert cells[2] is None
    ends = [lines(cells[place])[0].y[-1] for place in (0, 1, 3)]
    assert ends == sorted(ends, reverse=True)


def test_a_line_ends_where_the_loss_is_not_finite_and_stays_near_the_view():
    (chart,) = charts_of(make_frame(1), make_curves({"run0": [1, 1e3, 1e200, np.inf]}))
    (line,), (_, top) = lines(chart), chart.panels[0].y.range
    assert top < 1e5
    assert line.y[:3].tolist() == [1, 1e3, 10 * top]
    assert np.isnan(line.y[3])


@pytest.mark.parametrize("loss", [[0, 0], [np.inf], [1e300, np.nan]])
def test_curves_without_a_place_have_a_chart(loss):
    (chart,) = charts_of(make_frame(1), make_curves({"run0": loss}))
    bottom, top = chart.panels[0].y.range
    assert 0 < bottom < top < np.inf


def test_thinned_curves_keep_the_last_checkpoint_of_each_run():
    frame = make_frame(2, seed=[0, 1])
    curves = thin_curves(frame, make_curves({"run0": 1 / np.arange(1.0, 51), "run1": 1 / np.arange(1.0, 32)}), 8)
    ends = [curves.samples[curves.of(run)][-1] for run in (0, 1)]
    assert ends == [49 * 800, 30 * 800]
    assert np.diff(curves.first).max() <= 9
    np.testing.assert_array_equal(curves.losses[0, curves.first[1:] - 1], [1 / 50, 1 / 31])


def test_the_chart_of_a_run_that_is_played_says_where_the_target_is():
    samples, losses = np.array([0, 800, 1600]), np.array([1.0, 0.1, 0.03])
    chart = run_chart(samples, losses, "#0072b2", target=0.02, notes="target missed")
    assert chart.caption == "The loss. Dashed: the target."
    assert any(isinstance(layer, Rule) for layer in chart.panels[0].layers)
    below = run_chart(samples, losses, "#0072b2", target=0.02, shown=LossAxis(0.02))
    assert below.caption == "The loss. The target is below."
    assert not any(isinstance(layer, Rule) for layer in below.panels[0].layers)
    assert run_chart(samples, losses, "#0072b2").caption == "The loss on the training samples."
