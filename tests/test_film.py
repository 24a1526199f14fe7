import numpy as np
import pytest

from bench.data.fit_table import fit_table
from bench.data.table import Dataset, builtin
from bench.plots.film.film import (
    FIRST_TICKS,
    LAST_TICKS,
    MAX_FRAMES,
    MAX_TICKS,
    QUADRATIC_VIEW,
    build_film,
    enclosing_decades,
    fit_film,
    table_film,
)
from bench.plots.film.moments import Moments
from kernels import FitResult, Model, fit, models
from kernels.models import make_model

FAR, NEAR = [-11 / 6, -395 / 3, -2400], [-1, 10, 26]
SETTINGS = {"batch_size": 16, "shuffle": True, "kernel": "reference"}


def lesson(classic, init=FAR, **settings):
    settings = SETTINGS | {"init": init, "lr": 0.5, "schedule": "halve(10)"} | settings
    result = fit(models.quadratic, *classic, **settings)
    return fit_film(result, *classic, settings=settings)


@pytest.fixture(scope="module")
def far(classic):
    return lesson(classic)


def synthetic(params, loss, predict, x, y):
    """A film of moments that are given, four to an epoch."""
    moments = Moments(np.arange(len(params)) / 4, np.array(params, dtype=float), np.array(loss, dtype=float))
    model = Model("a*x + b")
    result = FitResult(
        model, moments.params[-1], moments.loss, moments.params, np.ones(99), "max_epochs", 99, None, 0.0, 0.0,
        np.arange(len(params)), np.arange(len(params)), 4, "squared", (x,), y,
    )  # fmt: skip
    return build_film(result, moments, predict, result.loss_at, x, y)


def test_most_frames_are_where_the_curve_moves(far):
    assert 0.8 * MAX_FRAMES < len(far.epoch) <= MAX_FRAMES + 2
    assert far.epoch[0] == 0
    assert far.epoch[-1] == 100
    assert (np.diff(far.epoch) > 0).all()
    # After three epochs of 100 the curve is on the target, as far as the eye can tell.
    assert (far.epoch <= 3).sum() > len(far.epoch) / 4
    assert (far.epoch > 50).sum() <= 2


def test_frames_show_the_parameters_and_the_loss_of_their_moment(far, classic):
    x, y = classic
    for frame in (0, 1, len(far.epoch) // 3, -1):
        assert far.loss[frame] == pytest.approx(
            np.mean((np.polyval(far.params[frame], x) - y) ** 2), rel=1e-9, abs=1e-25
        )
        np.testing.assert_allclose(
            far.curves[frame], np.polyval(far.params[frame], far.background.grid), rtol=1e-9, atol=1e-9
        )


def test_the_rate_is_that_of_the_epoch(far):
    epoch = np.ceil(far.epoch).clip(min=1)
    np.testing.assert_array_equal(far.rate, 0.5 * 0.5 ** (epoch // 10))


def test_the_first_and_the_last_frame_stay_longer_and_leaps_take_time(far):
    assert (far.ticks[0], far.ticks[-1]) == (FIRST_TICKS, LAST_TICKS)
    assert all(1 <= ticks <= MAX_TICKS for ticks in far.ticks[1:-1])
    # The first update of the far start turns the curve upside down.
    assert far.ticks[1] == max(far.ticks[1:-1]) > 1


@pytest.mark.parametrize("init", [FAR, NEAR])
def test_the_lessons_view_has_target_and_start_in_sight(classic, init):
    made = lesson(classic, init, epochs=1)
    assert made.background.view is QUADRATIC_VIEW
    assert (made.background.view.xlim, made.background.view.ylim) == ((-50, 50), (-500, 500))
    assert (made.background.grid[0], made.background.grid[-1]) == (-80, 80)
    np.testing.assert_allclose(made.background.view.target(classic[0]), classic[1])
    start = made.curves[0][np.abs(made.background.grid) <= 50]
    assert ((start > -500) & (start < 500)).mean() > 0.2


@pytest.mark.parametrize(
    ("model", "init"), [("polynomial(3)", [1, 1, 1, 1]), ("sine", [1, 1, 1, 1]), ("a*exp(b*x)", [1, 50])]
)
def test_what_is_no_parabola_is_seen_where_the_data_are(classic, model, init):
    x, y = classic
    result = fit(make_model(model), x, y, init=init, epochs=1, batch_size="full", lr=1e-99, kernel="reference")
    made = fit_film(result, x, y)
    assert made.background.view.xlim == (x.min(), x.max())
    assert made.background.view.target is None


def test_the_view_holds_the_data_and_what_the_curve_reaches_near_them(noisy):
    x, y = noisy
    result = fit(models.quadratic, x, y, init=[0, 0, 1000], epochs=5, batch_size=10, lr=0.1, kernel="reference")
    made = fit_film(result, x, y)
    low, high = made.background.view.ylim
    height = np.ptp(y)
    assert y.min() - 1.3 * height < low < y.min()
    assert y.max() < high < y.max() + 1.3 * height


def test_predicted_values_stand_against_observed_ones_for_several_inputs():
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = x @ [2.0, -1.0] + 3
    result = fit(models.plane, x, y, lr=0.1, epochs=5, kernel="reference")
    made = fit_film(result, x, y, settings={"kernel": "reference"})
    assert made.background.several_inputs
    np.testing.assert_array_equal(made.background.grid, y)
    np.testing.assert_allclose(made.curves[-1], x @ result.params[:2] + result.params[2])


def test_a_standardized_fit_is_seen_in_the_tables_units():
    cars = builtin("auto-mpg")
    parabola = Model("a*hp**2 + b*hp + c", inputs=("hp",))
    settings = {"batch_size": 8, "kernel": "reference"}
    fitted = fit_table(parabola, cars, standardized=True, lr=0.05, epochs=3, **settings)
    made = table_film(fitted, cars, settings)
    curve = np.polyval(list(fitted.params.values()), made.background.grid)
    np.testing.assert_allclose(made.curves[-1], curve, rtol=1e-9)
    losses = [np.mean((np.interp(cars.x[:, 0], made.background.grid, one) - cars.y) ** 2) for one in made.curves]
    np.testing.assert_allclose(made.loss, losses, rtol=1e-3)
    assert made.loss[-1] == pytest.approx(fitted.loss)
    assert (made.background.names, made.remark) == (("hp", "mpg"), "(standardized)")


def test_a_table_that_was_not_standardized_needs_no_remark():
    table = Dataset(np.arange(5.0)[:, np.newaxis], np.arange(5.0), ("u",), "v", "test")
    fitted = fit_table(Model("a*u", inputs=("u",)), table, lr=0.01, epochs=2, kernel="reference")
    assert table_film(fitted, table, {"kernel": "reference"}).remark == ""


def test_trembling_is_not_taken_for_a_way():
    """Sixteen epochs: in the first the line rises, in the others it goes up and down and gets nowhere."""
    x = np.linspace(0, 1, 20)
    heights = [0, 1, 2, 3, 4] + [4.5, 4, 3.5, 4] * 15
    made = synthetic([[0, height] for height in heights], np.ones(65), np.polyval, x, np.linspace(0, 5, 20))
    assert set(made.epoch[made.epoch <= 1]) == {0, 0.25, 0.5, 0.75, 1}
    assert (made.epoch > 1).sum() < 5


def test_a_fit_that_stands_still_is_a_film_of_two_frames():
    made = synthetic([[1, 2]] * 9, np.ones(9), np.polyval, np.linspace(0, 1, 5), np.linspace(2, 3, 5))
    assert made.epoch.tolist() == [0, 2]
    assert made.ticks == [FIRST_TICKS, LAST_TICKS]


def test_a_start_that_is_the_end_is_one_picture():
    made = synthetic([[1, 2]], [1.0], np.polyval, np.linspace(0, 1, 5), np.linspace(2, 3, 5))
    assert made.ticks == [LAST_TICKS]


@pytest.mark.parametrize("x", [[3.0], [[3.0, 4.0]]])
def test_a_single_sample_has_room_around_it(x):
    model = models.linear if np.ndim(x) == 1 else models.plane
    made = fit_film(fit(model, x, [5.0], epochs=3, lr=0.01, kernel="reference"), x, [5.0])
    for low, high in (made.background.view.xlim, made.background.view.ylim):
        assert low < high
    assert made.background.view.xlim == ((2.5, 3.5) if np.ndim(x) == 1 else (4.5, 5.5))


def test_a_start_that_is_good_enough_has_no_rate(classic):
    result = fit(models.quadratic, *classic, init=[2, -4, 3], target=1.0, kernel="reference")
    made = fit_film(result, *classic, settings=SETTINGS)
    assert (result.status, made.ticks) == ("converged", [LAST_TICKS])
    assert np.isnan(made.rate).all()


def test_nothing_is_left_out_when_that_is_asked(noisy):
    result = fit(models.quadratic, *noisy, epochs=40, batch_size="full", kernel="reference")
    made = fit_film(result, *noisy, all_moments=True)
    np.testing.assert_array_equal(made.loss, result.loss)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([50, 3, 0.2], (0.1, 100)),
        ([50, 0, 0.2], (0.1, 100)),
        ([5, 1e200, 7], (1, 10000)),
        ([0, 0], (1e-16, 1e-15)),
        ([10.0], (10, 100)),
    ],
)
def test_the_axis_of_the_loss_ends_at_powers_of_ten(losses, expected):
    assert enclosing_decades(np.array(losses, dtype=float)) == pytest.approx(expected)


def test_data_that_do_not_fit_the_model_are_refused(noisy):
    x, y = noisy
    result = fit(models.quadratic, x, y, epochs=1, kernel="reference")
    with pytest.raises(ValueError, match="y must have shape"):
        fit_film(result, x, y[:-1])
