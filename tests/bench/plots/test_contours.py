"""Paths over the surface of the loss."""

import numpy as np
import pytest

from bench.plots.contours import contours
from bench.plots.style import save
from tests.support.figures import texts


def bowl(params):
    return (params**2 * [1.0, 4.0, 9.0][: params.shape[1]]).sum(axis=1)


def paths(**runs):
    """Trajectories by name: from a start, in steps that halve the distance to zero."""
    return {name: np.outer(0.5 ** np.arange(6), start) for name, start in runs.items()}


def test_the_path_is_drawn_over_the_two_parameters_that_move_most():
    figure = contours(bowl, paths(near=[1.0, 0.1, 3.0], far=[10, 1, 30]), names=("a", "b", "c"))
    assert [axis.get_title("left") for axis in figure.axes] == ["near", "far"]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("a", "c")
    for axis, scale in zip(figure.axes, (1, 10), strict=True):
        steps = scale * 0.5 ** np.arange(6)
        np.testing.assert_allclose(axis.lines[0].get_xydata(), np.transpose([steps, 3 * steps]))
        assert axis.lines[1].get_xydata().tolist() == [[scale, 3 * scale]]
        assert axis.get_xlim()[0] < 0 < scale < axis.get_xlim()[1]
    assert "Surface at the final value of b." in texts(figure)


def test_other_parameters_are_held_where_the_run_ended():
    seen = []

    def loss(params):
        seen.append(params)
        return bowl(params)

    ended = np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 2.5]])
    contours(loss, {"run": ended}, names="abc")
    (points,) = seen
    assert (points[:, 2] == 2.5).all()


def test_a_path_that_shoots_far_does_not_squeeze_the_rest():
    path = np.array([[1.0, 1.0], [1e6, -1e6], [0.5, 0.5], [0.0, 0.0]])
    (axis,) = contours(bowl, {"wild": path}, names="ab").axes
    assert max(np.abs(axis.get_xlim())) < 10


def test_epochs_that_are_not_finite_are_left_out(tmp_path):
    path = np.array([[1.0, 1.0], [2.0, 3.0], [np.inf, np.nan]])
    figure = contours(bowl, {"lost": path}, names="ab")
    assert len(figure.axes[0].lines[0].get_xdata()) == 2
    save(figure, tmp_path, "lost")


@pytest.mark.parametrize("loss", [lambda params: np.full(len(params), np.inf), lambda params: np.zeros(len(params))])
def test_a_surface_without_levels_still_has_its_path(loss, tmp_path):
    figure = contours(loss, paths(run=[1.0, 2.0]), names="ab")
    assert len(figure.axes[0].lines[0].get_xdata()) == 6
    save(figure, tmp_path, "flat")


@pytest.mark.parametrize("power", [0.1, 0.35])
def test_a_single_level_is_filled_on_both_sides(power, tmp_path):
    figure = contours(lambda params: bowl(params) ** power, paths(run=[1.0, 1.0]), names="ab")
    if drawn := figure.axes[0].collections:
        assert len(drawn[0].get_facecolor()) == len(drawn[1].levels) + 1
    assert (len(drawn) == 2 and len(drawn[1].levels) == 1) == (0.2 <= power <= 0.4)
    save(figure, tmp_path, "one")


@pytest.mark.parametrize(("runs", "names"), [({}, "ab"), ({"still": np.ones((5, 2))}, "ab")])
def test_no_path_over_the_loss(runs, names):
    assert texts(contours(bowl, runs, names=names)).startswith("No path over the loss to show")
