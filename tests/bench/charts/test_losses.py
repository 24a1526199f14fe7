"""Loss curves: medians, bands, targets, and what is out of view."""

import numpy as np
import pytest

from sgdbench.charts.chart import Band, Line
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import LossAxis
from sgdbench.charts.losses import loss_charts, with_words
from sgdbench.plots.style import save
from sgdbench.tables.loss_bands import loss_bands, loss_quantiles
from tests.support.figures import legend, lines, overlaps, texts, visible_pixels
from tests.support.frames import make_curves, make_frame
from tests.support.gallery import decay, loss_chart_of, loss_curves
from tests.support.golden import hold


def of_kind(chart, kind, panel=0):
    """The layers of a kind in a panel."""
    return [layer for layer in chart.panels[panel].layers if isinstance(layer, kind)]


def test_the_chart_of_runs_with_a_target_and_held_out_samples():
    frame = make_frame(6, optimizer=["adam"] * 3 + ["sgd"] * 3, seed=[0, 1, 2] * 2)
    curves = make_curves(decay([0.1, 0.2, 0.4, 1, 2, 4], epochs=3))
    bands = loss_bands(frame, curves.assign(validation_loss=2 * curves["loss"]))
    timed = with_words(bands.assign(seconds=1e-6 * bands["updates"]))
    chart = loss_charts(timed, ["seconds"], target=1.0)["seconds"]
    figure = hold(chart, "losses")
    assert figure.axes[0].get_xlabel() == "time"
    assert figure.axes[0].get_ylabel() == "loss"
    assert legend(figure) == ["adam", "sgd", "on held-out samples", "target 1"]


def test_lines_are_medians_and_bands_their_quantiles():
    frame = make_frame(6, optimizer=["adam"] * 3 + ["sgd"] * 3, seed=[0, 1, 2] * 2)
    curves = make_curves(decay([0.1, 0.2, 0.4, 1, 2, 4]))
    chart = loss_chart_of(frame, curves)
    bands = loss_quantiles(frame, curves)
    # The start has no place on the axis and is drawn at its left edge.
    assert chart.panels[0].x.range[0] == 400
    assert {ticks.labels[0] for ticks in chart.panels[0].x.ticks} == {"0"}
    for name, line, area in zip(("adam", "sgd"), of_kind(chart, Line), of_kind(chart, Band), strict=True):
        band = bands[bands["optimizer"] == name]
        np.testing.assert_array_equal(line.x, band["samples"])
        np.testing.assert_allclose(line.y, band["median"])
        assert area.low.min() == pytest.approx(band["median"].min())
        assert area.high.max() == pytest.approx(band["high"].max())
        assert line.color == area.color
        assert line.group == area.group == name
    assert chart.notes == "Median and 10–90 % of 3 runs."  # noqa: RUF001


def test_an_optimizer_that_was_not_timed_is_in_no_chart_of_time():
    bands = loss_bands(make_frame(2, optimizer=["adam", "sgd"]), make_curves(decay([0.1, 0.2])))
    bands["seconds"] = bands["updates"].where(bands["optimizer"] == "sgd")
    charts = loss_charts(bands, ["samples", "seconds"])
    named = {clock: [line.group for line in of_kind(chart, Line)] for clock, chart in charts.items()}
    assert named == {"samples": ["adam", "sgd"], "seconds": ["sgd"]}


def test_a_band_stays_within_the_span_of_its_own_line():
    """And the line within its band, also where both leave the view."""
    losses = {"run0": [1e3, 10, 1], "run1": [1e2, 1, 0.1], "run2": [1e9, 1e9, 1e9], "run3": [1e3, 10, 1e-9]}
    chart = loss_chart_of(make_frame(4, seed=range(4)), make_curves(losses))
    (line,), (band,) = of_kind(chart, Line), of_kind(chart, Band)
    assert (band.low.min(), band.high.max()) == (pytest.approx(line.y.min()), pytest.approx(line.y.max()))
    assert (band.low <= line.y).all()
    assert (line.y <= band.high).all()


def test_a_panel_for_each_start_with_shared_axes():
    frame = make_frame(4, optimizer=["adam", "sgd"] * 2, init=["far", "far", "near", "near"])
    figure = loss_curves(frame, make_curves(decay([1, 2, 3, 4])))
    assert [axis.get_title("left") for axis in figure.axes] == ["start far", "start near"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    np.testing.assert_allclose(lines(figure.axes[1])[0][1], decay([3])["run0"])


def test_the_samples_below_three_panels_are_legible():
    """Of 1,000 and 2,000, one stood in the other."""
    frame = make_frame(3, init=["far", "near", "other"])
    figure = loss_curves(frame, make_curves(decay([0.1, 0.2, 0.3], epochs=40)))
    for axis in figure.axes:
        assert overlaps(figure, axis.get_xticklabels()) == []


def test_the_target_is_a_line_and_bounds_the_view():
    figure = loss_curves(make_frame(1), make_curves({"run0": [100, 1, 1e-20]}), target=1e-3)
    (axis,) = figure.axes
    assert axis.get_ylim() == (pytest.approx(1e-5), pytest.approx(100))
    assert axis.lines[0].get_ydata() == [1e-3, 1e-3]
    assert "target 0.001" in legend(figure)
    assert "Losses below 10⁻⁵ are drawn at the bottom." in texts(figure)


@pytest.mark.parametrize("loss", [[0, 0, 0], [1e-320, 1e-323, 0], [1e-9, 1e250, 1e290]])
def test_extreme_losses_are_drawn(loss, tmp_path):
    figure = loss_curves(make_frame(1), make_curves({"run0": loss}))
    bottom, top = figure.axes[0].get_ylim()
    drawn = figure.axes[0].lines[0].get_ydata()
    assert 0 < bottom < top < np.inf
    assert bottom <= drawn[0] <= top
    assert (drawn >= bottom).all()
    save(figure, tmp_path, "loss")


def test_runs_that_diverge_leave_at_the_top():
    frame = make_frame(2, optimizer=["adam", "sgd"], status=["max_epochs", "diverged"])
    figure = loss_curves(frame, make_curves({"run0": [10, 1, 0.1], "run1": [10, 1e200, np.inf]}))
    (axis,) = figure.axes
    assert axis.get_ylim()[1] == pytest.approx(1e4)
    assert axis.lines[1].get_ydata()[1] > axis.get_ylim()[1]
    assert "1 of 2 runs diverged." in texts(figure)


@pytest.mark.parametrize(
    ("runs", "curves", "status"),
    [
        (2, {"run0": [np.inf, np.inf], "run1": [np.nan]}, "diverged"),
        (2, {"run0": [1.0, 1e300], "run1": [1e308] * 3}, "max_epochs"),
    ],
)
def test_no_loss_curve_to_show(runs, curves, status):
    figure = loss_curves(make_frame(runs, status=status), make_curves(curves))
    assert texts(figure).startswith(f"No loss curve to show: none of {runs} runs")
    assert not figure.axes[0].axison
    assert not figure.axes[0].lines


def test_long_curves_are_thinned_to_what_can_be_seen():
    loss = 1 / np.arange(1, 5002)
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": loss})).axes
    samples, drawn = axis.lines[0].get_xydata().T
    assert 150 < len(samples) <= 200
    assert (samples[0], samples[-1]) == (400, 800 * 5000)
    np.testing.assert_array_equal(drawn, loss[samples.astype(int) // 800])


def test_optimizers_with_the_same_curve_can_all_be_seen():
    names = ["adam", "adamw", "momentum(0.9)", "nesterov(0.9)", "sgd"]
    figure = loss_curves(make_frame(5, optimizer=names), make_curves(decay([1] * 5)))
    for name, color in colors_of(names).items():
        assert visible_pixels(figure.axes[0], color) > 100, name


def test_where_the_lowest_loss_is_known_the_distance_to_it_is_drawn():
    """Of noisy data all curves end at the same loss, however fast they arrive."""
    losses = {"run0": [1.3, 0.4, 0.31, 0.301], "run1": [1.3, 0.31, 0.3001, 0.3]}
    frame, curves = make_frame(2, optimizer=["adam", "sgd"]), make_curves(losses)
    figure = loss_curves(frame, curves, target=0.3002, shown=LossAxis(0.3, standardized=True))
    (axis,) = figure.axes
    target, slow, fast = axis.lines
    np.testing.assert_allclose(slow.get_ydata(), [1, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(fast.get_ydata()[:3], [1, 0.01, 0.0001])
    np.testing.assert_allclose(target.get_ydata(), 2e-4)
    assert axis.get_ylim()[0] < 2e-4
    assert axis.get_ylabel() == "loss above the lowest\npossible, 0.3 (standardized)"
    assert "target 0.3002" in legend(figure)
    plain = loss_curves(frame, curves, target=0.3002)
    assert plain.axes[0].get_ylabel() == "loss"


def test_a_target_below_what_is_possible_is_named_as_below():
    figure = loss_curves(make_frame(1), make_curves({"run0": [2, 1.2, 1.1]}), target=0.5, shown=LossAxis(1.0))
    assert "target 0.5, below" in legend(figure)
