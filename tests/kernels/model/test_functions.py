"""Functions of expressions at kinks, at extremes and where naive formulas lose digits; no kernel is compiled here."""

import math

import mpmath
import numpy as np
import pytest

from sgdbench import Model
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.expression import names, parse
from sgdbench.kernels.model.functions import less, less_equal, maximum, minimum, where

NAN, INF = np.nan, np.inf
SIZES = [1e-300, 1e-20, 1e-9, 1e-3, 0.5, 1.0, 17.0, 36.0, 37.5, 40.0, 300.0, 700.0]


def compute(text, *params, x=0.0):
    """Return the value of an expression in a, b, ... and x, and its derivatives by a, b, ..."""
    inputs = ("x",) if "x" in names(parse(text)) else ()
    model, columns = Model(text, inputs, ("a", "b", "c")[: len(params)]), np.full(len(inputs), x)
    with np.errstate(all="ignore"):
        residual, derivatives = evaluate(model.program, np.array(params, float), columns, np.float64(-0.0))
    return float(residual), [float(derivative) for derivative in derivatives]


@pytest.mark.parametrize(
    ("text", "params", "value", "derivatives"),
    [
        ("relu(a)", (2.0,), 2.0, [1.0]),
        ("relu(a)", (-2.0,), 0.0, [0.0]),
        ("relu(a)", (0.0,), 0.0, [0.0]),
        ("abs(a)", (0.0,), 0.0, [0.0]),
        ("max(a, b)", (1.0, 2.0), 2.0, [0.0, 1.0]),
        ("max(a, b)", (2.0, 1.0), 2.0, [1.0, 0.0]),
        ("max(a, b)", (2.0, 2.0), 2.0, [0.5, 0.5]),
        ("min(a, b)", (1.0, 2.0), 1.0, [1.0, 0.0]),
        ("min(a, b)", (2.0, 1.0), 1.0, [0.0, 1.0]),
        ("min(a, b)", (2.0, 2.0), 2.0, [0.5, 0.5]),
        ("max(a**2, 0)", (0.0,), 0.0, [0.0]),
        ("max(3*a, 0)", (0.0,), 0.0, [1.5]),
        ("max(3*a, 5*a)", (0.0,), 0.0, [4.0]),
        ("max(a, b)", (INF, INF), INF, [0.5, 0.5]),
        ("where(a < b, 2*a, 3*b)", (1.0, 1.0), 3.0, [0.0, 3.0]),
        ("where(a <= b, 2*a, 3*b)", (1.0, 1.0), 2.0, [2.0, 0.0]),
        ("where(a > b, 2*a, 3*b)", (1.0, 1.0), 3.0, [0.0, 3.0]),
        ("where(a >= b, 2*a, 3*b)", (1.0, 1.0), 2.0, [2.0, 0.0]),
        ("sigmoid(a)", (1e300,), 1.0, [0.0]),
        ("sigmoid(a)", (-1e300,), 0.0, [0.0]),
        ("sigmoid(a)", (INF,), 1.0, [0.0]),
        ("sigmoid(a)", (-INF,), 0.0, [0.0]),
        ("sigmoid(a)", (0.0,), 0.5, [0.25]),
        ("softplus(a)", (1e300,), 1e300, [1.0]),
        ("softplus(a)", (-1e300,), 0.0, [0.0]),
        ("softplus(a)", (INF,), INF, [1.0]),
        ("softplus(a)", (0.0,), math.log(2), [0.5]),
        ("erf(a)", (1e300,), 1.0, [0.0]),
        ("erf(a)", (-INF,), -1.0, [0.0]),
    ],
)
def test_values_and_derivatives_at_kinks_and_extremes(text, params, value, derivatives):
    assert compute(text, *params) == (value, derivatives)


@pytest.mark.parametrize(
    ("text", "value", "derivatives"),
    [
        ("where(x > 1, a*log(x - 1), b*x)", 0.3, [0.0, 0.5]),
        ("where(x <= 1, b*x, sqrt(a - x - 3))", 0.3, [0.0, 0.5]),
        ("where(b > a, b/(a - a**2/2), b*x)", 0.3, [0.0, 0.5]),
        ("where(x > 1, 1/(a - 2), 2)*b", 1.2, [0.0, 2.0]),
        ("max(b, where(x > 1, log(-a), 0))", 0.6, [0.0, 1.0]),
        ("relu(where(x > 1, log(-a), b))", 0.6, [0.0, 1.0]),
    ],
)
def test_a_branch_that_is_not_taken_has_no_part_in_value_or_derivative(text, value, derivatives):
    """Not even where it is nan or infinite."""
    assert compute(text, 2.0, 0.6, x=0.5) == (pytest.approx(value, rel=1e-15), derivatives)


def test_nan_goes_through_and_conditions_with_it_are_false():
    for text in ("max(a, 1)", "max(1, a)", "min(a, 1)", "min(1, a)", "relu(a)", "sigmoid(a)", "softplus(a)", "erf(a)"):
        assert math.isnan(compute(text, NAN)[0]), text
    for comparison in ("a < 1", "a <= 1", "a > 1", "a >= 1"):
        assert compute(f"where({comparison}, 2*a, 3 - x)", NAN) == (3.0, [0.0])


@pytest.mark.parametrize(("a", "b"), [(0.0, -0.0), (-0.0, 0.0), (0.0, 0.0), (-0.0, -0.0), (1.0, 1.0)])
def test_of_equals_the_first_is_taken(a, b):
    for function in (maximum, minimum):
        assert math.copysign(1, function(np.float64(a), np.float64(b))) == math.copysign(1, a)
        assert np.signbit(function(np.array([a]), np.array([b]))) == np.signbit(a)
    assert not np.signbit(compute("relu(a)", -0.0)[0])


def test_conditions_are_numbers_and_choices_keep_bits():
    u, v = np.array([1.0, 2.0, 2.0, NAN, 1.0, -0.0]), np.array([2.0, 1.0, 2.0, 1.0, NAN, 0.0])
    np.testing.assert_array_equal(less(u, v), [1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(less_equal(u, v), [1, 0, 1, 0, 0, 1])
    assert less(u, v).dtype == np.float64
    np.testing.assert_array_equal(np.signbit(where(np.array([1.0, 0.0]), -0.0, 0.0)), [True, False])


TRUE = {
    "sigmoid": (lambda u: 1 / (1 + mpmath.exp(-u)), lambda u: 1 / (2 + mpmath.exp(-u) + mpmath.exp(u))),
    "softplus": (lambda u: mpmath.log1p(mpmath.exp(u)), lambda u: 1 / (1 + mpmath.exp(-u))),
    "log1p": (mpmath.log1p, lambda u: 1 / (1 + u)),
    "expm1": (mpmath.expm1, mpmath.exp),
    "sinh": (mpmath.sinh, mpmath.cosh),
    "cosh": (mpmath.cosh, mpmath.sinh),
    "erf": (mpmath.erf, lambda u: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-u * u)),
}


@pytest.mark.parametrize("name", TRUE)
def test_no_digits_are_lost_from_the_smallest_to_the_largest(name):
    """Measured: values within 2 units in the last place, derivatives within 4; exp(-u**2) has the rounding of u**2."""
    for size in SIZES:
        for u in (size, -size):
            if name == "log1p" and u <= -1:
                continue
            value, (slope,) = compute(f"{name}(a)", u)
            with mpmath.workdps(400):
                true_value, true_slope = (function(mpmath.mpf(u)) for function in TRUE[name])
                for ours, true, bound in ((value, true_value, 4), (slope, true_slope, 4 + (name == "erf") * u * u)):
                    if abs(true) > 1e-300:
                        assert abs(float((mpmath.mpf(ours) - true) / true)) <= bound * 2.0**-52, (u, ours, true)
