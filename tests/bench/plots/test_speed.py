"""Bars of speeds."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bench.plots.speed import speed_bars
from tests.support.figures import legend, texts
from tests.support.speeds import speeds


def bars(figure):
    return {figure.axes[0].get_yticklabels()[k].get_text(): patch for k, patch in enumerate(figure.axes[0].patches)}


def test_bars_end_at_the_median_the_fastest_on_top():
    figure = speed_bars(speeds())
    (axis,) = figure.axes
    drawn = bars(figure)
    assert list(drawn) == ["lanes", "fused", "C", "reference"]
    ends = [patch.get_x() + patch.get_width() for patch in drawn.values()]
    np.testing.assert_allclose(ends, [0.2, 4, 6, 9000])
    assert drawn["lanes"].get_y() < drawn["reference"].get_y()
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    assert axis.get_xscale() == "log"
    assert [line.get_xdata() for line in axis.lines if line.get_marker() == "|"][1] == pytest.approx([3.6, 4.4])


def test_ours_and_others_differ_in_color():
    figure = speed_bars(speeds())
    drawn = bars(figure)
    assert legend(figure) == ["sgdbench", "others"]
    assert legend(speed_bars(speeds()[speeds()["ours"]])) == ["sgdbench"]
    ours, others = ({to_hex(drawn[name].get_facecolor()) for name in names} for names in (["lanes", "fused"], ["C"]))
    assert len(ours) == 1
    assert ours != others


def test_speed_is_compared_with_c_or_else_with_the_reference():
    slow = speeds().assign(variant=["lanes", "NumPy scalars", "C", "reference"], ns=[0.2, 450.0, 6.0, 9000.0])
    slow = slow.assign(ns_low=slow["ns"], ns_high=slow["ns"], to_c=6 / slow["ns"], to_reference=9000 / slow["ns"])
    figure = speed_bars(slow.assign(share=[0.868, np.nan, np.nan, np.nan]))
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written[:4] == [
        "0.2 ns, 30 times as fast as C",
        "6 ns",
        "450 ns, 20 times as fast as the reference",
        "9,000 ns",
    ]
    assert written[4:] == ["C", "reference", "0.87", "of the\nroof"]
    dashed = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed == [6, 9000]


@pytest.mark.parametrize("verified", [False, pd.NA])
def test_what_is_not_verified_is_hatched_and_claims_nothing(verified):
    table = speeds()
    table.loc[0, "verified"] = verified
    figure = speed_bars(table)
    drawn = bars(figure)
    assert drawn["lanes"].get_hatch()
    assert not drawn["fused"].get_hatch()
    assert "0.2 ns, not verified" in texts(figure)
    assert "results not verified" in legend(figure)


def test_what_was_not_measured_is_named_below():
    figure = speed_bars(speeds("torch", "JAX"))
    assert list(bars(figure)) == ["lanes", "fused", "C", "reference"]
    assert "Not measured: torch (not installed: torch), JAX (not installed: JAX)." in texts(figure)
    assert "and 3 more" in texts(speed_bars(speeds(*"abcdefghi")))


def test_numbers_stay_inside_of_the_figure():
    for table in (speeds(), speeds().tail(1), speeds().head(2), speeds().assign(ns=4.0, ns_low=3.9, ns_high=4.1)):
        figure = speed_bars(table)
        figure.draw_without_rendering()
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            assert 0 < box.x0 < box.x1 < figure.bbox.width


def test_no_speed_to_show():
    told = texts(speed_bars(speeds("torch").tail(1)))
    assert told == "No speed to show: nothing was measured. Not measured: torch (not installed: torch)."
