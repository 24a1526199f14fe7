"""SGDCurveClassifier: scikit-learn's own checks, its tools, and the numbers of its classifiers and of its log_loss."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import hinge_loss, log_loss
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from sgdbench import SGDCurveClassifier, fit
from sgdbench.tables.confusion import confusion_table

# Most fits here are short, to compare their numbers with those of others.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def classifier(*args, **settings):
    """Return a classifier that trains in the units given, as those that it is compared with do."""
    return SGDCurveClassifier(*args, **{"kernel": "reference", "random_state": 0, "standardize": False} | settings)


# As scikit-learn expects of its SGDClassifier: two steps are not one of twice the length.
NOT_EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a weight of 2 is not two samples"}


@pytest.mark.filterwarnings("default")  # what scikit-learn warns of in its own checks is its own affair
@parametrize_with_checks(
    [classifier(epochs=5, lr=0.05, standardize=True)], expected_failed_checks=lambda _: NOT_EXPECTED
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def cancer():
    """Thirty features, scaled, two classes by name."""
    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x)[:200], np.array(["malignant", "benign"])[y[:200]]


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize(("their_loss", "loss"), [("log_loss", None), ("log_loss", "logistic"), ("hinge", "hinge")])
def test_the_numbers_of_sgd_classifier(cancer, their_loss, loss, weighted):
    x, y = cancer
    weights = np.random.default_rng(0).uniform(0, 3, y.size) if weighted else None
    theirs = SGDClassifier(loss=their_loss, penalty=None, shuffle=False, max_iter=5, tol=None,
                           learning_rate="constant", eta0=0.05)  # fmt: skip
    theirs.fit(x, y, sample_weight=weights)
    ours = classifier(lr=0.05, optimizer="sgd", loss=loss, shuffle=False, epochs=5).fit(x, y, sample_weight=weights)
    assert ours.classes_.tolist() == theirs.classes_.tolist() == ["benign", "malignant"]
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.decision_function(x), theirs.decision_function(x), rtol=0, atol=1e-11)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    assert ours.score(x, y, weights) == theirs.score(x, y, weights)
    if loss == "hinge":
        assert not hasattr(ours, "predict_proba")
        assert ours.loss_curve_[-1] == pytest.approx(hinge_loss(y, theirs.decision_function(x)), rel=1e-12)
    else:
        np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(ours.predict_log_proba(x), np.log(ours.predict_proba(x)))
        assert ours.loss_curve_[-1] == pytest.approx(log_loss(y, theirs.predict_proba(x)), rel=1e-9)


def test_a_stream_of_samples_gives_what_sgd_classifier_makes_of_it(cancer):
    x, y = cancer
    theirs = SGDClassifier(loss="log_loss", penalty=None, shuffle=False, learning_rate="constant", eta0=0.05)
    ours = classifier(lr=0.05, optimizer="sgd", shuffle=False)
    order = np.argsort(y, kind="stable")  # the first chunk has one class
    for chunk in np.split(order, [20, 90]):
        theirs.partial_fit(x[chunk], y[chunk], classes=["malignant", "benign"])
        ours.partial_fit(x[chunk], y[chunk], classes=["malignant", "benign"])
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-12)
    assert ours.n_iter_ == 3


@pytest.mark.parametrize(("model", "optimizer"), [("w @ x + b", "adam"), ("mlp(4)", "sgd")])
def test_the_numbers_of_fit_of_many_classes(iris, model, optimizer):
    x, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    settings = {"lr": 0.05, "optimizer": optimizer, "epochs": 4, "batch_size": 16, "kernel": "reference"}
    ours = classifier(model, random_state=7, **settings).fit(x, names)
    result = fit(model, x, names, seed=7, shuffle=True, drop_last=False, loss="softmax", **settings)
    np.testing.assert_array_equal(ours.params_, result.params)
    np.testing.assert_array_equal(ours.loss_curve_, result.loss)
    np.testing.assert_array_equal(ours.predict_proba(x), result.predict_mean(x))
    np.testing.assert_array_equal(ours.predict(x), result.predict_class(x))
    assert ours.loss_curve_[-1] == pytest.approx(log_loss(names, ours.predict_proba(x)), rel=1e-12)

    parts = classifier(model, random_state=7, **settings)
    for _ in range(4):
        parts.partial_fit(x, names, classes=["virginica", "setosa", "versicolor"])
    np.testing.assert_array_equal(parts.params_, ours.params_)
    np.testing.assert_array_equal(parts.loss_curve_[1:], ours.loss_curve_[1:])


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
def test_it_ends_where_logistic_regression_does(iris, loss, weighted):
    """Probabilities, since softmax has many parameters for the same ones; classes that overlap, so that it ends."""
    x, y = iris
    x, y = x[:, [1, 2]], np.random.default_rng(0).permuted(y.reshape(-1, 5), axis=1).ravel()
    y = np.where(np.arange(150) % 4, y, np.arange(150) % 3)
    if loss == "logistic":
        y = y > 0
    weights = np.random.default_rng(1).uniform(0.5, 2, 150) if weighted else None
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x, y, sample_weight=weights)
    ours = classifier(optimizer="momentum(0.9)", batch_size="full", lr=0.5, epochs=600)
    ours.fit(x, y, sample_weight=weights)
    assert ours.model_.classes == (3 if loss == "softmax" else 1)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(ours.predict(x), theirs.predict(x))
    shift = 0.0 if loss == "logistic" else ours.coef_.mean(axis=0)
    np.testing.assert_allclose(ours.coef_ - shift, theirs.coef_, rtol=1e-4, atol=1e-5)


def test_scores_of_two_classes_with_softmax_are_their_difference(cancer):
    x, y = cancer
    ours = classifier(loss="softmax", epochs=3).fit(x, y)
    scores = ours.decision_function(x)
    assert ours.model_.classes == 2
    np.testing.assert_allclose(scores, (x @ ours.coef_.T + ours.intercept_)[:, 0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), ours.predict_proba(x)[:, 1], rtol=1e-12)
    assert ours.score(x, y) > 0.9


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ([False, True], np.asarray),
        ([-1, 1], np.asarray),
        ([2.0, 7.0], np.asarray),
        (["10", "9", "8", "7"], np.asarray),
        (["no", "yes"], lambda y: y.astype(object)),
        ([3, 1, 2], lambda y: y.astype(object)),
        ([False, True], lambda y: pd.Series(y, dtype="category")),
        (["a", "b", "c"], lambda y: pd.Series(y, dtype="category")),
    ],
)
def test_labels_of_any_kind(iris, labels, kind):
    x, _ = iris
    y = np.array(labels)[np.arange(150) * len(labels) // 150]
    ours = classifier(epochs=10, lr=0.1).fit(x, kind(y))
    assert ours.classes_.tolist() == sorted(labels)
    if kind is np.asarray:
        assert ours.predict(x).dtype == y.dtype
    assert ours.score(x, y) > 0.6
    assert ours.predict_proba(x).shape == (150, len(labels))


@pytest.mark.parametrize("unit", ["ns", "D"])
def test_dates_are_labels(iris, unit):
    x, y = iris
    days = np.array(["2026-01-01", "2026-02-01", "2026-03-01"], f"datetime64[{unit}]")
    ours = classifier(epochs=2).fit(x, days[y])
    np.testing.assert_array_equal(ours.classes_, days)
    np.testing.assert_array_equal(ours.predict(x), days[classifier(epochs=2).fit(x, y).predict(x)])


def test_held_out_samples_have_labels_too(iris):
    x, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    ours = classifier(validation=(x[::3], names[::3]), epochs=30, patience=2, lr=0.5).fit(x[1::3], names[1::3])
    held_out = log_loss(names[::3], ours.predict_proba(x[::3]), labels=ours.classes_)
    assert ours.validation_loss_curve_.min() == pytest.approx(held_out, rel=1e-12)


def test_what_the_tags_say():
    for loss, many in ((None, True), ("softmax", True), ("logistic", False), ("hinge", False), ("unknown", False)):
        tags = get_tags(SGDCurveClassifier(loss=loss))
        assert tags.estimator_type == "classifier"
        assert tags.classifier_tags.multi_class == many


def test_coefficients_are_those_of_the_weighted_sum_alone(iris):
    x, y = iris
    ours = classifier("W@x + b", epochs=1).fit(x, y)
    assert (ours.coef_.shape, ours.intercept_.shape) == ((3, 4), (3,))
    np.testing.assert_allclose(ours.decision_function(x), x @ ours.coef_.T + ours.intercept_, rtol=1e-12, atol=1e-14)
    hidden = classifier("mlp(2)", epochs=1).fit(x, y)
    assert not hasattr(hidden, "coef_")
    assert hidden.model_.coef(hidden.params_, "v").shape == (3, 2)


def test_warm_starts_go_on_with_the_same_classes(iris):
    x, y = iris
    ours = classifier(optimizer="sgd", warm_start=True, shuffle=False, epochs=2).fit(x, y)
    ours.fit(x, y)
    whole = classifier(optimizer="sgd", shuffle=False, epochs=4).fit(x, y)
    np.testing.assert_array_equal(ours.params_, whole.params_)
    with pytest.raises(ValueError, match="warm_start must be False to fit other classes than before"):
        ours.fit(x, y + 1)
    with pytest.raises(ValueError, match="warm_start must be False to fit another model"):
        ours.fit(x, y > 1)
    assert ours.classes_.tolist() == [0, 1, 2]  # a failure leaves it as it was


X, Y = np.random.default_rng(0).standard_normal((6, 2)), [0, 1, 2, 0, 1, 2]


def test_the_classes_of_partial_fit_may_be_many():
    assert classifier().partial_fit(X, Y, classes=range(30)).predict_proba(X).shape == (6, 30)


def test_a_score_of_exactly_0_is_the_first_class_wherever_classes_are_predicted():
    x, y = np.zeros((4, 1)), np.array([0.0, 1, 0, 1])
    settings = {"init": [0.0, 0.0], "lr": 0.1, "epochs": 1, "batch_size": "full", "kernel": "reference"}
    result = fit("w @ x + b", x, y, loss="logistic", **settings)
    assert result.predict(x).tolist() == [0.0] * 4
    found = classifier(**settings).fit(x, y)
    for predicted in (result.predict_class(x), found.predict(x)):
        assert predicted.tolist() == [0] * 4
    assert result.metrics["accuracy"] == found.score(x, y) == 0.5
    assert confusion_table(y, result.predict(x), result.criterion, "ab")["a"].tolist() == [2, 2]


def test_small_probabilities_have_all_their_digits():
    """Not those of 1 - p, which is 0 from a score of 37 on."""
    x, y = np.array([[-50.0], [50.0]]), np.array([0, 1])
    found = classifier(init=[1.0, 0.0], lr=1e-9, epochs=1, kernel="reference").fit(x, y)
    scores = found.decision_function(x)
    np.testing.assert_allclose(found.predict_proba(x)[:, 0], [1, np.exp(-scores[1])], rtol=1e-12)
