"""Theory against training: the maps against runs, the edges and rates against sweeps and against SciPy."""

from functools import reduce

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq

from sgdbench import Grid, Model, fit, models, sweep
from sgdbench.analysis import convergence
from sgdbench.analysis.convergence import theory_tables
from sgdbench.analysis.epoch_matrix import batch_curvatures, epoch_matrices
from sgdbench.analysis.stability import EpochMap, sample_orders
from sgdbench.kernels.data.order import permutation
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.study.schema import RunTable
from tests.support.frames import make_curves, make_frame

CHOICES = [("sgd", "full"), ("sgd", 1), ("sgd", 16), ("momentum(0.9)", "full"), ("momentum(0.9)", 16)]
STARTS = {"near": [-1, 10, 26], "zero": [0, 0, 0]}


@pytest.fixture(scope="module")
def derivatives(classic):
    return models.quadratic.design_matrix(classic[0])


def plain_map(derivatives, lr, batch_size):
    """An epoch of sgd as the formula has it, batch after batch."""
    batches = [derivatives[i : i + batch_size] for i in range(0, len(derivatives), batch_size)]
    factors = [np.eye(derivatives.shape[1]) - lr * batch.T @ batch / len(batch) for batch in batches]
    return reduce(lambda done, factor: factor @ done, factors)


def radius(matrix):
    return np.abs(np.linalg.eigvals(matrix)).max()


def test_the_design_holds_what_a_parameter_is_multiplied_with():
    model = Model("a*x*z + sin(x) + b - 2*c/z", inputs=("x", "z"))
    x, z = np.random.default_rng(0).uniform(1, 2, (2, 20))
    found = model.design_matrix(np.stack([x, z], axis=1))
    np.testing.assert_allclose(found, np.stack([x * z, np.ones(20), -2 / z], axis=1), rtol=1e-15)
    theta = np.array([3.0, -1.0, 2.0])
    predicted = model.predict(theta, np.stack([x, z], axis=1))
    np.testing.assert_allclose(found @ theta + np.sin(x), predicted, rtol=1e-13)


def test_a_model_that_is_not_linear_is_refused():
    with pytest.raises(ValueError, match=r"linear in its parameters, and 'a\*exp\(b\*x\)' is not"):
        Model("a*exp(b*x)").design_matrix(np.arange(3.0))
    with pytest.raises(ValueError, match=r"^the model must have one value for each sample, and has 3 scores$"):
        Model("W @ x + b", classes=3).design_matrix(np.arange(3.0))


def theory_table(model, x, frame, curves, settings):
    return theory_tables(model, x, np.zeros(len(x)), frame, curves, settings)["theory"]


def rates_table(*args):
    return theory_tables(*args)["rates"]


def epoch_maps(derivatives, rates, batch_size, *, optimizer="sgd", drop_last=True):
    """Return the linear parts of an epoch over the samples as they stand."""
    curvatures = batch_curvatures(derivatives, batch_size, drop_last, np.arange(len(derivatives))[np.newaxis])
    (maps,) = epoch_matrices(curvatures, np.asarray(rates), make_optimizer(optimizer))
    return maps


def spectral_radius(derivatives, lr, *args, **settings):
    radii = (
        EpochMap(derivatives, *args, **settings).eigenvalue_moduli(np.atleast_1d(lr))[:, :1].max(axis=1, initial=0.0)
    )
    return radii.reshape(np.shape(lr))


@pytest.mark.parametrize("drop_last", [True, False], ids=["drop", "keep"])
@pytest.mark.parametrize("batch_size", [1, 16, 500, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "sgd(0.1)", "momentum(0.9)", "nesterov(0.5, 0.1)"])
def test_the_map_is_what_training_does_to_the_basis(noisy, optimizer, batch_size, drop_last):
    # Without a target the solution is 0, and a start is its own distance to it. Momentum starts with a velocity of 0,
    # which it no longer has in the second epoch.
    x = noisy[0][:211] if batch_size == 1 else noisy[0]
    settings = {"batch_size": batch_size, "drop_last": drop_last, "optimizer": optimizer}
    after = [
        fit(models.quadratic, x, 0 * x, init=e, lr=0.01, epochs=2, kernel="reference", **settings).trajectory
        for e in np.eye(3)
    ]
    (one,) = epoch_maps(models.quadratic.design_matrix(x), [0.01], **settings)
    for epochs, power in ((1, one), (2, one @ one)):
        expected = np.stack([trajectory[epochs] for trajectory in after], axis=1)
        np.testing.assert_allclose(power[:3, :3], expected, rtol=0, atol=1e-10)


def test_many_rates_give_what_each_of_them_gives(derivatives):
    rates = np.array([0.01, 0.5, 1.9])
    maps = epoch_maps(derivatives, rates, 16)
    assert maps.shape == (3, 3, 3)
    for lr, found in zip(rates, maps, strict=True):
        np.testing.assert_allclose(found, plain_map(derivatives, lr, 16), rtol=1e-12)
    radii = spectral_radius(derivatives, rates, 16)
    np.testing.assert_allclose(radii, [radius(plain_map(derivatives, lr, 16)) for lr in rates], rtol=1e-10)


def test_gradient_descent_is_stable_up_to_two_over_the_largest_eigenvalue(derivatives):
    largest = np.linalg.eigvalsh(derivatives.T @ derivatives / len(derivatives)).max()
    assert EpochMap(derivatives, "full").largest_stable_rate() == pytest.approx(2 / largest, rel=1e-14)
    assert EpochMap(derivatives, 800, optimizer="sgd(0.1)").largest_stable_rate() == pytest.approx(
        2 / (largest + 0.1), rel=1e-14
    )
    # Where the slowest root of the quadratic equation for each eigenvalue, z**2 - (1 + beta - a) * z + beta = 0 for
    # momentum and z**2 - (1 + beta) * (1 - a) * z + beta * (1 - a) = 0 for nesterov with a = lr * largest, is -1.
    for optimizer, a in (("momentum(0.8)", 2 * 1.8), ("nesterov(0.8)", 2 * 1.8 / 2.6)):
        edge = EpochMap(derivatives, "full", optimizer=optimizer).largest_stable_rate()
        assert edge == pytest.approx(a / largest, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 16, 100])
def test_the_edge_of_small_batches_is_where_scipy_finds_the_radius_to_be_one(noisy, batch_size):
    derivatives = models.quadratic.design_matrix(noisy[0][:800])

    def above(lr):
        return radius(plain_map(derivatives, lr, batch_size)) - 1

    edge = EpochMap(derivatives, batch_size).largest_stable_rate()
    assert edge == pytest.approx(brentq(above, 0.98 * edge, 1.02 * edge), rel=2e-5)
    assert all(above(lr) < 0 for lr in np.linspace(0.01, 0.999, 50) * edge)


def test_the_edge_is_the_first_one():
    # (1 - lr) * (1 - lr / 10) is -1 near 2.3, falls to -2, is 0 at 10 and large for good only from 11.2 on.
    edge = EpochMap(np.sqrt([[1.0], [0.1]])).largest_stable_rate()
    assert edge == pytest.approx(brentq(lambda lr: (1 - lr) * (1 - lr / 10) + 1, 2, 3), rel=2e-5)
    assert spectral_radius(np.sqrt([[1.0], [0.1]]), 10.0) == 0


def test_what_no_sample_determines_does_not_count(noisy):
    x, _ = noisy
    twice = Model("a*x + b*x + c").design_matrix(x)
    merged = np.stack([np.sqrt(2) * x, np.ones_like(x)], axis=1)
    for batch_size in (1, 16, "full"):
        expected = EpochMap(merged, batch_size).largest_stable_rate()
        assert EpochMap(twice, batch_size).largest_stable_rate() == pytest.approx(expected, rel=1e-5)
        expected = spectral_radius(merged, 0.1, batch_size)
        assert spectral_radius(twice, 0.1, batch_size) == pytest.approx(expected, rel=1e-6, abs=0)
    assert EpochMap(np.zeros((5, 2))).largest_stable_rate() == np.inf
    # A weight decay moves everything, and what nothing else moves it moves slowest.
    assert spectral_radius(twice, 0.1, "full", optimizer="sgd(0.1)") == pytest.approx(0.99)


def test_orders_are_multiplied_as_if_visited_in_turn_for_ever(derivatives):
    orders = sample_orders(800, [3, 5], 2)
    expected = [permutation(800, seed, epoch) for epoch, seed in ((0, 3), (0, 5), (1, 3), (1, 5))]
    assert orders.tolist() == [order.tolist() for order in expected]
    blocks = sample_orders(800, [3], 1, "blocks(size=100, buffer=100)")
    assert (np.diff(np.unique(blocks // 100, return_index=True)[1] % 100) == 0).all()
    assert sorted(blocks[0].tolist()) == list(range(800))
    for lr in (0.1, 1.5):
        product = reduce(lambda done, order: plain_map(derivatives[order], lr, 16) @ done, orders, np.eye(3))
        found = spectral_radius(derivatives, lr, 16, orders=orders)
        assert found == pytest.approx(radius(product) ** (1 / 4), rel=1e-9)


def test_many_orders_together_do_not_leave_the_range_of_floats():
    # 16 epochs of a factor of 0.1**50 or 10**50 each.
    orders = np.tile(np.arange(50), (16, 1))
    np.testing.assert_allclose(spectral_radius(np.ones((50, 1)), [0.9, 11], orders=orders), [1e-50, 1e50], rtol=1e-12)
    assert spectral_radius(np.ones((800, 1)), 1e3) == np.inf


def test_what_has_no_map_is_refused(derivatives):
    message = "optimizer must be one of sgd, momentum, nesterov, whose updates are linear maps, not 'adam"
    with pytest.raises(ValueError, match=message):
        spectral_radius(derivatives, 0.1, optimizer="adam")


@pytest.mark.parametrize(("optimizer", "batch_size"), CHOICES)
def test_the_predicted_edge_is_within_a_step_of_the_measured_one(noisy, optimizer, batch_size):
    x, y = noisy
    edge = EpochMap(models.quadratic.design_matrix(x), batch_size, optimizer=optimizer).largest_stable_rate()
    rates = edge * 1.02 ** (np.arange(-12, 12) + 0.4)  # in steps of 2 %, of which none is the edge itself
    grid = Grid(lr=rates, batch_size=batch_size, init=STARTS, optimizer=optimizer)
    result = sweep(models.quadratic, x, y, grid, epochs=200, kernel="fused")

    # Measured without the table: what is stable has settled at the solution, or at the noise, after 150 epochs.
    at_150, at_200 = (
        result.curves[result.curves["epoch"] == epoch].set_index("config_id")["loss"].reindex(result.frame["config_id"])
        for epoch in (150, 200)
    )
    settled = (at_200 < 1e-3) | (at_200 < 1.1 * at_150)
    smallest = result.frame["lr"][~settled.to_numpy()].min()
    assert smallest / 1.02**2 < edge < smallest * 1.02

    (row,) = theory_table(models.quadratic, x, result.frame, result.curves, RunTable()).to_dict("records")
    assert (row["optimizer"], row["shuffle"], row["agrees"]) == (optimizer, False, True)
    assert row["predicted_edge"] == edge
    assert edge / 1.02**2 < row["stable_up_to"] < row["diverges_from"] < edge * 1.02**2


def test_shuffled_samples_turn_near_the_edge_of_their_orders(classic):
    grid = Grid(lr="log:0.8:2:20", batch_size=[1, 16], init=STARTS, seed=range(4), shuffle=True)
    result = sweep(models.quadratic, *classic, grid, epochs=60)
    table = theory_table(models.quadratic, classic[0], result.frame, result.curves, RunTable())
    assert table["agrees"].tolist() == [True, True]
    # It is not that of the samples as they stand.
    assert (
        EpochMap(models.quadratic.design_matrix(classic[0])).largest_stable_rate() < 1.1 < table["predicted_edge"].min()
    )


@pytest.mark.parametrize(
    ("optimizer", "batch_size", "lr"),
    [
        ("sgd", "full", [0.4, 0.8, 1.2, 2.0]),
        ("sgd", 1, [0.002, 0.005]),
        ("sgd", 16, [0.02, 0.1, 2.0]),
        ("momentum(0.9)", "full", [0.01, 0.02, 0.2, 1.0]),
        ("momentum(0.9)", 16, [0.002, 0.0379, 0.3]),
    ],
)
def test_the_predicted_rate_is_within_a_percent_of_the_measured_one(classic, optimizer, batch_size, lr):
    x, y = classic
    grid = Grid(lr=lr, batch_size=batch_size, init=STARTS, optimizer=optimizer)
    result = sweep(models.quadratic, x, y, grid, epochs=800, kernel="fused")
    table = rates_table(models.quadratic, x, y, result.frame, result.curves, RunTable())
    assert table["lr"].tolist() == lr
    assert table["runs"].tolist() == [2] * len(lr)
    np.testing.assert_allclose(table["predicted_rate"], table["measured_rate"], rtol=0.01)
    # A rate close to 1 says little by itself; what is missing to 1 is how fast it goes.
    np.testing.assert_allclose(np.log(table["predicted_rate"]), np.log(table["measured_rate"]), rtol=0.02)

    # And without the table: the distance to the solution, in a run of its own.
    run = fit(models.quadratic, x, y, init=[-1, 10, 26], lr=lr[0], batch_size=batch_size, optimizer=optimizer)
    distance = np.linalg.norm(run.trajectory - [2, -4, 3], axis=1)
    late = np.flatnonzero(distance > 1e-9)[-20:]
    measured = (distance[late[-1]] / distance[late[0]]) ** (1 / (late.size - 1))
    assert np.log(measured) == pytest.approx(np.log(table["predicted_rate"][0]), rel=0.02)


def test_on_noisy_data_the_rate_is_that_of_the_loss_above_least_squares(noisy):
    grid = Grid(lr=[0.8, 1.2], batch_size=[16, "full"], init=STARTS)
    result = sweep(models.quadratic, *noisy, grid, epochs=300)
    table = rates_table(models.quadratic, *noisy, result.frame, result.curves, RunTable())
    assert table["batch_size"].tolist() == [811, 811]  # small batches do not end at least squares
    np.testing.assert_allclose(np.log(table["predicted_rate"]), np.log(table["measured_rate"]), rtol=0.01)


def test_what_does_not_depend_on_parameters_is_taken_off_the_target(classic):
    x, _ = classic
    model, y = Model("a*x**2 + b + 3*x"), 2 * x**2 + 1 + 3 * x
    run = fit(model, x, y, init=[0, 5], lr=0.8, batch_size="full", kernel="reference")
    frame = make_frame(1, lr=0.8, batch_size=800, epochs=100)
    table = rates_table(model, x, y, frame, make_curves({"run0": run.loss}), RunTable())
    assert table["measured_rate"].item() == pytest.approx(table["predicted_rate"].item(), rel=1e-6)


def test_short_waves_and_what_has_not_settled_have_no_measured_rate(classic):
    grid = Grid(lr=[0.02, 0.5], batch_size="full", init=STARTS, optimizer=["sgd", "momentum(0.9)"])
    result = sweep(models.quadratic, *classic, grid, epochs=12, kernel="fused")
    assert rates_table(models.quadratic, *classic, result.frame, result.curves, RunTable()).empty


def edge_frame(**changed):
    """Runs of gradient descent on two samples of a*x, x = 1, whose edge is 2; the starts have a loss of 1."""
    lr = changed.pop("lr", [0.5, 1.0, 1.5, 2.5, 3.0])
    seen = changed.pop("samples_seen", 2 * np.array(changed.get("epochs", 10)))
    return make_frame(len(lr), lr=lr, batch_size=2, samples_seen=seen, **changed)


def of_edge(frame, losses):
    table = theory_table(Model("a*x"), [1.0, 1.0], frame, make_curves(losses), RunTable())
    return table.drop(columns=["optimizer", "batch_size", "shuffle"]).to_numpy(object).tolist()


@pytest.mark.parametrize(
    ("grows_from", "expected"),
    [(1, [2.0, 0.5, 1.0, False]), (2, [2.0, 1.0, 1.5, True]), (3, [2.0, 1.5, 2.5, True]), (4, [2.0, 2.5, 3.0, True])],
)
def test_edges_agree_that_are_no_further_apart_than_a_step(grows_from, expected):
    frame = edge_frame()
    losses = {run: [1, 3 if row >= grows_from else 0.5] for row, run in enumerate(frame["config_id"])}
    assert of_edge(frame, losses) == [expected]


def test_a_grid_that_does_not_reach_the_edge_says_nothing():
    frame = edge_frame(lr=[0.1, 0.2])
    ((predicted, stable, diverges, agrees),) = of_edge(frame, {"run0": [1, 0], "run1": [1, 0]})
    assert (predicted, stable) == (2, 0.2)
    assert np.isnan(diverges)
    assert agrees is pd.NA


@pytest.mark.parametrize(("seen", "expected"), [(2, pd.NA), (4, False)])
def test_runs_that_reach_their_target_before_growth_could_be_seen_say_nothing_of_the_edge(seen, expected):
    ends = ["max_epochs", "max_epochs", "converged", "converged", "diverged"]
    frame = edge_frame(lr=[0.5, 1.5, 2.5, 3.0, 3.5], status=ends, samples_seen=[20, 20, seen, seen, 20])
    losses = {run: [1, 3 if run == "run4" else 0.5] for run in frame["config_id"]}
    assert of_edge(frame, losses)[0][-1] is expected


def test_the_edge_is_measured_while_the_rate_is_that_of_epoch_0():
    # The rate is halved after an epoch, and the second run recovers; with the other one it rises, and a run blows up.
    frame = edge_frame(lr=[1.9, 2.1, 2.2], schedule="step(1)", epochs=3)
    assert of_edge(frame, {"run0": [1, 0.9, 0.1], "run1": [1, 2.1, 0.1], "run2": [1, 2.2, 0.1]})[0][1:3] == [1.9, 2.1]
    rising = edge_frame(lr=[2.0, 8.0], schedule="warmup_cosine(2, start=0.5)", status="diverged", epochs=3)
    assert of_edge(rising, {"run0": [1, 0.9, 9, np.nan], "run1": [1, 9, 9, np.nan]})[0][1:3] == [1.0, 4.0]


def test_a_loss_has_grown_if_it_is_above_twice_that_halfway():
    """Both end at 4.5: at the rate 0.5, halfway was 2.5 and three quarters 2.1, and at 2.5 it was 2 and 3.5."""
    frame = edge_frame(lr=[0.5, 1.9, 2.5], epochs=8)
    losses = {
        "run0": [1, 2, 3, 3, 2.5, 2.2, 2.1, 2, 4.5],
        "run1": [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
        "run2": [1, 1.5, 2, 2, 2, 3, 3.5, 4, 4.5],
    }
    assert of_edge(frame, losses) == [[2.0, 1.9, 2.5, True]]


def test_noise_that_lifts_a_few_runs_from_a_start_at_the_solution_is_no_growth():
    """Of 25 runs at a rate, one or two end above twice their loss halfway, far below the edge."""
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 50)
    y = 2 * x**2 - 4 * x + 3 + 0.5 * rng.standard_normal(x.size)
    grid = Grid(lr="log:0.01:3:12", batch_size=[1, 8], init=[2, -4, 3], seed=range(25), shuffle=True)
    result = sweep(models.quadratic, x, y, grid, epochs=20)
    middle, end = (result.curves[result.curves["epoch"] == epoch].set_index("config_id")["loss"] for epoch in (10, 20))
    lifted = result.frame["config_id"].isin(end.index[end > 2 * middle.reindex(end.index)])
    assert result.frame["lr"][lifted].min() < 0.5
    table = theory_table(models.quadratic, x, result.frame, result.curves, RunTable())
    assert table["agrees"].tolist() == [True, True]


def test_the_rate_is_that_of_the_second_half():
    """The distance shrinks by 0.9 in each of the first 20 epochs, by 0.8 in the next 10, by 0.797 in the last 10."""
    factors = np.repeat([0.9, 0.8, 0.797], [20, 10, 10])
    distance = np.cumprod([1.0, *factors])
    frame = make_frame(1, lr=0.5, batch_size=2, epochs=40)
    curves = make_curves({"run0": distance**2})
    (row,) = rates_table(Model("a*x"), [1.0, 1.0], [1.0, 1.0], frame, curves, RunTable()).to_dict("records")
    assert row["predicted_rate"] == pytest.approx(0.5)
    slope, _ = np.polyfit(np.arange(20, 41), np.log(distance[20:]), 1)
    assert row["measured_rate"] == pytest.approx(np.exp(slope), rel=1e-9)
    assert 0.798 < row["measured_rate"] < 0.799


def test_a_run_that_blew_up_needs_no_loss():
    frame = edge_frame(lr=[1.0, 4.0], status=["max_epochs", "diverged"], epochs=[3, 1])
    assert of_edge(frame, {"run0": [1, 0.9, 0.8, 0.7], "run1": [1, np.nan]}) == [[2.0, 1.0, 4.0, True]]


def test_losses_of_some_epochs_are_enough(classic):
    grid = Grid(lr=[0.8, 1.9], batch_size="full", init=STARTS)
    result = sweep(models.quadratic, *classic, grid, epochs=303)
    last = result.curves["epoch"].eq(303)
    thinned = result.curves[(result.curves["epoch"] % 4 == 0) | last]
    table = rates_table(models.quadratic, *classic, result.frame, thinned, RunTable())
    np.testing.assert_allclose(table["predicted_rate"], table["measured_rate"], rtol=1e-3)
    edges = [theory_table(models.quadratic, classic[0], result.frame, c, RunTable()) for c in (result.curves, thinned)]
    pd.testing.assert_frame_equal(*edges)


@pytest.mark.parametrize("batch_size", [1, "full"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum(0.9)"])
def test_no_rate_is_stable_where_a_derivative_is_not_finite(derivatives, batch_size, optimizer, capfd):
    broken = derivatives.copy()
    broken[3, 0] = -np.inf
    about = {"batch_size": batch_size, "optimizer": optimizer}
    assert EpochMap(broken, **about).largest_stable_rate() == 0.0
    assert spectral_radius(broken, [1e-6, 0.1], **about).tolist() == [np.inf, np.inf]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("model", "changed", "loss"),
    [
        ("a*x", {"optimizer": "adam"}, "squared"),
        ("a*x", {}, "huber(1.0)"),
        ("exp(a*x)", {}, "squared"),
        ("a*log(x - 1)", {}, "squared"),
    ],
    ids=["adam", "huber", "nonlinear", "not finite"],
)
def test_without_theory_the_tables_are_empty(model, changed, loss):
    frame = edge_frame(**changed)
    curves = make_curves({run: [1.0, 0.5, 0.25] for run in frame["config_id"]})
    edges = theory_table(Model(model), [1.0, 1.0], frame, curves, RunTable(loss=loss))
    assert edges.empty
    assert list(edges)[3:] == ["predicted_edge", "stable_up_to", "diverges_from", "agrees"]
    rates = rates_table(Model(model), [1.0, 1.0], [1.0, 1.0], frame, curves, RunTable(loss=loss))
    assert rates.empty
    assert list(rates)[3:] == ["lr", "runs", "predicted_rate", "measured_rate"]


def test_a_frame_without_runs_has_no_theory():
    frame = make_frame(0)
    assert theory_table(Model("a*x"), [1.0], frame, make_curves({"none": [1.0]}), RunTable()).empty


def test_data_that_would_take_too_much_memory_or_time_have_no_theory(monkeypatch):
    monkeypatch.setattr(convergence, "MAX_NUMBERS", 30)
    monkeypatch.setattr(convergence, "MAX_ORDERED_NUMBERS", 30)
    x = np.linspace(-1, 1, 10)
    frame = make_frame(4, lr=[0.1, 9, 0.1, 9], batch_size=[1, 1, 10, 10], shuffle=False)
    curves = make_curves({run: [1.0, 0.5] for run in frame["config_id"]})
    assert theory_table(models.quadratic, x, frame, curves, RunTable())["batch_size"].tolist() == [10]
    assert theory_table(models.quadratic, np.tile(x, 2), frame, curves, RunTable()).empty


def test_a_part_of_many_shuffled_batches_stands_for_all(monkeypatch):
    x = np.random.default_rng(0).standard_normal(2000)
    frame = make_frame(4, lr=[0.1, 9, 0.1, 9], batch_size=[1, 1, 16, 16], shuffle=True)
    curves = make_curves({run: [1.0, 0.5] for run in frame["config_id"]})
    whole = theory_table(Model("a*x + b"), x, frame, curves, RunTable())
    monkeypatch.setattr(convergence, "MAX_DRAWN_NUMBERS", 100 * 2**2)
    part = theory_table(Model("a*x + b"), x, frame, curves, RunTable())
    assert not np.isclose(part["predicted_edge"], whole["predicted_edge"], rtol=1e-4).any()
    np.testing.assert_allclose(part["predicted_edge"], whole["predicted_edge"], rtol=0.2)


def test_the_beginning_of_an_order_gives_the_factors_of_an_epoch():
    rows = np.random.default_rng(0).standard_normal((2000, 2))
    orders, rates = sample_orders(2000, [0], 1), np.array([1e-4, 1e-3])
    for size in (1, 16):
        whole, part = (
            EpochMap(rows, size, orders=given).eigenvalue_moduli(rates) for given in (orders, orders[:, :992])
        )
        np.testing.assert_allclose(np.log(part), np.log(whole), rtol=0.1)
