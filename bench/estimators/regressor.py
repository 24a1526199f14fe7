"""SGDCurveRegressor: any model, trained by the kernels, as a scikit-learn regressor."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from sgdbench.estimators.base import NO_LABELS, Labels, SGDCurveEstimator
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss


class SGDCurveRegressor(RegressorMixin, SGDCurveEstimator):
    """A regressor of any expression, fitted with stochastic gradient descent.

    The settings are those of `sgdbench.fit`, under the same names. By default it is a linear regressor that converges
    to the solution of ``sklearn.linear_model.LinearRegression``. With ``optimizer="sgd"``, ``shuffle=False`` and
    ``standardize=False`` it matches ``sklearn.linear_model.SGDRegressor(penalty=None)``; see Notes.

    Parameters
    ----------
    model : str or Model
        An expression in the features and in parameters to fit, such as ``"a*exp(-b*x1) + c*x2"``. It refers to features
        as ``x1``, ``x2``, ..., or ``x`` if there is only one, or by the column names of a data frame. Or the name of a
        ready-made model, such as ``"polynomial(3)"``, or a `sgdbench.Model`. ``"w @ x + b"`` is a weighted sum of all
        features, of any number, and a constant; ``"mlp(8)"`` has a hidden layer of 8 units.
    standardize : bool
        Train on columns of mean 0 and standard deviation 1, including the target if the loss is one of a residual.
        Parameters, `init`, predictions, losses, `target`, and options of the loss in units of y refer to X and y as
        given. Columns are scaled but not centered if the model has no parameters for a shift, such as ``V*x/(K + x)``,
        and unchanged if it has none for a change of units. Constant columns are only centered. The first call of
        `partial_fit`, or a fit before it, determines this for later calls.
    lr : float
        Learning rate, positive, for the columns as trained.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch, such as ``"halve(10)"``. For a rate that falls with every update, see Notes.
    batch_size : int or "full"
        Samples per update; the last batch of an epoch may be smaller, and so may the whole data set.
    epochs : int, optional
        The maximum number of passes over the data in `fit`. By default they visit 200,000 samples, with at least 10
        and at most 1,000 passes.
        1,000 at most.
    optimizer : str or Optimizer
        For example ``"sgd"``, ``"adam"`` or ``"averaged(sgd)"``. The default, ``"schedule_free_adamw"``, needs no
        schedule.
    loss : str or Loss, optional
        By default ``"squared"``; others are for example ``"huber(1.0)"``, ``"quantile(0.9)"``, or ``"poisson"``, for
        which the model is the log of the expected count.
    shuffle : bool or str
        Visit the samples in an order drawn for each epoch, or in ``"blocks"``; otherwise in order.
    init : array, shape (P,), or mapping of names to values, optional
        Initial parameters. By default zeros, for the columns as trained, if the model is linear in its parameters; for
        a network the draws of `random_state` by `sgdbench.Model.draw_start`; and for a curve the best of 1,000 standard
        normal draws.
    target : float, optional
        Stop when the loss in `loss_curve_` is at most this.
    validation : float or (X, y), optional
        Held-out samples, or the share of the samples to hold out, as for `sgdbench.fit`.
    patience : int, optional
        Stop after this many epochs without a lower held-out loss, and keep the parameters with the lowest.
    warm_start : bool
        Whether `fit` starts from the parameters of the previous call instead of `init`.
    kernel : str
        ``"fused"``, which takes seconds to compile on the first fit of a model, loss and optimizer, and is cached on
        disk; ``"reference"`` (the same bits, never compiled, a thousand times slower) or ``"fused-fma"``.
    random_state : int, RandomState or None
        The seed of the order of the samples, and of random initial parameters. An int is the seed of `sgdbench.fit`.

    Attributes
    ----------
    params_ : array, shape (P,)
        The fitted parameters, in the order of ``model_.params``, which has their names. They raise an AttributeError if
        they are lost to rounding in the given units, as with high powers far from 0; predictions still work.
    model_ : Model
        The fitted model; its inputs are those features that it uses.
    n_iter_ : int
        The number of epochs trained.
    status_ : str
        ``"max_epochs"``, ``"converged"`` (the loss reached `target`) or ``"stopped"`` (`patience`).
    loss_curve_ : array, shape (n_iter_ + 1,)
        The mean squared residual, or the mean of another trained loss, before the first epoch and after each; with
        `partial_fit` over the samples of the call, and nan at first.
    validation_loss_curve_ : array, shape (n_iter_ + 1,), or None
        The same over the held-out samples.
    coef_, intercept_ : array, shape (n_features_in_,) and (1,)
        The parameters of the model ``"w @ x + b"``, as in scikit-learn's linear models.
    n_features_in_ : int
    feature_names_in_ : array, shape (n_features_in_,)
        Only if X was a data frame whose column names are all strings.
        Includes features of 0 and 1.
    categories_ : Categories or None
        The texts of a data frame's categorical columns, the most frequent first.

    Notes
    -----
    A sample weight multiplies the gradient of its sample, as in ``SGDRegressor``: for sgd it is a factor on the
    learning rate. With batches the sum of the weighted gradients is divided by the number of samples. Losses, `target`
    and `patience` refer to unweighted losses.

    A fit that has not converged emits a ``sklearn.exceptions.ConvergenceWarning``: it misses more than 1 % of the
    achievable improvement over a constant, or 5 % if that is approached only as the parameters grow without bound. Fits
    on large data and with weights are judged by whether the loss still falls. Fits with `patience`, or that reach their
    `target`, do not warn.

    ``SGDRegressor(penalty=None, shuffle=False, tol=None, learning_rate=..., eta0=lr, max_iter=epochs)`` matches
    ``SGDCurveRegressor(standardize=False, shuffle=False)`` to rounding with these optimizers:

    ==================================  =========================================
    ``learning_rate="constant"``        ``optimizer="sgd"``
    ``"invscaling", power_t=0.25``      ``optimizer="inverse_scaled(sgd, 0.25)"``
    ``average=True``                    ``optimizer="averaged(...)"`` of either
    ==================================  =========================================

    ``loss="huber", epsilon=e`` is ``loss="huber(e)"``, and likewise ``epsilon_insensitive``.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdbench import SGDCurveRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> SGDCurveRegressor("a*x**2 + b", random_state=0).fit(X, 2 * X[:, 0] ** 2 - 1).params_.round(2)
    array([ 2., -1.])
    """

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SGDCurveRegressor:
        """Train one more epoch, on these samples; arguments and errors are those of `fit`.

        The first call starts a run. Call k, from 0, has the rate of `schedule` in epoch k of `epochs`, and beyond those
        the last one; the optimizer continues where it was. Repeated calls with the same samples give the bits of `fit`.
        `target` is not used.
        """
        with self._keep_features():
            self._train_epoch(X, y, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return the expected targets at X.

        They are the values of the model, its exponential for the poisson loss, and the probability of 1 for logistic.

        Parameters
        ----------
        X : array or data frame, shape (n, features)

        Returns
        -------
        array, shape (n,)
        """
        scores = self._predict_scores(X)
        return make_loss(self._loss).mean_of(scores)

    @property
    def coef_(self) -> Floats:
        """The weights of the features, shape (n_features_in_,); only the model ``w @ x + b`` has them."""
        return self._linear_params("coef_")[0]

    @property
    def intercept_(self) -> Floats:
        """The constant, shape (1,); only the model ``w @ x + b`` has it."""
        return self._linear_params("intercept_")[1].reshape(1)

    def _find_labels(self, y: NDArray[Any]) -> Labels:
        return NO_LABELS

    def _make_loss(self, labels: Labels) -> Loss:
        loss = make_loss("squared" if self.loss is None else self.loss)
        if loss.by_class:
            raise ValueError(f"loss must be a regression loss, not {loss.text!r}: see SGDCurveClassifier")
        return loss
