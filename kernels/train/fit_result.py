"""FitResult: the result of one training run."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.checks import list_names
from sgdbench.kernels.base.columns import Inputs, Params, check_row_order, stack_columns, take_targets
from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.registry import REGISTERED
from sgdbench.kernels.base.run import Floats, Integers
from sgdbench.kernels.data.pieces import mean_over, variance
from sgdbench.kernels.data.samples import Samples
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Classes, takes_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdbench.kernels.train.attainable_loss import AttainableLoss
    from sgdbench.kernels.train.fit_quality import Uncertainty

# The standard errors of more parameters would need a matrix of more than eight megabytes.
MAX_PARAMS_WITH_ERRORS = 1000


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a run at one checkpoint.

    Attributes
    ----------
    checkpoint : int
        Its index in ``loss``, ``trajectory`` and everything else recorded at checkpoints.
    samples_seen : int
    epoch : float
        An int at the end of an epoch, else a fraction.
    params : array, shape (P,)
        nan if not recorded; see `record_params` of `sgdbench.fit`.
    loss : float
    validation_loss : float or None
        None without held-out samples.
    """

    checkpoint: int
    samples_seen: int
    epoch: float
    params: Floats
    loss: float
    validation_loss: float | None


@dataclass(frozen=True, eq=False)
class FitResult:
    """The result of a training run.

    Its arrays do not share memory, and it is equal to itself only.

    Attributes
    ----------
    model : Model
    params : array, shape (P,)
        In the order of ``model.params``: at the end, or with `patience` at the checkpoint of the lowest validation
        loss.
    loss : array, shape (M,)
        The mean of the trained loss over all training samples, at each checkpoint: before the first update, after each
        epoch, and in between as `record` requests. For the squared loss it is the mean squared residual, twice the mean
        whose gradient is descended. `records` is its name.
    trajectory : array, shape (M, P)
        The parameters at the same checkpoints; for models with vectors, shape (2, P), at the start and at the end,
        unless `sgdbench.fit` has ``record_params=True`` or a `patience`.
    samples_seen, updates : array, shape (M,)
        The numbers of samples visited and of updates made at each checkpoint.
    samples_per_epoch : int
        The samples that an epoch visits: all except those of an omitted last batch.
    criterion : Loss
        The trained loss as an object; `trained` is its text.
    x : tuple of array, shape (n,)
        The inputs of the training samples, one array each; not copied if they were float64 columns already, such as
        memory maps.
    y : array, shape (n,)
    rates : array
        The learning rate of each epoch that was started.
    status : str
        ``"converged"`` (the loss reached the target), ``"max_epochs"``, ``"diverged"`` (the loss or a parameter is no
        longer finite, or terms of the model are so large that rounding absorbs the targets), or ``"stopped"`` (the
        validation loss had not improved for `patience` epochs).
    epochs : int
        The number of completed epochs.
    epochs_to_target : float or None
        The number of epochs until the loss was at or below the target: an int at the end of an epoch, else a fraction.
    seconds : float
        The training time.
    compile_seconds : float
        The time to derive and compile the kernel, or to load it from the disk cache; not part of `seconds`.
    validation_loss : array, shape (M,), or None
        As `loss`, over the held-out samples; None without `validation`.
    validation : tuple or None
        The held-out samples: their inputs, as in `x`, and their y.
    test : tuple or None
        The samples held out for the test, in the same form.
    memory : array
        The state of the optimizer at the end, from which to continue: the slots of each parameter, then its clock.
    dtype : str
        The type that was computed with; `x` and `y` keep the type in which they were given.
    order : str
        The order in which epochs visited the samples, in words: ``"as they stand"``, ``"all samples shuffled"``, or the
        blocks that were shuffled, and how many at a time.
    kept_checkpoint : int
        The checkpoint at which `params` were recorded: the last one, or with `patience` that of the lowest validation
        loss.
    classes : Classes or None
        The labels of the classes 0, 1, ..., if y held labels; `y` holds the classes.
    """

    model: Model
    params: Floats
    loss: Floats
    trajectory: Floats
    rates: Floats
    status: str
    epochs: int
    epochs_to_target: float | None
    seconds: float
    compile_seconds: float
    samples_seen: Integers
    updates: Integers
    samples_per_epoch: int
    criterion: Loss
    x: tuple[Floats, ...] = field(repr=False)
    y: Floats = field(repr=False)
    validation_loss: Floats | None = None
    validation: Samples | None = field(default=None, repr=False)
    test: Samples | None = field(default=None, repr=False)
    memory: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    dtype: str = "float64"
    order: str = "as they stand"
    kept_checkpoint: int = -1
    classes: Classes | None = None

    def predict(self, x: Inputs) -> Floats:
        """Return the model at x with `params`.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table
            A data frame or a mapping, whose columns are found by the names of the inputs; or a tuple of columns, such
            as ``result.validation[0]``.

        Returns
        -------
        array, shape (n,); of a model with a score for each class (n, classes)

        Raises
        ------
        ValueError
            If x does not fit the model, or the run diverged and has no finite parameters.
        """
        if not np.isfinite(self.params).all():
            raise ValueError("the run diverged: it has no parameters to predict with")
        return self.model.predict(self.params, x)

    def predict_mean(self, x: Inputs) -> Floats:
        """Return the expected targets at x: probabilities for the log loss, rates of counts for poisson.

        For these, the model itself is the log odds or the log rate. For losses of the residual, the value of the model
        is returned: it estimates the expected target (squared loss), a median or a quantile.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table

        Returns
        -------
        array, shape (n,)
            For ``"logistic"`` the probability of class 1; for ``"softmax"``, shape (n, classes), that of each class.

        Raises
        ------
        ValueError
            If the loss does not determine expected targets, such as ``"hinge"``.
        """
        if not self.criterion.has_mean:
            raise ValueError(
                f"the loss {self.trained!r} does not define expected targets; predict(x) returns the value of the model"
            )
        return self.criterion.mean_of(self.predict(x))

    def predict_class(self, x: Inputs) -> NDArray[Any]:
        """Return the most probable class at x: its label if y held labels, else its number.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table

        Returns
        -------
        array, shape (n,)

        Raises
        ------
        ValueError
            If the targets of the loss are not classes.
        """
        if not takes_classes(self.criterion):
            raise ValueError(f"the loss {self.trained!r} has no classes; predict(x) returns the value of the model")
        scores = self.predict(x)
        numbers = np.argmax(scores, axis=1) if self.criterion.by_class else (scores > 0.0).astype(np.int64)
        return self.classes.decode(numbers) if self.classes else numbers

    @property
    def param_names(self) -> tuple[str, ...]:
        """A name for each of `params`, such as ``b`` or ``w[hp]``."""
        return self.model.params

    def coef(self, name: str) -> Floats | pd.Series:
        """Return the parameters of one name: for a vector a Series by input name, otherwise an array.

        Parameters
        ----------
        name : str
            Such as ``"w"`` of ``w @ x + b``.

        Returns
        -------
        Series, shape (inputs,), or array
            Of shape (classes, inputs) or (units, inputs) for a matrix, () for a scalar.

        Raises
        ------
        ValueError
            If there is no parameter of that name.
        """
        values: Floats = self.model.coef(self.params, name).copy()
        vector = self.model.vectors.get(name)
        if vector is None or len(vector.shape) != 1 or not vector.columns:
            return values
        import pandas as pd  # noqa: PLC0415 (only when asked for)

        return pd.Series(values, index=list(vector.columns), name=name)

    def loss_at(self, params: Params) -> float:
        """Return the recorded loss at other parameters, given as an array of shape (P,) or by name."""
        return mean_loss(self.model, self.criterion, self.model.vector(params), self.x, self.y)

    @property
    def trained(self) -> str:
        """The trained loss, such as ``"squared"`` or ``"huber(delta=1.0)"``."""
        return self.criterion.text

    @property
    def records(self) -> str:
        """The name of `loss`: ``"mean squared residual"``, or the trained loss, such as ``"log loss"``."""
        return self.criterion.records

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Other measures of `params` on the training samples, by name; see `metrics_on`."""
        metrics = {"rmse": self.rmse, "r2": self.r2} if self.criterion.of_residual else {}
        return metrics | mean_metrics(self.model, self.criterion, self.params, self.x, self.y)

    @cached_property
    def test_loss(self) -> float | None:
        """The loss of `params` on the test samples; None if there are none.

        These had no influence on the run: this is the expected loss on new samples, unless it is used for a choice.
        """
        return None if self.test is None else mean_loss(self.model, self.criterion, self.params, *self.test)

    @cached_property
    def test_metrics(self) -> dict[str, float]:
        """Other measures of `params` on the test samples, by name; see `metrics_on`."""
        return {} if self.test is None else metrics_on(self.model, self.criterion, self.params, *self.test)

    @property
    def epoch_checkpoints(self) -> Integers:
        """The indices of the start and of the ends of epochs among the checkpoints, shape (epochs + 1,)."""
        return np.flatnonzero(self.samples_seen % self.samples_per_epoch == 0)

    @property
    def best(self) -> Snapshot:
        """The first checkpoint with the lowest validation loss, or without `validation` the lowest loss.

        Checkpoints at which the loss or a parameter is not finite are skipped; if there is no other, it is the start.
        """
        losses = self.loss if self.validation_loss is None else self.validation_loss
        counts = np.isfinite(losses) & np.isfinite(self.loss)
        if len(self.trajectory) == losses.size:
            counts &= np.isfinite(self.trajectory).all(axis=1)
        return self._snapshot(int(np.argmin(np.where(counts, losses, np.inf))))

    @property
    def kept(self) -> Snapshot:
        """The checkpoint of `params`: the last one, or with `patience` that of the lowest validation loss.

        The run is judged by the losses at this checkpoint.
        """
        return self._snapshot(range(self.loss.size)[self.kept_checkpoint])

    def _snapshot(self, checkpoint: int) -> Snapshot:
        seen = int(self.samples_seen[checkpoint])
        return Snapshot(
            checkpoint,
            seen,
            whole_or_fraction(seen, self.samples_per_epoch),
            self._params_at(checkpoint),
            float(self.loss[checkpoint]),
            None if self.validation_loss is None else float(self.validation_loss[checkpoint]),
        )

    def _params_at(self, checkpoint: int) -> Floats:
        """Return the parameters at a checkpoint, or nan if they are not recorded."""
        if checkpoint == range(self.loss.size)[self.kept_checkpoint]:
            return self.params.copy()
        if len(self.trajectory) == self.loss.size:
            place = checkpoint
        elif checkpoint in {0, self.loss.size - 1}:
            place = -1 if checkpoint else 0
        else:
            return np.full(self.params.size, np.nan)
        return np.array(self.trajectory[place])

    @property
    def rmse(self) -> float:
        """The root of the mean squared residual of `params`, in units of y; nan if no residual was trained."""
        return math.sqrt(self.mean_square)

    @cached_property
    def mean_square(self) -> float:
        """The mean squared residual of `params`; nan if no residual was trained, or it is not finite."""
        if not self.criterion.of_residual:
            return math.nan
        value = self.kept.loss if self.criterion.is_squared else mean_square(self.model, self.params, self.x, self.y)
        return value if value >= 0 else math.nan

    @cached_property
    def r2(self) -> float:
        """The fraction of the variance of y that the model explains with `params`.

        It is nan if y does not vary, or no residual was trained.
        """
        of_targets = variance(self.y) if self.criterion.of_residual else 0.0
        return 1.0 - self.mean_square / of_targets if of_targets else math.nan

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The standard errors and correlations of the parameters; see `sgdbench.kernels.train.fit_quality`."""
        with IMPORT_LOCK:
            from sgdbench.kernels.train.fit_quality import estimate_uncertainty, unknown  # noqa: PLC0415 (only when asked for)

        if self.status == "diverged":
            return unknown(self.params.size, "the run diverged")
        if self.params.size > MAX_PARAMS_WITH_ERRORS:
            return unknown(0, f"not computed for more than {MAX_PARAMS_WITH_ERRORS:,} parameters")
        if self.trained != "squared":
            return unknown(self.params.size, f"available for the squared loss only, not for {self.trained}")
        return estimate_uncertainty(self.model, self.params, (self.x, self.y))

    @property
    def stderr(self) -> Floats:
        """The standard errors of the parameters, shape (P,); if they are nan, `uncertainty.reason` says why.

        They assume that the run has converged to a minimum.
        """
        return self.uncertainty.stderr if self.uncertainty.stderr.size else np.full(self.params.size, np.nan)

    @cached_property
    def optimum(self) -> AttainableLoss:
        """The lowest attainable loss on these samples, its parameters, and the loss of the best constant.

        See `sgdbench.kernels.train.attainable_loss.find_attainable_loss`. Except for least squares of linear models, it
        takes a moment to compute.
        """
        with IMPORT_LOCK:
            from sgdbench.kernels.train.attainable_loss import find_attainable_loss  # noqa: PLC0415 (only when asked for)

        attainable = find_attainable_loss(self.model, self.criterion, (self.x, self.y), [self.trajectory[0]])
        return attainable.lowered(self.kept.loss, self.params, "this run", self.dtype)

    @property
    def remaining(self) -> float:
        """The fraction of the improvement over the best constant that the run missed: 0 at the lowest attainable loss.

        It is nan if the lowest loss is unknown, or not below that of the best constant.
        """
        return self.optimum.remaining(self.kept.loss)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle, with a user-registered loss as its text: its functions cannot be pickled."""
        state = dict(vars(self))
        if self.criterion.name in REGISTERED["loss"]:
            state["criterion"] = self.trained
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state in a process that knows the loss."""
        vars(self).update(state | {"criterion": make_loss(state["criterion"])})

    def __repr__(self) -> str:
        named = zip(self.model.params, self.params, strict=True)
        params = list_names(f"{name} = {value:.6g}" for name, value in named)
        end = f"{self.status}, loss {self.kept.loss:.6g}"
        return f"<FitResult of {self.model.expression}: {end}, {params}>"

    def __str__(self) -> str:
        rows = zip(self.model.params, self.params, self.stderr, strict=True)
        params = list_names(
            f"{name} = {value:.6g}{'' if math.isnan(error) else f' ± {error:.2g}'}" for name, value, error in rows
        )
        target = "" if self.epochs_to_target is None else f", target reached after {self.epochs_to_target:g}"
        made = int(self.updates[-1])
        lines = [
            f"Fit of {self.model.expression}: {self.status}",
            f"  epochs      {self.epochs} ({made:,} update{'s' * (made != 1)}{target})",
            f"  parameters  {params}",
            f"  loss        {self.loss[0]:.6g} -> {self.kept.loss:.6g} ({self.records})",
            *self._describe_validation(),
            *self._describe_test(),
            *([f"  RMSE, R²    {self.rmse:.6g}, {self.r2:.6g}"] if self.criterion.of_residual else []),
            *(f"  {name:<11} {value:.6g}" for name, value in self.metrics.items() if name not in {"rmse", "r2"}),
            *([f"  precision   {self.dtype}"] if self.dtype != "float64" else []),
            *([f"  order       {self.order}"] if "block" in self.order else []),
            f"  time        {self.seconds:.3g} s training, {self.compile_seconds:.3g} s compiling or loading",
        ]
        if self.uncertainty.reason:
            lines.append(f"  no standard errors: {self.uncertainty.reason}")
        with IMPORT_LOCK:
            from sgdbench.kernels.train.attainable_loss import is_found_at_once  # noqa: PLC0415 (only when asked for)

        if is_found_at_once(self.model, self.criterion, (self.x, self.y)):
            lines.append(f"  lowest loss {self.optimum.describe(self.kept.loss)}")
        if self.classes:
            lines.append(f"  classes     {self.classes}")
        return "\n".join(lines)

    def _describe_validation(self) -> list[str]:
        if self.validation_loss is None:
            return []
        end, best = self.kept, self.best
        course = f"{self.validation_loss[0]:.6g} -> {end.validation_loss:.6g}"
        if end.checkpoint < self.loss.size - 1:
            return [f"  validation  {course}; its parameters, after {end.epoch:g} epochs, are kept"]
        return [f"  validation  {course}, lowest {best.validation_loss:.6g} after {best.epoch:g} epochs"]

    def _describe_test(self) -> list[str]:
        if self.test is None:
            return []
        names = {"rmse": "RMSE", "r2": "R²"}
        metrics = "".join(f", {names.get(name, name)} {value:.6g}" for name, value in self.test_metrics.items())
        size = f"{self.test[1].size:,} samples that had no part in the run"
        return [f"  test        {self.test_loss:.6g}{metrics} on {size}"]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per checkpoint.

        Returns
        -------
        DataFrame
            epoch (a fraction within an epoch), lr (of the preceding update), loss, validation_loss if there is one,
            param_<name> for each parameter if the trajectory has every checkpoint; samples and updates.
        """
        import pandas as pd  # noqa: PLC0415 (only when asked for)

        epoch = self.samples_seen / self.samples_per_epoch
        whole = self.samples_seen // self.samples_per_epoch
        columns: dict[str, Floats | Integers] = {
            "epoch": whole if (whole * self.samples_per_epoch == self.samples_seen).all() else epoch,
            "lr": np.concatenate([[np.nan], self.rates[np.ceil(epoch[1:]).astype(np.int64) - 1]]),
            "loss": self.loss,
        }
        if self.validation_loss is not None:
            columns["validation_loss"] = self.validation_loss
        if len(self.trajectory) == self.loss.size:
            columns |= {f"param_{name}": self.trajectory[:, k] for k, name in enumerate(self.model.params)}
        columns |= {"samples": self.samples_seen, "updates": self.updates}
        return pd.DataFrame(columns)

    def plot(self, x: Inputs | None = None, y: ArrayLike | None = None, *, ax: Axes | None = None) -> Figure:
        """Draw the loss and, if data are given, the fitted curve beside it.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table, optional
        y : array, shape (n,), or str, optional
            The training data, as `sgdbench.fit` takes them.
        ax : matplotlib.axes.Axes, optional
            Axes for the curve or, without data, for the loss; by default a new figure.

        Returns
        -------
        matplotlib.figure.Figure
            Jupyter shows it.

        Raises
        ------
        ValueError
            If the data do not fit the model.
        """
        draw = _load_view("plot_fit")
        if x is not None:
            x, y = self._stack_inputs(x, y)
        figure: Figure = draw(self, x, y, ax)
        return figure

    def animate(
        self,
        x: Inputs,
        y: ArrayLike | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        names: tuple[str, str] | None = None,
        dpi: float = 100,
    ) -> FuncAnimation:
        """Return an animation of the fit: the curve moves onto its data, and beside it the loss falls.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table
            For several inputs, predicted values are plotted against observed ones.
        y : array, shape (n,), or str, optional
            The training data, as `sgdbench.fit` takes them.
        settings : mapping, optional
            The settings passed to `sgdbench.fit`. With them (``{}`` if all had their defaults), the first epochs are
            shown update by update; without them, epoch by epoch.
        names : pair of str, optional
            The names of x and y; by default the name of the model's input, and y.
        dpi : float, default 100
            The resolution: a frame is 6.4 x 3.6 inches.

        Returns
        -------
        matplotlib.animation.FuncAnimation
            Jupyter displays it. ``save(path)`` writes a .gif, .mp4 or .html file. A diverged fit is shown as long as it
            is finite.

        Raises
        ------
        ValueError
            If the data and settings do not reproduce the run, the model has no single curve, or the loss is not finite
            at the start.
        """
        animation: FuncAnimation = _load_view("animate")(
            self, *self._stack_inputs(x, y), settings=settings, names=names, dpi=dpi
        )
        return animation

    def _stack_inputs(self, x: Inputs, y: ArrayLike | None) -> tuple[Floats, ArrayLike]:
        """Return the columns of the model's inputs as an array, and the targets."""
        x, y = take_targets(x, y)
        check_row_order(x, y)
        columns = self.model.columns(x)
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1), y

    def _repr_html_(self) -> str:
        """Return the HTML that Jupyter displays."""
        html: str = _load_view("fit_html")(self)
        return html


def _load_view(name: str) -> Callable[..., Any]:
    """Return a function that shows fits, which the entry points `sgdbench.views` of the installed package name."""
    from importlib.metadata import entry_points  # noqa: PLC0415 (only when asked for)

    views = entry_points(group="sgdbench.views", name=name)
    if not views:
        raise ModuleNotFoundError("sgdbench is not installed, or by an older version: install it again with pip")
    view: Callable[..., Any] = next(iter(views)).load()
    return view


def mean_loss(model: Model, loss: Loss, params: Floats, x: tuple[Floats, ...], y: Floats) -> float:
    """Return the mean recorded loss at parameters of shape (P,) over samples, piece by piece."""

    def loss_of(x: tuple[Floats, ...], y: Floats) -> float:
        loss_arguments, _ = loss.evaluate(model.program, params, stack_columns(x, y.size), y)
        return float(np.mean(loss.recorded(loss_arguments)))

    with np.errstate(all="ignore"):
        return mean_over((x, y), loss_of)


def mean_metrics(model: Model, loss: Loss, params: Floats, x: tuple[Floats, ...], y: Floats) -> dict[str, float]:
    """Return the means of `Loss.metrics` over samples, piece by piece."""
    names = list(loss.metrics(np.zeros(1), np.zeros(1)))
    if not names:  # saves a pass over the samples
        return {}

    def metrics_of(x: tuple[Floats, ...], y: Floats) -> Floats:
        return np.array(list(loss.metrics(model.predict_columns(params, x), y).values()))

    with np.errstate(all="ignore"):
        return dict(zip(names, np.atleast_1d(mean_over((x, y), metrics_of)).tolist(), strict=True))


def mean_square(model: Model, params: Floats, x: tuple[Floats, ...], y: Floats) -> float:
    """Return the mean squared residual at parameters of shape (P,), over samples, piece by piece."""
    with np.errstate(all="ignore"):
        return mean_over((x, y), lambda x, y: float(np.mean((model.predict_columns(params, x) - y) ** 2)))


def metrics_on(model: Model, loss: Loss, params: Floats, x: tuple[Floats, ...], y: Floats) -> dict[str, float]:
    """Return measures of a fit on samples besides the recorded loss, by name.

    For a residual they are ``"rmse"`` and ``"r2"`` (nan if y does not vary), otherwise those of `Loss.metrics`, such as
    ``"accuracy"``.
    """
    metrics = mean_metrics(model, loss, params, x, y)
    if not loss.of_residual:
        return metrics
    mean, spread = mean_square(model, params, x, y), variance(y)
    return {"rmse": math.sqrt(mean), "r2": 1 - mean / spread if spread else math.nan} | metrics


def whole_or_fraction(seen: int, per_epoch: int) -> float:
    """Return a number of epochs as an int at the end of an epoch, else as a fraction."""
    return seen / per_epoch if seen % per_epoch else seen // per_epoch
