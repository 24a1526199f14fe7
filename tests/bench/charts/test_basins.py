"""The chart of outcomes by starting point."""

import numpy as np
import pandas as pd

from sgdbench.charts.basins import basin_chart
from sgdbench.charts.chart import Cells, Points, Texts
from sgdbench.charts.shades import make_shades
from sgdbench.plots.draw import draw_chart
from tests.support.figures import legend, overlaps
from tests.support.frames import plane
from tests.support.golden import hold


def layers_of(panel, kind):
    return [layer for layer in panel.layers if isinstance(layer, kind)]


def test_the_outcomes_of_a_plane():
    """A diverged column, one start that missed the target, and samples that grow with both parameters."""
    status, samples = np.array(["converged"] * 25), list(range(100, 125))
    status[:5], status[-1] = "diverged", "max_epochs"
    reached = [cost if one == "converged" else pd.NA for one, cost in zip(status, samples, strict=True)]
    starts = {"near": [0.5, 1.0, 7.0], "above": [0.0, 50.0, 7.0], "left": [-9.0, 0.0, 7.0]}
    table = plane(param_c=7.0, status=status, samples_to_target=reached)
    figure = hold(basin_chart(table, end=[0, 0, 7], starts=starts), "basin")
    (axis,) = figure.axes
    (image,) = axis.images
    colors = image.get_array()
    np.testing.assert_allclose(colors[:, 0, :3], 0xEB / 0xFF)  # diverged
    np.testing.assert_array_equal(colors[-1, -1], 1)  # missed
    assert legend(figure)[-3:] == ["diverged", "target missed", "end of the best run"]
    assert [text.get_text() for text in axis.texts] == ["near", "above", "left"]


def test_without_a_target_final_losses_are_shown():
    losses = np.geomspace(1e-6, 1, 25)
    chart = basin_chart(plane(status="max_epochs", samples_to_target=pd.NA, final_loss=losses))
    assert chart.legend == "final loss"
    (cells,) = layers_of(chart.panels[0], Cells)
    np.testing.assert_array_equal(cells.tones, make_shades([losses]).tones_of(losses.reshape(5, 5).T.ravel()))


def test_each_choice_of_settings_has_a_panel_with_shades_of_its_own_values():
    """One optimizer needs ten times the samples of another: in classes of equal factors each panel has one shade."""
    fast = plane(samples_to_target=np.arange(100, 200, 4))
    slow = plane(samples_to_target=np.arange(1000, 2000, 40), optimizer="adam", lr=0.3, config_id="run1")
    chart = basin_chart(pd.concat([fast, slow]))
    titles = ["sgd\nrate 0.1, batch size 1", "adam\nrate 0.3, batch size 1"]
    for panel, title in zip(chart.panels, titles, strict=True):
        assert panel.title == title
        (cells,) = layers_of(panel, Cells)
        assert len(set(cells.tones)) >= 3
    assert len(chart.keys) <= 8
    assert chart.notes == "25 starts in each panel."


def test_names_of_starts_do_not_overlap():
    starts = {"far": [0.0, 1.9], "random[0]": [-0.05, 0.1], "zero": [0.0, -0.1], "near": [0.05, 0.05], "left": [-9, 0]}
    planes = [plane(optimizer=f"sgd{k}", config_id=f"run{k}") for k in range(3)]
    chart = basin_chart(pd.concat(planes), starts=starts)
    assert [len(layers_of(panel, Texts)) for panel in chart.panels] == [1, 0, 0]
    for panel in chart.panels:
        assert {points.marker for points in layers_of(panel, Points)} == {"circle", "left"}
    figure = draw_chart(chart)
    written = figure.axes[0].texts
    assert {"far", "random[0]"} <= {text.get_text() for text in written}
    assert overlaps(figure, written) == []
