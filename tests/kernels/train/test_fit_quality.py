"""How good a fit is: against scipy's curve_fit, scikit-learn's score and NumPy's least squares.

What is said of a fit does not depend on the kernel, and these models have none that other tests need too.
"""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import curve_fit

from sgdbench import Model, models
from sgdbench import fit as fit_with

fit = partial(fit_with, kernel="reference")

RNG = np.random.default_rng(8)
X = RNG.uniform(0, 2, 200)
NOISE = 0.05 * RNG.standard_normal(200)


@pytest.fixture(scope="module")
def decay():
    """A decay, fitted until nothing moves."""
    y = 2 * np.exp(-1.3 * X) + 0.5 + NOISE
    settings = {"init": [1, 1, 0], "lr": 0.9, "batch_size": "full", "epochs": 4_000, "optimizer": "momentum(0.9)"}
    return fit(models.exponential_decay, X, y, **settings), y


def test_standard_errors_and_correlations_are_those_of_scipy(decay):
    result, y = decay
    params, covariance = curve_fit(
        lambda x, a, b, c: a * np.exp(-b * x) + c, X, y, p0=[1, 1, 0], xtol=1e-14, ftol=1e-14
    )
    stderr = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(result.params, params, rtol=1e-6)
    np.testing.assert_allclose(result.stderr, stderr, rtol=1e-4)
    np.testing.assert_allclose(result.uncertainty.correlation, covariance / np.outer(stderr, stderr), rtol=1e-4)
    assert result.uncertainty.reason == ""
    assert result.optimum.loss == pytest.approx(result.loss[-1], rel=1e-9)


def test_units_change_the_standard_errors_with_the_parameters():
    y = 3 * X - 1 + NOISE
    one = fit(models.linear, X, y, init=[3, -1], lr=1e-6, epochs=1)
    other = fit(models.linear, 1e6 * X, y, init=[3e-6, -1], lr=1e-18, epochs=1)
    np.testing.assert_allclose(other.stderr, one.stderr * [1e-6, 1], rtol=1e-5)
    tiny = fit(models.linear, 1e-160 * X, y, init=[3e160, -1], lr=1e-6, epochs=1)
    np.testing.assert_allclose(tiny.stderr, one.stderr * [1e160, 1], rtol=1e-3)
    np.testing.assert_allclose(tiny.uncertainty.correlation, one.uncertainty.correlation, rtol=1e-9)


def test_a_loss_beyond_the_range_of_floats_is_unknown_without_warnings():
    assert "lowest loss unknown: no finite loss was found" in str(
        fit(models.linear, X, 1e200 * (3 * X - 1 + NOISE), epochs=1)
    )


def test_the_optimum_of_a_linear_model_is_that_of_the_least_squares():
    y = 2 * X**2 - 4 * X + 3 + NOISE
    expected = np.polyfit(X, y, 2)
    run = fit(models.quadratic, X, y, init=[0, 0, 0], epochs=3)
    np.testing.assert_allclose(run.optimum.params, expected, rtol=1e-9)
    assert np.linalg.norm(run.params - run.optimum.params) > 1e-3
    assert run.remaining == pytest.approx((run.loss[-1] - run.optimum.loss) / (np.var(y) - run.optimum.loss))
    shifted = fit(Model("a*x + x**2 + b"), X, y, init=[0, 0], epochs=1)
    np.testing.assert_allclose(shifted.optimum.params, np.polyfit(X, y - X**2, 1), rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "x", "settings", "reason"),
    [
        ("a*x + b", [1.0, 2.0], {}, "there must be more samples than parameters, not 2 for 2"),
        ("a*x + b*x", X, {}, "the data do not identify all parameters: the matrix J^T J is singular"),
        ("a*x + b", np.zeros(9), {}, "the data do not identify a"),
        ("a*x + b", X, {"loss": "huber(1.0)"}, "available for the squared loss only, not for huber(delta=1.0)"),
        ("a*x + b", X, {"lr": 1e200}, "the run diverged"),
    ],
)
def test_where_there_are_no_standard_errors_the_reason_is_said(model, x, settings, reason):
    result = fit(model, x, np.ones(len(x)), init=[2, 2], epochs=2, **settings)
    assert np.isnan(result.stderr).all()
    assert np.isnan(result.uncertainty.correlation).all()
    assert result.uncertainty.reason == reason
    assert f"no standard errors: {reason}" in str(result)


def test_a_linear_model_that_is_not_finite_at_a_sample_diverges(capfd):
    """NumPy's least squares raised a LinAlgError, and LAPACK wrote to the terminal."""
    x = np.linspace(0, 1, 30)
    found = fit("a*log(x) + b", x, 2 * x, lr=0.1, epochs=3)
    assert found.status == "diverged"
    assert np.isnan(found.optimum.loss)
    assert found.optimum.note == "the model is not finite at a sample"
    assert found.uncertainty.reason == "the run diverged"
    text = str(found)
    assert "lowest loss unknown: the model is not finite at a sample" in text
    assert capfd.readouterr() == ("", "")


def test_printed_it_is_a_few_lines():
    y = 3 * X - 1 + NOISE
    result = fit(models.linear, X, y, init=[0, 0], lr=0.05, epochs=50, target=0.01)
    lines = str(result).splitlines()
    assert 6 <= len(lines) <= 10
    assert lines[0] == "Fit of a*x + b: converged"
    assert f"target reached after {result.epochs_to_target}" in lines[1]
    assert lines[2].startswith("  parameters  a = 2.")
    assert "±" in lines[2]
    assert max(map(len, lines)) <= 100
