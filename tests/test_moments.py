from inspect import signature

import numpy as np
import pytest

from bench.plots.film import moments
from bench.plots.film.film import fit_film
from bench.plots.film.moments import recorded_moments, update_moments
from kernels import fit, models

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, 103)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(103)


def trained(**settings):
    return fit(models.quadratic, X, Y, lr=0.1, **{"kernel": "reference", "epochs": 3} | settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"batch_size": 10, "shuffle": True, "seed": 5},
        {"batch_size": 10, "drop_last": False, "optimizer": "adam"},
        {"batch_size": 1, "optimizer": "momentum(0.9)", "loss": "huber(1.0)", "shuffle": True},
        {"batch_size": "full", "optimizer": "adamw"},
        {"batch_size": 2, "kernel": "fused", "shuffle": True},
    ],
    ids=str,
)
def test_epochs_that_are_trained_once_more_end_at_the_same_bits(settings):
    result = trained(**settings)
    settings = {"kernel": "reference"} | settings
    found = update_moments(result, X, Y, **settings)
    whole = found.epoch == found.epoch.round()
    np.testing.assert_array_equal(found.epoch[whole], range(4))
    np.testing.assert_array_equal(found.params[whole], result.trajectory)
    np.testing.assert_array_equal(found.loss, np.where(whole, np.interp(found.epoch, range(4), result.loss), np.nan))


@pytest.mark.parametrize(("batch_size", "pieces"), [(1, 50), (2, 50), (10, 10), (60, 1), ("full", 1)])
def test_an_epoch_has_a_moment_for_each_update_or_else_fifty(batch_size, pieces):
    found = update_moments(trained(batch_size=batch_size), X, Y, batch_size=batch_size, kernel="reference")
    np.testing.assert_allclose(found.epoch, np.arange(3 * pieces + 1) / pieces)


def test_the_moments_within_an_epoch_are_those_of_a_plain_loop():
    result = trained(batch_size=10)
    theta, states = result.trajectory[0], [result.trajectory[0]]
    for start in range(0, 100, 10):
        powers = np.vander(X[start : start + 10], 3)
        theta = theta - 0.1 * powers.T @ (powers @ theta - Y[start : start + 10]) / 10
        states.append(theta)
    found = update_moments(result, X, Y, batch_size=10, kernel="reference")
    np.testing.assert_allclose(found.params[:11], states, rtol=1e-12)


@pytest.mark.parametrize("wrong", [{"batch_size": 5}, {"seed": 1}, {"optimizer": "adam"}, {"shuffle": False}])
def test_settings_of_another_fit_are_refused(wrong):
    settings = {"batch_size": 10, "shuffle": True, "kernel": "reference"}
    result = trained(**settings)
    with pytest.raises(ValueError, match="the settings must be those of the fit: epoch 1 of it ended at"):
        update_moments(result, X, Y, **settings | wrong)


@pytest.mark.parametrize("name", ["batchsize", "Seed", "learning_rate"])
def test_a_setting_that_no_fit_has_is_refused_by_name(name):
    result = trained()
    with pytest.raises(ValueError, match=rf"^settings must be those of kernels.fit \(init, lr, .*\), not '{name}'$"):
        fit_film(result, X, Y, settings={"kernel": "reference", name: 5})


def test_all_settings_of_a_fit_are_accepted():
    settings = {name: own.default for name, own in signature(fit).parameters.items() if own.kind is own.KEYWORD_ONLY}
    settings |= {"epochs": 2, "kernel": "reference"}
    assert {"lr", "batch_size", "schedule"} < set(settings)
    assert update_moments(fit(models.quadratic, X, Y, **settings), X, Y, **settings).epoch[-1] == 2


def test_what_is_no_longer_finite_is_no_moment():
    settings = {"lr": 300.0, "kernel": "reference"}
    result = fit(models.quadratic, X, Y, batch_size=20, epochs=100, **settings)
    last = int(np.flatnonzero(np.isfinite(result.loss))[-1])
    assert result.status == "diverged"
    assert last >= 2
    for found in (recorded_moments(result), update_moments(result, X, Y, batch_size=20, kernel="reference")):
        assert found.epoch[-1] == last
        assert np.isfinite(found.params).all()


def test_a_long_run_has_few_moments_and_most_of_them_at_first():
    result = fit(models.quadratic, X[:4], Y[:4], lr=0.01, epochs=5000, batch_size="full", kernel="reference")
    epochs = recorded_moments(result).epoch
    assert len(epochs) <= moments.MAX_MARKS + 2
    np.testing.assert_array_equal(epochs[:50], range(50))
    assert epochs[-1] == 5000
    assert (np.diff(epochs, 2) >= -30).all()


def test_of_many_samples_no_epoch_is_trained_once_more(monkeypatch):
    result = trained(batch_size=10)
    monkeypatch.setattr(moments, "DETAILED_REFERENCE_SAMPLES", 250)
    found = update_moments(result, X, Y, batch_size=10, kernel="reference")
    assert ((found.epoch > 2) == (found.epoch == 3)).all()
    monkeypatch.setattr(moments, "DETAILED_REFERENCE_SAMPLES", 100)
    np.testing.assert_array_equal(update_moments(result, X, Y, batch_size=10, kernel="reference").epoch, range(4))
