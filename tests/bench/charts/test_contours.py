"""The chart of paths over the surface of the loss."""

from dataclasses import replace

import numpy as np
import pytest

from sgdbench.charts.chart import Line, Surface
from sgdbench.charts.contours import contour_chart
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.style import save
from tests.support.golden import hold


def bowl(params):
    return (params**2 * [1.0, 4.0, 9.0][: params.shape[1]]).sum(axis=1)


def paths(**runs):
    """Trajectories by name: from a start, in steps that halve the distance to zero."""
    return {name: np.outer(0.5 ** np.arange(6), start) for name, start in runs.items()}


def layer_of(panel, kind):
    (layer,) = [layer for layer in panel.layers if isinstance(layer, kind)]
    return layer


def with_every_tenth_height(panel):
    """A panel whose surface is short enough for a golden file."""
    surface, *others = panel.layers
    x, y = surface.x[::10], surface.y[::10]
    return replace(panel, layers=[Surface(x, y, surface.heights[::10, ::10], surface.levels), *others])


def test_the_path_is_drawn_over_the_two_parameters_that_move_most():
    chart = contour_chart(bowl, paths(near=[1.0, 0.1, 3.0], far=[10, 1, 30]), names=("a", "b", "c"))
    hold(replace(chart, panels=[*map(with_every_tenth_height, chart.panels)]), "contours")
    assert draw_chart(chart).axes[0].collections


def test_other_parameters_are_held_where_the_run_ended():
    seen = []

    def loss(params):
        seen.append(params)
        return bowl(params)

    ended = np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 2.5]])
    contour_chart(loss, {"run": ended}, names="abc")
    (points,) = seen
    assert (points[:, 2] == 2.5).all()


def test_a_path_that_shoots_far_does_not_squeeze_the_rest():
    path = np.array([[1.0, 1.0], [1e6, -1e6], [0.5, 0.5], [0.0, 0.0]])
    chart = contour_chart(bowl, {"wild": path}, names="ab")
    assert max(np.abs(chart.panels[0].x.range)) < 10
    assert "Where a path leaves a panel it goes far beyond." in chart.notes


def test_checkpoints_that_are_not_finite_are_left_out():
    path = np.array([[1.0, 1.0], [2.0, 3.0], [np.inf, np.nan]])
    chart = contour_chart(bowl, {"lost": path}, names="ab")
    assert list(layer_of(chart.panels[0], Line).y) == [1, 3]


@pytest.mark.parametrize("loss", [lambda params: np.full(len(params), np.inf), lambda params: np.zeros(len(params))])
def test_a_surface_without_levels_still_has_its_path(loss, tmp_path):
    chart = contour_chart(loss, paths(run=[1.0, 2.0]), names="ab")
    assert len(layer_of(chart.panels[0], Line).x) == 6
    save(draw_chart(chart), tmp_path, "flat")


@pytest.mark.parametrize(("power", "levels"), [(0.1, 0), (0.35, 1)])
def test_a_single_level_is_filled_on_both_sides(power, levels, tmp_path):
    chart = contour_chart(lambda params: bowl(params) ** power, paths(run=[1.0, 1.0]), names="ab")
    figure = draw_chart(chart)
    assert layer_of(chart.panels[0], Surface).levels.size == levels
    if levels:
        filled, lines = figure.axes[0].collections
        assert len(filled.get_facecolor()) == len(lines.levels) + 1 == 2
    save(figure, tmp_path, "one")


@pytest.mark.parametrize(("runs", "names"), [({}, "ab"), ({"still": np.ones((5, 2))}, "ab"), (paths(a=[1.0]), "a")])
def test_no_path_over_the_loss(runs, names):
    chart = contour_chart(bowl, runs, names=names)
    assert not chart.panels
    assert chart.notes.startswith("No path over the loss to show")
