"""The estimators as they come: defaults that arrive, in whatever units the columns are, and a warning where not."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgdbench import SGDCurveClassifier, SGDCurveRegressor
from sgdbench.estimators.arrival import MAX_NUMBERS
from sgdbench.kernels.model.models import make_model


def houses(n=5000):
    """Columns as skewed, and as different in size, as in the California housing data, and five without an effect.

    Ten columns, like the diabetes data: the same kernel trains both.
    """
    rng = np.random.default_rng(0)
    income, rooms, people = rng.lognormal(1.2, 0.5, n), rng.lognormal(1.6, 0.4, n), rng.lognormal(7, 0.8, n)
    latitude = rng.uniform(32, 42, n)
    longitude = -85 - latitude + rng.standard_normal(n)
    x = np.column_stack([income, rooms, people, latitude, longitude])
    y = x @ [0.44, -0.1, -4e-5, -0.42, -0.43] - 37 + 0.7 * rng.standard_normal(n)
    return np.column_stack([x, rng.lognormal(2, 0.6, (n, 5))]), y


UNITS = {
    "as they are": lambda values: values,
    "large": lambda values: values * 1e4,
    "mixed": lambda values: values * 10.0 ** np.resize([-3, 4, 0, -1, 2], values.shape[-1]),
    "far from zero": lambda values: values + 1e4 * values.std(axis=0),
}


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("load", [load_diabetes, houses])
def test_a_regressor_ends_where_linear_regression_does(load, units):
    x, y = load() if load is houses else load(return_X_y=True)
    x, y = UNITS[units](x), y * (1e4 if units == "large" else 1)
    ours = SGDCurveRegressor(random_state=0).fit(x, y)
    scaled = StandardScaler().fit_transform(x)
    assert ours.score(x, y) > 0.99 * LinearRegression().fit(scaled, y).score(scaled, y)
    np.testing.assert_allclose(x @ ours.coef_ + ours.intercept_, ours.predict(x), atol=1e-9 * y.std())
    assert ours.loss_curve_[-1] == pytest.approx(np.mean((ours.predict(x) - y) ** 2))


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_classifier_ends_where_logistic_regression_does(load, units):
    x, y = load(return_X_y=True)
    ours = SGDCurveClassifier(random_state=0).fit(UNITS[units](x), y)
    scaled = StandardScaler().fit_transform(x)
    # Both data can be separated: without a penalty the loss falls forever, and this solver gives up after 100 steps.
    theirs = LogisticRegression(C=np.inf, tol=1e-3).fit(scaled, y)
    assert ours.score(UNITS[units](x), y) > 0.99 * theirs.score(scaled, y)
    shares = np.tile(np.bincount(y) / y.size, (y.size, 1))
    best, constant = log_loss(y, theirs.predict_proba(scaled)), log_loss(y, shares)
    assert log_loss(y, ours.predict_proba(UNITS[units](x))) < best + 0.01 * (constant - best)


CURVES = {
    "a*x**2 + b*x + c": (1.0, -3.0, 1.0),
    "a*exp(-b*x) + c": (5.0, 0.5, 1.0),
    "a*exp(-b*x)": (5.0, 0.5),
    "V*x/(K + x)": (5.0, 2.0),
    "a*x**b": (2.0, 1.5),
    "exp(-b*x)": (0.5,),
}
"""With the parameters that the data were made with."""


@pytest.mark.parametrize("unit", [1.0, 1e4])
@pytest.mark.parametrize("text", CURVES)
def test_curves_arrive_with_parameters_in_the_units_given(text, unit):
    """Also those that have no parameters for a shift of the columns, or for another unit of the target."""
    rng = np.random.default_rng(0)
    x, target_unit = rng.uniform(0.1, 10, (100, 1)), 1.0 if text.startswith("exp") else unit
    made = SGDCurveRegressor(text, random_state=0, kernel="reference", epochs=100)
    y = make_model(text, ["x"]).predict(np.array(CURVES[text]), x)
    y += 0.02 * y.std() * rng.standard_normal(y.size)
    made.fit(x * unit, y * target_unit)
    assert made.score(x * unit, y * target_unit) > 0.99
    predicted = made.predict(x * unit)
    np.testing.assert_allclose(made.model_.predict(made.params_, x * unit), predicted, rtol=1e-8, atol=1e-9 * y.std())
    if unit == 1:
        np.testing.assert_allclose(made.params_, CURVES[text], rtol=0.1)


def test_parameters_that_are_lost_to_rounding_are_an_error_and_predictions_are_right():
    x = np.linspace(2000, 2003, 100)[:, np.newaxis]
    ours = SGDCurveRegressor("polynomial(9)", random_state=0, kernel="reference", epochs=200).fit(x, np.sin(x[:, 0]))
    assert ours.score(x, np.sin(x[:, 0])) > 0.9
    with pytest.raises(AttributeError, match=r"params_ are unavailable: .* are lost to rounding"):
        ours.params_  # noqa: B018
    with pytest.raises(AttributeError, match="has no params_ before it is fitted"):
        clone(ours).params_  # noqa: B018


@pytest.mark.parametrize("loss", ["huber(0.5)", "cauchy(0.5)", "epsilon_insensitive(0.2)", "absolute", "logcosh"])
def test_options_of_a_loss_are_in_the_units_of_the_target(loss):
    """The same numbers, in another unit, are the same fit; logcosh has a unit of its own and is centered only."""
    x, y = houses(500)
    name, option = loss.rstrip(")").split("(") if "(" in loss else (loss, "")
    unit = 1.0 if loss == "logcosh" else 1000.0
    text = f"{name}({float(option) * unit})" if option else name
    settings = {"random_state": 0, "kernel": "reference", "epochs": 2}
    with pytest.warns(ConvergenceWarning):
        ours = SGDCurveRegressor(loss=loss, **settings).fit(x, y)
    with pytest.warns(ConvergenceWarning):
        other = SGDCurveRegressor(loss=text, **settings).fit(x * 7, y * unit + 5 * unit)
    np.testing.assert_allclose(other.coef_ * 7 / unit, ours.coef_, rtol=1e-7)
    degree = {"huber": 2, "cauchy": 2, "logcosh": 0}.get(name, 1)
    np.testing.assert_allclose(other.loss_curve_, ours.loss_curve_ * unit**degree, rtol=1e-7)


QUICK = {"random_state": 0, "kernel": "reference", "epochs": 3}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_starts_and_targets_are_in_the_units_given():
    x, y = houses(200)
    exact = LinearRegression().fit(x, y)
    start = [*exact.coef_, exact.intercept_]
    stays = SGDCurveRegressor(init=start, lr=1e-12, **QUICK).fit(x, y)
    np.testing.assert_allclose(stays.params_, start, rtol=1e-6)
    lowest = np.mean((exact.predict(x) - y) ** 2)
    assert stays.loss_curve_[0] == pytest.approx(lowest)
    stops = SGDCurveRegressor(target=1.5 * lowest, **QUICK | {"epochs": 50}).fit(x, y)
    assert stops.status_ == "converged"
    assert stops.loss_curve_[-1] <= 1.5 * lowest < stops.loss_curve_[-2]
    with pytest.raises(ValueError, match="init has no counterpart in standardized units; set standardize=False"):
        SGDCurveRegressor("a*exp(b*x1) + c", init=[1e300, 1e-8, 0], **QUICK).fit(x * 1e9, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_later_calls_keep_the_units_of_the_first():
    x, y = houses(120)
    whole, parts = SGDCurveRegressor(**QUICK).fit(x, y), SGDCurveRegressor(**QUICK)
    for _ in range(3):
        parts.partial_fit(x, y)
    np.testing.assert_array_equal(parts.params_, whole.params_)
    np.testing.assert_array_equal(parts.loss_curve_[1:], whole.loss_curve_[1:])
    before = pickle.loads(pickle.dumps(whole)).set_params(warm_start=True, lr=1e-15)
    np.testing.assert_allclose(before.fit(x[:50] * 2, y[:50]).params_, whole.params_, rtol=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_held_out_samples_have_no_part_in_the_units():
    x, y = houses(100)
    shares = SGDCurveRegressor(validation=0.2, **QUICK).fit(x, y)
    held_out = np.isin(np.arange(100), np.random.default_rng(0).permutation(100)[:20])
    given = SGDCurveRegressor(validation=(x[held_out], y[held_out]), **QUICK).fit(x[~held_out], y[~held_out])
    np.testing.assert_array_equal(shares.params_, given.params_)
    np.testing.assert_array_equal(shares.validation_loss_curve_, given.validation_loss_curve_)
    assert given.validation_loss_curve_[-1] == pytest.approx(np.mean((given.predict(x) - y)[held_out] ** 2))


def test_columns_and_targets_that_do_not_vary():
    x, y = houses(200)
    x[:, 2] = 1e6
    ours = SGDCurveRegressor(random_state=0).fit(x, y)
    reduced = np.delete(x, 2, axis=1)
    assert ours.score(x, y) > 0.99 * LinearRegression().fit(reduced, y).score(reduced, y)
    assert ours.coef_[2] == 0
    np.testing.assert_allclose(SGDCurveRegressor(random_state=0).fit(x, np.full(200, 1e7)).predict(x), 1e7)
    single = SGDCurveRegressor("a*x + b", random_state=0).fit(x[:, :1], 3 * x[:, 0] - 1e5)
    np.testing.assert_allclose(single.params_, [3, -1e5], rtol=1e-3)


def test_a_scaler_in_front_and_a_search_change_nothing_that_matters():
    frame, y = load_breast_cancer(return_X_y=True, as_frame=True)
    labels = y.map({0: "malignant", 1: "benign"})
    alone = SGDCurveClassifier(random_state=0).fit(frame, labels)
    behind = make_pipeline(StandardScaler(), SGDCurveClassifier(random_state=0)).fit(frame, labels)
    np.testing.assert_allclose(behind.predict_proba(frame), alone.predict_proba(frame), atol=1e-6)
    assert alone.classes_.tolist() == ["benign", "malignant"]
    search = GridSearchCV(SGDCurveClassifier(random_state=0), {"lr": [0.03, 0.1]}, cv=3).fit(frame, labels)
    assert search.best_score_ > 0.9


# Warnings

LINE = np.linspace(0, 1, 50)[:, np.newaxis]
SHORT = (
    r"^The fit has not converged: [\d.]+ % of the achievable improvement is still missing. Try more epochs than 2, anot"
)
FALLS = (
    r"^The fit has not converged: [\d.]+ % of the decrease of its loss came in the last epoch. Try more epochs than 2, "
)


@pytest.mark.parametrize(
    ("settings", "x", "y", "weights", "message"),
    [
        ({}, LINE, 3 * LINE[:, 0], None, SHORT),
        ({"loss": "logistic", "model": "a*x + b"}, LINE, LINE[:, 0] > 0.5, None, SHORT),
        ({"model": "a*exp(b*x) + c", "init": [1, -1, 0], "lr": 1e-4}, LINE, LINE[:, 0] ** 2, None, "or another start"),
        (
            {"standardize": False, "epochs": 2},
            LINE * 1e4,
            LINE[:, 0] * 1e7,
            None,
            r"constant. Set standardize=True, or",
        ),
        ({}, LINE, 3 * LINE[:, 0], np.ones(50), FALLS),
        ({"loss": "absolute", "lr": 1e-4}, LINE, 3 * LINE[:, 0], None, SHORT),
        (
            {"batch_size": "full", "loss": "huber"},
            *(np.tile(v, (MAX_NUMBERS // 50, 1)) for v in (LINE, 3 * LINE)),
            None,
            FALLS,
        ),
        ({"model": "sin(w*x)"}, 20 * LINE, np.sin(20 * LINE[:, 0]), None, "is still missing|no better than a constant"),
    ],
)
def test_a_fit_that_has_not_arrived_warns(settings, x, y, weights, message):
    settings = {"random_state": 0, "epochs": 2, "batch_size": 16} | settings
    with pytest.warns(ConvergenceWarning, match=message):
        SGDCurveRegressor(kernel="reference", **settings).fit(x, np.ravel(y).astype(float), sample_weight=weights)


@pytest.mark.parametrize(
    ("settings", "y"),
    [
        ({"patience": 1, "validation": 0.2}, 3 * LINE[:, 0]),
        ({"target": 1.0}, 3 * LINE[:, 0]),
        ({"epochs": 50}, np.ones(50)),
        ({"epochs": 300, "model": "w @ x"}, LINE[:, 0] - 9),  # worse than a constant, and as good as it can be
    ],
)
def test_a_fit_that_was_to_stop_or_can_be_no_better_does_not_warn(settings, y):
    SGDCurveRegressor(**{"kernel": "reference", "random_state": 0, "epochs": 3} | settings).fit(LINE, y)


def test_frames_keep_their_names():
    frame = pd.DataFrame({"hp": [50.0, 100, 150, 200], "mpg": [30.0, 25, 20, 15]})
    ours = SGDCurveRegressor("a*hp + b", random_state=0).fit(frame[["hp"]], frame["mpg"])
    np.testing.assert_allclose(ours.params_, [-0.1, 35], rtol=1e-3)
    assert ours.feature_names_in_.tolist() == ["hp"]
