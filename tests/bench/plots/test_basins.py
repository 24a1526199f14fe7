"""Maps of starts."""

import numpy as np
import pandas as pd
import pytest

from bench.charts.shades import make_shades
from bench.plots.basins import basin_map
from bench.plots.draw import shade_of
from tests.support.figures import legend, overlaps, texts
from tests.support.frames import plane


def test_a_start_has_the_color_of_its_samples():
    table = plane(samples_to_target=np.arange(1, 26))
    figure = basin_map(table)
    (image,) = figure.axes[0].images
    shade = make_shades([np.arange(1, 26)])
    np.testing.assert_allclose(image.get_array(), shade_of(shade.tones_of(np.arange(1.0, 26).reshape(5, 5).T)))
    assert image.get_extent() == pytest.approx([-1.25, 1.25, -2.5, 2.5])
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("a", "b")
    assert "25 starts." in texts(figure)


def test_diverged_starts_are_crossed_and_missed_ones_are_white():
    status = np.array(["converged"] * 25)
    status[:5], status[-1] = "diverged", "max_epochs"
    reached = [4 if one == "converged" else pd.NA for one in status]
    figure = basin_map(plane(status=status, samples_to_target=reached))
    (axis,) = figure.axes
    image = axis.images[0].get_array()
    np.testing.assert_allclose(image[:, 0, 0], 0xEB / 0xFF)
    np.testing.assert_array_equal(image[-1, -1], 1)
    crosses = [line for line in axis.lines if line.get_marker() == "x" and len(line.get_xdata())]
    np.testing.assert_array_equal(crosses[0].get_xdata(), [-1] * 5)
    assert legend(figure) == ["≤ 4", "diverged", "target missed"]


def test_without_a_target_final_losses_are_shown():
    losses = np.geomspace(1e-6, 1, 25)
    figure = basin_map(plane(status="max_epochs", samples_to_target=pd.NA, final_loss=losses))
    assert figure.legends[0].get_title().get_text() == "final loss"
    np.testing.assert_allclose(
        figure.axes[0].images[0].get_array(),
        shade_of(make_shades([losses]).tones_of(losses.reshape(5, 5).T)),
        atol=1e-12,
    )


def test_each_choice_of_settings_has_a_panel_with_colors_of_its_own_values():
    """One optimizer needs ten times the samples of another: in classes of equal factors each panel has one color."""
    fast = plane(samples_to_target=np.arange(100, 200, 4))
    slow = plane(samples_to_target=np.arange(1000, 2000, 40), optimizer="adam", lr=0.3, config_id="run1")
    figure = basin_map(pd.concat([fast, slow]))
    titles = ["sgd\nrate 0.1, batch size 1", "adam\nrate 0.3, batch size 1"]
    for axis, title in zip(figure.axes, titles, strict=True):
        assert axis.get_title("left") == title
        assert len(np.unique(axis.images[0].get_array().reshape(-1, 4), axis=0)) >= 3
    assert len(legend(figure)) <= 8
    assert "25 starts in each panel." in texts(figure)


def test_starts_are_marked_and_those_outside_pointed_at():
    starts = {"near": [0.5, 1.0, 7.0], "above": [0.0, 50.0, 7.0], "left": [-9.0, 0.0, 7.0]}
    figure = basin_map(plane(param_c=7.0), end=[0, 0, 7], starts=starts)
    (axis,) = figure.axes
    assert {"o", "^", "<"} <= {line.get_marker() for line in axis.lines}
    assert [text.get_text() for text in axis.texts] == ["near", "above", "left"]
    marks = [line for line in axis.lines if line.get_marker() in "o^<+" and len(line.get_xdata())]
    assert all(line.get_zorder() > text.get_zorder() for line in marks for text in axis.texts)
    assert "All start at c = 7." in texts(figure)
    assert "end of the best run" in legend(figure)


def test_names_of_starts_do_not_overlap():
    starts = {"far": [0.0, 1.9], "random[0]": [-0.05, 0.1], "zero": [0.0, -0.1], "near": [0.05, 0.05], "left": [-9, 0]}
    planes = [plane(optimizer=f"sgd{k}", config_id=f"run{k}") for k in range(3)]
    figure = basin_map(pd.concat(planes), starts=starts)
    written = figure.axes[0].texts
    assert {"far", "random[0]"} <= {text.get_text() for text in written}
    assert overlaps(figure, written) == []
