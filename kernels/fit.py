"""fit(): one training run with any kernel."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kernels import reference
from kernels.agreement import KERNELS, SINGLE, check_kernel
from kernels.checks import check_bool, check_integer, check_seed, check_target
from kernels.losses import Loss, make_loss
from kernels.model import Model
from kernels.models import make_model
from kernels.optimizers import Optimizer, make_optimizer
from kernels.run import (
    CONVERGED,
    MAX_EPOCHS,
    STATUS,
    Data,
    Floats,
    Hyperparameters,
    Record,
    allocate_scratch,
    initial_memory,
    option_values,
)
from kernels.samples import allocate_data, check_batch_size, check_samples
from kernels.schedules import learning_rates
from kernels.slices import REFERENCE_SLOWDOWN, train_in_slices
from kernels.specialize import specialize
from kernels.views import find_view, load_view

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Train = Callable[[Data, Hyperparameters, Record, int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class FitResult:
    """What a training run gives; equal to itself alone. No two of its arrays share memory.

    Attributes
    ----------
    model : Model
    params : array, shape (P,)
        After the last epoch; in the order of ``model.params``.
    loss : array, shape (epochs + 1,)
        Mean squared residual over the whole data set, whatever loss was trained: before the first epoch, then after
        each.
    trajectory : array, shape (epochs + 1, P)
        The parameters at the same moments.
    rates : array, shape (epochs,)
        The learning rate of each epoch.
    status : str
        ``"converged"`` (the loss reached the target), ``"max_epochs"``, or ``"diverged"`` (the loss or a parameter is
        no longer finite).
    epochs : int
        Epochs done.
    epochs_to_target : int or None
        After how many the loss was at or below the target.
    seconds : float
        Time spent training.
    compile_seconds : float
        Time spent to derive and compile the kernel, or to load it from the disk cache; not part of `seconds`.
    """

    model: Model
    params: Floats
    loss: Floats
    trajectory: Floats
    rates: Floats
    status: str
    epochs: int
    epochs_to_target: int | None
    seconds: float
    compile_seconds: float

    def to_frame(self) -> "pd.DataFrame":
        """One row per epoch: epoch, lr (of the epoch that ends there), loss, and param_<name> for each parameter."""
        import pandas as pd  # noqa: PLC0415 (only when asked for)

        columns: dict[str, Floats | range] = {
            "epoch": range(self.epochs + 1),
            "lr": np.concatenate([[np.nan], self.rates]),
            "loss": self.loss,
        }
        columns |= {f"param_{name}": self.trajectory[:, k] for k, name in enumerate(self.model.params)}
        return pd.DataFrame(columns)

    def plot(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> "Figure":
        """Draw the loss and, beside it, the curve on its data where they are given.

        Parameters
        ----------
        x : array, shape (n,) or (n, inputs), optional
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
        figure: Figure = load_view("plot_fit")(self, x, y)
        return figure

    def _repr_html_(self) -> str | None:
        """What Jupyter shows; it falls back on plain text for None."""
        render = find_view("fit_html")
        return render(self) if render else None


def fit(
    model: Model | str,
    x: ArrayLike,
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
    callback: Callable[[FitResult], None] | None = None,
) -> FitResult:
    """Fit a model to data with stochastic gradient descent.

    With r = f(x; theta) - y, each update steps against the mean over a batch of dloss/dr * df/dtheta; for the squared
    loss that is the gradient of HALF the mean squared residual.

    Parameters
    ----------
    model : Model or str
        A model, an expression in x, or the name of a ready-made model such as ``"polynomial(3)"``.
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
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
        ``"squared"``, ``"huber(1.0)"`` or ``"logcosh"``.
    target : float, optional
        Stop as soon as the mean squared residual over the whole data set is at or below this.
    kernel : str
        ``"reference"``, ``"fused"`` (the same bits, compiled) or ``"fused-fma"`` (last bits differ).
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
    columns, y = check_samples(model, x, y)
    epochs = check_integer("epochs", epochs)
    seed = check_seed(seed)
    rates = learning_rates(schedule, lr, epochs)
    plan = Hyperparameters(
        rates,
        option_values(loss, optimizer),
        check_batch_size(batch_size, y.size),
        check_bool("drop_last", drop_last),
        check_bool("shuffle", shuffle),
        seed,
        check_target(target),
    )
    params = len(model.params)
    record = Record(np.empty(epochs + 1), np.empty((epochs + 1, params)), initial_memory(optimizer, params))
    record.trajectory[0] = draw_start(model, seed) if init is None else model.vector(init, "init")
    data = allocate_data(columns, y, shuffle=plan.shuffle)
    asked = time.perf_counter()
    train = trainer(kernel, model, loss, optimizer)
    compile_seconds = time.perf_counter() - asked

    seconds = 0.0
    samples_per_epoch = y.size * (REFERENCE_SLOWDOWN if kernel == "reference" else 1)
    for status, done, spent in train_in_slices(
        partial(train, data, plan, record), 0, epochs, samples=samples_per_epoch
    ):
        seconds += spent
        # The run goes on with these arrays. After millions of epochs a copy would take longer than the training between
        # two callbacks.
        protect = _read_only if status == MAX_EPOCHS and done < epochs else np.copy
        result = FitResult(
            model,
            record.trajectory[done].copy(),
            protect(record.losses[: done + 1]),
            protect(record.trajectory[: done + 1]),
            protect(rates[:done]),
            STATUS[status],
            done,
            done if status == CONVERGED else None,
            seconds,
            compile_seconds,
        )
        if callback:
            callback(result)
    return result


def _read_only(view: Floats) -> Floats:
    """Return the view, closed to writing."""
    view.flags.writeable = False
    return view


def trainer(kernel: str, model: Model, loss: Loss, optimizer: Optimizer) -> Train:
    """Return the function that trains one run with a kernel, compiled where it has to be.

    Raises
    ------
    ValueError
        For an unknown kernel, or one that trains several runs side by side.
    """
    check_kernel(kernel, SINGLE)
    if kernel == "reference":
        return partial(reference.train, model.program, loss, optimizer)
    compiled = specialize(model.program, loss, optimizer, fma=KERNELS[kernel].fma).train
    room_for_sums = allocate_scratch(len(model.params))
    return lambda data, plan, record, first, last: compiled(data, plan, record, room_for_sums, first, last)


def draw_start(model: Model, seed: int) -> Floats:
    """Standard normal draws of the seed, one per parameter."""
    return np.random.default_rng(seed).standard_normal(len(model.params))
