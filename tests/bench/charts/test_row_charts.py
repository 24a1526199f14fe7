"""Optimizers compared, and how much each setting matters."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.charts.chart import Points
from sgdbench.charts.colors import colors_of
from sgdbench.charts.row_charts import optimizer_ratios, setting_importance
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.style import save
from sgdbench.tables.formatting import MISSING
from tests.support.figures import overlaps, texts
from tests.support.gallery import draw_ratios
from tests.support.golden import hold

# Optimizers compared


def compared(ratios, verdicts=None):
    """A comparison of optimizers by name, from their ratios with intervals."""
    ratio, low, high = np.array(list(ratios.values()), dtype=float).T
    plain = {"lr": 0.1, "batch_size": 8, "tried": 12, "runs": 20, "converged": 20, "success": 1.0, "cost": "samples"}
    verdicts = verdicts or ["best"] + ["worse"] * (len(ratios) - 1)
    table = pd.DataFrame({"optimizer": list(ratios), "ratio": ratio, "ratio_low": low, "ratio_high": high} | plain)
    return table.assign(verdict=verdicts)


def ratios_of(table):
    names = table["optimizer"].tolist()
    return optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds", named=names)


def points_of(chart):
    """The points that have a place, by their row."""
    points = [layer for layer in chart.panels[0].layers if isinstance(layer, Points)]
    return {point.y[0]: pytest.approx(point.x[0]) for point in points if np.isfinite(point.x[0])}


def test_an_optimizer_is_a_point_with_its_interval():
    chart = ratios_of(compared({"sgd": [1, 1, 1], "adam": [3, 2, 5]}))
    hold(chart, "optimizer_ratios")
    points = {layer.y[0]: layer.color for layer in chart.panels[0].layers if isinstance(layer, Points)}
    assert points == {0: colors_of(["sgd", "adam"])["sgd"], 1: colors_of(["sgd", "adam"])["adam"]}


def test_improvements_are_drawn_as_such():
    """As costs they are inverse: the worse one would have more."""
    chart = ratios_of(compared({"sgd": [1, 1, 1], "adam": [2, 1.25, 4]}).assign(cost="improvement"))
    assert points_of(chart) == {0: 1, 1: 0.5}
    assert "worse, 0.5 [0.25, 0.8] times; all 20 runs succeed" in chart.panels[0].layers[-1].words[0]


def test_an_optimizer_whose_start_meets_the_target_has_no_place_on_a_logarithmic_axis():
    chart = ratios_of(compared({"sgd": [1, 1, 1], "adam": [0, 0, 2], "rmsprop": [0.5, 0, 2]}))
    assert points_of(chart) == {0: 1, 2: 0.5}
    assert 0 < chart.panels[0].x.range[0] < 0.5


def test_an_optimizer_that_fails_has_no_ratio(tmp_path):
    table = compared({"sgd": [1, 1, 1], "adam": [np.inf, 4, np.inf]}, ["best", "fails"]).assign(converged=[20, 0])
    chart = ratios_of(table)
    assert points_of(chart) == {0: 1}
    assert chart.panels[0].layers[-1].words[0].startswith("fails\nlearning rate")
    save(draw_chart(chart), tmp_path, "ratios")


def test_what_is_said_of_an_optimizer_is_inside_the_figure_and_crossed_by_no_line(tmp_path):
    table = compared({"momentum(0.95)": [1, 1, 1], "adamw(weight_decay=0.01)": [1.234, 0.987, 1.543]})
    table = table.assign(verdict=["best", "indistinguishable"], lr=0.0003162, batch_size=1024, tried=1120)
    table = table.assign(runs=1000, converged=999)
    figure = draw_ratios(table)
    (axis,) = figure.axes
    save(figure, tmp_path, "ratios")
    assert "batch size 1,024, best of 1,120" in texts(figure)
    for text in axis.texts:
        box = text.get_window_extent()
        assert axis.bbox.x1 < box.x0
        assert box.x1 < figure.bbox.width
    assert axis.bbox.width > 0.2 * figure.bbox.width
    assert overlaps(figure, axis.texts) == []


# How much each setting matters


def test_a_setting_is_a_bar_as_long_as_its_share():
    rows = [
        ["learning rate", 0.4, 12.3, "0.1", "2"],
        ["start", 0.05, 1.5, "near", "far"],
        ["order", 0, 1, MISSING, MISSING],
    ]
    effects = pd.DataFrame(rows, columns=["setting", "share", "factor", "best", "worst"])
    figure = hold(setting_importance(effects, cost="samples to the target"), "setting_importance")
    assert all(text.get_window_extent().x1 < figure.bbox.width for text in figure.axes[0].texts)


def test_shares_end_at_all_and_the_rest_is_named():
    effects = pd.DataFrame({"setting": ["batch size"], "share": [0.9], "factor": 100.0, "best": "1", "worst": "800"})
    figure = draw_chart(setting_importance(effects, cost="samples to the target", samples=800))
    assert max(figure.axes[0].get_xticks()) <= 1
    assert "90 %; best 1, worst full: 100 times" in texts(figure)
    assert "Together they explain 90 %: the rest is combinations of settings, and chance." in texts(figure)
