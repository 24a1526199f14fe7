"""Optimizers compared, and how much each setting matters."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from bench.charts.colors import colors_of
from bench.charts.row_charts import setting_importance
from bench.plots.row_figures import draw_rows
from bench.plots.style import save
from bench.tables.formatting import MISSING
from tests.support.figures import overlaps, texts
from tests.support.gallery import draw_ratios

# Optimizers compared


def compared(ratios, verdicts=None):
    """A comparison of optimizers by name, from their ratios with intervals."""
    ratio, low, high = np.array(list(ratios.values()), dtype=float).T
    plain = {"lr": 0.1, "batch_size": 8, "tried": 12, "runs": 20, "converged": 20, "success": 1.0, "cost": "samples"}
    verdicts = verdicts or ["best"] + ["worse"] * (len(ratios) - 1)
    table = pd.DataFrame({"optimizer": list(ratios), "ratio": ratio, "ratio_low": low, "ratio_high": high} | plain)
    return table.assign(verdict=verdicts)


def test_an_optimizer_is_a_point_with_its_interval():
    table = compared({"sgd": [1, 1, 1], "adam": [3, 2, 5]})
    figure = draw_ratios(table)
    (axis,) = figure.axes
    points = {line.get_color(): line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"}
    assert points == {
        to_hex(colors_of(["sgd", "adam"])[name]): [[at, row]] for name, at, row in (("sgd", 1, 0), ("adam", 3, 1))
    }
    reach = [line.get_xdata().tolist() for line in axis.lines if line.get_linewidth() == 2.5]
    assert reach == [[1, 1], [2, 5]]
    assert axis.get_xlim()[0] < 1
    assert axis.get_xlim()[1] > 5
    assert "worse, 3 [2, 5] times; all 20 runs succeed learning rate 0.1, batch size 8, best of 12" in texts(figure)
    assert "on 20 fresh seeds: medians of the ratios of paired runs with intervals, all of which hold" in texts(figure)


def test_improvements_are_drawn_as_such():
    """As costs they are inverse: the worse one would have more."""
    figure = draw_ratios(compared({"sgd": [1, 1, 1], "adam": [2, 1.25, 4]}).assign(cost="improvement"))
    points = [line.get_xydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == [[[1, 0]], [[0.5, 1]]]
    assert "worse, 0.5 [0.25, 0.8] times; all 20 runs succeed" in texts(figure)


def test_an_optimizer_whose_start_meets_the_target_has_no_place_on_a_logarithmic_axis():
    table = compared({"sgd": [1, 1, 1], "adam": [0, 0, 2], "rmsprop": [0.5, 0, 2]})
    (axis,) = draw_ratios(table).axes
    points = [line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"]
    assert points == [[[1, 0]], [[0.5, 2]]]
    assert 0 < axis.get_xlim()[0] < 0.5


def test_an_optimizer_that_fails_has_no_ratio(tmp_path):
    table = compared({"sgd": [1, 1, 1], "adam": [np.inf, 4, np.inf]}, ["best", "fails"]).assign(converged=[20, 0])
    figure = draw_ratios(table)
    assert sum(line.get_marker() == "o" for line in figure.axes[0].lines) == 1
    assert "fails learning rate" in texts(figure)
    save(figure, tmp_path, "ratios")


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
    figure = draw_rows(setting_importance(effects, cost="samples to the target"))
    (axis,) = figure.axes
    assert [patch.get_width() for patch in axis.patches] == [0.4, 0.05, 0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["learning rate", "start", "order"]
    assert "40 %; best 0.1, worst 2: 12 times" in texts(figure)
    assert "0 %; no difference" in texts(figure)
    figure.draw_without_rendering()
    assert all(text.get_window_extent().x1 < figure.bbox.width for text in axis.texts)


def test_shares_end_at_all_and_the_rest_is_named():
    effects = pd.DataFrame({"setting": ["batch size"], "share": [0.9], "factor": 100.0, "best": "1", "worst": "800"})
    figure = draw_rows(setting_importance(effects, cost="samples to the target", samples=800))
    assert max(figure.axes[0].get_xticks()) <= 1
    assert "90 %; best 1, worst full: 100 times" in texts(figure)
    assert "Together they explain 90 %: the rest is combinations of settings, and chance." in texts(figure)
