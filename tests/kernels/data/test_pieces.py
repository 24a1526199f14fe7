"""What is computed of samples piece by piece is what NumPy computes of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgdbench import Model, fit
from sgdbench.kernels.data import pieces
from sgdbench.kernels.data.pieces import column_moments, mean_over, variance
from sgdbench.kernels.model.models import make_model
from sgdbench.kernels.train.fit_quality import estimate_uncertainty, least_squares

MODEL = "a*x**2 + b*x + c"


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_quality_in_pieces(size, monkeypatch):
    """Against NumPy's own least squares and inverse."""
    monkeypatch.setattr(pieces, "SAMPLES_PER_PIECE", size)
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 300)
    y = 2 * x * x - 4 * x + 3 + 0.1 * rng.standard_normal(300)
    model, params = make_model(MODEL), np.array([2.0, -3.9, 3.1])
    design = np.stack([x * x, x, np.ones(300)], axis=1)
    expected, *_ = np.linalg.lstsq(design, y, rcond=None)
    best, lowest = least_squares(model, ((x,), y))
    np.testing.assert_allclose(best, expected, rtol=1e-12)
    assert lowest == pytest.approx(np.mean((design @ expected - y) ** 2), rel=1e-12)
    residual = design @ params - y
    covariance = np.linalg.inv(design.T @ design) * (residual @ residual) / 297
    found = estimate_uncertainty(model, params, ((x,), y))
    np.testing.assert_allclose(found.stderr, np.sqrt(np.diag(covariance)), rtol=1e-10)
    result = fit(MODEL, x, y, init=params, epochs=1, kernel="reference", batch_size=50)
    assert result.loss_at(params) == pytest.approx(np.mean(residual**2), rel=1e-12)
    assert result.r2 == pytest.approx(1 - result.loss[-1] / np.var(y), rel=1e-12)
    assert mean_over(((x,), y), lambda x, y: float(np.mean(x[0] * y))) == pytest.approx(np.mean(x * y), rel=1e-12)
    assert variance(y) == pytest.approx(np.var(y), rel=1e-12)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1])
def test_equal_targets_have_no_variance_and_no_r2_also_where_their_mean_is_rounded(value):
    x, y = np.linspace(-1, 1, 1000), np.full(1000, value)
    assert np.var(y) > 0
    result = fit(Model("a*x"), x, y, epochs=1, kernel="reference", batch_size="full", test=(x, y))
    assert np.isnan([result.r2, result.test_metrics["r2"], result.remaining]).all()


@settings(max_examples=30)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=8), st.integers(0, 2**32), st.floats(-1e6, 1e6))
def test_moments_in_pieces(sizes, seed, offset):
    sizes = [*sizes, 3]
    columns = np.random.default_rng(seed).standard_normal((2, sum(sizes))) + offset
    parts = np.split(columns, np.cumsum(sizes)[:-1], axis=1)
    mean, found = column_moments(list(part) for part in parts)
    np.testing.assert_allclose(mean, columns.mean(axis=1), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found, columns.var(axis=1), rtol=1e-9, atol=1e-20)
