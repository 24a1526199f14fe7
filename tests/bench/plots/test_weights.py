"""Weights as bars: which inputs are drawn, in which order, and what the panels are called."""

import numpy as np
import pytest

from bench.plots.confusion import confusion_maps
from bench.plots.weights import has_weights, weight_bars
from bench.tables.confusion import confusion_table
from kernels import Model, models
from kernels.losses import make_loss
from kernels.model.models import mlp
from tests.support.figures import texts

NAMES = tuple(f"x{k}" for k in range(40))


def bars(axis):
    return [patch.get_width() for patch in axis.patches]


def ticks(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def test_the_largest_weights_come_first_by_name():
    model, params = Model("w @ x + b", NAMES), np.append(np.linspace(-2, 1, 40), 9.0)
    figure = weight_bars(model, params, labels=["no", "yes"])
    (axis,) = figure.axes
    assert ticks(axis)[:2] == ["x0", "x1"]
    assert np.allclose(bars(axis), sorted(params[:40], key=abs, reverse=True)[:30])
    assert "The 30 of 40 inputs" in texts(figure)
    assert "Positive weights speak for yes." in texts(figure)
    for opposite in (Model("b - w @ x", NAMES), mlp(1, inputs=NAMES)):  # of the network, if v is negative
        figure = weight_bars(opposite, np.ones(len(opposite.params)), labels=["no", "yes"])
        assert "speak for" not in texts(figure)


@pytest.mark.parametrize(("classes", "shown"), [(2, 2), (3, 3), (12, 10)])
def test_each_class_has_a_panel_of_the_same_inputs(classes, shown):
    model = Model("W @ x + b", NAMES, classes=classes)
    params = np.random.default_rng(0).normal(size=len(model.params))
    labels = [f"label {k}" for k in range(classes)]
    figure = weight_bars(model, params, labels=labels, standardized=True)
    assert [axis.get_title() or axis.get_title("left") for axis in figure.axes] == [
        f"class {name}" for name in labels[:shown]
    ]
    weights = model.coef(params, "W")
    order = [NAMES.index(name) for name in ticks(figure.axes[0])]
    assert np.array_equal(order, np.argsort(-np.abs(weights).max(axis=0), kind="stable")[: len(order)])
    for axis, row in zip(figure.axes, weights, strict=False):
        assert np.allclose(bars(axis), row[order])
    assert ("The first 10 of 12 classes." in texts(figure)) == (classes > 10)
    assert "speak for" not in texts(figure)


def test_hidden_units_and_groups_of_inputs_are_named():
    model = mlp(2, inputs=NAMES[:3])
    figure = weight_bars(model, np.arange(len(model.params)) + 1.0, labels=[])
    assert [axis.get_title() or axis.get_title("left") for axis in figure.axes] == ["unit 0", "unit 1"]
    model = Model("w @ x + u @ z", {"x": ["a", "b"], "z": ["c"]})
    assert ticks(weight_bars(model, np.array([1.0, 3.0, -2.0]), labels=[]).axes[0]) == ["w: b", "u: c", "w: a"]


def test_models_without_vectors_have_no_weights():
    assert not has_weights(models.plane)
    assert has_weights(Model("w @ x", NAMES))


def test_confusions_of_many_classes_are_drawn_without_counts():
    for classes, counts in ((3, 9), (40, 0)):
        names = [f"a long <b>label</b> {k}" for k in range(classes)]
        table = confusion_table(np.arange(classes * 1.0), np.eye(classes), make_loss("softmax"), names)
        figure = confusion_maps({"Training samples": table})
        assert len(figure.axes[0].texts) == counts
