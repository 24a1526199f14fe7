"""fit(): one training run with any kernel."""

from __future__ import annotations  # so that `help` shows the names of types, not what they stand for

import time
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import reference
from kernels.base.checks import check_bool, check_integer, check_seed, check_target
from kernels.base.columns import Inputs
from kernels.base.run import (
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
    samples_per_epoch,
)
from kernels.compile.kinds import KERNELS, SINGLE, check_dtype, check_kernel
from kernels.compile.specialize import specialize
from kernels.data.marks import count_updates, make_marks, with_marks
from kernels.data.order import describe_order, make_shuffle
from kernels.data.samples import allocate_data, check_batch_size, check_samples, to_dtype
from kernels.data.validation import check_patience, hold_out
from kernels.losses import make_loss
from kernels.losses.classes import encode_classes, find_classes
from kernels.losses.loss import Loss
from kernels.model.model import Model
from kernels.model.models import make_model
from kernels.optimizers import make_optimizer
from kernels.optimizers.optimizer import Optimizer
from kernels.optimizers.run_options import option_values
from kernels.optimizers.schedules import learning_rates
from kernels.train.fit_result import FitResult, whole_or_fraction
from kernels.train.slices import REFERENCE_SLOWDOWN, train_in_slices

T = TypeVar("T", bound=np.generic)
Train = Callable[[Data, Hyperparameters, Record, int, int], tuple[int, int]]


def fit(
    model: Model | str,
    x: Inputs,
    y: ArrayLike | None = None,
    *,
    init: ArrayLike | Mapping[str, float] | None = None,
    lr: float = 0.1,
    schedule: str | Callable[[int], float] | ArrayLike | None = None,
    batch_size: int | str = 1,
    epochs: int = 100,
    shuffle: bool | str = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str | Optimizer = "sgd",
    loss: str | Loss = "squared",
    target: float | None = None,
    kernel: str = "fused",
    record: str | int = "epoch",
    validation: float | tuple[Inputs, ArrayLike] | None = None,
    test: float | tuple[Inputs, ArrayLike] | None = None,
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
        None for a model without inputs, see `minimize`. Columns may be memory maps, as those of
        `bench.data.open_table`, so that there may be more samples than memory holds.
    y : array, shape (n,)
        0 and 1, or two labels of any kind, for the losses ``"logistic"`` and ``"hinge"``: of labels, such as texts,
        truth values or -1 and 1, the greater one is class 1, and `FitResult.classes` tells them. Counts for
        ``"poisson"``.
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
    shuffle : bool or str
        Visit the samples in an order drawn anew for each epoch from (seed, epoch); else as they stand. ``"blocks"``
        shuffles the order of blocks of 8,192 samples, and then the samples of as many blocks as a buffer of 262,144
        holds; ``"blocks(size=1000, buffer=50000)"`` has other numbers. It is faster than a full shuffle from a million
        samples on: see `kernels.data.order` for what it shuffles less well.
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
        ``"reference"``, ``"fused"`` (the same bits, compiled) or ``"fused-fma"`` (last bits differ).
    record : str or int
        The marks at which the loss and the parameters are recorded, 0 and the end of every epoch always among them:
        ``"epoch"``, these alone; ``"log"`` or ``"log:PER_DECADE"``, besides them marks evenly spaced in the logarithm
        of the samples seen, in the first epochs; or a number, besides them a mark each time after that many updates.
        What is recorded does not change the parameters, but `target` and `patience` are looked at only at marks.
    validation : float or (x, y), optional
        Samples that are not trained on; the loss over them is recorded at the same marks. Either data
        besides x and y, or the share of x and y to hold out, between 0 and 1: ``round(validation * n)`` samples, which
        are the first of ``numpy.random.default_rng(0).permutation(n)``, after those for the `test`. That split depends
        on neither `seed` nor `kernel`, so that runs can be compared; all parts keep the order of the samples. What is
        fitted is as if the part that is left had been given alone.
    test : float or (x, y), optional
        Samples that have no part in the run, neither in training nor in what is kept: `FitResult.test_loss` is the loss
        on them. Data besides x and y, or a share of them: the first ``round(test * n)`` of that permutation.
    patience : int, optional
        Stop at the first mark that lies this many epochs or more after that of the lowest validation loss; the status
        is ``"stopped"`` then. However the run ends, `params` are those of the mark of the lowest validation loss, and
        all that is said of them (`kept`, `rmse`, `predict`, ...) too.
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
    loss, optimizer, order = make_loss(loss), make_optimizer(optimizer), make_shuffle(shuffle)
    if y is None:
        hint = "; bench.data.open_table maps the columns of a file" if isinstance(x, str | PathLike) else ""
        raise ValueError(f"y must be given{hint}")
    classes = find_classes(loss, y)
    y, validation, test = encode_classes(classes, y, validation, test)
    (columns, targets), held_out, for_test = hold_out(model, loss, *check_samples(model, x, y), validation, test)
    n, epochs, seed = targets.size, check_integer("epochs", epochs), check_seed(seed)
    rates = learning_rates(schedule, lr, epochs)
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    size, drop_last = check_batch_size(batch_size, n), check_bool("drop_last", drop_last)
    marks = make_marks(record, n, size, epochs, drop_last=drop_last)
    hyper = Hyperparameters(
        rates,
        option_values(loss, optimizer),
        size,
        drop_last,
        bool(order),
        seed,
        check_target(target, nonnegative=loss.nonnegative),
        marks,
        check_patience(patience, validation),
    )
    start = to_dtype("init", draw_start(model, seed) if init is None else model.vector(init, "init"), dtype)
    kept = allocate_record(start, optimizer, marks.size, held_out=held_out is not None)
    data = allocate_data(columns, targets, shuffle=order, batch_size=size, validation=held_out, dtype=dtype)

    asked = time.perf_counter()
    train = trainer(kernel, model, loss, optimizer, dtype, gathers=data.order.size > 0)
    per_epoch = samples_per_epoch(n, size, drop_last)
    about: dict[str, Any] = {
        "model": model,
        "criterion": loss,
        "x": columns,
        "y": targets,
        "validation": held_out,
        "test": for_test,
        "classes": classes,
        "dtype": dtype,
        "order": describe_order(n, order),
        "samples_per_epoch": per_epoch,
        "compile_seconds": time.perf_counter() - asked,
    }
    updates = count_updates(marks, n, size, drop_last=drop_last)
    slowdown = REFERENCE_SLOWDOWN if kernel == "reference" else 1
    steps = train_in_slices(partial(train, data, hyper, kept), marks, samples=count_evaluated(data), slowdown=slowdown)
    seconds = 0.0
    for status, done, spent in steps:
        seconds += spent
        result = FitResult(**about, **_state_at(done, status, hyper, kept, updates, per_epoch), seconds=seconds)
        if callback:
            callback(result)
    return result


def allocate_record(start: Floats, optimizer: Optimizer, marks: int, *, held_out: bool) -> Record:
    """Return room for what a run leaves at its marks, of which the first is the start."""
    trajectory = np.empty((marks, start.size))
    trajectory[0] = start
    memory, validation_losses = optimizer.initial_memory(trajectory[0]), np.empty(marks if held_out else 0)
    return Record(np.empty(marks), trajectory, memory, validation_losses, np.array(NO_LOWEST))


def _state_at(
    done: int, status: int, hyper: Hyperparameters, kept: Record, updates: Marks, per_epoch: int
) -> dict[str, Any]:
    """Return what a run is at a mark, as the fields of a result."""
    marks = hyper.marks
    # The run goes on with these arrays. After millions of epochs a copy would take longer than the training between two
    # callbacks.
    protect = _read_only if status == MAX_EPOCHS and done < marks.size - 1 else np.copy
    seen = int(marks[done])
    mark = int(np.searchsorted(marks, kept.lowest[1])) if np.isfinite(hyper.patience) else done
    return {
        "params": kept.trajectory[mark].copy(),
        "loss": protect(kept.losses[: done + 1]),
        "trajectory": protect(kept.trajectory[: done + 1]),
        "validation_loss": protect(kept.validation_losses[: done + 1]) if kept.validation_losses.size else None,
        "rates": protect(hyper.rates[: -(-seen // per_epoch)]),
        "samples_seen": protect(marks[: done + 1]),
        "updates": protect(updates[: done + 1]),
        "status": STATUS[status],
        "epochs": seen // per_epoch,
        "epochs_to_target": whole_or_fraction(seen, per_epoch) if status == CONVERGED else None,
        "memory": kept.memory.copy(),
        "kept_mark": mark,
    }


def _read_only(view: NDArray[T]) -> NDArray[T]:
    """Return the view, closed to writing."""
    view.flags.writeable = False
    return view


def trainer(
    kernel: str, model: Model, loss: Loss, optimizer: Optimizer, dtype: str = "float64", *, gathers: bool = False
) -> Train:
    """Return the function that trains one run with a kernel, compiled where it has to be.

    Raises
    ------
    ValueError
        For an unknown kernel, one that trains several runs side by side, or one that has no float32 for these.
    """
    check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    if kernel == "reference":
        return lambda data, hyper, record, first, last: reference.train(
            model.program, loss, optimizer, data, with_marks(hyper, data.y.size), record, first, last
        )
    made_of = partial(specialize, model.program, loss, optimizer, fma=KERNELS[kernel].fma, dtype=dtype)
    compiled = {gathers: made_of(gathers=gathers).train}
    sums = allocate_scratch(len(model.params))

    def train(data: Data, hyper: Hyperparameters, record: Record, first: int, last: int) -> tuple[int, int]:
        gathered = data.order.size > 0
        if gathered not in compiled:
            compiled[gathered] = made_of(gathers=gathered).train
        return compiled[gathered](data, with_marks(hyper, data.y.size), record, sums, first, last)

    return train


def draw_start(model: Model, seed: int) -> Floats:
    """Return standard normal draws of the seed, one per parameter."""
    return np.random.default_rng(seed).standard_normal(len(model.params))
