"""SGDCurveRegressor: any model, trained by the kernels, as an estimator of scikit-learn."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

from typing import Any

from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from bench.estimators.base import NO_LABELS, Labels, SGDCurveEstimator
from kernels.base.run import Floats
from kernels.losses import make_loss
from kernels.losses.loss import Loss


class SGDCurveRegressor(RegressorMixin, SGDCurveEstimator):
    """A regressor of any expression, fitted with stochastic gradient descent.

    The settings are those of `kernels.fit`, under the same names. By default it is a linear regressor that ends where
    ``sklearn.linear_model.LinearRegression`` does. With ``optimizer="sgd"``, in order and without standardizing it
    gives the numbers of ``sklearn.linear_model.SGDRegressor(penalty=None)``: see Notes.

    Parameters
    ----------
    model : str or Model
        An expression in the features and in parameters to be fitted, such as ``"a*exp(-b*x1) + c*x2"``. It calls the
        features ``x1``, ``x2``, ..., or ``x`` if there is one alone, or by the names of the columns of a data frame. Or
        the name of a ready-made model, such as ``"polynomial(3)"``, or a `kernels.Model`. ``"w @ x + b"`` is a weighted
        sum of all features, of any number, and a constant; ``"mlp(8)"`` has a hidden layer of 8 units.
    standardize : bool
        Train on columns of mean 0 and standard deviation 1, the target too where the loss is one of a residual.
        Parameters, `init`, predictions, losses, `target`, and options of the loss in the units of y are those of X and
        y as they are given. Columns are scaled and not centered if the model has no parameters for a shift, as
        ``V*x/(K + x)``, and stay as they are if it has none for another unit. Columns that do not vary are centered
        only. The first call of `partial_fit`, or a fit before it, decides for those after it.
    lr : float
        Learning rate, positive, for columns as they are trained.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch, such as ``"halve(10)"``. For a rate that falls with every update, see Notes.
    batch_size : int or "full"
        Samples per update; the last batch of an epoch may be smaller, and so may all data be.
    epochs : int, optional
        The passes over the data in `fit`, at most. By default they visit 200,000 samples, with 10 passes at least and
        1,000 at most.
    optimizer : str or Optimizer
        Such as ``"sgd"``, ``"adam"`` or ``"averaged(sgd)"``. The default, ``"schedule_free_adamw"``, needs no schedule.
    loss : str or Loss, optional
        By default ``"squared"``; others are such as ``"huber(1.0)"``, ``"quantile(0.9)"``, or ``"poisson"``, for
        which the model is the logarithm of the expected count.
    shuffle : bool or str
        Visit the samples in an order drawn anew for each epoch, or in ``"blocks"``; else in their own order.
    init : array, shape (P,), or mapping of names to values, optional
        The start. By default zeros, for columns as they are trained, where the model is linear in its parameters; for a
        network the draws of `random_state` that `kernels.Model.draw_start` returns; and for a curve the best of
        1,000 standard normal draws.
    target : float, optional
        Stop when the loss in `loss_curve_` is at or below this.
    validation : float or (X, y), optional
        Held-out samples, or the share of the samples to hold out, as for `kernels.fit`.
    patience : int, optional
        Stop after this many epochs without a lower loss on the samples held out, and keep the parameters of the lowest.
    warm_start : bool
        Whether `fit` starts from the parameters of the call before in place of `init`.
    kernel : str
        ``"fused"``, which is compiled for seconds on the first fit of a model, loss and optimizer, and kept on disk;
        ``"reference"`` (the same bits, never compiled, a thousand times slower) or ``"fused-fma"``.
    random_state : int, RandomState or None
        The seed of the order of the samples, and of a start that is drawn. An int is the seed of `kernels.fit`.

    Attributes
    ----------
    params_ : array, shape (P,)
        The fitted parameters, in the order of ``model_.params``, which has their names. They are an AttributeError if
        they are lost to rounding in the units given, as those of high powers far from 0 are; predictions are not.
    model_ : Model
        The fitted model; its inputs are those features that it uses.
    n_iter_ : int
        Epochs trained.
    status_ : str
        ``"max_epochs"``, ``"converged"`` (the loss reached `target`) or ``"stopped"`` (`patience`).
    loss_curve_ : array, shape (n_iter_ + 1,)
        The mean squared residual before the first epoch and after each, or the mean of another loss that is trained;
        with `partial_fit` over the samples of the call, and nan at first.
    validation_loss_curve_ : array, shape (n_iter_ + 1,), or None
        The same over the samples held out.
    coef_, intercept_ : array, shape (n_features_in_,) and (1,)
        The parameters of the model ``"w @ x + b"``, as scikit-learn's linear models have them.
    n_features_in_ : int
    feature_names_in_ : array, shape (n_features_in_,)
        Only where X was a data frame whose columns all have texts for names.
        Features of 0 and 1 are among them.
    categories_ : Categories or None
        The texts of the columns of categories of a data frame, the most frequent first.

    Notes
    -----
    A weight of a sample multiplies its gradient, as in ``SGDRegressor``: for sgd it is a factor on the learning rate.
    With batches the sum of the weighted gradients is divided by the number of samples. Losses, `target` and `patience`
    are about losses without weights.

    A fit that has not arrived is a ``sklearn.exceptions.ConvergenceWarning``: it leaves more than 1 % of the
    improvement over a constant that its model can reach, or 5 % where that is approached as the parameters grow without
    end. Fits on large data and with weights are judged by whether the loss still falls. Fits with `patience` or a
    `target` that they reach do not warn.

    ``SGDRegressor(penalty=None, shuffle=False, tol=None, learning_rate=..., eta0=lr, max_iter=epochs)`` gives, to
    rounding, what ``SGDCurveRegressor(standardize=False, shuffle=False)`` does with these optimizers:

    ==================================  =========================================
    ``learning_rate="constant"``        ``optimizer="sgd"``
    ``"invscaling", power_t=0.25``      ``optimizer="inverse_scaled(sgd, 0.25)"``
    ``average=True``                    ``optimizer="averaged(...)"`` of either
    ==================================  =========================================

    ``loss="huber", epsilon=e`` is ``loss="huber(e)"``, and likewise ``epsilon_insensitive``.

    Examples
    --------
    >>> import numpy as np
    >>> from bench import SGDCurveRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> SGDCurveRegressor("a*x**2 + b", random_state=0).fit(X, 2 * X[:, 0] ** 2 - 1).params_.round(2)
    array([ 2., -1.])
    """

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SGDCurveRegressor:
        """Train one more epoch, on these samples; arguments and errors are those of `fit`.

        The first call starts a run. The call k of it, from 0, has the rate that `schedule` has in epoch k of `epochs`,
        and after those the last one; the optimizer goes on where it was. Called again and again with the same samples,
        it gives the bits of `fit`. `target` is not used.
        """
        with self._keep_features():
            self._train_epoch(X, y, sample_weight)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Return the expected targets at X.

        They are the values of the model, for the loss poisson its exponential, and for logistic the probability of 1.

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
            raise ValueError(f"loss must be one of numbers for a regressor, not {loss.text!r}: see SGDCurveClassifier")
        return loss
