"""float32: the bits of NumPy's own float32 arithmetic, and which losses it does not have."""

import numpy as np
import pytest

from sgdbench import fit, models
from sgdbench.kernels.base.weak_scalars import WeakScalar
from sgdbench.kernels.compile.kinds import FLOAT32_LOSSES
from sgdbench.kernels.losses import LOSSES

FIT = {"init": [-1, 10, 26], "lr": 0.05, "schedule": "halve(1)", "epochs": 2, "seed": 7, "dtype": "float32"}


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_a_step_of_half_a_unit_in_the_last_place_is_lost(kernel):
    """1 - 2**-25 lies halfway between two numbers of float32, of which 1 is the even one."""
    settings = {"init": [1.0, 0.0, 0.0], "lr": 0.5, "epochs": 1}
    x, y = [1.0], [1 - 2.0**-24]
    single = fit(models.quadratic, x, y, dtype="float32", kernel=kernel, **settings)
    assert single.params.tolist() == [1.0, -(2.0**-25), -(2.0**-25)]
    assert single.loss.tolist() == [2.0**-48, 0.0]
    double = fit(models.quadratic, x, y, kernel="reference", **settings)
    assert double.params.tolist() == [1 - 2.0**-25, -(2.0**-25), -(2.0**-25)]


def test_an_epoch_by_hand_in_numbers_of_numpy(noisy):
    """Adam with nothing but float32 and Python's floats; the loss is NumPy's mean of squares."""
    x, y = (column[:100].astype(np.float32) for column in noisy)
    theta, lr = np.float32([0.3, -0.2]), np.float32(0.1)
    mean = square = np.zeros(2, np.float32)
    for t, first in enumerate(range(0, 96, 16), start=1):
        u, v = x[first : first + 16], y[first : first + 16]
        r = theta[0] * u + (theta[1] - v)
        g = np.array([np.add.reduce(r * u), np.add.reduce(r)]) * (1 / 16)
        mean, square = 0.9 * mean + (1 - 0.9) * g, 0.999 * square + (1 - 0.999) * g * g
        step, scale = lr * (1 / (1 - 0.9**t)), 1 / float(np.sqrt(1 - 0.999**t))
        theta = theta - step * mean / (np.sqrt(square) * scale + 1e-8)
    assert theta.dtype == np.float32
    settings = {"init": [0.3, -0.2], "batch_size": 16, "epochs": 1, "optimizer": "adam", "kernel": "reference"}
    result = fit("a*x + b", x, y, dtype="float32", **settings)
    np.testing.assert_allclose(result.params, theta, rtol=3e-7)  # 0.9**t is a product there
    assert result.loss[-1] == np.mean(
        (result.params[0].astype(np.float32) * x + (np.float32(result.params[1]) - y)) ** 2
    )


@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_results_are_numbers_of_float32_in_float64(noisy, kernel):
    single = fit(models.quadratic, *noisy, kernel=kernel, **FIT | {"dtype": np.float32})  # as its name
    double = fit(models.quadratic, *noisy, kernel="reference", **FIT | {"dtype": "float64"})
    for numbers in (single.trajectory, single.loss):
        assert numbers.dtype == np.float64
        np.testing.assert_array_equal(numbers, numbers.astype(np.float32))
    assert (double.dtype, single.dtype) == ("float64", "float32")
    assert (single.params != double.params).all()
    np.testing.assert_allclose(single.params, double.params, atol=1e-4)


def test_weak_numbers_are_of_double_precision_until_they_meet_an_array():
    one, single = WeakScalar(1.0), np.float32([0.1])
    root = 1.0 / np.sqrt(one - 0.999)
    assert float(root) == 1.0 / np.sqrt(1.0 - 0.999)
    assert float(np.maximum(one * 1e-200, 1e-300)) == 1e-200
    assert float(WeakScalar(3.0) ** 0.3) == 3.0**0.3
    assert one - 0.999 < 0.1
    assert not one - 1.0
    for result in (single * root, root * single, np.maximum(single, one), single[0] * root, one + single[0]):
        assert result.dtype == np.float32
    np.testing.assert_array_equal(single * root, single * np.float32(float(root)))


def test_losses_that_float32_has_not_are_known():
    assert set(LOSSES) - set(FLOAT32_LOSSES) == {"logcosh", "cauchy", "logistic", "softmax", "poisson"}
