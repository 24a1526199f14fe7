"""Models: their names, their values, what they take for inputs and parameters, and the ready-made ones."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Model, fit, models
from sgdbench.kernels.model.models import MODELS, make_model
from tests.support.refusals import refusal_of


def test_parameters_are_in_the_order_given():
    model = Model("c*u**2 + a*v", inputs=["u", "v"], params=["a", "c"])
    assert (model.inputs, model.params) == (("u", "v"), ("a", "c"))
    np.testing.assert_array_equal(model.predict([2, 3], [[1, 10], [2, 20]]), [23, 52])


def test_repr_makes_the_same_model():
    model = Model("c*u**2 + a*v", inputs=["u", "v"], params=["a", "c"])
    again = eval(repr(model), {"Model": Model})
    assert (again.expression, again.inputs, again.params) == (model.expression, model.inputs, model.params)


def test_a_series_has_values_by_name_as_a_mapping_has():
    series = pd.Series({"b": 3.0, "a": 2.0})
    for given in (series, {"b": 3, "a": 2}):
        assert models.linear.vector(given).tolist() == [2.0, 3.0]
        assert models.linear.predict(given, [10]) == [23]
    assert models.linear.predict(pd.Series([2.0, 3.0]), [10]) == [23]  # whose labels are numbers


def test_a_tensor_that_numpy_cannot_read_is_refused():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    told = " must be an array that NumPy can read: Can't call numpy() on Tensor that requires grad."
    assert refusal_of(fit, "a*x + b", x, [1, 2]).startswith(f"x{told}")
    assert refusal_of(fit, "a*x + b", [1, 2], x).startswith(f"y{told}")
    assert refusal_of(fit, "W @ x + b", [1, 2], x, loss="softmax").startswith(f"y{told}")


def test_columns_are_views_where_they_can_be():
    x = np.linspace(0, 1, 10)
    for given in (x, {"x": x}):
        (column,) = models.linear.columns(given)
        assert np.shares_memory(column, x)
    table = np.asfortranarray(np.random.default_rng(0).random((10, 2)))
    assert all(np.shares_memory(column, table) for column in models.plane.columns(table))
    for column in models.plane.columns(np.ascontiguousarray(table)):
        assert column.flags.c_contiguous
    for other in (x.astype(np.float32), np.arange(10), x.astype(">f8")):
        (column,) = models.linear.columns(other)
        assert column.dtype == np.float64
        np.testing.assert_array_equal(column, other)


def test_predictions():
    x = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(models.quadratic.predict([2, -4, 3], x), 2 * x**2 - 4 * x + 3)
    np.testing.assert_array_equal(Model("a + 0*x").predict([5], x), [5, 5, 5])
    assert models.quadratic.predict([2, -4, 3], []).shape == (0,)
    # Without a warning, as from a kernel.
    assert np.isinf(Model("a/x").predict([1], [0.0])).all()
    prediction = Model("a + 0*x").predict([5], x)
    prediction[0] = 1  # an array of its own, not one number seen three times
    assert prediction.tolist() == [1, 5, 5]


READY = {
    "linear": ([2, 3], 2 * 0.7 + 3),
    "quadratic": ([2, 3, 4], 2 * 0.49 + 3 * 0.7 + 4),
    "polynomial(3)": ([1, 2, 3, 4], 1 + 2 * 0.7 + 3 * 0.49 + 4 * 0.343),
    "exponential_decay": ([2, 3, 4], 2 * np.exp(-2.1) + 4),
    "power_law": ([2, 3], 2 * 0.343),
    "gaussian_peak": ([2, 0.5, 0.2, 1], 2 * np.exp(-0.5) + 1),
    "logistic": ([2, 3, 0.5], 2 / (1 + np.exp(-0.6))),
    "sine": ([2, 3, 4, 5], 2 * np.sin(6.1) + 5),
    "michaelis_menten": ([2, 3], 1.4 / 3.7),
    "plane": ([2, 3, 4], 2 * 0.7 + 3 * 0.2 + 4),
    "rosenbrock": ([2, 3], 101),
    "beale": ([1, 1], 2.25 + 5.0625 + 6.890625),
    "himmelblau": ([0, 0], 170),
    "rastrigin": ([0, 0.5], 20.25),
}
NO_INPUTS = ("rosenbrock", "beale", "himmelblau", "rastrigin")


@pytest.mark.parametrize("text", READY)
def test_ready_made_models(text):
    theta, expected = READY[text]
    inputs = () if text in NO_INPUTS else ("x1", "x2") if text == "plane" else ("x",)
    model = make_model(text, inputs)
    x = [[0.7, 0.2][: len(inputs)]] if inputs else None
    assert model.predict(theta, x) == pytest.approx([expected], rel=1e-14)
    assert model.is_linear == (text in ("linear", "quadratic", "polynomial(3)", "plane"))


def test_every_ready_made_model_is_tested():
    assert {text.partition("(")[0] for text in READY} == set(MODELS) - {"mlp"}  # which test_network.py has


@pytest.mark.parametrize("text", ["a*u + b*v + c", "w @ x + b"])
def test_names_come_from_any_sequence(text):
    expected = Model(text, ("u", "v"))
    for names in (
        np.array(["u", "v"]),
        (name for name in "uv"),
        pd.DataFrame({"u": [1], "v": [2]}),
        {"u": 1, "v": 2}.keys(),
    ):
        model = Model(text, names)
        assert repr(model) == repr(expected)
        assert repr(model.given_inputs) == "('u', 'v')"


def test_the_largest_polynomial():
    model = models.polynomial(28)
    assert len(model.params) == 29
    assert model.predict(np.ones(29), [1.0]) == [29.0]


def test_the_sympy_form_has_the_symbols_of_the_model():
    f, params, inputs = models.plane.sympy()
    assert [symbol.name for symbol in params] == ["a", "b", "c"]
    assert [symbol.name for symbol in inputs] == ["x1", "x2"]
    a, b, c, x1, x2 = *params, *inputs
    assert f == a * x1 + b * x2 + c
    assert all(symbol.is_real for symbol in f.free_symbols)
