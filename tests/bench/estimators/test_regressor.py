"""SGDCurveRegressor: scikit-learn's own checks, its tools, and the numbers of its SGDRegressor.

Nothing here is about compilation, so nearly all of it asks for the kernel that needs none.
"""

import pickle
import re
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.feature_selection import RFE
from sklearn.linear_model import PoissonRegressor, SGDRegressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from sgdbench import Model, SGDCurveRegressor, fit, models
from sgdbench.estimators.features import LINEAR, model_for_features
from sgdbench.kernels.model.sample_weight import WeightedModel
from sgdbench.kernels.train.partial_fit import RunState, partial_fit, start_run
from tests.support.constants import ROOT

# Most fits here are short, to compare their numbers with those of others.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def regressor(*args, **settings):
    """Return a regressor that trains in the units given, as those that it is compared with do."""
    return SGDCurveRegressor(*args, **{"kernel": "reference", "random_state": 0, "standardize": False} | settings)


# As scikit-learn expects of its SGDRegressor: two steps are not one of twice the length.
NOT_EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not two samples"}


@pytest.mark.filterwarnings("default")  # what scikit-learn warns of in its own checks is its own affair
@parametrize_with_checks([regressor(epochs=5, standardize=True)], expected_failed_checks=lambda _: NOT_EXPECTED)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def samples():
    """Three features, noise, weights of which one is 0."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    weights = rng.uniform(0, 3, 40)
    weights[3] = 0
    return x, x @ [1, -2, 0.5] + 0.5 + 0.1 * rng.standard_normal(40), weights


RATES = [("constant", "sgd"), ("invscaling", "inverse_scaled(sgd, 0.3)")]
LOSSES = [("squared_error", "squared"), ("huber", "huber(0.3)"), ("epsilon_insensitive", "epsilon_insensitive(0.3)")]


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("average", [False, True], ids=["last", "average"])
@pytest.mark.parametrize(("learning_rate", "optimizer"), RATES, ids=["constant", "invscaling"])
@pytest.mark.parametrize(("their_loss", "loss"), LOSSES, ids=["squared", "huber", "epsilon_insensitive"])
def test_the_numbers_of_sgd_regressor(samples, their_loss, loss, learning_rate, optimizer, average, weighted):
    x, y, weights = samples
    weights = weights if weighted else None
    theirs = SGDRegressor(loss=their_loss, epsilon=0.3, penalty=None, shuffle=False, max_iter=7, tol=None,
                          learning_rate=learning_rate, eta0=0.05, power_t=0.3, average=average)  # fmt: skip
    theirs.fit(x, y, sample_weight=weights)
    optimizer = f"averaged({optimizer})" if average else optimizer
    ours = regressor(lr=0.05, optimizer=optimizer, loss=loss, shuffle=False, epochs=7)
    ours.fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-13)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-13)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-12)
    assert ours.score(x, y, weights) == pytest.approx(theirs.score(x, y, weights), rel=1e-12)


@pytest.mark.parametrize("average", [False, True], ids=["last", "average"])
@pytest.mark.parametrize(("learning_rate", "optimizer"), RATES, ids=["constant", "invscaling"])
def test_a_stream_of_samples_gives_what_sgd_regressor_makes_of_it(samples, learning_rate, optimizer, average):
    """The count of updates, and the average, go on from chunk to chunk, of whatever sizes."""
    x, y, weights = samples
    theirs = SGDRegressor(penalty=None, shuffle=False, learning_rate=learning_rate, eta0=0.05, power_t=0.3,
                          average=average)  # fmt: skip
    ours = regressor(lr=0.05, optimizer=f"averaged({optimizer})" if average else optimizer, shuffle=False)
    for chunk in np.split(np.arange(40), [11, 12, 30]):
        theirs.partial_fit(x[chunk], y[chunk], sample_weight=weights[chunk])
        ours.partial_fit(x[chunk], y[chunk], sample_weight=weights[chunk])
        np.testing.assert_allclose(ours.params_, [*theirs.coef_, *theirs.intercept_], rtol=1e-12)
    assert ours.n_iter_ == 4


@pytest.mark.parametrize(
    ("optimizer", "batch_size"), [("sgd", 1), ("adam", 16), ("averaged(inverse_scaled(momentum))", 1)]
)
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
def test_calls_of_partial_fit_give_the_bits_of_fit(samples, optimizer, batch_size, weighted):
    x, y, weights = samples
    given = {"sample_weight": weights if weighted else None}
    settings = {"optimizer": optimizer, "batch_size": batch_size, "schedule": "halve(2)", "epochs": 5, "lr": 0.05}
    whole, parts = regressor(**settings).fit(x, y, **given), regressor(**settings)
    for _ in range(5):
        parts.partial_fit(x, y, **given)
    np.testing.assert_array_equal(parts.params_, whole.params_)
    np.testing.assert_array_equal(parts.loss_curve_[1:], whole.loss_curve_[1:])
    # They go on from `fit`, at the last rate, in the order of the next epoch.
    longer = regressor(**settings | {"epochs": 6, "schedule": [1, 0.5, 0.5, 0.25, 0.25, 0.25]}).fit(x, y, **given)
    whole.partial_fit(x, y, **given)
    np.testing.assert_array_equal(whole.params_, longer.params_)


@pytest.mark.parametrize("batch_size", [1, 7, "full"])
@pytest.mark.parametrize("loss", ["squared", "logcosh"])
def test_weights_multiply_gradients(samples, batch_size, loss):
    """Finite differences of the weighted mean of the loss are the step, for a model that is not linear."""
    x, y, weights = samples
    model, x, init = Model("a*exp(b*x) + c"), x[:, 0], np.array([0.5, 0.3, -0.2])
    size = 40 if batch_size == "full" else batch_size
    ours = regressor(model, init=init, lr=0.1, optimizer="sgd", loss=loss, shuffle=False, batch_size=batch_size)
    ours.partial_fit(x[:size, np.newaxis], y[:size], sample_weight=weights[:size])

    def objective(theta):
        residual = theta[0] * np.exp(theta[1] * x[:size]) + theta[2] - y[:size]
        each = residual**2 / 2 if loss == "squared" else np.log(np.cosh(residual))
        return np.sum(weights[:size] * each) / size

    gradient = [(objective(init + step) - objective(init - step)) / 2e-6 for step in 1e-6 * np.eye(3)]
    np.testing.assert_allclose((init - ours.params_) / 0.1, gradient, rtol=1e-8, atol=1e-8)


def test_the_numbers_of_fit(samples):
    x, y, _ = samples
    settings = {"lr": 0.05, "optimizer": "adam", "epochs": 6, "batch_size": 9, "kernel": "reference"}
    settings |= {"validation": 0.2, "patience": 2}
    init = [0.5, -0.2, 1.0]
    ours = regressor("a*exp(b*x1) + c*x3", random_state=5, init=init, **settings).fit(x, y)
    model = Model("a*exp(b*x1) + c*x3", inputs=("x1", "x3"))
    result = fit(model, x[:, [0, 2]], y, init=init, seed=5, shuffle=True, drop_last=False, **settings)
    assert ours.model_.params == ("a", "b", "c")
    assert (ours.n_iter_, ours.status_) == (result.epochs, result.status)
    np.testing.assert_array_equal(ours.params_, result.params)
    np.testing.assert_array_equal(ours.loss_curve_, result.loss)
    np.testing.assert_array_equal(ours.validation_loss_curve_, result.validation_loss)
    np.testing.assert_array_equal(ours.predict(x), result.predict(x[:, [0, 2]]))


def test_counts_against_scikit_learns_poisson_regressor(samples):
    x, _, weights = samples
    y = np.random.default_rng(1).poisson(np.exp(x @ [0.3, -0.5, 0.1]))
    theirs = PoissonRegressor(alpha=0, tol=1e-10).fit(x, y, sample_weight=weights)
    ours = regressor(loss="poisson", optimizer="sgd", batch_size="full", lr=0.3, epochs=600)
    ours.fit(x, y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), rtol=1e-6)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5)


def test_held_out_samples_of_ones_own_have_columns_as_x(samples):
    x, y, weights = samples
    frame = pd.DataFrame(x, columns=["hp", "weight", "year"])
    ours = regressor("a*year + b", validation=(frame[:10], y[:10]), epochs=4)
    ours.fit(frame[10:], y[10:], sample_weight=weights[10:])
    expected = np.mean((ours.predict(frame[:10]) - y[:10]) ** 2)
    assert ours.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="feature names"):
        regressor("a*year + b", validation=(frame[:10][["year"]], y[:10])).fit(frame[10:], y[10:])


# scikit-learn's tools


def test_pipelines_searches_and_cross_validation():
    frame, y = load_diabetes(return_X_y=True, as_frame=True)
    frame, y = frame[:60][["bmi", "bp"]], y[:60] / 77
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), regressor(epochs=3))
    grid = {"lr": [0.01, 1e6], "model": ["a*bmi", "a*bmi + b*bp + c"], "optimizer": ["sgd"]}
    search = GridSearchCV(pipeline, {f"sgdcurveregressor__{name}": values for name, values in grid.items()}, cv=3)
    with pytest.warns(FitFailedWarning, match="6 fits failed out of"), pytest.warns(UserWarning, match="non-finite"):
        search.fit(frame, y)  # runs that diverge
    assert search.best_params_["sgdcurveregressor__model"] == "a*bmi + b*bp + c"
    assert np.isnan(search.cv_results_["mean_test_score"]).sum() == 2
    assert search.best_estimator_[-1].feature_names_in_.tolist() == ["bmi", "bp"]
    scores = cross_val_score(clone(search.best_estimator_), frame, y, cv=3)
    assert scores.mean() == pytest.approx(search.best_score_, rel=1e-12)


def test_coefficients_are_those_of_the_linear_model_alone(samples):
    x, y, _ = samples
    linear, other = (regressor(*model, optimizer="sgd").fit(x, y) for model in ([], ["a*x1 + b*x2 + c*x3 + d"]))
    assert linear.params_.tolist() == [*linear.coef_, *linear.intercept_]
    np.testing.assert_allclose(other.params_, linear.params_, rtol=1e-12)
    assert not any(hasattr(each, "coef_") for each in (other, regressor()))
    selection = RFE(regressor(optimizer="sgd", epochs=20), n_features_to_select=2).fit(x, y)
    assert selection.support_.tolist() == [True, True, False]


def test_what_the_tags_say():
    tags = get_tags(SGDCurveRegressor())
    assert tags.estimator_type == "regressor"
    assert tags.target_tags.required
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan


def test_warm_starts_go_on_from_the_parameters(samples):
    x, y, _ = samples
    ours = regressor(optimizer="sgd", warm_start=True, shuffle=False, epochs=3).fit(x, y)
    before = ours.params_
    ours.fit(x, y)
    again = regressor(optimizer="sgd", init=before, shuffle=False, epochs=3).fit(x, y)
    np.testing.assert_array_equal(ours.params_, again.params_)
    np.testing.assert_array_equal(clone(ours).fit(x, y).params_, before)
    another = r"warm_start must be False to fit another model: its parameters were \('w\[x1"
    with pytest.raises(ValueError, match=another):
        ours.set_params(model="a*x1").fit(x, y)
    np.testing.assert_array_equal(ours.predict(x), again.predict(x))  # which a failure leaves as it was


def test_a_failed_fit_and_later_settings_change_no_prediction(samples):
    x, y, _ = samples
    ours = regressor(loss="poisson", epochs=2).fit(x, np.abs(y))
    before = ours.predict(x)
    for train in (ours.fit, ours.partial_fit):
        with pytest.raises(ValueError, match="y must be 0 or more"):
            train(x[:, :1] if train == ours.fit else x, -np.abs(y) - 1)
    assert ours.n_features_in_ == x.shape[1]
    ours.set_params(loss="squared", model="a*x1")
    np.testing.assert_array_equal(ours.predict(x), before)
    assert ours.coef_.shape == (x.shape[1],)
    unfitted = regressor()
    with pytest.raises(ValueError, match="y must be 0 or more"):
        unfitted.set_params(loss="poisson").fit(x, -np.abs(y) - 1)
    with pytest.raises(NotFittedError):
        unfitted.predict(x)


def test_a_fitted_one_is_pickled_and_its_data_are_not(samples):
    x, y, _ = samples
    x, y = np.tile(x, (20, 1)), np.tile(y, 20)
    ours = regressor(epochs=1).fit(x, y)
    text = pickle.dumps(ours)
    assert len(text) < 5000
    again = pickle.loads(text)
    np.testing.assert_array_equal(again.predict(x), ours.predict(x))
    np.testing.assert_array_equal(again.partial_fit(x, y).params_, ours.partial_fit(x, y).params_)


def test_random_states(samples):
    x, y, _ = samples
    paths = [regressor("a*exp(b*x1)", random_state=state, epochs=1) for state in (3, 3, np.random.RandomState(3), None)]
    a, b, c, d = (each.fit(x, y).params_ for each in paths)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(c, d)
    c_again = regressor("a*exp(b*x1)", random_state=np.random.RandomState(3), epochs=1).fit(x, y).params_
    np.testing.assert_array_equal(c, c_again)


def test_a_batch_larger_than_the_data_is_all_of_them(samples):
    x, y, _ = samples
    larger, full = (regressor(batch_size=size, validation=0.25, epochs=2).fit(x, y) for size in (1000, "full"))
    np.testing.assert_array_equal(larger.params_, full.params_)


# Models and features


@pytest.mark.parametrize(
    ("model", "count", "headings", "expression", "places"),
    [
        (LINEAR, 1, None, LINEAR, (0,)),
        (Model("w @ x", inputs={"x": ["mpg", "hp"]}), 3, ["hp", "year", "mpg"], "w @ x", (2, 0)),
        ("a*hp + b", 3, ["mpg", "hp", "x1"], "a*hp + b", (1,)),
        ("a*engine_power + b", 2, ["Engine power", "x"], "a*engine_power + b", (0,)),
        ("a*x2 + b", 2, ["hp", "mpg"], "a*x2 + b", (1,)),
        ("a*x + b", 1, ["hp"], "a*x + b", (0,)),
        ("plane", 2, ["hp", "mpg"], models.plane.expression, (0, 1)),
        (Model("a*mpg*hp", inputs=("hp", "mpg")), 3, ["mpg", "year", "hp"], "a*mpg*hp", (2, 0)),
    ],
)
def test_what_a_model_means_for_the_features(model, count, headings, expression, places):
    made, taken = model_for_features(model, count, headings)
    assert (made.expression, taken) == (expression, places)


@pytest.mark.parametrize(
    ("model", "headings", "params"),
    [
        (LINEAR, None, ("w[x1]", "w[x2]", "w[x3]", "b")),
        (LINEAR, ["b", "w", "Engine power"], ("w[b]", "w[w]", "w[Engine power]", "b")),
        ("mlp(1)", ["b", "c", "x"], ("b", "v[0]", "W[0,b]", "W[0,c]", "W[0,x]", "c[0]")),
        ("w @ x + a*x2**2", ["hp", "mpg", "year"], ("w[x1]", "w[x2]", "w[x3]", "a")),
        ("w @ x + a*mpg**2", ["hp", "mpg", "x"], ("w[hp]", "w[mpg]", "w[x]", "a")),
    ],
)
def test_names_of_weights_are_those_of_the_features(model, headings, params):
    """No heading takes the place of a parameter of the model that is there by default, or of a ready-made one."""
    assert model_for_features(model, 3, headings)[0].params == params


def test_a_rate_of_zero_is_an_epoch_without_a_step(samples):
    x, y, _ = samples
    model, _ = model_for_features(LINEAR, 3)
    state, loss = partial_fit(model, x, y, start_run(model, [1, 2, 3, 4]), lr=0.0, kernel="reference")
    assert isinstance(state, RunState)
    np.testing.assert_array_equal(state.params, [1, 2, 3, 4])
    assert loss == pytest.approx(np.mean((x @ [1, 2, 3] + 4 - y) ** 2))


def test_weights_have_a_name_of_their_own():
    model = WeightedModel(Model("sample_weight*x"))
    assert model.inputs == ("x", "sample_weight_")
    assert model.is_linear


# Without scikit-learn


def test_importing_bench_does_not_import_scikit_learn(python):
    listed = "assert {'SGDCurveRegressor', 'TYPE_CHECKING'} & {*dir(bench)} == {'SGDCurveRegressor'}"  # for consoles
    assert python(f"import sys, bench; {listed}; print({{'sklearn', 'numpy'}} & set(sys.modules))") == "set()\n"


def test_without_scikit_learn_one_line_says_how_to_install_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("sgdbench.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)
    exec("from sgdbench import *", {})
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    (needed,) = extras["sklearn"]
    version = needed.removeprefix("scikit-learn>=")
    needs = f'SGDCurveRegressor and SGDCurveClassifier need scikit-learn {version} or newer: pip install "{needed}"'
    with pytest.raises(ImportError, match=f"^{re.escape(needs)}$"):
        exec("from sgdbench import SGDCurveRegressor", {})
