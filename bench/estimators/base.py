"""SGDCurveEstimator: any model, trained by the kernels, as a scikit-learn estimator."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from sgdbench.estimators.arrival import describe_shortfall
from sgdbench.estimators.features import LINEAR, is_weighted_sum, model_for_features
from sgdbench.estimators.scaling import Units, find_units
from sgdbench.kernels.base.arguments import suggest_arguments
from sgdbench.kernels.base.checks import check_bool, check_unmasked, describe, is_whole
from sgdbench.kernels.base.columns import Params, column_names
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.validation import choose_split
from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.sample_weight import WeightedModel
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.fit import fit
from sgdbench.kernels.train.partial_fit import RunState, partial_fit, start_run

Estimator = TypeVar("Estimator", bound="SGDCurveEstimator")
Labels = NDArray[Any]
"""The labels of all classes, in their order; none where targets are numbers."""
NO_LABELS: Labels = np.empty(0)
FEATURE_ATTRIBUTES = ("n_features_in_", "feature_names_in_", "categories_")
VISITED_SAMPLES, MIN_EPOCHS, MAX_EPOCHS = 200_000, 10, 1000
"""The default number of samples that a fit visits, and the range of epochs."""
TRIED_STARTS, SAMPLES_PER_START = 1000, 200
"""The number of random starts of a curve; the one with the lowest loss on a subset of the samples is used."""


class WeightedSamples(NamedTuple):
    """The samples of a call in the units of training, with the model of the run and its loss.

    `places` are the indices of the model's inputs among the features.
    """

    model: Model
    places: tuple[int, ...]
    loss: Loss
    units: Units
    labels: Labels
    x: Floats
    y: Floats
    weights: Floats | None

    def weighted(self) -> tuple[Model, Floats, Floats]:
        """Return the model, its inputs and the targets; weights become an input of the model."""
        if self.weights is None:
            return self.model, self.x, self.y
        return WeightedModel(self.model), np.column_stack([self.x, self.weights]), self.y


class SGDCurveEstimator(BaseEstimator, ABC):
    """The base class of the regressor and the classifier, whose docstrings describe the parameters."""

    @suggest_arguments
    def __init__(
        self,
        model: str | Model = LINEAR,
        *,
        standardize: bool = True,
        lr: float = 0.03,
        schedule: str | Callable[[int], float] | ArrayLike | None = None,
        batch_size: int | str = 1,
        epochs: int | None = None,
        optimizer: str | Optimizer = "schedule_free_adamw",
        loss: str | Loss | None = None,
        shuffle: bool | str = True,
        init: Params | None = None,
        target: float | None = None,
        validation: float | tuple[ArrayLike, ArrayLike] | None = None,
        patience: int | None = None,
        warm_start: bool = False,
        kernel: str = "fused",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.standardize = standardize
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

    @abstractmethod
    def _find_labels(self, y: NDArray[Any]) -> Labels:
        """Return the labels of all classes in targets."""

    @abstractmethod
    def _make_loss(self, labels: Labels) -> Loss:
        """Return the loss, which must suit these classes, or numbers."""

    def fit(self: Estimator, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Estimator:
        """Fit the model.

        Parameters
        ----------
        X : array or data frame, shape (n, features)
            In a data frame, columns of 2 to 30 different texts become features of 0 and 1, available to expressions
            under names such as ``cut_very_good``: one for each text except the most frequent.
        y : array, shape (n,)
            Numbers for a regressor, labels of any kind for a classifier.
        sample_weight : array, shape (n,), optional
            Nonnegative weights.

        Returns
        -------
        SGDCurveRegressor or SGDCurveClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If an argument is invalid, or the run diverges.
        """
        with self._keep_features():
            continues = check_bool("warm_start", self.warm_start) and hasattr(self, "_state")
            samples = self._read_samples(X, y, sample_weight, first=True, units=self._units if continues else None)
            seed, factor = self._draw_seed(), samples.units.loss_factor
            result = fit(
                *samples.weighted(),
                init=self._last_params(samples) if continues else self._start(samples, seed),
                lr=self.lr,
                schedule=self.schedule,
                epochs=self._count_epochs(samples),
                target=None if self.target is None else self.target / factor,
                validation=self._held_out(samples),
                patience=self.patience,
                **self._settings(samples, seed),
            )
            if result.status == "diverged":
                raise ValueError(self._divergence(result.epochs))
            self.status_, self.loss_curve_ = result.status, result.loss * factor
            self.validation_loss_curve_ = result.validation_loss
            if result.validation_loss is not None:
                self.validation_loss_curve_ = result.validation_loss * factor
            # A run continues from its end, even if parameters of an earlier epoch are kept.
            self._stand_at(RunState(result.trajectory[-1], result.memory, result.epochs), samples, seed)
            self._kept = result.params
        # A run with early stopping is not expected to converge.
        if result.status == "max_epochs" and self.patience is None:
            shortfall = describe_shortfall(result, samples.model, weighted=sample_weight is not None)
            if shortfall:
                warnings.warn(shortfall + self._advice(), ConvergenceWarning, stacklevel=2)
        return self

    def _train_epoch(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, labels: Labels | None = None
    ) -> None:
        """Train one more epoch; the first one starts a run."""
        for name in ("validation", "patience"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} must be None for partial_fit: each call has other samples")
        first = not hasattr(self, "_state")
        samples = self._read_samples(X, y, sample_weight, first=first, labels=labels)
        if first:
            seed, curve = self._draw_seed(), np.array([np.nan])
            state = start_run(samples.model, self._start(samples, seed), self.optimizer)
        else:
            seed, curve, state = self._seed, self.loss_curve_, self._state
        rates = learning_rates(self.schedule, self.lr, self._count_epochs(samples))
        rate = rates[min(state.epochs, rates.size - 1)]
        state, loss = partial_fit(*samples.weighted(), state, lr=rate, **self._settings(samples, seed))
        if not (np.isfinite(loss) and np.isfinite(state.params).all()):
            raise ValueError(self._divergence(state.epochs - 1))
        self.status_, self.validation_loss_curve_ = "max_epochs", None
        self.loss_curve_ = np.append(curve, loss * samples.units.loss_factor)
        self._stand_at(state, samples, seed)

    def _predict_scores(self, X: ArrayLike) -> Floats:
        """Return the values of the model at X, shape (n,) or (n, classes)."""
        check_is_fitted(self)
        check_unmasked("X", X)
        x = validate_data(self, self._encode(X), reset=False, dtype=np.float64)
        scores = self.model_.predict(self._kept, self._units.scale_inputs(take_features(x, self._places)))
        return self._units.unscale_targets(scores)

    @property
    def params_(self) -> Floats:
        """The fitted parameters in the units of X and y, shape (P,), in the order of ``model_.params``."""
        if not hasattr(self, "_kept"):
            raise AttributeError(f"this {type(self).__name__} has no params_ before it is fitted")
        params, reason = self._units.unscale_params(self.model_, self._kept, is_sum=self._has_coef)
        if params is None:
            raise AttributeError(f"params_ are unavailable: {reason} Predictions do not depend on them.")
        return params

    def _linear_params(self, name: str) -> tuple[Floats, Floats]:
        """Return the weights and the constants of a weighted sum; other models have no attribute of that name."""
        check_is_fitted(self)
        if not self._has_coef:
            raise AttributeError(f"{name} exists only for the model {LINEAR!r} alone, and params_ for all")
        weights, constants = (self.model_.coef(self.params_, each) for each in self.model_.vectors)
        return weights, constants

    def _read_samples(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        first: bool,
        labels: Labels | None = None,
        units: Units | None = None,
    ) -> WeightedSamples:
        """Return samples for the model of the run, which the first samples define.

        The first samples also define the labels and the units, if these are not given.
        """
        x, targets = self._read_arrays(X, y, first=first)
        if first:
            labels = self._find_labels(targets) if labels is None else labels
            loss = self._make_loss(labels)
            headings = getattr(self, "feature_names_in_", None)
            model, places = model_for_features(
                self.model, self.n_features_in_, None if headings is None else headings.tolist()
            )
            if loss.by_class and model.classes != labels.size:
                if model.classes > 1:
                    raise ValueError(f"model has scores of {model.classes} classes, and y holds {labels.size}")
                model = model.with_classes(labels.size)
        else:
            model, places, labels = self.model_, self._places, getattr(self, "classes_", NO_LABELS)
            loss, units = self._make_loss(labels), self._units
        weights = check_weights(sample_weight, targets.size)
        x, y = take_features(x, places), encode_targets(targets, labels)
        loss.check_targets(y)
        if units is None:
            units = self._find_units(model, loss, x, y)
        x, y = units.scale_inputs(x), units.scale_targets(y)
        return WeightedSamples(model, places, units.scale_loss(loss), units, labels, x, y, weights)

    def _find_units(self, model: Model, loss: Loss, x: Floats, y: Floats) -> Units:
        if not check_bool("standardize", self.standardize):
            return Units()
        share = self.validation
        if isinstance(share, Real) and 0 < share < 1:  # held-out samples do not contribute to means and deviations
            held_out, _ = choose_split(y.size, float(share))
            x, y = x[~held_out], y[~held_out]
        return find_units(model, loss, x, y, is_sum=is_weighted_sum(self.model))

    def _read_arrays(self, X: ArrayLike, y: ArrayLike, *, first: bool) -> tuple[Floats, NDArray[Any]]:
        check_unmasked("X", X)
        check_unmasked("y", y)
        if first:
            self.categories_ = Categories.of_table(X) if hasattr(X, "columns") else None
        x, targets = validate_data(
            self, self._encode(X), y, reset=first, dtype=np.float64, y_numeric=is_regressor(self)
        )
        return x, targets

    def _encode(self, X: Any) -> Any:
        """Return a table with indicators in place of its categorical columns; return anything else unchanged."""
        if self.categories_ is None or (names := column_names(X)) is None:
            return X
        import pandas as pd  # noqa: PLC0415 (only where there are categories)

        columns: Any = self.categories_.encode(X)
        return pd.DataFrame({name: columns[name] for name in self.categories_.expand(list(map(str, names)))})

    @contextmanager
    def _keep_features(self) -> Iterator[None]:
        """Restore the features if a fit fails: they belong to the parameters of the previous fit."""
        before = {name: value for name, value in vars(self).items() if name in FEATURE_ATTRIBUTES}
        try:
            yield
        except BaseException:
            for name in FEATURE_ATTRIBUTES:
                self.__dict__.pop(name, None)
            self.__dict__.update(before)
            raise

    def _start(self, samples: WeightedSamples, seed: int) -> Floats:
        """Return the initial parameters, in the units of training."""
        model = samples.model
        if self.init is not None:
            init = model.vector(self.init, "init")
            return samples.units.scale_params(model, init, is_sum=is_weighted_sum(self.model))
        if model.start:
            return samples.units.scale_params(model, model.draw_start(seed), is_sum=is_weighted_sum(self.model))
        if model.is_linear:
            return np.zeros(len(model.params))
        if model.vectors:
            return model.draw_start(seed)
        starts = np.random.default_rng(seed).standard_normal((TRIED_STARTS, len(model.params)))
        step = math.ceil(samples.y.size / SAMPLES_PER_START)
        x, y = samples.x[::step].T, samples.y[::step]
        with np.errstate(all="ignore"):
            loss_arguments, _ = samples.loss.evaluate(model.program, starts.T[:, :, np.newaxis], x, y)
            losses = np.mean(samples.loss.recorded(loss_arguments), axis=-1)
        best: Floats = starts[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
        return best

    def _count_epochs(self, samples: WeightedSamples) -> int:
        """Return the epochs of a fit: the requested number, or as many as visit `VISITED_SAMPLES` samples."""
        if self.epochs is not None:
            return self.epochs
        return min(max(math.ceil(VISITED_SAMPLES / samples.y.size), MIN_EPOCHS), MAX_EPOCHS)

    def _last_params(self, samples: WeightedSamples) -> Floats:
        """Return the parameters of the previous run, if they suit the model and the classes."""
        before, now = self.model_.params, samples.model.params
        if before != now:
            raise ValueError(
                f"warm_start must be False to fit another model: its parameters were {describe(before)}, and are "
                f"{describe(now)}"
            )
        if not np.array_equal(getattr(self, "classes_", NO_LABELS), samples.labels):
            raise ValueError("warm_start must be False to fit other classes than before")
        return self._kept

    def _draw_seed(self) -> int:
        generator = check_random_state(self.random_state)
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(generator.randint(np.iinfo(np.int32).max))

    def _settings(self, samples: WeightedSamples, seed: int) -> dict[str, Any]:
        n, size = samples.y.size, self.batch_size
        if is_whole(size):
            share = self.validation  # `sgdbench.fit` refuses a number that is not a share
            held_out = round(float(share) * n) if isinstance(share, Real) and 0 < share < 1 else 0
            size = min(int(size), max(n - held_out, 1))
        settings = {name: getattr(self, name) for name in ("shuffle", "optimizer", "kernel")}
        return settings | {"loss": samples.loss, "batch_size": size, "seed": seed, "drop_last": False}

    def _held_out(self, samples: WeightedSamples) -> Any:
        """Return the argument `validation` of `sgdbench.fit`."""
        if not isinstance(self.validation, tuple | list) or len(self.validation) != 2:
            return self.validation
        x, targets = self._read_arrays(*self.validation, first=False)
        y = encode_targets(targets, samples.labels, "y of validation")
        weights = None if samples.weights is None else np.ones(y.size)
        x, y = samples.units.scale_inputs(take_features(x, samples.places)), samples.units.scale_targets(y)
        _, *held_out = samples._replace(x=x, y=y, weights=weights).weighted()
        return tuple(held_out)

    def _stand_at(self, state: RunState, samples: WeightedSamples, seed: int) -> None:
        self.model_, self._places, self._seed = samples.model, samples.places, seed
        # Parameters that are set later apply from the next fit on. The text of a default loss pickles compactly.
        self._has_coef, self._loss = is_weighted_sum(self.model), self.loss or samples.loss.text
        self._units, self._state, self._kept, self.n_iter_ = samples.units, state, state.params, state.epochs
        if samples.labels.size:
            self.classes_ = samples.labels

    def _divergence(self, epoch: int) -> str:
        remedy = "" if self.standardize else ", or set standardize=True"
        return f"lr={self.lr!r} makes the run diverge in epoch {epoch}: use a smaller rate{remedy}"

    def _advice(self) -> str:
        """Return a sentence of advice on a fit that has not converged."""
        if not self.standardize:
            return "Set standardize=True, or scale X and y."
        other = "" if self.model_.is_linear else ", or another start (random_state or init)"
        return f"Try more epochs than {self.n_iter_:,}, another lr than {self.lr:g}, or schedule='cosine'{other}."


def take_features(x: Floats, places: tuple[int, ...]) -> Floats:
    """Return some features, shape (n, len(places)), without a copy if they are all."""
    return x if places == tuple(range(x.shape[1])) else x.take(places, axis=1)


def encode_targets(y: NDArray[Any], labels: Labels, what: str = "y") -> Floats:
    """Return targets as numbers: labels become their indices among the labels of all classes."""
    # As Python numbers, except for dates, which would become integers in some unit.
    listed = tuple(labels if labels.dtype.kind in "mM" else labels.tolist())
    return Classes(listed).encode(y, what) if listed else y.astype(np.float64)


def check_weights(sample_weight: ArrayLike | None, n: int) -> Floats | None:
    """Return the weights of n samples: finite, nonnegative, and at least one positive."""
    if sample_weight is None:
        return None
    check_unmasked("sample_weight", sample_weight)
    weights: Floats = check_array(
        np.atleast_1d(np.asarray(sample_weight)), ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one for each sample, not {weights.shape}")
    if (weights < 0).any():
        raise ValueError(f"sample_weight must not be negative, and is {describe(float(weights.min()))}")
    if not weights.any():
        raise ValueError("sample_weight must be positive for at least one sample, not zero for all")
    return weights
