"""Charts of suites."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.charts.performance_profile import profile_chart, rate_ranges, ratio_map
from sgdbench.plots.draw import draw_chart
from tests.support.golden import hold


def test_the_profiles_of_optimizers():
    profile = pd.DataFrame(
        {"optimizer": ["sgd", "sgd", "adam"], "tau": [1.0, 4.0, 2.0], "share": [0.5, 0.75, 0.25]},
    )
    hold(profile_chart(profile, named=["sgd"]), "profile")


def test_ratios_are_said_to_be_those_to_the_best_of_each_run():
    # None of the two is the best in most runs, so that no median is 1.
    ratios = pd.DataFrame({"line": [1.04, 1.08], "sine": [1000.0, np.inf]}, index=["sgd", "adam"])
    figure = hold(ratio_map(ratios), "ratio_map")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "1,000", "1.1", "fails"]


@pytest.mark.parametrize(("lowest", "told"), [(0.1, False), (np.nan, True)])
def test_a_dot_that_is_missing_is_explained(lowest, told):
    rates = pd.DataFrame({"optimizer": ["sgd"], "best": 0.1, "lowest": lowest, "highest": lowest})
    assert ("No dot" in rate_ranges({"line": rates}, order=["sgd"]).notes) is told


def test_the_ranges_of_rates_on_two_problems():
    table = pd.DataFrame(
        {"optimizer": ["sgd", "adam"], "best": [0.1, 0.01], "lowest": [0.05, np.nan], "highest": [0.2, np.nan]}
    )
    chart = rate_ranges({"line": table, "sine": table.assign(lowest=[0.1, 0.001], highest=10.0)}, order=["adam", "sgd"])
    figure = hold(chart, "rate_ranges")
    assert [axis.get_xlim() for axis in figure.axes] == [pytest.approx(chart.panels[0].x.range)] * 2
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["adam", "sgd"]


def test_no_rate_is_good():
    rates = pd.DataFrame({"optimizer": ["sgd"], "best": 0.1, "lowest": np.nan, "highest": np.nan})
    assert draw_chart(rate_ranges({"line": rates}, order=["sgd"])).axes[0].get_title("left") == "line"
