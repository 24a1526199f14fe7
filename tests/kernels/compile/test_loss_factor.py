"""Losses out of the QR factor of the samples: within their bound of the reference's, and nothing else differs."""

import numpy as np
import pytest

from sgdbench import models
from sgdbench.kernels.base.run import Hyperparameters
from sgdbench.kernels.compile.kinds import takes_factor
from sgdbench.kernels.compile.loss_factor import make_factors
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.models import polynomial, quadratic
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.block import train_runs

EPS = np.finfo(float).eps
SQUARED, SGD = make_loss("squared"), make_optimizer("sgd")
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, 40)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(40)
HELD_OUT = RNG.uniform(-1, 1, 9), RNG.uniform(0, 9, 9)
EPOCHS = 30


@pytest.mark.parametrize("n", [3, 60, 2000])
@pytest.mark.parametrize("degree", [1, 2, 5, 11])
def test_the_root_of_the_sum_is_within_its_bound(n, degree):
    """Found: 1.6 eps |R| |(theta, -1)| at most, on six times as many."""
    rng = np.random.default_rng(n + degree)
    model, x = polynomial(degree), rng.uniform(-2, 2, n)
    for size in (1e-3, 1.0, 1e3):
        theta = size * rng.standard_normal(degree + 1)
        # From far off to close: the smaller the residuals, the more of their digits are rounding errors.
        for noise in (10.0, 1e-3, 1e-9):
            y = model.predict(theta, x) + noise * rng.standard_normal(n)
            end = np.append(theta, -1.0)
            factor = make_factors(model.program, allocate_data((x,), y))[0]
            terms = np.column_stack([x.astype(np.longdouble) ** k for k in range(degree + 1)])
            true = np.sqrt(np.sum((terms @ theta.astype(np.longdouble) - y) ** 2))
            bound = EPS * np.linalg.norm(factor, 2) * np.linalg.norm(end)
            assert abs(float(np.linalg.norm(factor @ end) - true)) <= 4 * bound


def block(kernel, data, record, runs=40):
    lrs, inits = np.geomspace(0.001, 30, runs), np.random.default_rng(1).normal(0, 3, (runs, 3))
    rates = np.stack([learning_rates("constant", lr, EPOCHS) for lr in lrs], axis=1)
    checkpoints = make_checkpoints(record, data.y.size, 1, EPOCHS, drop_last=True)
    plan = Hyperparameters(rates, option_values(SQUARED, SGD), 1, True, False, 0, 1e-9, checkpoints)
    return checkpoints, train_runs(kernel, quadratic, SQUARED, SGD, data, plan, inits, SGD.initial_memory(inits))


def test_losses_are_those_of_the_samples_and_parameters_have_the_same_bits():
    """There are too few losses for a factor at the ends of epochs, and enough after every ten updates."""
    data = allocate_data((X,), Y, validation=((HELD_OUT[0],), HELD_OUT[1]))
    (checkpoints, found), (few, direct) = block("lanes-fma", data, 10), block("lanes-fma", data, "epoch")
    assert takes_factor("lanes-fma", quadratic, SQUARED, checkpoints.size)
    assert not takes_factor("lanes-fma", quadratic, SQUARED, few.size)
    assert len(set(direct.status)) > 1
    ended = np.isfinite(direct.params).all(axis=1) & (direct.status == 0)
    assert ended.sum() > 5
    np.testing.assert_array_equal(found.params[ended], direct.params[ended])
    shared = np.searchsorted(checkpoints, few)
    exact = block("reference", data, "epoch")[1]
    for name in ("losses", "validation_losses"):
        by_factor, by_sum = getattr(found, name)[shared][:, ended], getattr(direct, name)[:, ended]
        assert (by_factor != by_sum).any()
        np.testing.assert_allclose(by_factor, by_sum, rtol=1e-12)
        np.testing.assert_allclose(by_factor[:, :4], getattr(exact, name)[:, ended][:, :4], rtol=1e-12)


def test_where_the_design_is_not_finite_there_is_no_factor():
    good, bad = ((X,), Y), ((np.array([1.0, 2.0, 1e200]),), np.ones(3))
    for data in (allocate_data(*bad), allocate_data(*good, validation=bad)):
        assert make_factors(quadratic.program, data).size == 0


def test_which_losses_come_from_a_factor():
    many = 10**6
    assert takes_factor("lanes-fma", quadratic, SQUARED, 32)
    assert not takes_factor("lanes-fma", quadratic, SQUARED, 31)
    assert takes_factor("lanes-fma", polynomial(11), SQUARED, many)
    assert not takes_factor("lanes-fma", polynomial(11), make_loss("huber"), many)  # its own loss is recorded
    for kernel in ("reference", "fused", "fused-fma", "lanes"):
        assert not takes_factor(kernel, quadratic, SQUARED, many)
    for model in (polynomial(12), models.sine, Model("a*b*x")):
        assert not takes_factor("lanes-fma", model, SQUARED, many)
    assert not takes_factor("lanes-fma", quadratic, make_loss("logistic"), many)
