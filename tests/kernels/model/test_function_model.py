"""Models given as Python functions and as expressions of SymPy: their text, and fits with the bits of the text."""

import math
import pickle
from functools import partial

import numba
import numpy as np
import pandas as pd
import pytest
import scipy.special
import sympy
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.special import expit

from sgdbench import Model, fit, minimize, register_model, source
from sgdbench.kernels.model.expression import Call, Name, Number, parse
from sgdbench.kernels.model.expression_text import write_expression
from sgdbench.kernels.model.function_check import evaluate
from sgdbench.kernels.model.function_text import write_function

X = np.linspace(-1, 1, 40)
SCALE = 2.5


def peak(x, height, center=0.25, width=0.5):
    return height * np.exp(-(((x - center) / width) ** 2) / 2)


def half(u):
    return u / 2


@numba.njit
def compiled(x, a, b):
    return math.exp(a * x) + b * x**3


def summed(x, a, b, c):
    return sum(k * x**power for power, k in enumerate((a, b, c)))


def limited(x, a, b):
    return np.where((x > a) & (x <= b), x**0.5, np.where(~(x < 0) | (x == 1), 1 / x, -x))


FUNCTIONS = {
    "height*exp(-((x - center)/width)**2/2)": peak,
    "exp(a*x) + b*x**3": compiled,
    "a*x**0 + b*x**1 + c*x**2": summed,
    "a*t - 2.5": lambda t, a: a * t + -SCALE,
    "a/2*x": lambda x, a: half(a) * x,
    "sigmoid(a*x) + erf(x) + erf(a)": lambda x, a: expit(a * x) + scipy.special.erf(x) + math.erf(a),
    "(x + a)**2 + 1/x + abs(-x)": lambda x, a: np.square(x + a) + np.reciprocal(x) + abs(-x),
    "a**x**2*(x**a)**2": lambda x, a: a**x**2 * np.power(x, a) ** 2,
    "-(a*x) - (a - x) + a*-x": lambda x, a: -(a * x) - (a - x) + a * -x,
    "min(max(a*x, 0), 1) + max(x, a)": lambda x, a: np.clip(a * x, 0, 1) + np.clip(x, a, None),
    "a*sin(2*pi*x) + pi/2": lambda x, a: a * np.sin(2 * math.pi * x) + np.pi / 2,
    "where(x > a, 1, 0)*a": lambda x, a: (x > a) * a,
    "where(x <= a, where(x >= a, a, x), x)": lambda x, a: np.where(x == a, a, x),
    "where(x > a, where(x <= b, x**0.5, where(x < 0, where(x <= 1, where(x >= 1, 1/x, -x), -x), 1/x)), "
    "where(x < 0, where(x <= 1, where(x >= 1, 1/x, -x), -x), 1/x))": limited,
    "log(x*a)/0.6931471805599453 + 1e-07": lambda x, a: math.log(x * a, 2) + 1e-7,
    "w @ x + b": lambda x, w, b: w @ x + b,
    "2*(w @ x) - b": lambda X, w, b: 2 * np.dot(X, w) - b,  # noqa: N803
}


@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_function_leaves_the_text_that_a_person_would_write(text):
    assert Model(FUNCTIONS[text]).expression == text


def test_a_hidden_layer_is_a_function_too():
    model = Model(lambda x, v, W, c: v @ np.tanh(W @ x + c), hidden=3)  # noqa: N803
    assert (model.expression, model.shapes) == ("v @ tanh(W @ x + c)", {"v": (3,), "W": (3, 1), "c": (3,)})
    classes = Model(lambda x, W, b: W @ x + b, ["p", "q"], classes=3)  # noqa: N803
    assert classes.shapes == {"W": (3, 2), "b": (3,)}


# Functions as text that Python reads, with parentheses around everything, and the operations that have NumPy's bits.
LEAVES = st.sampled_from(["x", "a", "b", "2", "0.5", "3", "1", "-1.5", "math.pi"])


def _operations(parts):
    pair = st.tuples(parts, st.sampled_from(["+", "-", "*", "/"]), parts).map(
        lambda one: f"({one[0]} {one[1]} {one[2]})"
    )
    calls = st.tuples(st.sampled_from(["-{}", "abs({})", "np.sqrt({})", "({})**2", "half({})"]), parts)
    choice = st.tuples(parts, st.sampled_from(["<", "<=", ">", ">="]), parts, parts, parts)
    return st.one_of(
        pair,
        calls.map(lambda one: f"({one[0].format(one[1])})"),
        st.tuples(parts, parts).map(lambda one: f"np.maximum({one[0]}, {one[1]})"),
        choice.map(lambda one: f"np.where({one[0]} {one[1]} {one[2]}, {one[3]}, {one[4]})"),
    )


SOURCES = st.recursive(LEAVES, _operations, max_leaves=12)


@given(SOURCES)
def test_the_text_has_the_bits_of_the_function(code):
    """With NumPy: where the function can be called at all, and its text is short enough."""
    scope = {"np": np, "math": math, "half": half}
    draws = np.random.default_rng(0).standard_normal((3, 20))
    with np.errstate(all="ignore"):
        function = eval(f"lambda x, a, b: {code} + 0*x + 0*a + 0*b", scope)
        try:
            expected = np.broadcast_to(function(*draws), 20)
            text = write_function(function).text
        except (ZeroDivisionError, ValueError) as error:
            # Parts without x, a and b are Python's: they may be infinite, complex or conditions.
            words = ("division by zero", "finite", "at most 1000 characters", "without a comparison", "complex")
            assume(not any(one in str(error) for one in words))
            raise
        found = evaluate(parse(text), dict(zip("xab", draws, strict=True)))
    np.testing.assert_array_equal(np.broadcast_to(found, 20), expected)
    assert write_expression(parse(text)) == text


NODES = st.recursive(
    st.one_of(
        st.floats(allow_nan=False, allow_infinity=False).map(abs).map(Number),
        st.sampled_from(["x", "a", "rate_2"]).map(Name),
    ),
    lambda parts: st.one_of(
        st.tuples(st.sampled_from(["add", "subtract", "multiply", "divide"]), st.tuples(parts, parts)),
        st.tuples(parts, st.sampled_from([2.0, 0.5, -3.0])).map(lambda one: ("power", (one[0], Number(one[1])))),
        st.tuples(st.sampled_from(["negative", "exp", "absolute", "sigmoid"]), parts.map(lambda one: (one,))),
    ).map(lambda one: Call(*one)),
    max_leaves=15,
)


@given(NODES)
def test_the_text_of_a_tree_is_read_as_the_same_tree(node):
    """But for parts of numbers alone, which the parser computes."""

    def has_numbers_alone(one):
        operands = getattr(one, "operands", ())
        return bool(operands) and (
            all(isinstance(part, Number) for part in operands) or any(map(has_numbers_alone, operands))
        )

    assume(not has_numbers_alone(node))
    text = write_expression(node)
    assume(len(text) <= 1000)
    assert parse(text) == node


def test_fits_have_the_bits_of_the_text(classic):
    given = {"init": [-1, 10, 26], "lr": 0.5, "schedule": "halve(10)", "epochs": 20}
    by_text = fit("a*x**2 + b*x + c", *classic, **given)
    for kernel in ("reference", "fused"):
        by_function = fit(lambda x, a, b, c: a * x**2 + b * x + c, *classic, kernel=kernel, **given)
        assert by_function.model.expression == by_text.model.expression
        np.testing.assert_array_equal(by_function.trajectory, by_text.trajectory)
    again = pickle.loads(pickle.dumps(by_function))  # a lambda cannot be pickled, its text can
    np.testing.assert_array_equal(again.predict([0.5]), by_text.predict([0.5]))


def test_it_arrives_where_curve_fit_does():
    rng = np.random.default_rng(3)
    y = peak(X, 1.5, 0.1, 0.4) + 0.01 * rng.standard_normal(X.size)
    expected, covariance = curve_fit(peak, X, y, p0=[1, 0.25, 0.5])
    found = fit(peak, X, y, init=[1, 0.25, 0.5], lr=0.5, batch_size="full", epochs=3000)
    np.testing.assert_allclose(found.params, expected, rtol=1e-6)
    np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(covariance)), rtol=1e-4)


def test_defaults_are_starting_values():
    model = Model(peak)
    assert model.start == {"center": 0.25, "width": 0.5}
    start = model.draw_start(7)
    assert start.tolist() == [np.random.default_rng(7).standard_normal(3)[0], 0.25, 0.5]
    assert fit(model, X, X, epochs=1, seed=7, kernel="reference").trajectory[0].tolist() == start.tolist()
    assert fit(peak, X, X, init=[1, 2, 3], epochs=1, kernel="reference").trajectory[0].tolist() == [1, 2, 3]
    weights = Model(lambda x, w=0.5, b=0.0: w @ x + b, ["p", "q"])
    assert weights.draw_start(0).tolist() == [0.5, 0.5, 0.0]
    assert weights.with_classes(2).draw_start(0).tolist() == [0.5] * 4 + [0.0] * 2


TABLE = pd.DataFrame({"hp": X, "Top Speed": X**2, "mpg": X**3})


@pytest.mark.parametrize(
    ("function", "x", "inputs"),
    [
        (lambda a, hp, b: a * hp + b, TABLE, ("hp",)),
        (lambda a, hp, top_speed: a * hp * top_speed, TABLE, {"hp": "hp", "top_speed": "Top Speed"}),
        (lambda u, a: a * u, X, ("u",)),
        (lambda u, a: a * u, X[:, np.newaxis], ("u",)),
        (lambda a, x1, x2: a * x1 - x2, np.stack([X, X**2], axis=1), ("x1", "x2")),
        (lambda x, w, b: w @ x + b, TABLE[["hp", "Top Speed"]], ("hp", "Top Speed")),
        (lambda x, w, b, hp: w @ x + b * hp, TABLE[["hp", "Top Speed"]], ("hp", "Top Speed")),
    ],
)
def test_its_inputs_are_columns_by_name_or_its_first_parameter(function, x, inputs):
    model = fit(function, x, X**3, epochs=1, kernel="reference").model
    assert model.given_inputs == inputs
    assert Model(function, inputs).params == model.params


def test_other_functions_take_functions():
    valley = minimize(lambda a, b: (1 - a) ** 2 + 100 * (b - a**2) ** 2, [-1, 1], steps=3, kernel="reference")
    assert valley.model.expression == "(1 - a)**2 + 100*(b - a**2)**2"
    assert source(lambda t, a, b: a * t + b) == source(Model("a*t + b", ["t"]))
    assert source(lambda u, v, a: a * u * v, inputs=["u", "v"]) == source("a*u*v", inputs=["u", "v"])
    assert Model(partial(peak, height=2.0)).start["height"] == 2.0


@pytest.mark.usefixtures("rules_forgotten")
def test_a_function_of_a_sample_is_registered_as_a_model():
    """Its first parameter has no default, as all have in a function of options."""
    assert register_model(peak) is peak
    register_model(lambda terms=2: "a*x" + "*x" * terms, name="product")
    result = fit("peak", X, X, epochs=1, seed=7, kernel="reference")
    assert result.model.expression == Model(peak).expression
    assert result.trajectory[0, 1:].tolist() == [0.25, 0.5]
    assert fit("product(terms=1)", X, X, epochs=1, kernel="reference").model.expression == "a*x*x"


A, B, U = sympy.symbols("a b x")
EXPRESSIONS = {
    "a*x**2 + b*x + 1/3": A * U**2 + B * U + sympy.Rational(1, 3),
    "exp(-a*x)/2 + pi*b": sympy.exp(-A * U) / 2 + sympy.pi * B,
    "max": sympy.Max(A * U, B, 0) - sympy.Min(U, A) * sympy.Abs(B * U),
    "where": sympy.Piecewise((A * U, U < B), (B, (U >= B) & (U < 2)), (A, True)),
    "or": sympy.Piecewise((A, (U < -0.5) | (U > 0.5)), (B * U, True)),
    "functions": sympy.sqrt(A**2 + 1) * sympy.log(U**2 + 1) * sympy.asin(U / 2) + sympy.erf(B) * sympy.E + 0.1 * U,
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_of_sympy_has_its_values(name):
    model = Model(EXPRESSIONS[name])
    values = dict(zip(model.params, [0.7, -0.3], strict=True))
    expected = [float(EXPRESSIONS[name].subs({"x": value, **values})) for value in X]
    np.testing.assert_allclose(model.predict(values, X), expected, rtol=1e-12)


def test_symbols_of_sympy_that_are_columns_are_inputs():
    hp, b = sympy.symbols("hp b")
    model = fit(A * hp + b, TABLE, X**3, epochs=1, kernel="reference").model
    assert (model.expression, model.inputs) == ("a*hp + b", ("hp",))
    assert minimize((1 - A) ** 2, [0], steps=1, kernel="reference").model.expression == "(1 - a)**2"
