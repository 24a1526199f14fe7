"""`w @ x`: a sum of products with all inputs."""

import numpy as np
import pytest

from kernels import Model, fit
from kernels.model.expression import parse
from kernels.model.models import make_model_for_columns
from kernels.model.products import expand_products


@pytest.mark.parametrize(
    ("expression", "inputs", "expanded"),
    [
        ("w @ x + b", ["x1", "x2", "x3"], "(w1*x1 + w2*x2 + w3*x3) + b"),
        ("w@x", ["x"], "w*x"),
        ("2*(w @ x) - (v @ x)**2", ["x1", "x2"], "2*(w1*x1 + w2*x2) - (v1*x1 + v2*x2)**2"),
        ("tanh(w @ x)", ["hp", "weight"], "tanh(w_hp*hp + w_weight*weight)"),
        ("  w @ x + é", ["ü", "x1"], "(w_ü*ü + w_x1*x1) + é"),
        ("a*x + b", ["x"], "a*x + b"),
    ],
)
def test_written_out(expression, inputs, expanded):
    assert expand_products(expression, inputs) == expanded
    parse(expanded)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("2*w @ x", r"column 1: '2\*w @ x' must be a name @ x, as in 2\*\(w @ x\) \+ b"),
        ("b + w @ y", "column 5: 'w @ y' must be a name @ x"),
        ("w @ x**2", "must be a name @ x"),
        ("-w @ x", "must be a name @ x"),
        ("a**w @ x", "must be a name @ x"),
        ("w @ x @ x", "must be a name @ x"),
        ("w @", "column 4: a number or a name is missing at the end"),
        ("w @ x + 'a'", 'column 9: "\'" is not allowed'),
    ],
)
def test_what_is_no_product_of_names_is_refused_with_its_column(expression, message):
    with pytest.raises(ValueError, match=message):
        Model(expression, ("x1", "x2"))


def test_names_of_columns():
    assert make_model_for_columns("w @ x + b", ["Engine Power", "hp"]).params == ("w_engine_power", "w_hp", "b")


def test_it_is_the_same_model():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    y = x @ [1.0, -2.0, 0.5] + 3
    ours, written = (
        fit(Model(text, ("x1", "x2", "x3")), x, y, init=[0, 0, 0, 0], lr=0.05, epochs=40, kernel="reference")
        for text in ("w @ x + b", "w1*x1 + w2*x2 + w3*x3 + b")
    )
    np.testing.assert_array_equal(ours.trajectory, written.trajectory)
    np.testing.assert_allclose(ours.params, [1, -2, 0.5, 3], atol=1e-3)


def test_there_are_only_so_many_parameters():
    with pytest.raises(ValueError, match="the expression has 31 parameters; at most 29 are accepted"):
        Model("w @ x + b", [f"x{k}" for k in range(1, 31)])
