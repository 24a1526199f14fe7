"""Losses against finite differences, SciPy and mpmath, at extremes and at values worked out by hand."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss

SPECS = ["squared", "huber", "huber(0.25)", "huber(1.5)", "huber(1e-3)", "logcosh"]
SPECS += ["absolute", "quantile", "quantile(0.9)", "quantile(tau=0.05)", "cauchy", "cauchy(0.3)", "cauchy(7)"]
SPECS += ["epsilon_insensitive", "epsilon_insensitive(0.25)", "epsilon_insensitive(0)"]


def functions(spec):
    loss = make_loss(spec)
    options = tuple(loss.options.values())
    return lambda r: loss.value(r, options), lambda r: loss.derivative(r, options)


@pytest.mark.parametrize(
    ("spec", "residual", "value", "derivative"),
    [
        ("squared", -3.0, 4.5, -3.0),
        ("huber", 0.5, 0.125, 0.5),
        ("huber", 1.0, 0.5, 1.0),
        ("huber", -3.0, 2.5, -1.0),
        ("huber(1.5)", 3.0, 3.375, 1.5),
        ("huber(delta=1.5)", -1.0, 0.5, -1.0),
        ("logcosh", np.log(2.0), np.log(1.25), 0.6),
        ("logcosh", -np.log(3.0), np.log(5.0 / 3.0), -0.8),
        ("absolute", 3.0, 3.0, 1.0),
        ("absolute", -0.25, 0.25, -1.0),
        ("absolute", 0.0, 0.0, 0.0),
        ("quantile", 3.0, 1.5, 0.5),
        ("quantile(0.9)", 3.0, 0.3, 0.1),
        ("quantile(0.9)", -3.0, 2.7, -0.9),
        ("quantile(0.9)", 0.0, 0.0, 0.0),
        ("cauchy", 1.0, 0.5 * np.log(2.0), 0.5),
        ("cauchy(2)", -2.0, 2.0 * np.log(2.0), -1.0),
        ("epsilon_insensitive", 0.1, 0.0, 0.0),
        ("epsilon_insensitive(0.5)", 2.0, 1.5, 1.0),
        ("epsilon_insensitive(0.5)", -2.0, 1.5, -1.0),
        ("epsilon_insensitive(0.5)", -0.5, 0.0, 0.0),
        ("epsilon_insensitive(0)", 0.0, 0.0, 0.0),
    ],
)
def test_values_by_hand(spec, residual, value, derivative):
    value_of, derivative_of = functions(spec)
    assert value_of(residual) == pytest.approx(value, rel=4e-16)
    assert derivative_of(residual) == pytest.approx(derivative, rel=4e-16)


@pytest.mark.parametrize("spec", SPECS)
def test_derivative_is_that_of_the_value(spec):
    value, derivative = functions(spec)
    r = np.linspace(-30.0, 30.0, 6001) + 0.0003  # no kink within the step
    h = 1e-5
    np.testing.assert_allclose((value(r + h) - value(r - h)) / (2 * h), derivative(r), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("residual", [1e-150, 1e-9, 0.3, 5.0, 1e99, 1e101, 1e160, 1e300])
def test_cauchy_against_mpmath(residual):
    value, derivative = functions("cauchy(2.0)")
    with mpmath.workdps(700):
        square = (mpmath.mpf(residual) / 2) ** 2
        expected, slope = float(2 * mpmath.log1p(square)), float(mpmath.mpf(residual) / (1 + square))
    with np.errstate(over="ignore", under="ignore"):
        assert value(np.float64(-residual)) == pytest.approx(expected, rel=1e-15, abs=1e-300)
        assert derivative(np.float64(-residual)) == pytest.approx(-slope, rel=1e-15, abs=1e-153)


@pytest.mark.parametrize(
    "residual", [1e-150, 1e-12, 1e-8, 1e-4, 0.3, 1.0, 5.0, 19.999, 20.0, 20.001, 50.0, 800.0, 1e300]
)
def test_logcosh_against_mpmath(residual):
    value, derivative = functions("logcosh")
    with mpmath.workdps(400):
        r = mpmath.mpf(residual)
        expected = float(mpmath.log1p(mpmath.expm1(-2 * r) / 2) + r)
        slope = float(mpmath.tanh(r))
    for sign in (1.0, -1.0):
        assert value(sign * residual) == pytest.approx(expected, rel=1e-15, abs=0)
        assert derivative(sign * residual) == pytest.approx(sign * slope, rel=1e-15, abs=0)


@pytest.mark.parametrize(
    ("spec", "value", "derivative"),
    [
        ("squared", np.inf, 1e300),
        ("huber(2)", 2e300, 2.0),
        ("logcosh", 1e300, 1.0),
        ("absolute", 1e300, 1.0),
        ("quantile", 5e299, 0.5),
        ("epsilon_insensitive", 1e300, 1.0),
    ],
)
def test_extremes(spec, value, derivative):
    value_of, derivative_of = functions(spec)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(value_of(np.array([1e300, -1e300, 0.0])), [value, value, 0.0])
        np.testing.assert_array_equal(derivative_of(np.array([1e300, -1e300, 0.0])), [derivative, -derivative, 0.0])


@pytest.mark.parametrize("spec", SPECS)
def test_nan_goes_through(spec):
    for function in functions(spec):
        assert np.isnan(function(np.array([np.nan]))).all()


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=40)
@given(r=st.floats(-1e100, 1e100))
def test_losses_are_even_and_not_negative(spec, r):
    value, derivative = functions(spec)
    if spec.startswith("quantile"):  # is that of 1 - tau on the other side
        mirrored, slope = functions(f"quantile({1 - make_loss(spec).options['tau']})")
    else:
        mirrored, slope = value, derivative
    with np.errstate(over="ignore"):
        assert value(np.float64(r)) == pytest.approx(mirrored(np.float64(-r)), rel=1e-14, abs=1e-320)
        assert value(np.float64(r)) >= 0.0
        assert derivative(np.float64(r)) == pytest.approx(-slope(np.float64(-r)), rel=1e-14, abs=1e-320)


def test_make_loss():
    loss = make_loss("huber(1.5)")
    assert isinstance(loss, Loss)
    assert make_loss(loss) is loss
    assert loss.options == {"delta": 1.5}
    assert loss.text == "huber(delta=1.5)"
