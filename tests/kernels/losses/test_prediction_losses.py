"""Losses of prediction and target: against scikit-learn, PyTorch and differences; what is recorded and refused."""

import itertools

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import accuracy_score, hinge_loss, log_loss, mean_poisson_deviance

from sgdbench import Model, fit
from sgdbench.data.fit_table import fit_table
from sgdbench.data.scaling import standardize
from sgdbench.data.table import Dataset
from sgdbench.kernels.losses import make_loss

PREDICTIONS = np.array([-40.0, -1.0, -0.3, 0.0, 0.2, 1.0, 2.5, 40.0])
NAMES = ["logistic", "hinge", "poisson", "objective"]


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, (211, 2))
    score = 2 * x[:, 0] - x[:, 1] + 0.3
    return x, (rng.uniform(size=211) < 1 / (1 + np.exp(-3 * score))).astype(float), rng.poisson(np.exp(score)) * 1.0


def values(name, prediction, target):
    loss = make_loss(name)
    prediction, target = np.broadcast_arrays(np.asarray(prediction, float), np.asarray(target, float))
    with np.errstate(over="ignore"):
        return loss.value(prediction, target, ()), loss.derivative(prediction, target, ())


@pytest.mark.parametrize(
    ("name", "prediction", "target", "value", "derivative"),
    [
        ("logistic", 0.0, 1.0, np.log(2.0), -0.5),
        ("logistic", 0.0, 0.0, np.log(2.0), 0.5),
        ("logistic", np.log(3.0), 1.0, np.log(4.0 / 3.0), -0.25),
        ("logistic", np.log(3.0), 0.0, np.log(4.0), 0.75),
        ("logistic", 800.0, 1.0, 0.0, 0.0),
        ("logistic", 800.0, 0.0, 800.0, 1.0),
        ("logistic", -800.0, 1.0, 800.0, -1.0),
        ("hinge", 0.25, 1.0, 0.75, -1.0),
        ("hinge", 0.25, 0.0, 1.25, 1.0),
        ("hinge", 1.0, 1.0, 0.0, -1.0),
        ("hinge", -1.0, 0.0, 0.0, 1.0),
        ("hinge", 1.5, 1.0, 0.0, 0.0),
        ("poisson", 0.0, 0.0, 1.0, 1.0),
        ("poisson", np.log(3.0), 3.0, 0.0, 0.0),
        ("poisson", 0.0, 3.0, 1.0 + 3.0 * np.log(3.0) - 3.0, -2.0),
        ("objective", -2.5, 7.0, -2.5, 1.0),
    ],
)
def test_values_by_hand(name, prediction, target, value, derivative):
    found, slope = values(name, prediction, target)
    assert found == pytest.approx(value, rel=1e-15, abs=1e-15)
    assert slope == pytest.approx(derivative, rel=1e-15, abs=1e-15)


@pytest.mark.parametrize(("name", "target"), [*itertools.product(NAMES, [0.0, 1.0]), ("poisson", 4.0)])
def test_derivative_is_that_of_the_value(name, target):
    at, step = np.linspace(-6, 6, 601) + 0.0003, 1e-5  # no kink within the step
    slope = (values(name, at + step, target)[0] - values(name, at - step, target)[0]) / (2 * step)
    np.testing.assert_allclose(slope, values(name, at, target)[1], rtol=1e-7, atol=1e-8)


def test_log_loss_keeps_its_digits_where_a_sample_is_all_but_certain():
    """log1p(exp(-40)) for a target of 1; the form softplus(f) - y*f would give 0."""
    found, slope = values("logistic", 40.0, 1.0)
    assert found == pytest.approx(np.exp(-40.0), rel=1e-14, abs=0)
    assert slope == pytest.approx(-np.exp(-40.0), rel=1e-14, abs=0)


@pytest.mark.parametrize(("name", "theirs"), [("logistic", "log_loss"), ("hinge", "hinge")])
def test_the_path_of_scikit_learns_classifier(samples, name, theirs):
    """Sample by sample, in order, at a constant rate: the same coefficients after five epochs."""
    x, y, _ = samples
    other = SGDClassifier(
        loss=theirs, penalty=None, learning_rate="constant", eta0=0.1, shuffle=False, max_iter=5, tol=None
    )
    other.fit(x, y, coef_init=np.array([[0.5, -0.5]]), intercept_init=np.array([0.25]))
    model, start = Model("w @ x + b", ("x1", "x2")), [0.5, -0.5, 0.25]
    ours = fit(model, x, y, init=start, lr=0.1, epochs=5, loss=name, kernel="reference")
    np.testing.assert_allclose(ours.params, [*other.coef_[0], *other.intercept_], rtol=1e-12)
    assert ours.metrics["accuracy"] == pytest.approx(accuracy_score(y, other.predict(x)), rel=1e-15)


def test_what_is_recorded_is_the_mean_of_the_loss(samples):
    x, y, counts = samples
    model = Model("w @ x + b", ("x1", "x2"))
    for name, target, theirs in (
        ("logistic", y, lambda f: log_loss(y, 1 / (1 + np.exp(-f)))),
        ("hinge", y, lambda f: hinge_loss(y, f)),
        ("poisson", counts, lambda f: mean_poisson_deviance(counts, np.exp(f)) / 2),
        ("objective", counts, np.mean),
    ):
        held = (x[:40], target[:40])
        ours = fit(
            model, x, target, lr=0.02, epochs=2, loss=name, kernel="reference", validation=held, record_params=True
        )
        for checkpoint in (0, 2):
            f = model.predict(ours.trajectory[checkpoint], x)
            assert ours.loss[checkpoint] == pytest.approx(theirs(f), rel=1e-12), name
            assert ours.loss_at(ours.trajectory[checkpoint]) == pytest.approx(ours.loss[checkpoint], rel=1e-15), name
        with np.errstate(all="ignore"):
            f = model.predict(ours.params, x[:40])
        expected = make_loss(name).value(f, target[:40], ()).mean()
        assert ours.validation_loss[-1] == pytest.approx(expected, rel=1e-14), name


def test_expected_targets():
    for name, link in (("logistic", expit), ("poisson", np.exp), ("squared", np.positive)):
        np.testing.assert_allclose(make_loss(name).mean_of(PREDICTIONS), link(PREDICTIONS), rtol=1e-15)


def test_what_is_said_of_a_fit(samples):
    x, y, _ = samples
    model, shared = Model("w @ x + b", ("x1", "x2")), {"lr": 0.1, "epochs": 5, "kernel": "reference"}
    result = fit(model, x, y, loss="logistic", **shared)
    assert (result.records, result.trained) == ("log loss", "logistic")
    assert np.isnan([result.rmse, result.r2]).all()
    said = str(result)
    missing = "1.3 % of the achievable improvement is still missing"
    assert f"lowest loss {result.optimum.loss:.6g} by L-BFGS; {missing}" in said
    assert f"{result.loss[-1]:.6g} (log loss)" in said
    assert f"accuracy    {result.metrics['accuracy']:.6g}" in said
    assert "RMSE" not in said
    huber = fit(model, x, y, loss="huber(0.2)", **shared)
    loss = make_loss("huber(0.2)")
    expected = loss.value(huber.predict(x) - y, (0.2,)).mean()
    assert huber.loss[-1] == pytest.approx(expected, rel=1e-15)
    rmse = np.sqrt(np.mean((huber.predict(x) - y) ** 2))
    assert huber.metrics == pytest.approx({"rmse": rmse, "r2": 1 - rmse**2 / np.var(y)})


def test_standardizing_leaves_classes_as_they_are(samples):
    x, y, _ = samples
    table = Dataset(3 * x + 5, y, ("u", "v"), "class", "nowhere")
    data, scaling = standardize(table, targets=False)
    np.testing.assert_array_equal(data.y, y)
    np.testing.assert_allclose(data.x.mean(axis=0), 0, atol=1e-12)
    assert (scaling.y_mean, scaling.y_scale) == (0.0, 1.0)
    model = Model("a*u + b*v + c", ("u", "v"))
    settings = {"lr": 0.3, "epochs": 30, "shuffle": True, "kernel": "reference", "init": [0, 0, 0]}
    fitted = fit_table(model, table, standardized=True, loss="logistic", **settings)
    params = np.array(list(fitted.params.values()))
    # The parameters are those of the table's own columns, and the loss is no mean square to be scaled.
    np.testing.assert_allclose(model.predict(params, table.x), fitted.result.predict(data.x), rtol=1e-9)
    assert fitted.loss == fitted.result.loss[-1]
