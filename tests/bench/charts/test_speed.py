"""The chart of the speed of variants."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.charts.chart import Bars, Points, Rule
from sgdbench.charts.speed import UNVERIFIED, speed_chart
from sgdbench.plots.draw import draw_chart
from tests.support.figures import overlaps
from tests.support.golden import hold
from tests.support.speeds import speeds


def layers_of(chart, kind):
    return [layer for layer in chart.panels[0].layers if isinstance(layer, kind)]


def words_of(chart):
    (points,) = layers_of(chart, Points)
    return points.words


def test_the_times_of_four_variants():
    figure = hold(speed_chart(speeds("torch")), "speed")
    ends = [patch.get_x() + patch.get_width() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(ends, [0.2, 4, 9000, 6])


def test_speed_is_compared_with_c_or_else_with_the_reference():
    slow = speeds().assign(variant=["lanes", "NumPy scalars", "C", "reference"], ns=[0.2, 450.0, 6.0, 9000.0])
    slow = slow.assign(ns_low=slow["ns"], ns_high=slow["ns"], to_c=6 / slow["ns"], to_reference=9000 / slow["ns"])
    chart = speed_chart(slow.assign(share=[0.868, np.nan, np.nan, np.nan]))
    assert words_of(chart) == [
        "0.2 ns, 30 times as fast as C, 0.87 of the roof",
        "6 ns",
        "450 ns, 20 times as fast as the reference",
        "9,000 ns",
    ]
    assert [rule.at for rule in layers_of(chart, Rule)] == [6, 9000]


@pytest.mark.parametrize("verified", [False, pd.NA])
def test_a_result_that_is_not_verified_is_hollow_and_claims_nothing(verified):
    table = speeds()
    table.loc[0, "verified"] = verified
    chart = speed_chart(table)
    assert {bars.color: list(bars.values) for bars in layers_of(chart, Bars)}["missed"] == [0.2]
    assert words_of(chart)[:2] == ["0.2 ns, not verified", "4 ns, 1.5 times as fast as C"]
    assert UNVERIFIED in [key.name for key in chart.keys]


def test_the_legend_has_no_others_where_all_are_ours():
    assert [key.name for key in speed_chart(speeds()[speeds()["ours"]]).keys] == ["sgdbench"]


def test_variants_that_were_not_measured_are_named():
    assert "Not measured: torch (not installed: torch), JAX" in speed_chart(speeds("torch", "JAX")).notes
    assert speed_chart(speeds(*"abcdefghi")).notes.endswith("and 3 more.")


def test_words_stay_inside_of_the_figure():
    for table in (speeds(), speeds().tail(1), speeds().head(2), speeds().assign(ns=4.0, ns_low=3.9, ns_high=4.1)):
        figure = draw_chart(speed_chart(table.assign(share=0.5)))
        assert overlaps(figure, [*figure.axes[0].texts, *figure.legends[0].get_texts()]) == []
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            assert 0 < box.x0 < box.x1 < figure.bbox.width


def test_ticks_do_not_overlap_where_words_take_half_of_the_figure():
    ns = [1840.0, 2380.0, 5050.0, 736000.0]
    table = speeds().assign(ns=ns, ns_low=[1800.0, 2300.0, 700.0, 6e5], ns_high=[1900.0, 2500.0, 3e4, 1e6])
    figure = draw_chart(speed_chart(table.assign(to_c=np.nan, to_reference=357.0)))
    labels = figure.axes[0].get_xticklabels()
    assert len(labels) >= 2
    assert overlaps(figure, labels) == []


def test_no_speed_to_show():
    told = speed_chart(speeds("torch").tail(1)).notes
    assert told == "No speed to show: nothing was measured. Not measured: torch (not installed: torch)."
