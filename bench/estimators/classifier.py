"""SGDCurveClassifier: any model of class scores, trained by the kernels, as a scikit-learn classifier."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets

from sgdbench.estimators.base import Labels, SGDCurveEstimator
from sgdbench.kernels.base.checks import check_unmasked
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import (
    check_labels_present,
    classes_of,
    find_classes,
    losses_of_classes,
    takes_classes,
)
from sgdbench.kernels.losses.loss import Loss

SOFTMAX = "softmax"


def _gives_probabilities(classifier: SGDCurveClassifier) -> bool:
    """Return whether the loss gives probabilities, for `hasattr`."""
    loss = getattr(classifier, "_loss", classifier.loss)
    return loss is None or make_loss(loss).has_mean


class SGDCurveClassifier(ClassifierMixin, SGDCurveEstimator):
    """A classifier of any expression of scores, fitted with stochastic gradient descent.

    The settings are those of `SGDCurveRegressor`, except for `loss`. The default is logistic regression without a
    penalty: with one score for two classes, as ``sklearn.linear_model.SGDClassifier``, and with a score per class for
    more, as ``sklearn.linear_model.LogisticRegression``.

    Parameters
    ----------
    model : str or Model
        An expression of the features for a score, as for `SGDCurveRegressor`. With softmax each class has a score with
        its own parameters. ``"w @ x + b"`` is a weighted sum of all features and a constant; ``"mlp(8)"`` has a hidden
        layer of 8 units.
    loss : str or Loss, optional
        ``"logistic"`` or ``"hinge"``, for two classes, or ``"softmax"``, for 2 to 100. By default logistic for two
        classes and softmax for more.
    standardize, lr, schedule, batch_size, epochs, optimizer, shuffle, init, target, validation, patience
        As for `SGDCurveRegressor`. The y of `validation` are labels too, all of which must occur in the training data.
    warm_start, kernel, random_state
        As for `SGDCurveRegressor`.

    Attributes
    ----------
    classes_ : array, shape (classes,)
        The labels, sorted.
    params_ : array, shape (P,)
        The fitted parameters, in the order of ``model_.params``, which has their names; ``model_.coef(params_, "w")``
        returns those of one name in their shape.
    model_ : Model
        The fitted model, whose ``classes`` is the number of scores: 1 for the losses logistic and hinge.
    loss_curve_ : array, shape (n_iter_ + 1,)
        The mean loss before the first epoch and after each; with `partial_fit` over the samples of the call, and nan
        at first.
    validation_loss_curve_ : array, shape (n_iter_ + 1,), or None
        The same over the held-out samples.
    coef_, intercept_ : array, shape (1, n_features_in_) and (1,), or (classes, n_features_in_) and (classes,)
        The parameters of the model ``"w @ x + b"``, as in scikit-learn's linear classifiers: `decision_function` is
        ``X @ coef_.T + intercept_``.
    n_iter_, status_, n_features_in_, feature_names_in_, categories_
        As for `SGDCurveRegressor`.

    Notes
    -----
    A sample weight multiplies the gradient of its sample, as in ``SGDClassifier``. A fit that has not converged emits a
    ``sklearn.exceptions.ConvergenceWarning``, as described for `SGDCurveRegressor`.

    For two classes, ``SGDClassifier(loss=..., penalty=None, shuffle=False, tol=None, learning_rate="constant", eta0=lr,
    max_iter=epochs)`` matches ``SGDCurveClassifier(optimizer="sgd", standardize=False, shuffle=False)`` to rounding,
    with the losses ``"log_loss"`` for logistic and ``"hinge"``. For more classes it trains one classifier per class
    against the rest, without softmax.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sgdbench import SGDCurveClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> SGDCurveClassifier(random_state=0).fit(X, y).predict_proba(X[:1]).round(3)
    array([[1., 0., 0.]])
    """

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> SGDCurveClassifier:
        """Train one more epoch, on these samples; see `SGDCurveRegressor.partial_fit`.

        Parameters
        ----------
        X : array or data frame, shape (n, features)
        y : array, shape (n,)
        classes : array, shape (classes,)
            All labels that any call may have. Required in the first call, unless `fit` was called before.
        sample_weight : array, shape (n,), optional
            Nonnegative weights.

        Returns
        -------
        SGDCurveClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If an argument is invalid, a label is not among the classes, or the run diverges.
        """
        earlier_classes: Labels | None = getattr(self, "classes_", None)
        labels = earlier_classes if classes is None else self._read_classes(classes)
        if labels is None:
            raise ValueError("classes must list all labels of y in the first call of partial_fit")
        if earlier_classes is not None and not np.array_equal(earlier_classes, labels):
            raise ValueError(
                f"classes must be the same as in the first call, {earlier_classes.tolist()}, not {labels.tolist()}"
            )
        with self._keep_features():
            self._train_epoch(X, y, sample_weight, labels)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the scores at X; for two classes, that of the second, which is predicted if it is positive.

        With softmax and two classes it is the difference of the two scores, which is the log odds.

        Parameters
        ----------
        X : array or data frame, shape (n, features)

        Returns
        -------
        array, shape (n,), or with more than two classes (n, classes)
        """
        scores = self._predict_scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1:] == (2,) else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label with the highest score at X; the first of equal ones.

        Parameters
        ----------
        X : array or data frame, shape (n, features)

        Returns
        -------
        array, shape (n,)
        """
        scores = self.decision_function(X)
        chosen: NDArray[Any] = self.classes_[scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.0).astype(int)]
        return chosen

    @available_if(_gives_probabilities)
    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return the probabilities of the classes at X; not available for the hinge loss.

        Parameters
        ----------
        X : array or data frame, shape (n, features)

        Returns
        -------
        array, shape (n, classes)
        """
        scores = self._predict_scores(X)
        loss = make_loss(self._loss)
        if loss.by_class:
            return loss.mean_of(scores)
        return np.column_stack([loss.mean_of(-scores), loss.mean_of(scores)])

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: ArrayLike) -> Floats:
        """Return the logarithms of the probabilities of `predict_proba`."""
        with np.errstate(divide="ignore"):  # log(0) is -inf
            logarithms: Floats = np.log(self.predict_proba(X))
        return logarithms

    @property
    def coef_(self) -> Floats:
        """The weights of the features in each score; only the model ``w @ x + b`` has them."""
        return self._rows(self._linear_params("coef_")[0].reshape(-1, self.n_features_in_))

    @property
    def intercept_(self) -> Floats:
        """The constant of each score; only the model ``w @ x + b`` has them."""
        return self._rows(self._linear_params("intercept_")[1].reshape(-1))

    @staticmethod
    def _rows(of_scores: Floats) -> Floats:
        """Return parameters of scores in the form of `decision_function`."""
        return of_scores[1:] - of_scores[:1] if len(of_scores) == 2 else of_scores

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: a loss for two classes supports no more."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = self.loss is None or str(getattr(self.loss, "name", self.loss)) == SOFTMAX
        return tags

    def _read_arrays(self, X: ArrayLike, y: ArrayLike, *, first: bool) -> tuple[Floats, NDArray[Any]]:
        labels = np.asarray(y)
        if labels.dtype.kind == "O" and labels.ndim == 1:  # scikit-learn cannot compare these if some are missing
            check_labels_present(labels, "y")
        return super()._read_arrays(X, y, first=first)

    def _find_labels(self, y: NDArray[Any]) -> Labels:
        if y.dtype.kind == "O" and (classes := find_classes(make_loss(SOFTMAX), y)):
            return np.array(classes.labels)
        check_classification_targets(y)
        return np.unique(y)

    def _make_loss(self, labels: Labels) -> Loss:
        loss = make_loss(self.loss if self.loss is not None else "logistic" if labels.size <= 2 else SOFTMAX)
        if not takes_classes(loss):
            raise ValueError(f"loss must be a classification loss, not {loss.text!r}: {losses_of_classes()}")
        if labels.size == 1:
            raise ValueError(f"y must hold two classes or more, and holds one class, {labels.tolist()[0]!r}")
        try:
            classes_of(labels.tolist(), loss)
        except ValueError as error:
            if loss.by_class:
                raise
            raise ValueError(f"Only binary classification is supported by loss={loss.name!r}: {error}") from None
        return loss

    def _read_classes(self, classes: ArrayLike) -> Labels:
        check_unmasked("classes", classes)
        # Each twice: scikit-learn warns if more than 20 numbers are all different, as if they were not classes.
        return self._find_labels(np.repeat(column_or_1d(classes), 2))
