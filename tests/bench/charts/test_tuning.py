"""Charts of a search."""

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Band, Line, Points
from sgdbench.charts.tuning import history_chart, slices_chart
from sgdbench.plots.draw import draw_chart
from tests.support.figures import legend, overlaps
from tests.support.golden import hold

STEPS = pd.DataFrame(
    {
        "spent": [10.0, 20.0, 30.0, 40.0, 50.0],
        "value": [3.0, 2.0, 2.5, np.inf, 9.0],
        "state": ["complete", "complete", "pruned", "diverged", "complete"],
        "best": [3.0, 2.0, 2.0, 2.0, 2.0],
        "family": ["a", "b", "a", "a", "b"],
    }
)
ORDERS = pd.DataFrame({"spent": [10.0, 30.0], "low": [2.0, 1.0], "median": [2.5, 2.0], "high": [8.0, 2.5]})


def test_the_course_of_a_search_beside_a_grid():
    chart = history_chart(STEPS, ORDERS, {"a": "sgd", "b": "adam"}, label="samples per success", logarithmic=True)
    figure = hold(chart, "search_history")
    assert legend(figure) == ["grid, random order", "sgd", "adam", "best so far"]
    (band,) = [layer for layer in chart.panels[0].layers if isinstance(layer, Band)]
    np.testing.assert_allclose([band.x, band.high], [[10, 30, 30], [1e3, 1e3, 10**2.5]])
    assert chart.notes.endswith("Not shown: 2 that diverged or are far worse.")


def test_values_that_are_no_logarithms_have_a_linear_axis():
    chart = history_chart(STEPS, None, {"a": "sgd", "b": "adam"}, label="final loss", logarithmic=False)
    assert not chart.panels[0].y.log
    best = chart.panels[0].layers[-1]
    assert isinstance(best, Line)
    np.testing.assert_array_equal(best.y[:4], [3, 3, 2, 2])


def test_no_trial_to_show():
    chart = history_chart(STEPS.iloc[3:4], None, {"a": "sgd"}, label="final loss", logarithmic=True)
    assert chart.notes == "No trials to show: all of them diverged."


def test_the_caption_of_a_history_stands_beside_the_names_of_its_optimizers():
    """It ran into long ones."""
    names = {"a": "sgd", "b": "adam(beta1=log1m:0.5:0.99, beta2=log1m:0.9:0.999)"}
    figure = draw_chart(history_chart(STEPS, ORDERS, names, label="loss", logarithmic=False))
    names = [name for own in figure.legends for name in own.get_texts()]
    assert overlaps(figure, [*figure.texts, *names]) == []


def test_the_slices_of_a_search():
    values = pd.DataFrame({"value": [1.0, 2.0, 3.0, 1.5], "state": ["complete"] * 3 + ["pruned"]})
    values = values.assign(momentum=[0.5, 0.9, 0.5, 0.9], lr=[0.1, 0.1, 1.0, 1.0], batch_size=1)
    chart = slices_chart(values, {"lr": 0.7}, label="final loss", logarithmic=True, name="sgd")
    figure = hold(chart, "search_slices")
    assert [axis.get_xlabel() for axis in figure.axes] == ["learning rate", "momentum"]
    assert [panel.title for panel in chart.panels] == ["70 % of the main effects", ""]
    assert [panel.x.log for panel in chart.panels] == [True, False]
    assert "A main effect is what a setting explains by itself" in chart.notes
    circle = chart.panels[0].layers[0]
    assert isinstance(circle, Points)
    assert (circle.x[0], circle.y[0]) == (0.1, 10)


def test_no_slice_to_show():
    values = pd.DataFrame({"value": [1.0, 2.0], "state": "complete", "lr": 0.1})
    for shown in (values, values.assign(value=np.inf, state="diverged")):
        chart = slices_chart(shown, {}, label="loss", logarithmic=False, name="sgd")
        assert chart.notes.startswith("No slices to show")
        assert draw_chart(chart).axes[0].texts
