"""The chart of weights: which inputs are drawn, in which order, and what the panels are called."""

import numpy as np
import pytest

from sgdbench import Model, models
from sgdbench.charts.weights import has_weights, weight_chart
from sgdbench.kernels.model.models import mlp
from tests.support.golden import hold

NAMES = tuple(f"x{k}" for k in range(40))


def inputs_of(chart):
    return chart.panels[0].y.ticks[0].labels


def weights_of(panel):
    return panel.layers[0].values


def test_the_weights_of_a_score():
    hold(weight_chart(Model("w @ x + b", NAMES[:3]), np.array([0.5, -2.0, 1.0, 9.0]), labels=["no", "yes"]), "weights")


def test_of_many_inputs_the_largest_weights_are_shown():
    params = np.append(np.linspace(-2, 1, 40), 9.0)
    chart = weight_chart(Model("w @ x + b", NAMES), params, labels=["no", "yes"])
    assert np.array_equal(weights_of(chart.panels[0]), sorted(params[:40], key=abs, reverse=True)[:30])
    assert chart.notes.startswith("The 30 of 40 inputs with the largest weights. Positive weights speak for yes.")


@pytest.mark.parametrize("model", [Model("b - w @ x", NAMES), mlp(1, inputs=NAMES)])  # of a network, if v is negative
def test_positive_weights_may_speak_for_either_class(model):
    assert "speak for" not in weight_chart(model, np.ones(len(model.params)), labels=["no", "yes"]).notes


@pytest.mark.parametrize(("classes", "shown"), [(2, 2), (12, 10)])
def test_each_class_has_a_panel_of_the_same_inputs(classes, shown):
    model = Model("W @ x + b", NAMES, classes=classes)
    params = np.random.default_rng(0).normal(size=len(model.params))
    labels = [f"label {k}" for k in range(classes)]
    chart = weight_chart(model, params, labels=labels, standardized=True)
    assert [panel.title for panel in chart.panels] == [f"class {name}" for name in labels[:shown]]
    weights = model.coef(params, "W")
    order = [NAMES.index(name) for name in inputs_of(chart)]
    assert np.array_equal(order, np.argsort(-np.abs(weights).max(axis=0), kind="stable")[: len(order)])
    for panel, row in zip(chart.panels, weights, strict=False):
        assert np.array_equal(weights_of(panel), row[order])
    assert ("The first 10 of 12 classes." in chart.notes) == (classes > 10)
    assert "speak for" not in chart.notes


def test_hidden_units_and_groups_of_inputs_are_named():
    model = mlp(2, inputs=NAMES[:3])
    chart = weight_chart(model, np.arange(len(model.params)) + 1.0, labels=[])
    assert [panel.title for panel in chart.panels] == ["unit 0", "unit 1"]
    model = Model("w @ x + u @ z", {"x": ["a", "b"], "z": ["c"]})
    assert inputs_of(weight_chart(model, np.array([1.0, 3.0, -2.0]), labels=[])) == ["w: b", "u: c", "w: a"]


def test_models_without_vectors_have_no_weights():
    assert not has_weights(models.plane)
    assert has_weights(Model("w @ x", NAMES))
