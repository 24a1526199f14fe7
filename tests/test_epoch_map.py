"""Training by the maps of epochs: against the reference, against matrices, and where rounding errors would grow."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from bench import Grid, sweep
from bench.timing.problem import Problem, UnavailableError
from bench.timing.variants import BY_NAME
from bench.timing.verify import verify
from kernels import fit, models
from kernels.agreement import largest_error
from kernels.block import train_runs
from kernels.epoch_map import batch_curvatures, epoch_maps, find_refusal
from kernels.epoch_map_kernel import compile_epoch_map, has_intercept, linear_program
from kernels.epoch_map_training import FELL_BACK, MappedTraining, group_columns
from kernels.linear_data import make_linear_data, triangle
from kernels.losses import make_loss
from kernels.marks import make_marks
from kernels.optimizers import make_optimizer
from kernels.program import evaluate
from kernels.run import CONVERGED, DIVERGED, Hyperparameters, option_values
from kernels.samples import allocate_data

BOUND = 1e-12
X = np.linspace(-1, 1, 83)
Y = 2 * X**2 - 4 * X + 3 + 0.1 * np.cos(40 * X)
START = [-1, 3, 8]


def both(model=models.quadratic, x=X, y=Y, **settings):
    """The same run by the reference and by maps."""
    settings = {"init": START, "lr": 0.1, "epochs": 12, "schedule": "halve(4)"} | settings
    return tuple(fit(model, x, y, kernel=kernel, **settings) for kernel in ("reference", "epoch-map"))


def assert_agree(expected, found, bound=BOUND):
    assert found.status == expected.status
    np.testing.assert_array_equal(found.samples_seen, expected.samples_seen)
    assert largest_error(found.trajectory, expected.trajectory) <= bound
    assert largest_error(found.loss, expected.loss) <= bound
    if expected.validation_loss is not None:
        assert largest_error(found.validation_loss, expected.validation_loss) <= bound


SETTINGS = {
    "as they stand": {},
    "within an epoch": {"record": "log"},
    "every third update": {"record": 3},
    "every update": {"record": 1, "epochs": 3},
    "shuffled": {"shuffle": True, "seed": 3},
    "shuffled, within an epoch": {"shuffle": True, "record": "log"},
    "batches": {"batch_size": 7},
    "batches, all samples": {"batch_size": 7, "drop_last": False, "record": 5},
    "shuffled batches": {"batch_size": 10, "drop_last": False, "shuffle": True},
    "gradient descent": {"batch_size": "full"},
    "gradient descent, a lot of it": {"batch_size": "full", "epochs": 3000, "schedule": "exponential(0.999)"},
    "a rate for each epoch": {"schedule": "exponential(0.9)"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_is_that_of_the_reference(settings):
    expected, found = both(**settings)
    assert found.notes == ()
    assert_agree(expected, found)


# Each optimizer, and each set of its options, takes a kernel of its own; this one has all that there is.
HEAVY = "momentum(0.8, dampening=0.4, weight_decay=0.01)"


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (HEAVY, {"record": "log"}),
        (HEAVY, {"record": 1, "epochs": 2}),
        (HEAVY, {"batch_size": 40, "drop_last": False, "shuffle": True}),
        ("nesterov(0.7)", {"shuffle": True}),
        ("nesterov(0.7)", {"batch_size": 9, "drop_last": False, "record": 4}),
    ],
)
def test_velocities_go_along(optimizer, settings):
    expected, found = both(optimizer=optimizer, lr=0.02, **settings)
    assert found.notes == ()
    assert_agree(expected, found)


def test_random_problems():
    """Where the bound could break, `fused` takes over, so that all keep it: rates up to the edge, scales, sorted x."""
    rng = np.random.default_rng(5)
    notes = []
    for _ in range(40):
        n = int(rng.integers(3, 200))
        x = rng.uniform(-1, 1, n) * 10.0 ** rng.uniform(-1, 1) + rng.choice([0, 2])
        x = np.sort(x) if rng.random() < 0.3 else x
        y = models.quadratic.predict(rng.normal(size=3) * 10.0 ** rng.uniform(-1, 2), x) + rng.normal(size=n)
        largest = np.linalg.norm(models.quadratic.design_matrix(x), axis=1).max() ** 2
        expected, found = both(
            x=x,
            y=y,
            init=rng.normal(size=3) * 10.0 ** rng.uniform(-1, 2),
            lr=float(rng.choice([0.001, 0.1, 0.5, 1, 1.5, 2]) / largest),
            batch_size=int(rng.choice([1, 1, min(n, 8)])),
            shuffle=bool(rng.random() < 0.4),
            record=["epoch", "log", 5][rng.integers(3)],
            epochs=int(rng.choice([2, 10])),
        )
        # The reference itself is off by rounding; the bound is for what two ways of rounding may differ by.
        assert_agree(expected, found)
        notes += found.notes
    assert len(notes) < 15


@pytest.mark.parametrize("kernel", ["reference", "epoch-map"])
def test_gradient_descent_against_its_closed_form(kernel):
    """theta_k - theta* = (I - lr D'D/n)**k (theta_0 - theta*), by the eigenvectors of D'D."""
    design = np.stack([X**2, X, np.ones_like(X)], axis=1)
    best = np.linalg.lstsq(design, Y)[0]
    values, vectors = np.linalg.eigh(design.T @ design / X.size)
    found = fit(models.quadratic, X, Y, init=START, lr=0.3, batch_size="full", epochs=400, kernel=kernel)
    factors = (1 - 0.3 * values) ** np.arange(401)[:, np.newaxis]
    expected = best + (factors * ((np.array(START) - best) @ vectors)) @ vectors.T
    np.testing.assert_allclose(found.trajectory, expected, rtol=1e-11)


def test_how_a_run_stops():
    whole, _ = both(epochs=40)
    for settings in (
        {"target": whole.loss[7] * 1.001},
        {"target": whole.loss[7] * 1.001, "record": 2},
        {"target": 1e9},
        {"lr": 30.0},
        {"lr": 1.9, "schedule": None, "record": 2, "epochs": 300},
        {"init": [1e200, 0, 0]},
        {"validation": 0.3, "patience": 2, "lr": 0.8, "schedule": "exponential(0.5)"},
        {"validation": (X[::3], Y[::3] + 1), "record": "log"},
    ):
        expected, found = both(**{"epochs": 40} | settings)
        assert_agree(expected, found)
        assert found.epochs_to_target == expected.epochs_to_target


def test_where_rounding_errors_would_grow_fused_takes_over():
    """In order of x, samples that overshoot come together: distances are stretched, and shrunk again by the others."""
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 400))
    y = 2 * x**2 - 4 * x + 3
    settings = {"x": x, "y": y, "lr": 0.85, "epochs": 6, "schedule": None, "record": "log"}
    expected, found = both(**settings)
    assert found.notes == (FELL_BACK,)
    assert FELL_BACK in str(found)
    np.testing.assert_array_equal(found.trajectory, expected.trajectory)
    np.testing.assert_array_equal(found.loss, expected.loss)
    # It is no false alarm: a start that differs in the last place ends elsewhere.
    other = both(**settings | {"init": np.nextafter(START, 0)})[0]
    assert largest_error(other.trajectory, expected.trajectory) > BOUND


def test_the_command_tells_that_fused_took_over(sgdbench):
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 400))
    np.savetxt("data.csv", np.stack([x, 2 * x**2 - 4 * x + 3], axis=1), delimiter=",", header="x,y", comments="")
    command = ["fit", "data.csv", "--model", "a*x**2 + b*x + c", "--x", "x", "--y", "y", "--init", "a=-1,b=3,c=8"]
    command += ["--epochs", 6, "--kernel", "epoch-map"]
    for lr, notes in ((0.85, [FELL_BACK]), (0.1, None)):
        code, out, _ = sgdbench(*command, "--lr", lr, "--json")
        assert (code, json.loads(out).get("notes")) == (0, notes)
    assert "trained by 'fused'" in sgdbench(*command, "--lr", 0.85)[1]


def test_a_design_that_is_not_finite_is_left_to_fused():
    x = np.array([1.0, 1e200, 2.0])  # of which the square is infinite
    found = fit(models.quadratic, x, x, init=START, kernel="epoch-map", epochs=2)
    assert (found.status, found.epochs, found.notes) == ("diverged", 0, (FELL_BACK,))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "a*exp(b*x)"}, r"needs a model that is linear in its parameters, not 'a\*exp\(b\*x\)'"),
        ({"model": "polynomial(12)"}, "needs a model of at most 12 parameters, not of 13"),
        ({"loss": "huber(0.5)"}, r"needs the loss 'squared', not 'huber\(delta=0.5\)'"),
        ({"optimizer": "adam"}, "needs an optimizer with affine updates, one of sgd, momentum, nesterov, not 'adam.*'"),
        ({"optimizer": "averaged(sgd)"}, "needs an optimizer with affine updates, .*, not 'averaged.*'"),
    ],
)
def test_what_is_not_affine_is_refused(changes, reason):
    model = changes.pop("model", "quadratic")
    message = f"^kernel 'epoch-map' {reason}; 'fused' and 'lanes' take any$"
    with pytest.raises(ValueError, match=message):
        fit(model, X, Y, kernel="epoch-map", **changes)
    grid = Grid(lr=0.1, optimizer=changes.get("optimizer", "sgd"))
    with pytest.raises(ValueError, match=message):
        sweep(model, X, Y, grid, kernel="epoch-map", loss=changes.get("loss", "squared"), epochs=2, confirm=0)


def test_twelve_parameters_and_all_others_are_taken():
    for degree in (1, 5, 11):
        model = models.make_model(f"polynomial({degree})")
        assert find_refusal(model, make_loss("squared"), make_optimizer("momentum(0.5, dampening=0.5)")) is None


# Many runs


def train(kernel, rates, starts, optimizer="sgd", target=-np.inf, record="epoch", shuffle=False, batch_size=1):
    """Train runs of the quadratic with a column of rates each."""
    made, loss = make_optimizer(optimizer), make_loss("squared")
    marks = make_marks(record, X.size, batch_size, len(rates), drop_last=True)
    hyper = Hyperparameters(rates, option_values(loss, made), batch_size, True, shuffle, 1, target, marks)
    data = allocate_data((X,), Y, shuffle=shuffle)
    return train_runs(kernel, models.quadratic, loss, made, data, hyper, starts, made.initial_memory(starts))


@pytest.mark.parametrize("count", [1, 2, 8, 9, 10, 41])
def test_starts_that_share_a_map_are_as_if_alone(count):
    starts = np.random.default_rng(0).normal(size=(count, 3))
    rates = np.tile(np.array([[0.2], [0.2], [0.1]]), count)
    together, lanes = train("epoch-map", rates, starts), train("lanes", rates, starts)
    assert not together.fell_back.any()
    assert largest_error(together.params, lanes.params) <= BOUND
    assert largest_error(together.losses, lanes.losses) <= BOUND
    np.testing.assert_array_equal(together.marks, lanes.marks)


@pytest.mark.parametrize("optimizer", ["sgd", HEAVY])
def test_a_few_runs_that_are_far_off_do_not_keep_the_others_from_their_maps(optimizer):
    starts, far = np.random.default_rng(4).normal(size=(300, 3)), np.arange(7, 300, 15)
    starts[far] *= 1e8
    rates = np.full((6, 300), 0.02)
    found, lanes = train("epoch-map", rates, starts, optimizer), train("lanes", rates, starts, optimizer)
    assert found.fell_back[far].all()
    assert far.size <= found.fell_back.sum() < 64
    assert largest_error(found.params[~found.fell_back], lanes.params[~found.fell_back]) <= BOUND
    assert largest_error(found.losses[:, ~found.fell_back], lanes.losses[:, ~found.fell_back]) <= BOUND
    assert largest_error(found.memory[~found.fell_back], lanes.memory[~found.fell_back]) <= BOUND
    for one, other in ((found.params, lanes.params), (found.memory, lanes.memory), (found.losses.T, lanes.losses.T)):
        np.testing.assert_array_equal(one[found.fell_back], other[found.fell_back])


def test_runs_end_each_at_its_own_mark():
    rng = np.random.default_rng(1)
    starts = rng.normal(size=(70, 3)) * 10.0 ** rng.uniform(-1, 3, size=(70, 1))
    starts[5], starts[69], starts[33] = [1e160, 0, 0], [0, 1e200, 0], [2, -4, 3]
    rates = np.full((15, 70), 0.1)
    rates[:, 40:60] = 0.05
    rates[:, 60:63] = 1.7
    settings = {"target": 0.006, "record": "log"}
    found, expected = (train(kernel, rates, starts, **settings) for kernel in ("epoch-map", "lanes"))
    assert {CONVERGED, DIVERGED} < set(expected.status)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_array_equal(found.marks, expected.marks)
    assert largest_error(found.params, expected.params) <= 10 * BOUND
    for run, mark in enumerate(expected.marks):
        assert largest_error(found.losses[: mark + 1, run], expected.losses[: mark + 1, run]) <= 10 * BOUND
    assert found.fell_back[60:63].all()


@pytest.mark.parametrize("optimizer", [HEAVY, "sgd"])
def test_a_run_goes_on_from_a_mark(optimizer):
    """As a sweep that is extended does: from where it stands, with what its optimizer remembers."""
    starts = np.random.default_rng(2).normal(size=(9, 3))
    rates = np.full((6, 9), 0.02)
    whole = train("reference", rates, starts, optimizer)
    half = train("epoch-map", rates[:3], starts, optimizer)
    made, loss = make_optimizer(optimizer), make_loss("squared")
    marks = make_marks("epoch", X.size, 1, 6, drop_last=True)
    hyper = Hyperparameters(rates, option_values(loss, made), 1, True, False, 1, -np.inf, marks)
    data = allocate_data((X,), Y, shuffle=False)
    rest = train_runs("epoch-map", models.quadratic, loss, made, data, hyper, half.params, half.memory, first=3)
    assert largest_error(rest.params, whole.params) <= BOUND
    assert largest_error(rest.memory, whole.memory) <= BOUND
    assert largest_error(rest.losses, whole.losses[3:]) <= BOUND


def test_equal_columns_are_found():
    rates = np.array([[1, 1, 2, 2, 1, 3], [4, 4, 5, 5, 4, 5.0]])
    groups = [np.arange(6)[group].tolist() for group in group_columns(rates)]
    assert groups == [[0, 1, 4], [2, 3], [5]]
    assert group_columns(np.broadcast_to(rates[:, :1], (2, 9))) == [slice(0, 9)]


def test_a_sweep_tells_which_runs_fell_back(tmp_path):
    x = np.sort(np.random.default_rng(0).uniform(-1, 1, 400))
    grid = Grid(lr=[0.05, 0.85], init={"near": [0, 0, 0], "far": [5, 5, 5]})
    y = 2 * x**2 - 4 * x + 3
    by_maps, by_lanes = (
        sweep(models.quadratic, x, y, grid, epochs=6, kernel=kernel, confirm=0, out=tmp_path / kernel).frame
        for kernel in ("epoch-map", "lanes")
    )
    assert by_maps["fell_back"].tolist() == (by_maps["lr"] == 0.85).tolist()
    assert "fell_back" not in by_lanes
    assert by_maps["status"].tolist() == by_lanes["status"].tolist()
    np.testing.assert_allclose(by_maps["final_loss"], by_lanes["final_loss"], rtol=1e-10)


# What it is made of


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov(0.5)"])
@pytest.mark.parametrize("batch_size", [1, 6])
def test_the_compiled_map_is_that_of_numpy(optimizer, batch_size):
    """The theory takes its maps from NumPy: runs from 0 and from the unit vectors give the columns of the compiled."""
    made, n = make_optimizer(optimizer), 80
    size = 3 * (1 + made.slots)
    states = np.concatenate([np.zeros((1, size)), np.eye(size)])
    marks = make_marks("epoch", n, batch_size, 1, drop_last=True)
    options = option_values(make_loss("squared"), made)
    hyper = Hyperparameters(np.array([0.1]), options, batch_size, True, False, 0, -np.inf, marks)
    data = make_linear_data(models.quadratic.program, allocate_data((X[:n],), Y[:n], shuffle=False))
    training = MappedTraining(compile_epoch_map(models.quadratic.program, made).train, made, data, hyper, len(states))
    training.record_in(np.empty((2, len(states))), np.empty((0, len(states))), np.empty((0, 2)), np.empty((0, 3)), 0)
    training.start(0, states[:, :3], states[:, 3:].copy())
    training.step(0, 1)
    found = (training.runs.ends[1:] - training.runs.ends[0]).T
    curvatures = batch_curvatures(models.quadratic.design_matrix(X[:n]), batch_size, True, np.arange(n)[np.newaxis])
    np.testing.assert_allclose(found, epoch_maps(curvatures, np.array([0.1]), made)[0, 0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("rows", [1, 3, 4, 250])
def test_the_triangle_has_the_squares_of_the_residuals(rows, monkeypatch):
    monkeypatch.setattr("kernels.linear_data.CHUNK", 100)
    table = np.random.default_rng(rows).normal(size=(rows, 4)) * [1, 1e-3, 1e3, 1]
    factor = triangle(table)
    assert (np.tril(factor, -1) == 0).all()
    for theta in ([0, 0, 0], [1, -2, 3]):
        residuals = table[:, :3] @ theta - table[:, 3]
        assert np.sum((factor @ [*theta, -1]) ** 2) == pytest.approx(np.sum(residuals**2), rel=1e-12)
    table[-1, 1] = np.inf
    assert np.isnan(triangle(table)).all()


@pytest.mark.parametrize("chains", [1, 2, 4])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("params", [1, 2, 3, 9])
def test_the_program_of_a_sum(params, chains, intercept):
    program = linear_program(params, chains, intercept=intercept)
    theta, x = np.random.default_rng(0).normal(size=(2, params))
    residual, derivatives = evaluate(program, theta, x, 0.5)
    x[-1] = 1.0 if intercept else x[-1]
    assert residual == pytest.approx(theta @ x - 0.5, rel=1e-14)
    assert [float(derivative) for derivative in derivatives] == x.tolist()
    assert has_intercept(program) is intercept
    assert math.prod(program.derivatives) > 0


@pytest.mark.parametrize("name", ["epoch-map", "epoch-map, many runs"])
def test_a_variant_that_falls_back_is_not_timed_as_what_it_is_not(name):
    """From so far away that digits of what the reference ends at are lost."""
    near = Problem(models.quadratic, (X,), Y, np.ones((1, 3)), np.full((4, 1), 0.1))
    far = replace(near, inits=np.array([[1e9, -1e9, 1e9]]), rates=np.full((40, 1), 0.1))
    assert verify(BY_NAME[name], near)[1].largest <= BOUND
    with pytest.raises(UnavailableError, match="it falls back to another kernel here"):
        verify(BY_NAME[name], far)
