"""Films: their moments, and the moments that their frames show."""

from dataclasses import replace

import numpy as np
import pytest

from sgdbench import Model, fit, minimize, models
from sgdbench.data import open_table
from sgdbench.data.fit_table import fit_table
from sgdbench.data.table import builtin
from sgdbench.kernels.losses import make_loss
from sgdbench.plots.film.film import (
    END_FRAMES,
    QUADRATIC_VIEW,
    START_FRAMES,
    enclosing_decades,
    fit_film,
    loss_limits,
    table_film,
)
from sgdbench.plots.film.moments import recorded_moments, update_moments

FAR, NEAR = [-11 / 6, -395 / 3, -2400], [-1, 10, 26]
SETTINGS = {"batch_size": 16, "shuffle": True, "kernel": "reference"}
RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, 103)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * RNG.standard_normal(103)


def lesson(classic, init=FAR, **settings):
    settings = SETTINGS | {"init": init, "lr": 0.5, "schedule": "halve(10)"} | settings
    result = fit(models.quadratic, *classic, **settings)
    return fit_film(result, *classic, settings=settings)


def trained(**settings):
    return fit(models.quadratic, X, Y, lr=0.1, **{"kernel": "reference", "epochs": 3} | settings)


# Moments


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 10, "shuffle": True, "seed": 5, "schedule": "cosine"},
        {"batch_size": 10, "drop_last": False, "optimizer": "adam"},
        {"batch_size": "full", "optimizer": "adamw", "dtype": "float32"},
    ],
    ids=str,
)
def test_epochs_that_are_trained_again_end_at_the_same_bits(settings):
    result = trained(**settings)
    found = update_moments(result, X, Y, {"kernel": "reference"} | settings)
    whole = found.epoch == found.epoch.round()
    np.testing.assert_array_equal(found.epoch[whole], range(4))
    np.testing.assert_array_equal(found.params[whole], result.trajectory)
    np.testing.assert_array_equal(found.loss[whole], result.loss)


@pytest.mark.parametrize(("batch_size", "moments"), [(1, 35), (2, 26), ("full", 1)])
def test_an_epoch_has_a_moment_for_each_update_or_at_most_fifty(batch_size, moments):
    found = update_moments(trained(batch_size=batch_size), X, Y, {"batch_size": batch_size, "kernel": "reference"})
    assert (found.epoch <= 1).sum() - 1 == moments
    assert (np.diff(found.epoch) > 0).all()


def test_the_moments_within_an_epoch_are_those_of_a_plain_loop():
    result = trained(batch_size=10)
    theta, states = result.trajectory[0], [result.trajectory[0]]
    for start in range(0, 100, 10):
        powers = np.vander(X[start : start + 10], 3)
        theta = theta - 0.1 * powers.T @ (powers @ theta - Y[start : start + 10]) / 10
        states.append(theta)
    found = update_moments(result, X, Y, {"batch_size": 10, "kernel": "reference"})
    np.testing.assert_allclose(found.params[:11], states, rtol=1e-12)
    np.testing.assert_allclose(found.loss[:11], [np.mean((np.polyval(state, X) - Y) ** 2) for state in states])


def test_states_that_are_no_longer_finite_are_no_moments():
    settings = {"lr": 300.0, "batch_size": 20, "kernel": "reference"}
    result = fit(models.quadratic, X, Y, epochs=100, **settings)
    last = int(np.flatnonzero(np.isfinite(result.loss))[-1])
    assert result.status == "diverged"
    assert last >= 2
    recorded, detailed = recorded_moments(result), update_moments(result, X, Y, settings)
    assert recorded.epoch[-1] == last <= detailed.epoch[-1] < last + 1
    for found in (recorded, detailed):
        assert np.isfinite(found.params).all()


@pytest.mark.parametrize("record", ["epoch", "log"])
def test_a_run_that_diverges_in_its_first_epoch_has_the_moments_before(record):
    """Its film was a picture of the start."""
    settings = {"lr": 5000.0, "batch_size": 1, "kernel": "reference"}
    result = fit(models.quadratic, X, Y, epochs=3, record=record, **settings)
    assert result.status == "diverged"
    assert fit_film(result, X, Y).last_epoch == 1
    found = update_moments(result, X, Y, settings)
    assert found.epoch[-1] < 1
    np.testing.assert_array_equal(found.epoch, 3 * np.arange(len(found.epoch)) / 103)
    assert len(found.epoch) > 5
    assert found.loss[-1] > 1e100 * found.loss[0]


def test_a_long_run_has_few_moments_and_most_of_them_at_first():
    result = fit(models.quadratic, X[:4], Y[:4], lr=0.01, epochs=5000, batch_size="full", kernel="reference")
    epochs = recorded_moments(result).epoch
    assert 500 < len(epochs) <= 1000
    np.testing.assert_array_equal(epochs[:50], range(50))
    assert epochs[-1] == 5000


def test_a_model_with_vectors_has_moments_where_its_parameters_are_recorded():
    x = np.random.default_rng(0).standard_normal((60, 13))
    settings = {"batch_size": 20, "shuffle": True, "record_params": True, "kernel": "reference"}
    result = fit("w @ x + b", x, x.sum(axis=1), lr=0.01, epochs=2, **settings)
    moments = update_moments(result, x, x.sum(axis=1), settings | {"record_params": None})
    assert len(moments.loss) == 7
    np.testing.assert_array_equal(moments.params[[0, 3, 6]], result.trajectory)
    with pytest.raises(
        ValueError, match="result must have its parameters at all checkpoints: give fit record_params=True"
    ):
        recorded_moments(fit("w @ x + b", x, x.sum(axis=1), lr=0.01, epochs=2, kernel="reference"))


def test_epochs_of_many_samples_are_not_trained_again():
    x = np.linspace(-1, 1, 15_000)
    settings = {"batch_size": 1000, "kernel": "reference", "epochs": 3}
    result = fit(models.linear, x, 2 * x, **settings)
    assert (np.diff(update_moments(result, x, 2 * x, settings).epoch) < 1).sum() == 2 * 15
    x = np.linspace(-1, 1, 50_000)
    result = fit(models.linear, x, 2 * x, **settings)
    assert update_moments(result, x, 2 * x, settings).epoch.tolist() == [0, 1, 2, 3]


# Frames


def test_most_frames_are_where_the_curve_moves(classic):
    far = lesson(classic)
    epoch = far.epoch[far.shown]
    assert 80 < len(epoch) < 120
    assert (epoch[0], epoch[-1]) == (0, 100)
    # After three epochs of 100 the curve is on the target, as far as the eye can tell.
    assert (epoch <= 3).sum() > len(epoch) / 4
    assert (epoch > 50).sum() <= 2
    stays = np.bincount(far.frames)[far.shown]
    assert stays[0] >= START_FRAMES
    assert stays[-1] >= END_FRAMES
    # The first update of the far start turns the curve upside down.
    assert 3 < stays[1] == stays[1:-1].max() < 12


def test_frames_show_the_parameters_the_loss_and_the_rate_of_their_moment(classic):
    far = lesson(classic)
    for moment in far.shown[[0, 1, 30, -1]]:
        loss = np.mean((np.polyval(far.params[moment], classic[0]) - classic[1]) ** 2)
        assert far.loss[moment] == pytest.approx(loss, rel=1e-9, abs=1e-25)
        curve = np.polyval(far.params[moment], far.grid)
        np.testing.assert_allclose(far.curves[moment], curve, rtol=1e-9, atol=1e-9)
    epoch = np.ceil(far.epoch).clip(min=1)
    np.testing.assert_array_equal(far.rate, 0.5 * 0.5 ** (epoch // 10))


def test_the_lessons_view_has_target_and_far_start_in_sight(classic):
    made = lesson(classic, epochs=1)
    view = made.view
    assert view is QUADRATIC_VIEW
    assert not made.zooms
    np.testing.assert_allclose(view.target(classic[0]), classic[1])
    start = made.curves[0][np.abs(made.grid) <= view.xlim[1]]
    assert ((start > view.ylim[0]) & (start < view.ylim[1])).mean() > 0.2


def test_from_other_starts_the_view_closes_in_from_the_start_on_the_data(classic):
    made, y = lesson(classic, NEAR), classic[1]
    limits = made.ylims[made.shown]
    assert limits[0, 0] < y.min() < made.curves[0].max() < limits[0, 1]
    assert np.ptp(y) > 0.85 * np.ptp(limits[-1])
    assert (np.diff(limits, axis=0) * [1, -1] >= 0).all()
    heights = np.ptp(limits, axis=1)
    assert (heights[1:] > 0.75 * heights[:-1]).all()
    np.testing.assert_allclose(made.view.xlim, [-1.06, 1.06], atol=0.01)


def test_a_start_near_the_data_and_a_run_that_diverges_do_not_zoom(classic):
    assert not lesson(classic, [2, -4, 4]).zooms
    assert not lesson(classic, [2, -4, 9], lr=9.0, epochs=2).zooms


def test_a_model_that_is_no_parabola_is_seen_where_the_data_are(classic):
    x, y = classic
    result = fit("sine", x, y, init=[1, 1, 1, 1], epochs=1, batch_size="full", lr=1e-99, kernel="reference")
    view = fit_film(result, x, y).view
    assert 0.02 < (x.min() - view.xlim[0]) / np.ptp(x) < 0.1  # the first point is seen whole
    assert view.target is None


def test_the_view_holds_the_data_and_the_curve_near_them(noisy):
    x, y = noisy
    result = fit(models.quadratic, x, y, init=[0, 0, 1000], epochs=5, batch_size=10, lr=0.1, kernel="reference")
    low, high = fit_film(result, x, y).view.ylim
    height = np.ptp(y)
    assert y.min() - 1.3 * height < low < y.min()
    assert y.max() < high < y.max() + 1.3 * height


def test_predicted_values_stand_against_observed_ones_for_several_inputs():
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = x @ [2.0, -1.0] + 3
    result = fit(models.plane, x, y, lr=0.1, epochs=5, kernel="reference")
    made = fit_film(result, x, y, settings={"kernel": "reference"})
    assert made.several_inputs
    np.testing.assert_array_equal(made.grid, y)
    np.testing.assert_allclose(made.curves[-1], x @ result.params[:2] + result.params[2])


def test_a_standardized_fit_is_seen_in_the_tables_units():
    cars = builtin("auto-mpg")
    parabola = Model("a*hp**2 + b*hp + c", inputs=("hp",))
    settings = {"batch_size": 8, "kernel": "reference"}
    fitted = fit_table(parabola, cars, standardized=True, lr=0.05, epochs=3, **settings)
    made = table_film(fitted, cars, settings)
    curve = np.polyval(list(fitted.params.values()), made.grid)
    np.testing.assert_allclose(made.curves[-1], curve, rtol=1e-9)
    losses = [np.mean((np.interp(cars.x[:, 0], made.grid, one) - cars.y) ** 2) for one in made.curves]
    np.testing.assert_allclose(made.loss, losses, rtol=1e-3)
    assert made.loss[-1] == pytest.approx(fitted.loss)
    assert (made.names, made.remark) == (("hp", "mpg"), "(standardized)")


def test_the_film_of_a_mapped_table_draws_some_of_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("sgdbench.data.fit_table.MAX_ROWS_SHOWN", 20)
    (tmp_path / "line.csv").write_text("u,v\n" + "".join(f"{u / 50},{u / 25 + 1}\n" for u in range(50)), "utf-8")
    table, settings = open_table(tmp_path / "line.csv", "u", "v"), {"kernel": "reference"}
    fitted = fit_table(Model("a*u + b", inputs=("u",)), table, lr=0.1, epochs=2, **settings)
    made = table_film(fitted, table, settings)
    assert made.x.size == 17
    np.testing.assert_allclose(made.params[-1], fitted.result.params)


def test_a_fit_that_stands_still_shows_two_moments(classic):
    result = fit(models.quadratic, *classic, init=[2, -4, 3], epochs=9, kernel="reference")
    made = fit_film(result, *classic)
    assert made.epoch[made.shown].tolist() == [0, 9]


@pytest.mark.parametrize("x", [[3.0], [[3.0, 4.0]]])
def test_a_single_sample_has_room_around_it(x):
    model = models.linear if np.ndim(x) == 1 else models.plane
    view = fit_film(fit(model, x, [5.0], epochs=3, lr=0.01, kernel="reference"), x, [5.0]).view
    assert view.ylim[0] < view.ylim[1]
    assert view.xlim[0] + 0.4 < (3.0 if np.ndim(x) == 1 else 5.0) < view.xlim[1] - 0.4


def test_a_start_that_is_good_enough_has_no_rate(classic):
    result = fit(models.quadratic, *classic, init=[2, -4, 3], target=1.0, kernel="reference")
    made = fit_film(result, *classic, settings=SETTINGS)
    assert (result.status, made.shown.tolist()) == ("converged", [0])
    assert np.isnan(made.rate).all()


@pytest.mark.parametrize(
    ("losses", "expected"), [([50, 3, 0.2], (0.1, 100)), ([50, 0, 0.2], (0.1, 100)), ([0, 0], (1e-16, 1e-15))]
)
def test_the_axis_of_the_loss_ends_at_powers_of_ten(losses, expected):
    assert enclosing_decades(np.array(losses, dtype=float)) == pytest.approx(expected, abs=0)


def test_losses_below_zero_are_in_view():
    """On a logarithmic axis there was nothing to be seen of them."""
    x, loss = np.linspace(-1, 1, 20), replace(make_loss("squared"), nonnegative=False)
    below = fit("a*x + b", x, 2 * x, init=[0, 0], kernel="reference", epochs=3)
    below = replace(below, criterion=loss, loss=below.loss - 9)
    for axis in (below.plot().axes[0], below.plot(x, 2 * x).axes[1]):
        assert (axis.get_yscale(), axis.get_ylim()) == ("linear", pytest.approx(loss_limits(below.loss, loss)))
    low, high = loss_limits(below.loss, loss)
    assert low < below.loss.min() < below.loss.max() < high
    assert loss_limits(below.loss + 9, loss) == enclosing_decades(below.loss + 9)


def test_labels_are_shown_as_their_classes():
    labels, settings = np.where(X > 0.1, "yes", "no"), {"loss": "logistic", "lr": 0.1, "init": [0, 0], "epochs": 2}
    result = fit("linear", X, labels, kernel="reference", **settings)
    made = fit_film(result, X, labels, settings=settings | {"kernel": "reference"})
    np.testing.assert_array_equal(made.y, labels == "yes")
    assert result.plot(X, labels).axes


def in_steps():
    return trained(**SETTINGS)


def at_its_target():
    """A fit of which no epoch is trained again."""
    return trained(target=1e9)


def to_no_data():
    return minimize("rosenbrock", [0, 0], steps=2, kernel="reference")


def of_classes():
    return fit("W @ x + b", X, np.arange(103) % 3, loss="softmax", epochs=1, record_params=True, kernel="reference")


@pytest.mark.parametrize(
    ("fitted", "y", "settings", "message"),
    [
        (in_steps, Y, SETTINGS | {"seed": 1}, "the settings must be those of the fit: epoch 1 of it ended at"),
        (in_steps, Y, SETTINGS | {"optimizer": "adam"}, "the settings must be those of the fit: epoch 1 of it ended"),
        (in_steps, Y, {"batchsize": 5}, r"settings must be those of sgdbench.fit \(init, lr, .*, not 'batchsize'"),
        (at_its_target, Y, {"batchsize": 5}, r"settings must be those of sgdbench.fit \(init, lr, .*, not 'batchsize'"),
        (in_steps, Y[:-1], None, "y must have shape"),
        (to_no_data, Y, None, "result must be that of a fit to data"),
        (of_classes, Y, None, r"a fit with one curve, and W @ x \+ b has scores of 3 classes$"),
    ],
)
def test_what_has_no_film_is_refused(fitted, y, settings, message):
    with pytest.raises(ValueError, match=message):
        fit_film(fitted(), X, y, settings=settings)
