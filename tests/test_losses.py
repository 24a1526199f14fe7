"""Losses against finite differences, SciPy and mpmath, at extremes and at values worked out by hand."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import special

from kernels.losses import LOSSES, Loss, huber_derivative, make_loss

SPECS = ["squared", "huber", "huber(0.25)", "huber(1.5)", "huber(1e-3)", "logcosh"]


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
    ],
)
def test_values_by_hand(spec, residual, value, derivative):
    value_of, derivative_of = functions(spec)
    assert value_of(residual) == pytest.approx(value, rel=4e-16)
    assert derivative_of(residual) == pytest.approx(derivative, rel=4e-16)


@pytest.mark.parametrize("spec", SPECS)
def test_derivative_is_that_of_the_value(spec):
    value, derivative = functions(spec)
    r = np.linspace(-30.0, 30.0, 6001) + 0.0003  # no kink of huber within the step
    h = 1e-5
    np.testing.assert_allclose((value(r + h) - value(r - h)) / (2 * h), derivative(r), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("delta", [1e-3, 0.25, 1.0, 1.5])
def test_huber_against_scipy(delta):
    value, _ = functions(f"huber({delta})")
    r = np.concatenate([np.linspace(-4, 4, 801), [delta, -delta, 1e10, -1e300]])
    np.testing.assert_allclose(value(r), special.huber(delta, r), rtol=1e-15)


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
        assert value(sign * residual) == pytest.approx(expected, rel=1e-15)
        assert derivative(sign * residual) == pytest.approx(sign * slope, rel=1e-15)


@pytest.mark.parametrize(
    ("spec", "value", "derivative"),
    [("squared", np.inf, 1e300), ("huber(2)", 2e300, 2.0), ("logcosh", 1e300, 1.0)],
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
@given(r=st.floats(-1e100, 1e100))
def test_losses_are_even_and_not_negative(spec, r):
    value, derivative = functions(spec)
    assert value(r) == value(-r) >= 0.0
    assert derivative(r) == -derivative(-r)


def test_the_same_source_compiles_to_the_same_bits():
    compiled = njit(huber_derivative)
    r = np.array([-np.inf, -2.0, -1.5, -0.3, -0.0, 0.0, 1.5, 2.0, np.inf, np.nan])
    np.testing.assert_array_equal([compiled(one, (1.5,)) for one in r], huber_derivative(r, (1.5,)))


def test_make_loss():
    loss = make_loss("huber(1.5)")
    assert isinstance(loss, Loss)
    assert make_loss(loss) is loss
    assert loss.options == {"delta": 1.5}
    assert loss.text == "huber(delta=1.5)"
    assert [make_loss(name).text for name in LOSSES] == ["squared", "huber(delta=1.0)", "logcosh"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hubert", "loss 'hubert' is not known; known are squared, huber, logcosh"),
        ("huber(0)", "loss 'huber(0)': delta must be a positive finite number, not 0.0"),
        ("huber([1])", "loss 'huber([1])': delta must be a positive finite number, not [1]"),
        ("squared(1)", "loss 'squared(1)': too many positional arguments; squared takes no options"),
    ],
)
def test_errors(text, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        make_loss(text)
    assert str(caught.value) == message
