from dataclasses import replace

import numpy as np
import pytest

from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.timing.problem import Trained, classic, errors, exponential, many


def trained(params, losses=(0.5,)):
    return Trained(np.array([params]), np.array(losses)[:, np.newaxis])


ONE = trained([1.0, 100.0, 0.001])


def test_errors_are_those_of_parameters_and_losses():
    """tests/bench/engine/test_check.py has those of numbers that are large, small or not finite."""
    assert errors(ONE, ONE) == (0, 0)
    assert errors(trained([1.0, 101.0, 0.002]), ONE) == (pytest.approx(0.01), 0)
    assert errors(trained([1.0, 101.0, 0.002], [0.75]), ONE) == (pytest.approx(0.25), pytest.approx(0.25 / 0.5))
    assert errors(trained([1.0, 100.0]), ONE) == (np.inf, np.inf)
    assert errors(trained([1.0, 100.0, 0.001], [0.5, 0.5]), ONE).largest == np.inf


def test_the_lesson_has_its_samples_and_rates():
    problem = classic(20)
    assert (problem.runs, problem.epochs, problem.y.size) == (1, 20, 800)
    np.testing.assert_array_equal(problem.x[0], np.arange(-400, 400) / 400)
    np.testing.assert_array_equal(problem.y, 2 * problem.x[0] ** 2 - 4 * problem.x[0] + 3)
    np.testing.assert_array_equal(problem.rates[:, 0], learning_rates("halve(10)", 0.5, 20))


def test_updates_are_counted_without_the_remainder():
    problem = classic(3, 7)
    assert problem.updates == 3 * 114
    assert problem.sample_updates == 3 * 798
    assert replace(many(runs=5, epochs=2), batch_size=16).updates == 5 * 2 * 50


@pytest.mark.parametrize("model", [None, exponential])
def test_many_runs_all_differ(model):
    problem = many(model, runs=9, epochs=12) if model else many(runs=9, epochs=12)
    assert problem.inits.shape == (9, 3)
    assert problem.rates.shape == (12, 9)
    assert problem.rates.flags.c_contiguous
    assert len(np.unique(problem.inits[:, 0])) == len(np.unique(problem.rates[0])) == 9


def test_a_part_is_the_first_of_everything():
    problem = replace(many(runs=9, epochs=12), batch_size=16)
    part = problem.part(runs=2, epochs=3, samples=10)
    assert (part.runs, part.epochs, part.y.size, part.batch_size) == (2, 3, 10, 10)
    np.testing.assert_array_equal(part.inits, problem.inits[:2])
    np.testing.assert_array_equal(part.rates, problem.rates[:3, :2])
    np.testing.assert_array_equal(part.x[0], problem.x[0][:10])
    assert part.rates.flags.c_contiguous
    assert problem.part(samples=20).batch_size == 16
