"""A function of the parameters alone: against known minima, SciPy's gradients and PyTorch."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, rosen, rosen_der

from sgdbench import minimize, models

MINIMA = {
    "rosenbrock": [[1.0, 1.0]],
    "beale": [[3.0, 0.5]],
    "himmelblau": [[3.0, 2.0], [-2.805118, 3.131312], [-3.77931, -3.283186], [3.584428, -1.848126]],
    "rastrigin(3)": [[0.0, 0.0, 0.0]],
}


@pytest.mark.parametrize("name", MINIMA)
def test_the_minima_are_those_of_the_literature(name):
    """Nothing moves there, and the objective is 0 but for the digits given."""
    for minimum in MINIMA[name]:
        result = minimize(name, minimum, lr=1e-4, steps=3, kernel="reference")
        np.testing.assert_allclose(result.loss, 0, atol=1e-9)
        np.testing.assert_allclose(result.params, minimum, atol=1e-4)


def test_a_step_is_one_along_the_gradient():
    start = np.array([-1.5, 2.0])
    result = minimize("rosenbrock", start, lr=1e-4, steps=2, kernel="reference")
    assert result.loss[0] == pytest.approx(rosen(start), rel=1e-15)
    np.testing.assert_allclose(result.trajectory[1], start - 1e-4 * rosen_der(start), rtol=1e-14)
    second = result.trajectory[1] - 1e-4 * rosen_der(result.trajectory[1])
    np.testing.assert_allclose(result.trajectory[2], second, rtol=1e-14)
    np.testing.assert_array_equal(result.updates, [0, 1, 2])
    assert (result.status, result.epochs, result.records) == ("max_epochs", 2, "objective")


@pytest.mark.parametrize("name", MINIMA)
def test_gradients_against_differences(name):
    model = models.rastrigin(3) if name.startswith("rastrigin") else getattr(models, name)
    start = np.array([0.3, -0.7, 1.2])[: len(model.params)]
    taken = (start - minimize(model, start, lr=1.0, steps=1, kernel="reference").params) / 1.0
    slope = approx_fprime(start, lambda theta: float(model.predict(theta, None)[0]), 1e-7)
    np.testing.assert_allclose(taken, slope, rtol=1e-5, atol=1e-5)


def test_kernels_are_the_reference_bit_for_bit():
    settings = {"init": [-1.5, 2.0], "lr": 0.02, "steps": 3000, "optimizer": "adam"}
    reference, fused = (minimize("rosenbrock", kernel=kernel, **settings) for kernel in ("reference", "fused"))
    np.testing.assert_array_equal(fused.trajectory, reference.trajectory)
    np.testing.assert_array_equal(fused.loss, reference.loss)
    np.testing.assert_allclose(fused.params, MINIMA["rosenbrock"][0], atol=1e-3)


def test_schedules_targets_and_starts():
    result = minimize("x**2 - 3", [2.0], lr=0.25, schedule="halve(1)", steps=50, target=-1.5, kernel="reference")
    assert result.status == "converged"
    assert result.loss[-1] <= -1.5 < result.loss[-2]
    # Halved at each step, from the first on: x -= lr * 2x.
    assert result.trajectory[1, 0] == 2.0 - 0.125 * 4.0
    assert result.trajectory[2, 0] == result.trajectory[1, 0] * (1 - 2 * 0.0625)
    drawn = minimize("x**2 + y**2", steps=1, seed=5, kernel="reference")
    np.testing.assert_array_equal(drawn.trajectory[0], np.random.default_rng(5).standard_normal(2))
    named = minimize("u**2 + 2*v**2", {"v": 1.0, "u": 3.0}, params=("v", "u"), steps=1, kernel="reference")
    np.testing.assert_array_equal(named.trajectory[0], [1.0, 3.0])
    for objective in ("rosenbrock", models.rosenbrock):
        ordered = minimize(objective, [2.0, -1.5], params=models.rosenbrock.params[::-1], steps=1, kernel="reference")
        assert ordered.loss[0] == pytest.approx(rosen([-1.5, 2.0]), rel=1e-15)


def test_the_polyak_step_finds_the_minimum_of_a_parabola():
    """With the lowest value known to be 0, lr * f / |gradient|**2 halves the distance at once."""
    result = minimize("x**2 + y**2", [3.0, -4.0], lr=1.0, optimizer="polyak", steps=40, kernel="reference")
    np.testing.assert_allclose(result.params, 0, atol=1e-9)
