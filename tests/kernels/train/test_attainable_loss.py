"""The lowest loss of a model and that of the best constant, held against scikit-learn, SciPy and plain scans."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.optimize import approx_fprime, curve_fit, linprog
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import (
    hinge_loss,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
)

from sgdbench import Model, fit
from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.model.evaluate import evaluate
from sgdbench.kernels.model.models import make_model, mlp
from sgdbench.kernels.train import local_search
from sgdbench.kernels.train.attainable_loss import AttainableLoss, constant_loss, find_attainable_loss
from sgdbench.kernels.train.local_search import mean_and_gradient
from sgdbench.kernels.train.lowest_of_linear import lowest_of_linear
from sgdbench.kernels.train.lowest_of_nonlinear import solve_linear_params

DIABETES = load_diabetes(return_X_y=True)
CANCER = tuple(part[:, :6] if part.ndim == 2 else part.astype(float) for part in load_breast_cancer(return_X_y=True))
RATES = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.1, 1.1])
VELOCITIES = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200.0])


def linear_model(columns):
    names = [f"x{k}" for k in range(columns)]
    return Model(" + ".join([*(f"w{k}*x{k}" for k in range(columns)), "b"]), names)


def lowest(model, x, y, loss="squared", starts=()):
    model = make_model(model, ("x",)) if isinstance(model, str) else model
    return find_attainable_loss(model, make_loss(loss), (model.columns(x), np.asarray(y, float)), list(starts))


def scaled(x):
    return (x - x.mean(0)) / x.std(0)


RNG = np.random.default_rng(0)
EVENTS = RNG.normal(size=(300, 2)) * [100, 0.01]
COUNTS = RNG.poisson(np.exp(1 + EVENTS @ [0.003, -20])).astype(float)
IRIS, WINE = ((x[:, :columns] * 10.0 ** np.arange(columns), y) for (x, y), columns in (
    (load_iris(return_X_y=True), 2), (load_wine(return_X_y=True), 3)))  # fmt: skip
UNPENALIZED = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)


def half_deviance(y, mean):
    return mean_poisson_deviance(y, mean) / 2


def frequencies(y):
    return np.tile(np.bincount(y.astype(int)) / y.size, (y.size, 1))


# The data, the loss, the judge and how it predicts; the loss of its predictions, and the best constant prediction.
JUDGED = {
    "squared": (DIABETES, LinearRegression(), "predict", mean_squared_error, lambda y: np.full(y.size, y.mean())),
    "logistic": (CANCER, UNPENALIZED, "predict_proba", log_loss, frequencies),
    "poisson": ((EVENTS, COUNTS), PoissonRegressor(alpha=0, tol=1e-12, max_iter=10_000), "predict", half_deviance,
                lambda y: np.full(y.size, y.mean())),
    "softmax": (IRIS, UNPENALIZED, "predict_proba", log_loss, frequencies),
    "softmax of three columns": (WINE, UNPENALIZED, "predict_proba", log_loss, frequencies),
    "absolute": (DIABETES, QuantileRegressor(quantile=0.5, alpha=0), "predict", mean_absolute_error,
                 lambda y: np.full(y.size, np.median(y))),
    "quantile(0.9)": (DIABETES, QuantileRegressor(quantile=0.9, alpha=0), "predict",
                      partial(mean_pinball_loss, alpha=0.9), lambda y: np.full(y.size, np.quantile(y, 0.9))),
}  # fmt: skip


@pytest.mark.parametrize("name", JUDGED)
def test_the_lowest_loss_is_that_of_scikit_learn(name):
    """The columns have sizes from 0.1 to 1000; scikit-learn gets them standardized."""
    (x, y), judge, predict, loss_of, constant = JUDGED[name]
    loss = name.partition(" ")[0]
    model = linear_model(x.shape[1])
    if loss == "softmax":
        model = Model("W @ x + b", [f"x{k}" for k in range(x.shape[1])], classes=3)
    found = lowest(model, x, y, loss)
    predicted = getattr(judge.fit(scaled(x), y), predict)(scaled(x))
    assert found.loss == pytest.approx(loss_of(y, predicted), rel=1e-7)
    assert found.constant_loss == pytest.approx(loss_of(y, constant(y)), rel=1e-8)
    assert not found.note
    assert (found.method == "linear programming") == (loss in ("absolute", "quantile(0.9)"))
    if loss == "softmax":  # the parameters are those of the model, class by class
        np.testing.assert_allclose(make_loss(loss).mean_of(model.predict(found.params, x)), predicted, atol=1e-4)


def test_linear_programming_comes_to_its_end_with_as_many_samples_as_it_is_for():
    rng = np.random.default_rng(0)
    y, groups = rng.normal(size=(20, 1_000)), np.repeat(np.eye(20), 1_000, axis=0)
    found = lowest(linear_model(19), groups[:, 1:], y.ravel(), "absolute")
    assert (found.method, found.note) == ("linear programming", "")
    medians = np.median(y, axis=1, keepdims=True)
    assert found.loss == pytest.approx(np.abs(y - medians).mean(), rel=1e-12)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize(
    ("loss", "degree"), [("absolute", 1), ("quantile(0.9)", 1), ("huber({})", 2), ("cauchy({})", 2)]
)
def test_another_unit_of_the_targets_changes_the_unit_of_the_lowest_loss(loss, degree, unit):
    x, y = DIABETES
    found = lowest(linear_model(10), x, y, loss.format(50))
    other = lowest(linear_model(10), x, y * unit, loss.format(50 * unit))
    scale = unit**degree
    assert [other.loss / scale, other.constant_loss / scale] == pytest.approx(
        [found.loss, found.constant_loss], rel=1e-9
    )
    assert other.params / unit == pytest.approx(found.params, rel=1e-3)
    assert other.note == found.note


def test_a_search_at_kinks_comes_to_its_end_with_many_parameters():
    calls = []

    def mean(theta):
        calls.append(theta)
        return np.abs(theta - 1).sum(), theta

    ends = local_search.settle_at_kinks(mean, np.zeros(60), 2000)
    assert len(calls) <= 2002
    assert ends[0] < 60


def test_the_hinge_loss_is_lower_than_what_sgd_reaches_and_that_of_the_formula():
    x, y = CANCER
    x = scaled(x)
    found = lowest(linear_model(6), x, y, "hinge")
    settings = {"lr": 0.2, "batch_size": 8, "schedule": "halve(20)", "epochs": 200, "kernel": "reference"}
    run = fit("w @ x + b", x, y, init=np.zeros(7), loss="hinge", **settings)
    assert found.loss <= run.loss[-1] <= 1.05 * found.loss
    prediction = linear_model(6).predict(found.params, x)
    assert found.loss == pytest.approx(hinge_loss(2 * y - 1, prediction), rel=1e-9)
    apart = np.random.default_rng(0).normal(size=(60, 4))
    assert lowest(linear_model(4), apart, apart @ [1, -2, 3, 0.5] > 0.2, "hinge").loss == 0


def test_a_nonlinear_model_is_that_of_curve_fit_from_a_good_start():
    best, _ = curve_fit(lambda s, v, k: v * s / (k + s), RATES, VELOCITIES, [200, 0.1])
    found = lowest("V*x/(K + x)", RATES, VELOCITIES)
    np.testing.assert_allclose(found.params, best, rtol=1e-5)
    assert found.loss <= np.mean((best[0] * RATES / (best[1] + RATES) - VELOCITIES) ** 2)
    assert found.constant_loss == pytest.approx(np.var(VELOCITIES), rel=1e-12)
    assert "local searches" in found.note


@pytest.mark.parametrize("loss", ["absolute", "logcosh"])
def test_the_lowest_loss_of_a_nonlinear_model_is_that_of_a_fine_scan(loss):
    found, criterion = lowest("V*x/(K + x)", RATES, VELOCITIES, loss), make_loss(loss)
    v, k = (grid[..., np.newaxis] for grid in np.mgrid[190:240:201j, 0.03:0.12:201j])
    scanned = criterion.value(v * RATES / (k + RATES) - VELOCITIES, ()).mean(axis=-1)
    assert found.loss <= scanned.min() * (1 + 1e-9)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name not in ("objective", "softmax")])
def test_no_run_ends_below_the_attainable_loss_and_none_beats_the_constant(loss):
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y = 0.7 * x + rng.normal(size=80)
    y = {"logistic": y > 0, "hinge": y > 0, "poisson": np.floor(np.exp(y))}.get(loss, y).astype(float)
    found = lowest("a*x + b", x, y, loss)
    settings = {"lr": 0.2, "batch_size": 8, "schedule": "halve(30)", "epochs": 200, "kernel": "reference"}
    run = fit("a*x + b", x, y, init=[0, 0], loss=loss, **settings)
    assert found.loss <= run.loss.min() * (1 + 1e-9)
    assert run.loss[-1] < found.target  # a hundredth of the improvement is left at most
    assert run.remaining == pytest.approx(found.remaining(run.loss[-1]))
    criterion = make_loss(loss)
    for constant in np.linspace(-3, 3, 301):
        given = (constant - y,) if criterion.of_residual else (np.full(80, constant), y)
        assert found.constant_loss <= np.mean(criterion.recorded((*given, tuple(criterion.options.values())))) + 1e-9


@pytest.mark.parametrize("loss", ["huber(0.5)", "cauchy(0.3)", "absolute"])
def test_outliers_that_bend_all_least_squares_do_not_lead_the_search_astray(loss):
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 5, 60)
    rng.normal(size=60)
    curve = 4 * np.exp(-0.8 * x) + 1
    y = curve + 0.1 * rng.normal(size=60) + 5 * (np.arange(60) % 9 == 0)
    criterion = make_loss(loss)
    assert lowest("a*exp(-b*x) + c", x, y, loss).loss < np.mean(criterion.recorded(criterion.arguments(curve - y, y)))


@pytest.mark.parametrize("size", [4, 60])
def test_the_best_constant_of_a_loss_that_is_not_convex_is_at_one_of_the_targets(size):
    y = 1e6 * np.random.default_rng(2).normal(size=size)
    of_targets = [np.mean(np.log1p((target - y) ** 2)) / 2 for target in y]
    assert constant_loss(make_loss("cauchy"), y) == pytest.approx(min(of_targets), rel=1e-6)


def test_many_separable_classes_are_said_to_have_no_minimum():
    model = Model("W @ x + b", ["x1", "x2", "x3"], classes=3)
    apart = lowest(model, 9.0 * np.eye(3), [0, 1, 2], "softmax")
    assert (apart.loss, apart.params) == (0.0, None)
    assert f"by {apart.method} ({apart.note}); 9.1 % of the achievable" in apart.describe(0.1)
    assert "can be separated" in apart.note
    # Two samples at one place, of two classes, each have a loss of log(2) at least.
    both = lowest(model, 9.0 * np.concatenate([np.eye(3), np.eye(3)[:1]]), [0, 1, 2, 1], "softmax")
    assert both.loss == pytest.approx(2 * np.log(2) / 4, rel=1e-5)


def test_the_lowest_loss_of_a_large_network_is_not_searched_for():
    x, y = load_wine(return_X_y=True)
    found = lowest(mlp(8, inputs=[f"x{k}" for k in range(13)]), x, y)
    assert math.isnan(found.loss)
    assert found.note == "it is not computed for nonlinear models with more than 100 parameters"


def test_the_lowest_loss_on_very_many_samples_is_that_of_least_squares_alone(monkeypatch):
    monkeypatch.setattr("sgdbench.kernels.train.attainable_loss.MAX_SAMPLES", 10)
    x = np.arange(11.0)
    assert lowest("a*x + b", x, 2 * x).loss == pytest.approx(0, abs=1e-20)
    found = lowest("a*x + b", x, 2 * x, "huber(1)")
    assert found.note == "with more than 10 samples it is computed only for the squared loss of linear models"


def test_that_of_a_hidden_unit_of_many_inputs_is_no_higher_than_without_it():
    """A hidden unit is nearly linear where its weights are small."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 30))
    y, names = x.mean(axis=1) + 0.1 * rng.normal(size=200), [f"x{k}" for k in range(30)]
    straight = lowest(Model("w @ x + b", names), x, y)
    assert lowest(mlp(1, inputs=names), x, y).loss < straight.loss


@pytest.mark.parametrize(
    ("x", "y", "loss", "words", "share"),
    [
        (np.linspace(-1, 1, 40), np.linspace(-1, 1, 40) > 0.1, "logistic", "can be separated", 0.01),
        ([2.0], [1.0], "logistic", "can be separated", None),  # SciPy takes fewer steps than so few numbers allow
        ([1e200, 2e200, -1e200], [0, 1, 2], "huber", "", None),  # columns whose squares overflow
        (np.linspace(-1, 1, 50), np.zeros(50), "poisson", "", None),  # the loss of a constant falls towards 0 with it
    ],
)
def test_where_there_is_no_minimum(x, y, loss, words, share):
    found = lowest("a*x + b", np.asarray(x), y, loss)
    assert words in found.note
    assert not found.loss > 1e-20
    assert found.target == (share and pytest.approx(share * found.constant_loss, rel=1e-3))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_target_of_a_weak_model_leaves_one_percent_of_the_improvement_in_any_unit(unit):
    found = AttainableLoss(1.023456789 * unit**2, 1.043 * unit**2, None, "least squares")
    assert found.remaining(found.target) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("seed", range(16))
def test_classes_can_be_separated_where_a_linear_program_has_a_solution(seed):
    rng = np.random.default_rng(seed)
    n, columns = int(rng.integers(8, 60)), int(rng.integers(1, 7))
    # Rounded, many samples lie on the plane between the classes, and some are in both.
    x = rng.normal(size=(n, columns)).round(seed % 3) * 10.0 ** rng.integers(-3, 4, columns)
    y = x / x.std(0) @ rng.normal(size=columns) + rng.normal(scale=0.3 * (seed % 2), size=n) > 0
    side = np.where(y, 1.0, -1.0)[:, np.newaxis] * np.column_stack([x / x.std(0), np.ones(n)])
    solved = linprog(np.zeros(columns + 1), -side, -np.ones(n), bounds=(None, None))
    found = lowest(linear_model(columns), x, y, "logistic")
    assert ("can be separated" in found.note) == (solved.status == 0)


def test_a_model_that_is_not_finite_at_a_sample_has_none_for_any_loss(capfd):
    x = np.arange(5.0)
    for loss in ("squared", "huber", "absolute"):
        found = lowest("a*log(x) + b", x, x, loss)
        assert math.isnan(found.loss)
        assert found.target is None
        assert math.isnan(found.remaining(1.0))
    assert not capfd.readouterr().err


def test_objectives_are_measured_from_the_best_start():
    model = Model("x**2 + y**2 - x", ())
    found = find_attainable_loss(model, make_loss("objective"), ((), np.zeros(1)), [np.ones(2), np.zeros(2)])
    assert found.loss == pytest.approx(-0.25)
    assert (found.constant_loss, found.baseline) == (0.0, "the best start")
    assert found.remaining(-0.125) == pytest.approx(0.5)
    # As a grid has them: of each start, those of each seed.
    by_seed = find_attainable_loss(
        model, make_loss("objective"), ((), np.zeros(1)), np.array([[[1.0, 1.0]], [[0.0, 0.0]]])
    )
    assert (by_seed.loss, by_seed.constant_loss) == (found.loss, found.constant_loss)
    found = find_attainable_loss(Model("sin(u) - 5", ()), make_loss("objective"), ((), np.zeros(1)), [[5.5]])
    assert found.loss == pytest.approx(-6, abs=1e-12)


@pytest.mark.parametrize(("expression", "start"), [("x*y", [1, 1]), ("-u**2", [1])])
def test_an_objective_without_a_lower_bound_has_no_target(expression, start):
    found = find_attainable_loss(Model(expression, ()), make_loss("objective"), ((), np.zeros(1)), [start])
    assert "no lower bound" in found.note
    assert found.target is None


@pytest.mark.parametrize("expression", ["a*x + b", "a*exp(b*x)"])
def test_losses_below_zero_are_searched_too(expression):
    x, cauchy = np.linspace(-1, 1, 50), make_loss("cauchy")
    lower = replace(cauchy, value=lambda residual, options: cauchy.value(residual, options) - 9, nonnegative=False)
    samples = (x,), np.exp(x) + x**4
    found, expected = (find_attainable_loss(Model(expression), loss, samples) for loss in (lower, cauchy))
    assert found.loss + 9 == pytest.approx(expected.loss, rel=1e-6)


def test_a_model_that_is_no_better_than_a_constant_has_no_target():
    x = np.linspace(-1, 1, 50)
    found = lowest("a*x", x, 5 + 0 * x)
    assert found.loss > found.constant_loss
    assert found.target is None
    assert "not below the loss of the best constant" in found.describe(25.0)


def test_a_lower_end_of_a_run_takes_the_place_of_a_worse_one_only():
    found = AttainableLoss(1.0, 2.0, np.zeros(1), "L-BFGS")
    assert found.describe(math.nan) == "1 by L-BFGS"  # of a run that diverged
    assert "; less than 0.01 % of the achievable" in found.describe(1 + 1e-8)
    for loss in (1.5, np.nextafter(1.0, 0.0)):
        assert found.lowered(loss, np.ones(1), "this run") is found
    assert found.lowered(0.5, np.ones(1), "this run").loss == 0.5
    assert found.lowered(1 - 1e-7, np.ones(1), "this run", "float32") is found  # the loss of such a run is rounded
    assert found.lowered(0.5, np.ones(1), "this run", "float32").loss == 0.5


def test_parameters_that_are_linear_together_are_solved():
    program = Model("a*exp(-b*x) + c").program
    assert program.linear_params == [0, 2]
    x = np.linspace(0, 3, 30)
    y = 2 * np.exp(-1.5 * x) + 4
    np.testing.assert_allclose(solve_linear_params(program, np.array([9.0, 1.5, 9.0]), (x,), y), [2, 1.5, 4])
    assert Model("a*b*x").program.linear_params == [0]


def test_units_and_collinear_columns_do_not_matter():
    x, y = CANCER
    twice = np.column_stack([x * [1, 1e6, 1e-6, 1, 1, 1], x[:, 0]])
    alone = lowest_of_linear(linear_model(6), make_loss("logistic"), linear_model(6).columns(x), y)
    both = lowest_of_linear(linear_model(7), make_loss("logistic"), linear_model(7).columns(twice), y)
    assert both.loss == pytest.approx(alone.loss, rel=1e-7)
    units = 10.0 ** np.array([-8, 8, 0, 0, 0, 0])
    here, there = (lowest(linear_model(6), x * unit, y) for unit in (1, units))
    assert there.loss == pytest.approx(here.loss, rel=1e-9)
    np.testing.assert_allclose(there.params[:6] * units, here.params[:6], rtol=1e-6)


def test_units_do_not_matter_to_nonlinear_models():
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 2, 120))
    y = 5 / (1 + np.exp(-4 * (x - 1))) + 0.1 * rng.standard_normal(x.size) + 2 * (rng.uniform(size=x.size) < 0.05)
    here, there = (
        lowest(Model("a/(1 + exp(-b*(x - m)))"), x * unit_x, y * unit_y, f"huber({0.3 * unit_y})").loss / unit_y**2
        for unit_x, unit_y in ((1, 1), (1e3, 1e6))
    )
    assert there == pytest.approx(here, rel=1e-6)


def test_the_best_constant_of_skewed_targets_is_found():
    y = np.concatenate([np.zeros(90), np.full(10, 1e4)])
    assert constant_loss(make_loss("absolute"), y) == pytest.approx(1000.0)
    assert constant_loss(make_loss("cauchy"), y) <= np.mean(make_loss("cauchy").recorded((y, (1.0,))))


@pytest.mark.parametrize(
    ("model", "classes", "loss"),
    [("mlp(3)", 1, "squared"), ("mlp(3)", 1, "huber"), ("mlp(2)", 3, "softmax"), ("a*tanh(b*x0 + c*x1)", 1, "squared")],
)
def test_the_gradient_of_the_mean_loss_is_that_of_differences(model, classes, loss):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 2)), rng.integers(0, 3, 20).astype(float)
    model = make_model(model, ("x0", "x1"))
    model = model.with_classes(classes) if classes > 1 else model
    objective = mean_and_gradient(model.program, make_loss(loss), model.columns(x), y)
    theta = rng.normal(size=len(model.params))
    differences = approx_fprime(theta, lambda theta: objective(theta)[0], 1e-7)
    np.testing.assert_allclose(objective(theta)[1], differences, rtol=1e-4, atol=1e-6)


def test_searches_go_on_from_the_best_of_short_ones(monkeypatch):
    """To the end from all 25 starts they make 3,742 evaluations, along flat valleys."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 3, 40).astype(float)
    model = Model("(u @ x)*(v @ z)", {"x": ["a", "b"], "z": ["c", "d"]}, classes=3)
    evaluations = 0

    def counting(*given):
        objective = mean_and_gradient(*given)

        def count(theta):
            nonlocal evaluations
            evaluations += 1
            return objective(theta)

        return count

    monkeypatch.setattr("sgdbench.kernels.train.lowest_of_nonlinear.mean_and_gradient", counting)
    found = lowest(model, x, y, "softmax", starts=[model.draw_start(0)])
    assert found.loss == pytest.approx(0.87435862110646, rel=1e-9)
    assert evaluations < 3000
    # Where evaluations take long there are few: 10 for each of 49 starts, 8 places, and 3 from which it begins 4 times.
    monkeypatch.setattr(local_search, "AFFORDABLE_MULTIPLICATIONS", 1)
    evaluations = 0
    assert found.loss <= lowest(model, x, y, "softmax", starts=[model.draw_start(0)]).loss < 1.2 * found.loss
    assert evaluations < 49 * 12 + 8 * 12 + 12 * 12


def test_of_many_samples_and_parameters_few_steps_are_taken(monkeypatch):
    """To their ends the searches would take 5,600 steps, each a QR factorization of 3,000 rows and 81 columns."""
    calls = []
    monkeypatch.setattr(
        "sgdbench.kernels.train.lowest_of_nonlinear.evaluate",
        lambda program, theta, x, y: calls.append(y.size) or evaluate(program, theta, x, y),
    )
    monkeypatch.setattr(local_search, "AFFORDABLE_MULTIPLICATIONS", 100_000_000)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 8))
    y = np.tanh(x @ rng.normal(size=8)) + 0.1 * rng.normal(size=3000)
    found = lowest(make_model("mlp(8)", [f"x{k}" for k in range(8)]), x, y, "squared")
    assert found.loss < 0.02
    assert len(calls) < 49 * 14 + 8 * 14 + 4 * 14
    assert sum(size > 1000 for size in calls) < 20
