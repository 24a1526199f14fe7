"""fit(): one training run with any kernel."""

from __future__ import annotations  # so that `help` shows the names of types, not what they stand for

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import reference
from kernels.agreement import KERNELS, SINGLE, check_dtype, check_kernel
from kernels.checks import check_bool, check_integer, check_seed, check_target
from kernels.columns import Inputs, stack_columns
from kernels.epoch_map_training import EpochMapTrainer
from kernels.fit_quality import Uncertainty, estimate_uncertainty, least_squares, unknown
from kernels.loops import samples_per_epoch
from kernels.loss import Loss
from kernels.loss_factor import LossFactors
from kernels.losses import make_loss
from kernels.marks import count_updates, make_marks, with_marks
from kernels.model import Model
from kernels.models import make_model
from kernels.optimizer import Optimizer
from kernels.optimizers import make_optimizer
from kernels.run import (
    CONVERGED,
    MAX_EPOCHS,
    NO_LOWEST,
    STATUS,
    Data,
    Floats,
    Hyperparameters,
    Marks,
    Record,
    allocate_scratch,
    count_evaluated,
    option_values,
)
from kernels.samples import Samples, allocate_data, check_batch_size, check_samples, to_dtype
from kernels.schedules import learning_rates
from kernels.slices import REFERENCE_SLOWDOWN, train_in_slices
from kernels.snapshot import Snapshot
from kernels.specialize import specialize
from kernels.validation import check_patience, hold_out
from kernels.views import find_view, load_view

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

T = TypeVar("T", bound=np.generic)
Train = Callable[[Data, Hyperparameters, Record, int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a training run gives; equal to itself alone. No two of its arrays share memory.

    Attributes
    ----------
    model : Model
    params : array, shape (P,)
        After the last epoch; in the order of ``model.params``.
    loss : array, shape (M,)
        Over all samples that are trained on, at each mark: before the first update, after each epoch, and in between
        where `record` asks for it. The mean squared residual, whatever loss of the residual was trained; for a loss of
        prediction and target, such as ``"logistic"``, its mean. `records` says which.
    trajectory : array, shape (M, P)
        The parameters at the same marks.
    samples_seen, updates : array, shape (M,)
        The samples visited and the updates made by each mark.
    samples_per_epoch : int
        The samples that an epoch visits: all of them, but for a last batch that is left out.
    criterion : Loss
        The loss that was trained.
    x : tuple of array, shape (n,)
        The inputs that were trained on, one array for each; not copied where they were float64 columns already.
    y : array, shape (n,)
    rates : array
        The learning rate of each epoch that was begun.
    status : str
        ``"converged"`` (the loss reached the target), ``"max_epochs"``, ``"diverged"`` (the loss or a parameter is no
        longer finite), or ``"stopped"`` (the validation loss had not improved for `patience` epochs).
    epochs : int
        Epochs finished.
    epochs_to_target : float or None
        After how many the loss was at or below the target: a whole number where only epochs are recorded, else samples
        seen by the samples of an epoch.
    seconds : float
        Time spent training.
    compile_seconds : float
        Time spent to derive and compile the kernel, or to load it from the disk cache; not part of `seconds`.
    validation_loss : array, shape (M,), or None
        As `loss`, over the held-out samples, at the same marks; None without `validation`.
    validation : tuple or None
        The held-out samples: their inputs, as in `x`, and their y.
    notes : tuple of str
        What else is to be known of the run: that another kernel trained it than the one asked for, and why.
    memory : array
        What the optimizer remembers at the end, to go on with: the slots of each parameter, then its clock.
    dtype : str
        What was computed with; `x` and `y` are as they were given all the same.
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
    samples_seen: Marks
    updates: Marks
    samples_per_epoch: int
    criterion: Loss
    x: tuple[Floats, ...] = field(repr=False)
    y: Floats = field(repr=False)
    validation_loss: Floats | None = None
    validation: Samples | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    memory: Floats = field(default_factory=lambda: np.zeros(0), repr=False)
    dtype: str = "float64"

    def predict(self, x: Inputs) -> Floats:
        """Return the model at x with the parameters of the end.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table
            A data frame or a mapping, whose columns are found by the names of the inputs.

        Returns
        -------
        array, shape (n,)
        """
        return self.model.predict(self.params, x)

    def predict_mean(self, x: Inputs) -> Floats:
        """Return the expected targets at x: probabilities where the log loss was trained, rates of counts for poisson.

        What the model gives is the logarithm of the odds there, or of the rate. Where a residual was trained, it is the
        expected target itself.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table

        Returns
        -------
        array, shape (n,)

        Raises
        ------
        ValueError
            If the loss says nothing of expected targets, as ``"hinge"``.
        """
        if not self.criterion.has_mean:
            raise ValueError(f"the loss {self.trained!r} says nothing of expected targets; predict(x) gives the model")
        return self.criterion.mean_of(self.predict(x))

    def loss_at(self, params: Floats) -> float:
        """Return what the run records, at other parameters, shape (P,)."""
        with np.errstate(all="ignore"):
            given, _ = self.criterion.evaluate(self.model.program, params, stack_columns(self.x, self.y.size), self.y)
            return float(np.mean(self.criterion.recorded(given)))

    @property
    def trained(self) -> str:
        """The loss that was trained, such as ``"squared"`` or ``"huber(delta=1.0)"``."""
        return self.criterion.text

    @property
    def records(self) -> str:
        """What `loss` is: ``"mean squared residual"``, or the loss that was trained by its name, as ``"log loss"``."""
        return self.criterion.records

    @cached_property
    def metrics(self) -> dict[str, float]:
        """What else is known of the end, on the samples that were trained on; see `kernels.loss.Loss.metrics`."""
        return self.criterion.metrics(self.model.predict_columns(self.params, self.x), self.y)

    @property
    def epoch_marks(self) -> Marks:
        """Which of the marks are the start and the ends of epochs, shape (epochs + 1,)."""
        return np.flatnonzero(self.samples_seen % self.samples_per_epoch == 0)

    @property
    def best(self) -> Snapshot:
        """The mark of the lowest validation loss, or of the lowest loss without `validation`; the first of equals.

        Marks at which the loss or a parameter is not finite do not count, but for the start where there is no other.
        """
        losses = self.loss if self.validation_loss is None else self.validation_loss
        counts = np.isfinite(losses) & np.isfinite(self.loss) & np.isfinite(self.trajectory).all(axis=1)
        mark = int(np.argmin(np.where(counts, losses, np.inf)))
        seen = int(self.samples_seen[mark])
        return Snapshot(
            mark,
            seen,
            _whole_or_fraction(seen, self.samples_per_epoch),
            self.trajectory[mark].copy(),
            float(self.loss[mark]),
            None if self.validation_loss is None else float(self.validation_loss[mark]),
        )

    @property
    def rmse(self) -> float:
        """The root of the mean squared residual at the end, in the units of y; nan where no residual was trained."""
        return math.sqrt(self.loss[-1]) if self.criterion.of_residual and self.loss[-1] >= 0 else math.nan

    @property
    def r2(self) -> float:
        """The share of the variance of y that the model explains at the end; nan where y does not vary.

        It is nan too where no residual was trained.
        """
        variance = float(np.var(self.y))
        return 1.0 - float(self.loss[-1]) / variance if variance and self.criterion.of_residual else math.nan

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The standard errors and correlations of the parameters; see `kernels.fit_quality`."""
        if self.status == "diverged":
            return unknown(self.params.size, "the run diverged")
        if self.trained != "squared":
            return unknown(self.params.size, f"they are known for the squared loss only, not for {self.trained}")
        return estimate_uncertainty(self.model, self.params, self.x, self.y)

    @property
    def stderr(self) -> Floats:
        """The standard errors of the parameters, shape (P,); `uncertainty.reason` says why where they are nan.

        They suppose that the run has arrived at a minimum.
        """
        return self.uncertainty.stderr

    @cached_property
    def optimum(self) -> Floats | None:
        """The parameters of the least squares, shape (P,), of a model linear in them; None for any other model.

        None too where no residual was trained.
        """
        suits = self.criterion.of_residual and self.model.is_linear
        return least_squares(self.model, self.x, self.y) if suits else None

    def __str__(self) -> str:
        rows = zip(self.model.params, self.params, self.stderr, strict=True)
        params = ", ".join(
            f"{name} = {value:.6g}{'' if math.isnan(error) else f' ± {error:.2g}'}" for name, value, error in rows
        )
        target = "" if self.epochs_to_target is None else f", target reached after {self.epochs_to_target:g}"
        lines = [
            f"Fit of {self.model.expression}: {self.status}",
            f"  epochs      {self.epochs} ({int(self.updates[-1]):,} updates{target})",
            f"  parameters  {params}",
            f"  loss        {self.loss[0]:.6g} -> {self.loss[-1]:.6g} ({self.records})",
            *self._describe_validation(),
            *([f"  RMSE, R²    {self.rmse:.6g}, {self.r2:.6g}"] if self.criterion.of_residual else []),
            *(f"  {name:<11} {value:.6g}" for name, value in self.metrics.items()),
            *([f"  precision   {self.dtype}"] if self.dtype != "float64" else []),
            f"  time        {self.seconds:.3g} s training, {self.compile_seconds:.3g} s compiling or loading",
        ]
        if self.uncertainty.reason:
            lines.append(f"  no standard errors: {self.uncertainty.reason}")
        if self.optimum is not None:
            distance = float(np.linalg.norm(self.params - self.optimum))
            lines.append(f"  distance from the least-squares optimum: {distance:.3g}")
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def _describe_validation(self) -> list[str]:
        if self.validation_loss is None:
            return []
        best, course = self.best, f"{self.validation_loss[0]:.6g} -> {self.validation_loss[-1]:.6g}"
        return [f"  validation  {course}, lowest {best.validation_loss:.6g} after {best.epoch:g} epochs"]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per mark.

        Returns
        -------
        DataFrame
            epoch (a fraction within one), lr (of the update before), loss, validation_loss where there is one,
            param_<name> for each parameter; samples and updates.
        """
        import pandas as pd  # noqa: PLC0415 (only when asked for)

        epoch = self.samples_seen / self.samples_per_epoch
        whole = self.samples_seen // self.samples_per_epoch
        columns: dict[str, Floats | Marks] = {
            "epoch": whole if (whole * self.samples_per_epoch == self.samples_seen).all() else epoch,
            "lr": np.concatenate([[np.nan], self.rates[np.ceil(epoch[1:]).astype(np.int64) - 1]]),
            "loss": self.loss,
        }
        if self.validation_loss is not None:
            columns["validation_loss"] = self.validation_loss
        columns |= {f"param_{name}": self.trajectory[:, k] for k, name in enumerate(self.model.params)}
        columns |= {"samples": self.samples_seen, "updates": self.updates}
        return pd.DataFrame(columns)

    def plot(self, x: Inputs | None = None, y: ArrayLike | None = None) -> Figure:
        """Draw the loss and, beside it, the curve on its data where they are given.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), or a table, optional
        y : array, shape (n,), optional
            The data that were trained.

        Returns
        -------
        matplotlib.figure.Figure
            Jupyter shows it.

        Raises
        ------
        ValueError
            If the data do not fit the model.
        ImportError
            If there is no package that draws; `bench` does.
        """
        draw = load_view("plot_fit")
        if x is not None:
            columns = self.model.columns(x)
            x = columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
        figure: Figure = draw(self, x, y)
        return figure

    def _repr_html_(self) -> str | None:
        """Return what Jupyter shows; it falls back on plain text for None."""
        render = find_view("fit_html")
        return render(self) if render else None


def fit(
    model: Model | str,
    x: Inputs,
    y: ArrayLike,
    *,
    init: ArrayLike | Mapping[str, float] | None = None,
    lr: float = 0.1,
    schedule: str | Callable[[int], float] | ArrayLike | None = None,
    batch_size: int | str = 1,
    epochs: int = 100,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str | Optimizer = "sgd",
    loss: str | Loss = "squared",
    target: float | None = None,
    kernel: str = "fused",
    record: str | int = "epoch",
    validation: float | tuple[Inputs, ArrayLike] | None = None,
    patience: int | None = None,
    dtype: str = "float64",
    callback: Callable[[FitResult], None] | None = None,
) -> FitResult:
    """Fit a model to data with stochastic gradient descent.

    With r = f(x; theta) - y, each update steps against the mean over a batch of dloss/dr * df/dtheta; for the squared
    loss that is the gradient of HALF the mean squared residual. Losses of the prediction f and the target y, such as
    ``"logistic"``, have dloss/df in its place.

    Parameters
    ----------
    model : Model or str
        A model, an expression in x, or the name of a ready-made model such as ``"polynomial(3)"``.
    x : array, shape (n,) or (n, inputs), or a table
        An array is taken by position. Of a table, which is a data frame or a mapping of names to columns, each input is
        the column of its name, whatever their order; other columns are left alone.
        None for a model without inputs, see `minimize`.
    y : array, shape (n,)
        0 and 1 for the losses ``"logistic"`` and ``"hinge"``, counts for ``"poisson"``.
    init : array, shape (P,), or mapping of names to values, optional
        Where to start. Without it, standard normal draws of the seed.
    lr : float
        Learning rate, positive.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch: ``"halve(10)"``, a function of the epoch (from 0), or an array, shape (epochs,).
    batch_size : int or "full"
        Samples per update. 1 is per-sample SGD, "full" gradient descent.
    epochs : int
        How many passes over the data, at most.
    shuffle : bool
        Visit the samples in an order drawn anew for each epoch from (seed, epoch); else as they stand.
    seed : int
        Of the order, and of the start where `init` is not given.
    drop_last : bool
        Leave out the last batch of an epoch where it would be smaller.
    optimizer : str
        ``"sgd"``, ``"momentum(0.9)"``, ``"adam(beta1=0.9)"``, ...
    loss : str
        Of the residual: ``"squared"``, ``"huber(1.0)"``, ``"logcosh"``, ``"absolute"``, ``"quantile(0.9)"``,
        ``"cauchy(1.0)"``, ``"epsilon_insensitive(0.1)"``. Of prediction and target: ``"logistic"``, ``"hinge"``,
        ``"poisson"``.
    target : float, optional
        Stop at the first mark at which the loss that is recorded, over all samples that are trained on, is at or below
        this. The validation loss has no part in it.
    kernel : str
        ``"reference"``, ``"fused"`` (the same bits, compiled), ``"fused-fma"`` (last bits differ) or ``"epoch-map"``:
        for models that are linear in their parameters, with the squared loss and sgd, momentum or nesterov, whole
        epochs at once, within 1e-12 of the reference; see `kernels.epoch_map`.
    record : str or int
        The marks at which the loss and the parameters are recorded, 0 and the end of every epoch always among them:
        ``"epoch"``, these alone; ``"log"`` or ``"log:PER_DECADE"``, besides them marks evenly spaced in the logarithm
        of the samples seen, in the first epochs; or a number, besides them a mark after every so many updates. What is
        recorded does not change the parameters, but `target` and `patience` are looked at only at marks.
    validation : float or (x, y), optional
        Samples that are not trained on; the loss over them is recorded at the same marks. Either data
        besides x and y, or the share of x and y to hold out, between 0 and 1: ``round(validation * n)`` samples, which
        are the first of ``numpy.random.default_rng(0).permutation(n)``. That split depends on neither `seed` nor
        `kernel`, so that runs can be compared; both parts keep the order of the samples. What is fitted is as if the
        other part alone had been given.
    patience : int, optional
        Stop at the first mark that lies so many epochs or more after that of the lowest validation loss; the status is
        ``"stopped"`` then. `params` are those of the end all the same, and `best` those of the lowest loss.
    dtype : str
        What is computed with: ``"float64"``, or ``"float32"`` with the kernels ``"reference"`` and ``"fused"``, which
        have the same bits there too; for models of + - * / sqrt, abs, max, min, where and whole powers. Samples, start
        and rates are rounded to float32, and all that is computed of them is, losses included; options and clocks of
        optimizers are numbers of double precision that are rounded where they meet the others, as in PyTorch. `params`,
        `loss` and `trajectory` are arrays of float64 that hold numbers of float32.
    callback : callable, optional
        Called with the result so far about twenty times a second. Until the run ends, `loss`, `trajectory` and `rates`
        of that result cannot be written to.

    Returns
    -------
    FitResult
        A run that diverged is a result too.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    """
    model = model if isinstance(model, Model) else make_model(model)
    loss, optimizer = make_loss(loss), make_optimizer(optimizer)
    (columns, y), held_out = hold_out(model, loss, *check_samples(model, x, y), validation)
    epochs = check_integer("epochs", epochs)
    seed = check_seed(seed)
    rates = learning_rates(schedule, lr, epochs)
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    size, drop_last = check_batch_size(batch_size, y.size), check_bool("drop_last", drop_last)
    marks = make_marks(record, y.size, size, epochs, drop_last=drop_last)
    hyper = Hyperparameters(
        rates,
        option_values(loss, optimizer),
        size,
        drop_last,
        check_bool("shuffle", shuffle),
        seed,
        check_target(target, nonnegative=loss.nonnegative),
        marks,
        check_patience(patience, validation),
    )
    shape = marks.size, len(model.params)
    start = draw_start(model, seed) if init is None else model.vector(init, "init")
    kept = Record(
        np.empty(shape[0]),
        np.empty(shape),
        optimizer.initial_memory(start),
        np.empty(shape[0] if held_out else 0),
        np.array(NO_LOWEST),
    )
    kept.trajectory[0] = to_dtype("init", start, dtype)
    data = allocate_data(columns, y, shuffle=hyper.shuffle, validation=held_out, dtype=dtype)
    asked = time.perf_counter()
    train = trainer(kernel, model, loss, optimizer, dtype)
    compile_seconds = time.perf_counter() - asked

    seconds = 0.0
    updates = count_updates(marks, y.size, size, drop_last=drop_last)
    per_epoch = samples_per_epoch(y.size, size, drop_last)
    slowdown = REFERENCE_SLOWDOWN if kernel == "reference" else 1
    legs = partial(train, data, hyper, kept)
    for status, done, spent in train_in_slices(legs, marks, samples=count_evaluated(data), slowdown=slowdown):
        seconds += spent
        # The run goes on with these arrays. After millions of epochs a copy would take longer than the training between
        # two callbacks.
        protect = _read_only if status == MAX_EPOCHS and done < marks.size - 1 else np.copy
        seen = int(marks[done])
        result = FitResult(
            model=model,
            params=kept.trajectory[done].copy(),
            loss=protect(kept.losses[: done + 1]),
            trajectory=protect(kept.trajectory[: done + 1]),
            rates=protect(rates[: -(-seen // per_epoch)]),
            status=STATUS[status],
            epochs=seen // per_epoch,
            epochs_to_target=_whole_or_fraction(seen, per_epoch) if status == CONVERGED else None,
            seconds=seconds,
            compile_seconds=compile_seconds,
            samples_seen=protect(marks[: done + 1]),
            updates=protect(updates[: done + 1]),
            samples_per_epoch=per_epoch,
            criterion=loss,
            x=columns,
            y=y,
            validation_loss=protect(kept.validation_losses[: done + 1]) if held_out else None,
            validation=held_out,
            notes=train.notes if isinstance(train, EpochMapTrainer) else (),
            memory=kept.memory.copy(),
            dtype=dtype,
        )
        if callback:
            callback(result)
    return result


def _whole_or_fraction(seen: int, per_epoch: int) -> float:
    """Return epochs as an int at the end of one, else as a fraction."""
    return seen / per_epoch if seen % per_epoch else seen // per_epoch


def _read_only(view: NDArray[T]) -> NDArray[T]:
    """Return the view, closed to writing."""
    view.flags.writeable = False
    return view


def trainer(kernel: str, model: Model, loss: Loss, optimizer: Optimizer, dtype: str = "float64") -> Train:
    """Return the function that trains one run with a kernel, compiled where it has to be.

    Raises
    ------
    ValueError
        For an unknown kernel, one that trains several runs side by side, or one that has no maps or no float32 for
        these.
    """
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    if KERNELS[kernel].maps:
        return EpochMapTrainer(model, loss, optimizer, lambda: trainer("fused", model, loss, optimizer))
    if kernel == "reference":
        return lambda data, hyper, record, first, last: reference.train(
            model.program, loss, optimizer, data, with_marks(hyper, data.y.size), record, first, last
        )
    compiled = specialize(model.program, loss, optimizer, fma=KERNELS[kernel].fma, dtype=dtype).train
    sums, with_factors = allocate_scratch(len(model.params)), LossFactors(kernel, model, loss)

    def train(data: Data, hyper: Hyperparameters, record: Record, first: int, last: int) -> tuple[int, int]:
        hyper = with_marks(hyper, data.y.size)
        return compiled(with_factors(data, hyper), hyper, record, sums, first, last)

    return train


def draw_start(model: Model, seed: int) -> Floats:
    """Return standard normal draws of the seed, one per parameter."""
    return np.random.default_rng(seed).standard_normal(len(model.params))
