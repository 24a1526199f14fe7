"""SGDCurveRegressor: any model, trained by the kernels, as an estimator of scikit-learn."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

try:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:  # without scikit-learn, or with one that has no `validate_data`
    raise ImportError('SGDCurveRegressor needs scikit-learn 1.6 or newer: pip install "scikit-learn>=1.6"') from error

from bench.estimators.features import LINEAR, model_for_features
from kernels.base.checks import check_bool, check_unmasked, describe
from kernels.base.run import Floats
from kernels.losses import make_loss
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.sample_weight import WeightedModel
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.schedules import learning_rates
from kernels.train.fit import fit
from kernels.train.partial_fit import RunState, partial_fit, start_run


class WeightedSamples(NamedTuple):
    """The samples of a call, with the model of the run and the places of its inputs among the features."""

    model: Model
    places: tuple[int, ...]
    x: Floats
    y: Floats
    weights: Floats | None

    def weighted(self) -> tuple[Model, Floats, Floats]:
        """Return the model, its inputs and the targets; weights become an input of the model."""
        if self.weights is None:
            return self.model, self.x, self.y
        return WeightedModel(self.model), np.column_stack([self.x, self.weights]), self.y


class SGDCurveRegressor(RegressorMixin, BaseEstimator):
    """A regressor of any expression, fitted with stochastic gradient descent.

    The settings are those of `kernels.fit`, under the same names. By default it is a linear regressor, which gives the
    numbers of ``sklearn.linear_model.SGDRegressor(penalty=None)``: see Notes.

    Parameters
    ----------
    model : str or Model
        An expression in the features and in parameters to be fitted, such as ``"a*exp(-b*x1) + c*x2"``. It calls the
        features ``x1``, ``x2``, ..., or ``x`` if there is one alone, or by the names of the columns of a data frame. Or
        the name of a ready-made model, such as ``"polynomial(3)"``, or a `kernels.Model`. ``"w @ x + b"`` is a weighted
        sum of all features, at most 28, and a constant.
    lr : float
        Learning rate, positive.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch, such as ``"halve(10)"``. For a rate that falls with every update, see Notes.
    batch_size : int or "full"
        Samples per update; the last batch of an epoch may be smaller, and so may all data be.
    epochs : int
        The passes over the data in `fit`, at most.
    optimizer : str or Optimizer
        Such as ``"sgd"``, ``"adam"`` or ``"averaged(sgd)"``.
    loss : str or Loss
        Such as ``"squared"``, ``"huber(1.0)"``, ``"quantile(0.9)"``, or ``"poisson"``, for which the model is the
        logarithm of the expected count.
    shuffle : bool or str
        Visit the samples in an order drawn anew for each epoch, or in ``"blocks"``; else in their own order.
    init : array, shape (P,), or mapping of names to values, optional
        The start: by default zeros where the model is linear in its parameters, else standard normal draws of
        `random_state`.
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
        The fitted parameters, in the order of ``model_.params``, which has their names.
    model_ : Model
        The fitted model; its inputs are those features that it uses.
    n_iter_ : int
        Epochs trained.
    status_ : str
        ``"max_epochs"``, ``"converged"`` (the loss reached `target`) or ``"stopped"`` (`patience`).
    loss_curve_ : array, shape (n_iter_ + 1,)
        The mean squared residual before the first epoch and after each, or the mean of the loss where that is not one
        of the residual; with `partial_fit` over the samples of the call, and nan at first.
    validation_loss_curve_ : array, shape (n_iter_ + 1,), or None
        The same over the samples held out.
    coef_, intercept_ : array, shape (n_features_in_,) and (1,)
        The parameters of the model ``"w @ x + b"``, as scikit-learn's linear models have them.
    n_features_in_ : int
    feature_names_in_ : array, shape (n_features_in_,)
        Only where X was a data frame whose columns all have texts for names.

    Notes
    -----
    A weight of a sample multiplies its gradient, as in ``SGDRegressor``: for sgd it is a factor on the learning rate.
    With batches the sum of the weighted gradients is divided by the number of samples. Losses, `target` and `patience`
    are about losses without weights.

    ``SGDRegressor(penalty=None, shuffle=False, tol=None, learning_rate=..., eta0=lr, max_iter=epochs)`` gives, to
    rounding, what ``SGDCurveRegressor(shuffle=False)`` does with these optimizers:

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
    >>> regressor = SGDCurveRegressor("a*x**2 + b", lr=0.5, optimizer="sgd", random_state=0)
    >>> regressor.fit(X, 2 * X[:, 0] ** 2 - 1).params_.round(6)
    array([ 2., -1.])
    """

    def __init__(
        self,
        model: str | Model = LINEAR,
        *,
        lr: float = 0.01,
        schedule: str | Callable[[int], float] | ArrayLike | None = None,
        batch_size: int | str = 1,
        epochs: int = 100,
        optimizer: str | Optimizer = "adam",
        loss: str | Loss = "squared",
        shuffle: bool | str = True,
        init: ArrayLike | Mapping[str, float] | None = None,
        target: float | None = None,
        validation: float | tuple[ArrayLike, ArrayLike] | None = None,
        patience: int | None = None,
        warm_start: bool = False,
        kernel: str = "fused",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.lr = lr
        self.schedule = schedule
        self.batch_size = batch_size
        self.epochs = epochs
        self.optimizer = optimizer
        self.loss = loss
        self.shuffle = shuffle
        self.init = init
        self.target = target
        self.validation = validation
        self.patience = patience
        self.warm_start = warm_start
        self.kernel = kernel
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SGDCurveRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array or data frame, shape (n, features)
        y : array, shape (n,)
        sample_weight : array, shape (n,), optional
            Not negative.

        Returns
        -------
        SGDCurveRegressor
            Itself.

        Raises
        ------
        ValueError
            If an argument is not accepted, or the run diverges.
        """
        continues = check_bool("warm_start", self.warm_start) and hasattr(self, "params_")
        samples = self._read_samples(X, y, sample_weight, first=True)
        seed = self._draw_seed()
        result = fit(
            *samples.weighted(),
            init=self._last_params(samples.model) if continues else self._start(samples.model, seed),
            lr=self.lr,
            schedule=self.schedule,
            epochs=self.epochs,
            target=self.target,
            validation=self._held_out(samples),
            patience=self.patience,
            **self._settings(samples.y.size, seed),
        )
        if result.status == "diverged":
            raise ValueError(self._divergence(result.epochs))
        self.status_, self.loss_curve_, self.validation_loss_curve_ = result.status, result.loss, result.validation_loss
        # A run goes on from its end, also where parameters of an earlier epoch are kept.
        self._stand_at(RunState(result.trajectory[-1], result.memory, result.epochs), samples, seed)
        self.params_ = result.params
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> SGDCurveRegressor:
        """Train one more epoch, on these samples; arguments and errors are those of `fit`.

        The first call starts a run. The call k of it, from 0, has the rate that `schedule` has in epoch k of `epochs`,
        and after those the last one; the optimizer goes on where it was. Called again and again with the same samples,
        it gives the bits of `fit`. `target` is not used.
        """
        if self.validation is not None:
            raise ValueError("validation must be None for partial_fit: each call has other samples")
        first = not hasattr(self, "params_")
        samples = self._read_samples(X, y, sample_weight, first=first)
        if first:
            seed, curve = self._draw_seed(), np.array([np.nan])
            state = start_run(samples.model, self._start(samples.model, seed), self.optimizer)
        else:
            seed, curve, state = self._seed, self.loss_curve_, self._state
        rates = learning_rates(self.schedule, self.lr, self.epochs)
        rate = rates[min(state.epochs, rates.size - 1)]
        state, loss = partial_fit(*samples.weighted(), state, lr=rate, **self._settings(samples.y.size, seed))
        if not np.isfinite([loss, *state.params]).all():
            raise ValueError(self._divergence(state.epochs - 1))
        self.status_, self.loss_curve_, self.validation_loss_curve_ = "max_epochs", np.append(curve, loss), None
        self._stand_at(state, samples, seed)
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
        check_is_fitted(self)
        check_unmasked("X", X)
        x = validate_data(self, X, reset=False, dtype=np.float64)
        return make_loss(self.loss).mean_of(self.model_.predict(self.params_, x[:, self._places]))

    @property
    def coef_(self) -> Floats:
        """The weights of the features, shape (n_features_in_,); only the model ``w @ x + b`` has them."""
        return self._linear_params("coef_")[:-1]

    @property
    def intercept_(self) -> Floats:
        """The constant, shape (1,); only the model ``w @ x + b`` has it."""
        return self._linear_params("intercept_")[-1:]

    def _linear_params(self, name: str) -> Floats:
        """Return the parameters of a weighted sum; other models have no such attribute."""
        check_is_fitted(self)
        if self.model != LINEAR or self.params_.size != self.n_features_in_ + 1:
            raise AttributeError(f"{name} is there for the model {LINEAR!r} alone, and params_ for all")
        return self.params_

    def _read_samples(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, *, first: bool
    ) -> WeightedSamples:
        """Return samples of the model of the run, which the first ones define."""
        x, targets = self._read_arrays(X, y, first=first)
        if first:
            headings = getattr(self, "feature_names_in_", None)
            model, places = model_for_features(
                self.model, self.n_features_in_, None if headings is None else headings.tolist()
            )
        else:
            model, places = self.model_, self._places
        return WeightedSamples(model, places, x[:, places], targets, check_weights(sample_weight, targets.size))

    def _read_arrays(self, X: ArrayLike, y: ArrayLike, *, first: bool) -> tuple[Floats, Floats]:
        """Return all features and the targets."""
        check_unmasked("X", X)
        check_unmasked("y", y)
        x, targets = validate_data(self, X, y, reset=first, dtype=np.float64, y_numeric=True)
        return x, targets.astype(np.float64)

    def _start(self, model: Model, seed: int) -> ArrayLike | Mapping[str, float]:
        if self.init is not None:
            return self.init
        return np.zeros(len(model.params)) if model.is_linear else model.draw_start(seed)

    def _last_params(self, model: Model) -> Floats:
        """Return the parameters of the run before, if they are those of the model."""
        before, now = (", ".join(each.params) for each in (self.model_, model))
        if before != now:
            raise ValueError(
                f"warm_start must be False to fit another model: the parameters were {before}, and are {now}"
            )
        return self.params_

    def _draw_seed(self) -> int:
        generator = check_random_state(self.random_state)
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(generator.randint(np.iinfo(np.int32).max))

    def _settings(self, n: int, seed: int) -> dict[str, Any]:
        """Return the settings of an epoch of n samples."""
        size = self.batch_size
        if isinstance(size, Integral) and not isinstance(size, bool):
            held_out = round(float(self.validation) * n) if isinstance(self.validation, Real) else 0
            size = min(int(size), max(n - held_out, 1))
        names = ("shuffle", "optimizer", "loss", "kernel")
        return {name: getattr(self, name) for name in names} | {"batch_size": size, "seed": seed, "drop_last": False}

    def _held_out(self, samples: WeightedSamples) -> Any:
        """Return the argument `validation` of `kernels.fit`."""
        if not isinstance(self.validation, tuple | list) or len(self.validation) != 2:
            return self.validation
        x, y = self._read_arrays(*self.validation, first=False)
        weights = None if samples.weights is None else np.ones(y.size)
        _, *held_out = samples._replace(x=x[:, samples.places], y=y, weights=weights).weighted()
        return tuple(held_out)

    def _stand_at(self, state: RunState, samples: WeightedSamples, seed: int) -> None:
        self.model_, self._places, self._seed = samples.model, samples.places, seed
        self._state, self.params_, self.n_iter_ = state, state.params, state.epochs

    def _divergence(self, epoch: int) -> str:
        return (
            f"lr={self.lr!r} makes the run diverge in epoch {epoch}: take a smaller one, or scale X, as with "
            "StandardScaler in a Pipeline"
        )


def check_weights(sample_weight: ArrayLike | None, n: int) -> Floats | None:
    """Return the weights of n samples: finite numbers, none of them negative and one at least positive."""
    if sample_weight is None:
        return None
    check_unmasked("sample_weight", sample_weight)
    weights: Floats = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one for each sample, not {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"sample_weight must not be negative, and is {describe(float(weights.min()))}")
    if not weights.any():
        raise ValueError("sample_weight must be positive for a sample, and is zero for all")
    return weights
