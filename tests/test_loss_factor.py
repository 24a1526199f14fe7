"""Losses out of the QR factor of the samples: within their bound of the reference's, and nothing else differs."""

import numpy as np
import pytest

from kernels import linear_data, loss_factor, models
from kernels.agreement import KERNELS
from kernels.block import train_runs
from kernels.lane_width import lane_width
from kernels.linear_data import add_factors, make_factor
from kernels.loss_factor import may_take_factor, takes_factor
from kernels.losses import make_loss
from kernels.marks import make_marks
from kernels.model import Model
from kernels.models import polynomial, quadratic
from kernels.optimizers import OPTIMIZERS, make_optimizer
from kernels.run import Hyperparameters, option_values
from kernels.samples import allocate_data
from kernels.schedules import learning_rates
from kernels.specialize import ingredients_of

EPS = np.finfo(float).eps
SQUARED, SGD = make_loss("squared"), make_optimizer("sgd")
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, 40)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(40)
HELD_OUT = RNG.uniform(-1, 1, 9), RNG.uniform(0, 9, 9)
EPOCHS = 30


@pytest.mark.parametrize("n", [3, 60, 5000])
@pytest.mark.parametrize("degree", [1, 2, 5, 11])
def test_the_root_of_the_sum_is_within_its_bound(n, degree, monkeypatch):
    """Found: 1.6 eps |R| |(theta, -1)| at most, on six times as many."""
    monkeypatch.setattr(linear_data, "CHUNK", 700)
    rng = np.random.default_rng(n + degree)
    model, x = polynomial(degree), rng.uniform(-2, 2, n)
    for size in (1e-3, 1.0, 1e3):
        theta = size * rng.standard_normal(degree + 1)
        # From far off to close: the smaller the residuals, the more of their digits are rounding errors.
        for noise in (10.0, 1e-3, 1e-9):
            y = model.predict(theta, x) + noise * rng.standard_normal(n)
            end = np.append(theta, -1.0)
            factor = make_factor(model.program, (x,), y)
            terms = np.column_stack([x.astype(np.longdouble) ** k for k in range(degree + 1)])
            true = np.sqrt(np.sum((terms @ theta.astype(np.longdouble) - y) ** 2))
            bound = EPS * np.linalg.norm(factor, 2) * np.linalg.norm(end)
            assert abs(float(np.linalg.norm(factor @ end) - true)) <= 4 * bound


def without_factor(call, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(loss_factor, "PASSES", np.inf)
        return call()


def block(kernel, data, runs=40):
    lrs, inits = np.geomspace(0.001, 30, runs), RNG.normal(0, 3, (runs, 3))
    rates = np.stack([learning_rates("constant", lr, EPOCHS) for lr in lrs], axis=1)
    marks = make_marks(10, data.y.size, 1, EPOCHS, drop_last=True)
    plan = Hyperparameters(rates, option_values(SQUARED, SGD), 1, True, False, 0, 1e-9, marks)
    return train_runs(kernel, quadratic, SQUARED, SGD, data, plan, inits, SGD.initial_memory(inits))


def test_losses_are_those_of_the_reference_and_parameters_have_the_bits_of_before(monkeypatch):
    data = allocate_data((X,), Y, shuffle=False, validation=((HELD_OUT[0],), HELD_OUT[1]))
    state = RNG.bit_generator.state
    found = block("lanes-fma", data)
    RNG.bit_generator.state = state
    direct = without_factor(lambda: block("lanes-fma", data), monkeypatch)
    RNG.bit_generator.state = state
    reference = block("reference", data)
    np.testing.assert_array_equal(found.status, direct.status)
    np.testing.assert_array_equal(found.marks, direct.marks)
    np.testing.assert_array_equal(found.params, direct.params)
    assert len(set(found.status)) > 1
    for losses, expected in ((found.losses, direct.losses), (found.validation_losses, direct.validation_losses)):
        known = np.arange(len(losses))[:, np.newaxis] <= found.marks
        known &= np.isfinite(expected)
        assert (losses[known] != expected[known]).any()
        np.testing.assert_allclose(losses[known], expected[known], rtol=1e-12)
    # Those of the lowest rates are close to the reference's too.
    np.testing.assert_allclose(found.losses[:, :4], reference.losses[:, :4], rtol=1e-12)
    np.testing.assert_allclose(found.validation_losses[:, :4], reference.validation_losses[:, :4], rtol=1e-12)


def test_where_the_design_is_not_finite_there_is_no_factor():
    x = np.array([1.0, 2.0, 1e200])
    assert make_factor(quadratic.program, (x,), np.ones(3)).shape == (0, 0)
    good, bad = ((X,), Y), ((x,), np.ones(3))
    for data in (allocate_data(*bad, shuffle=False), allocate_data(*good, shuffle=False, validation=bad)):
        assert add_factors(quadratic.program, data).factor.size == 0


def spec_of(name):
    """An optimizer by its name alone; a wrapper around polyak, which needs the loss."""
    try:
        return make_optimizer(name)
    except ValueError:
        return make_optimizer(f"{name}(polyak)")


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_kernel_is_compiled_for_the_samples_that_it_is_given(name, loss):
    """Those of optimizers that need the loss were compiled for samples without a factor, and given some with one."""
    loss, optimizer = make_loss(loss), spec_of(name)
    for kernel in ("fused-fma", "lanes", "lanes-fma"):
        for model in (quadratic, models.sine):
            kind, width = KERNELS[kernel], lane_width(kernel, "float64", model.program, loss)
            made_of = ingredients_of(model.program, loss, optimizer, fma=kind.fma, width=width)
            assert made_of.by_factor == may_take_factor(kernel, model, loss)


@pytest.mark.parametrize("optimizer", ["polyak", "averaged(polyak)"])
@pytest.mark.parametrize("batch_size", [1, 7])
def test_optimizers_that_need_the_loss_of_a_batch_have_it(optimizer, batch_size):
    assert make_optimizer(optimizer).needs_loss
    data, marks = allocate_data((X,), Y, shuffle=False), make_marks("epoch", 40, batch_size, 40, drop_last=True)
    made = make_optimizer(optimizer)
    starts = RNG.normal(2, 1, (5, 3))
    rates = np.full((40, 5), 0.1)
    hyper = Hyperparameters(rates, option_values(SQUARED, made), batch_size, True, False, 0, 1e-9, marks)
    run = [
        train_runs(kernel, quadratic, SQUARED, made, data, hyper, starts, made.initial_memory(starts))
        for kernel in ("lanes-fma", "reference")
    ]
    assert takes_factor("lanes-fma", quadratic, SQUARED, marks.size)
    np.testing.assert_allclose(run[0].params, run[1].params, rtol=1e-10)
    np.testing.assert_allclose(run[0].losses, run[1].losses, rtol=1e-10)


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
