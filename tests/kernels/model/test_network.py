"""Models with vectors: products in expressions, layers, names, starts, and derivatives against finite differences."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Model, fit, models
from sgdbench.kernels.model.derivative_check import WrongProgramError, check_derivatives
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.models import make_model, make_model_for_columns

PAIR = ("x1", "x2")


def test_any_number_of_weights():
    assert len(Model("w @ x + b", [f"x{k}" for k in range(10_000)]).params) == 10_001


def test_a_group_of_inputs_is_that_of_the_time_when_the_model_was_made():
    features = ["hp"]
    model = Model("W @ x + b", inputs={"x": features})
    features.append("weight")
    assert model.with_classes(2).params == ("W[0,hp]", "W[1,hp]", "b[0]", "b[1]")
    assert repr(model) == "Model('W @ x + b', inputs={'x': ['hp']})"


def test_groups_of_inputs():
    model = Model("w @ z + a*years + b", {"z": ["hp", "weight"], "years": "age"})
    assert model.inputs == ("hp", "weight", "age")
    assert model.params == ("w[hp]", "w[weight]", "a", "b")
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(model.predict([1, 10, 100, 1000], x), [1210.0, 1543.0])


def test_names_and_shapes():
    assert make_model_for_columns("w @ x + b", ["Engine Power", "hp"]).params == ("w[engine_power]", "w[hp]", "b")
    scores = Model("W @ x + b", PAIR, classes=3)
    assert scores.params[:3] == ("W[0,x1]", "W[0,x2]", "W[1,x1]")
    assert scores.params[6:] == ("b[0]", "b[1]", "b[2]")
    params = np.arange(9.0)
    np.testing.assert_array_equal(scores.coef(params, "W"), params[:6].reshape(3, 2))
    assert scores.vector({"W": np.ones((3, 2)), "b": 0.0}).tolist() == [1.0] * 6 + [0.0] * 3


@pytest.mark.parametrize("text", ["mlp(4)", 'mlp(4, "relu")', "mlp(4, sigmoid)"])
def test_a_ready_made_network(text):
    model = make_model(text, PAIR)
    assert len(model.params) == 4 * 2 + 4 + 4 + 1
    assert model.expression.startswith("b + v @ ")
    alike = make_model(text, ("b", "c"))  # which are columns, and no constants
    assert [name.replace("b]", "x1]").replace("c]", "x2]") for name in alike.params] == list(model.params)


FORMS = [
    ("w @ x + b", {}),
    ("a*tanh(w @ x + b) + c", {}),
    ("exp(w @ x)", {}),
    ("(u @ x)*(v @ x) + a*x2**2", {}),
    ("b + v @ tanh(W @ x + c)", {"hidden": 3}),
    ("a*exp(-(v @ sigmoid(W @ x + c))) + b*x1", {"hidden": 2}),
    ("(u @ softplus(W @ x))*(v @ softplus(W @ x))", {"hidden": 2}),
]


@pytest.mark.parametrize(("expression", "sizes"), FORMS, ids=[form[0] for form in FORMS])
def test_derivatives_are_those_of_finite_differences(expression, sizes):
    rng = np.random.default_rng(1)
    model = Model(expression, PAIR, **sizes)
    theta, x = rng.normal(size=len(model.params)), rng.normal(size=(6, 2))
    _, derivatives = evaluate(model.program, theta, x.T, np.zeros(6))
    assert len(derivatives) == theta.size
    for k in range(theta.size):
        step = 1e-6 * np.eye(theta.size)[k]
        slope = (model.predict(theta + step, x) - model.predict(theta - step, x)) / 2e-6
        np.testing.assert_allclose(np.broadcast_to(derivatives[k], 6), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 128, 129, 300])
def test_a_dot_is_numpys_sum_of_products(size):
    rng = np.random.default_rng(size)
    model = Model("w @ x", [f"x{k}" for k in range(size)] if size > 1 else ["x"])
    w, x = rng.normal(size=size), rng.normal(size=(5, size))
    np.testing.assert_array_equal(model.predict(w, x), [np.add.reduce(w * row) for row in x])


def test_starts():
    assert not Model("w @ x + b", PAIR).draw_start(0).any()
    curve = Model("a*tanh(w @ x + b) + c", PAIR)
    draws = np.random.default_rng(3).standard_normal(5)
    np.testing.assert_allclose(curve.draw_start(3), draws * [1, 0.5**0.5, 0.5**0.5, 1, 0], rtol=1e-15)
    network = models.mlp(100, inputs=[f"x{k}" for k in range(400)])
    start = network.draw_start(0)
    assert network.coef(start, "b") == 0.0
    assert 0.045 < network.coef(start, "W").std() < 0.055
    assert 0.08 < network.coef(start, "v").std() < 0.12


def test_inputs_of_a_text_are_all_columns():
    x, given = np.arange(12.0).reshape(4, 3), {"epochs": 1, "lr": 1e-3, "kernel": "reference"}
    assert fit("w @ x + b", x, x[:, 0], **given).model.inputs == ("x1", "x2", "x3")
    assert fit("w @ x + b", {"p": x[:, 0], "q": x[:, 1]}, x[:, 2], **given).model.inputs == ("p", "q")
    assert fit("w @ x + b", x[:, 0], x[:, 1], **given).model.inputs == ("x",)
    headings = fit("w @ x + b", pd.DataFrame({"Engine power": x[:, 0], "hp": x[:, 1]}), x[:, 2], **given)
    assert headings.param_names == ("w[Engine power]", "w[hp]", "b")
    assert headings.coef("w").index.tolist() == ["Engine power", "hp"]
    again = headings.model.vector({"w": headings.coef("w")[::-1], "b": headings.coef("b")})  # by name, in any order
    np.testing.assert_array_equal(again, headings.params)


def test_a_matrix_in_a_table_goes_by_the_names_of_its_columns():
    model = Model("W @ x + b", ["p", "q"], classes=3)
    weights = np.arange(6.0).reshape(3, 2)
    wanted = model.vector({"W": weights, "b": [7, 8, 9]})
    for table in (pd.DataFrame(weights, columns=["p", "q"])[["q", "p"]], {"q": weights[:, 1], "p": weights[:, 0]}):
        np.testing.assert_array_equal(model.vector({"W": table, "b": [7, 8, 9]}), wanted)
    np.testing.assert_array_equal(model.vector({"W": pd.DataFrame(weights), "b": [7, 8, 9]}), wanted)


@pytest.mark.parametrize(("expression", "sizes"), FORMS, ids=[form[0] for form in FORMS])
def test_programs_of_layers_are_checked_against_their_expressions(expression, sizes, monkeypatch):
    model = Model(expression, PAIR, **sizes)
    rng = np.random.default_rng(2)
    x, theta = rng.normal(size=(30, 2)), rng.normal(size=(2, len(model.params)))
    assert check_derivatives(model, x, theta) < 1e-8
    last = model.network.layers[-1]
    wrong = last.program._replace(derivatives=(last.program.residual, *last.program.derivatives[1:]))

    def found(unit):
        return wrong if unit.expression == last.expression else unit.program

    monkeypatch.setattr("sgdbench.kernels.model.model.Model.formula", property(found))
    with pytest.raises(WrongProgramError, match="the derivative by"):
        check_derivatives(model, x, theta)
