"""fit(): one training run with any kernel."""

from __future__ import annotations  # so that `help` shows the names of types, not their definitions

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.arguments import suggest_arguments
from sgdbench.kernels.base.checks import check_bool, check_integer, check_seed, check_target, describe
from sgdbench.kernels.base.columns import Inputs, Params
from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.memory import check_room
from sgdbench.kernels.base.run import (
    CONVERGED,
    DIVERGED,
    MAX_EPOCHS,
    NO_LOWEST,
    STATUSES,
    Floats,
    Hyperparameters,
    Integers,
    Record,
    count_evaluated,
    samples_per_epoch,
)
from sgdbench.kernels.compile.kinds import SINGLE, check_dtype, check_kernel
from sgdbench.kernels.data.checkpoints import count_updates, make_checkpoints, most_checkpoints
from sgdbench.kernels.data.order import describe_order, make_shuffle
from sgdbench.kernels.data.samples import allocate_data, check_batch_size, to_dtype
from sgdbench.kernels.data.validation import check_patience, read_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import ModelLike
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.fit_result import FitResult, whole_or_fraction
from sgdbench.kernels.train.lost_targets import first_spurious_zero
from sgdbench.kernels.train.slices import slowdown_of, train_in_slices


@suggest_arguments
def fit(
    model: ModelLike,
    x: Inputs,
    y: ArrayLike | None = None,
    *,
    init: Params | None = None,
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
    dtype: str | type[Any] = "float64",
    record_params: bool | None = None,
    callback: Callable[[FitResult], None] | None = None,
) -> FitResult:
    """Fit a model to data with stochastic gradient descent.

    With r = f(x; theta) - y, each update steps against the mean over a batch of dloss/dr * df/dtheta; for the squared
    loss that is the gradient of HALF the mean squared residual. For losses of the prediction f and the target y, such
    as ``"logistic"``, dloss/df replaces dloss/dr.

    Parameters
    ----------
    model : Model, str, callable or SymPy expression
        A model, an expression, or the name of a ready-made model such as ``"polynomial(3)"``. Or a function of one
        sample and the parameters, as `scipy.optimize.curve_fit` takes it, see `sgdbench.Model`: its parameters that are
        columns of a table are inputs, otherwise the first one; the defaults of the others are initial values. The
        result has its text as ``result.model.expression``. An expression refers to
        columns of a table by name, by the rule of `sgdbench.kernels.model.column_names.column_name`, and to those of an
        array as ``x1``, ``x2``, ..., or ``x`` if there is only one; all other names are parameters. A name that looks
        like a misspelt column is refused.
    x : array, shape (n,) or (n, inputs), or a table
        Columns of an array are matched by position, those of a table (a data frame or a mapping) by the names of the
        inputs; other columns are ignored. None for a model without inputs, see `minimize`. Columns may be memory maps,
        as from `sgdbench.data.open_table`, so that the samples may exceed memory. Booleans count as 0 and 1. Rows are
        matched by position: pandas data whose x and y have the same index in different orders are refused.
    y : array, shape (n,), or str
        A string names the column of the table `x` with the targets; that column is not an input, nor is a pandas Series
        that is a column of `x`. For the losses ``"logistic"`` and ``"hinge"``, 0 and 1, or two labels (numbers, strings
        or bools): the greater one is class 1, see `FitResult.classes`. For ``"softmax"``, integers from 0, or 2 to 100
        such labels, each with its own score. For ``"poisson"``, counts.
    init : array, shape (P,), or mapping of names to values, optional
        Initial parameters; by default standard normal draws of the seed, or for models with vectors see
        `sgdbench.Model.draw_start`.
    lr : float
        Learning rate, positive.
    schedule : str, callable or array, optional
        Factors on `lr`, one per epoch: ``"halve(10)"``, a function of the epoch (from 0), or an array, shape (epochs,).
    batch_size : int or "full"
        Samples per update. 1 is per-sample SGD, "full" gradient descent.
    epochs : int
        The maximum number of passes over the data.
    shuffle : bool or str
        Visit the samples in an order drawn for each epoch from (seed, epoch), otherwise in order. ``"blocks"``, faster
        from a million samples on, shuffles blocks of 8,192 samples, and then the samples of as many blocks as a buffer
        of 262,144 holds; ``"blocks(size=1000, buffer=50000)"`` changes these numbers. See
        `sgdbench.kernels.data.order`.
    seed : int
        Seed of the order, and of the initial parameters if `init` is not given.
    drop_last : bool
        Omit the last batch of an epoch if it would be smaller.
    optimizer : str or Optimizer
        ``"sgd"``, ``"momentum(0.9)"``, ``"adam(beta1=0.9)"``, ...
    loss : str or Loss
        Of the residual: ``"squared"``, ``"huber(1.0)"``, ``"logcosh"``, ``"absolute"``, ``"quantile(0.9)"``,
        ``"cauchy(1.0)"``, ``"epsilon_insensitive(0.1)"``. Of prediction and target: ``"logistic"``, ``"hinge"``,
        ``"softmax"``, ``"poisson"``.
    target : float, optional
        Stop at the first checkpoint at which the recorded loss, over all training samples, is at most this.
    kernel : str
        ``"reference"``, ``"fused"`` (compiled; the same bits, except with functions such as exp) or ``"fused-fma"``
        (the last bits differ).
    record : str or int
        The checkpoints at which the loss and the parameters are recorded: ``"epoch"``, the start and the end of every
        epoch; ``"log"`` or ``"log:PER_DECADE"``, also checkpoints evenly spaced in the logarithm of the samples seen,
        in the first epochs; a number, also a checkpoint after every so many updates. A run stops only at checkpoints.
    validation : float or (x, y), optional
        Samples that are not trained on; the loss over them is recorded at the same checkpoints. Either data besides x
        and y, or the share of x and y to hold out, between 0 and 1: the first ``round(validation * n)`` samples of
        ``numpy.random.default_rng(0).permutation(n)`` after those for the `test`. The split depends on neither `seed`
        nor `kernel`, so that runs can be compared; all parts keep the order of the samples.
    test : float or (x, y), optional
        Samples that have no influence on the run; `FitResult.test_loss` is the loss on them. Data besides x and y, or a
        share of them: the first ``round(test * n)`` samples of that permutation.
    patience : int, optional
        Stop at the first checkpoint at least this many epochs after that of the lowest validation loss, with the status
        ``"stopped"``. However the run ends, `params` are those of the lowest validation loss.
    dtype : str or type
        The floating-point type: ``"float64"``, or ``"float32"`` with the kernels ``"reference"`` and ``"fused"``, for
        models of + - * / sqrt, abs, max, min, where, relu and constant powers such as 2 or 0.5. Samples, initial
        parameters, rates and everything computed from them are rounded to float32; options and clocks of optimizers
        have double precision and are rounded where they meet these, as in PyTorch. `params`, `loss` and `trajectory`
        are float64 arrays.
    record_params : bool, optional
        Whether `FitResult.trajectory` has the parameters at every checkpoint, not only at the start and the end. By
        default it does, unless the model has vectors and there is no `patience`.
    callback : callable, optional
        Called with the result so far about twenty times a second. Until the run ends, `loss`, `trajectory` and `rates`
        of that result are read-only.

    Returns
    -------
    FitResult
        A diverged run returns a result too.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    """
    # Check all arguments.
    loss, optimizer, order = make_loss(loss), make_optimizer(optimizer), make_shuffle(shuffle)
    model, classes, ((columns, targets), held_out, for_test) = read_data(model, loss, x, y, validation, test)
    n, epochs, seed = targets.size, check_integer("epochs", epochs), check_seed(seed)
    size, drop_last = check_batch_size(batch_size, n), check_bool("drop_last", drop_last)
    by_default = not model.vectors or patience is not None
    every = check_bool("record_params", by_default if record_params is None else record_params)
    # Loops over weights record only the last checkpoint, unless others are requested.
    only_last = model.by_row and not every and patience is None
    numbers = (0 if only_last else len(model.params)) + (held_out is not None)
    check_room(epochs, most_checkpoints(record, n, size, epochs, drop_last=drop_last), numbers)
    rates = learning_rates(schedule, lr, epochs)
    dtype = check_dtype(dtype, check_kernel(kernel, SINGLE), model, loss, optimizer)
    checkpoints = make_checkpoints(record, n, size, epochs, drop_last=drop_last)
    hyper = Hyperparameters(
        rates,
        option_values(loss, optimizer),
        size,
        drop_last,
        bool(order),
        seed,
        check_target(target, nonnegative=loss.nonnegative),
        checkpoints,
        check_patience(patience, validation),
    )
    if not (callback is None or callable(callback)):
        raise ValueError(f"callback must be a function of a result, not {describe(callback)}")
    init = to_dtype("init", model.draw_start(seed) if init is None else model.vector(init, "init"), dtype)

    # Allocate space for samples in visiting order, and for the state at each checkpoint.
    data = allocate_data(
        columns,
        targets,
        shuffle=order,
        batch_size=size,
        validation=held_out,
        dtype=dtype,
        by_row=model.by_row,
        passes=epochs,
    )
    trajectory = np.empty((1 if only_last else checkpoints.size, init.size))
    trajectory[0] = init
    validation_losses = np.empty(0 if held_out is None else checkpoints.size)
    memory = optimizer.initial_memory(trajectory[0])
    recorded = Record(np.empty(checkpoints.size), trajectory, memory, validation_losses, np.array(NO_LOWEST))

    # Compile.
    with IMPORT_LOCK:
        from sgdbench.kernels.train.trainer import make_trainer  # noqa: PLC0415 (numba is heavy; arguments need no kernel)

    started = time.perf_counter()
    train = make_trainer(kernel, model, loss, optimizer, data)
    compile_seconds = time.perf_counter() - started

    # Train in slices of time.
    per_epoch, updates = samples_per_epoch(n, size, drop_last), count_updates(checkpoints, n, size, drop_last=drop_last)
    slowdown = slowdown_of(kernel, model)
    steps = train_in_slices(
        partial(train, hyper, recorded), checkpoints, samples=count_evaluated(data), slowdown=slowdown
    )
    seconds = 0.0
    for status, done, spent in steps:
        seconds += spent
        lost = first_spurious_zero(
            model, loss, trajectory[min(done, len(trajectory) - 1)], data, recorded.losses[: done + 1]
        )
        if lost is not None:
            status, done = DIVERGED, lost  # noqa: PLW2901
            recorded.losses[done] = recorded.validation_losses[done : done + 1] = np.inf
            recorded.lowest[1] = checkpoints[done]
        result = FitResult(
            model=model,
            criterion=loss,
            x=columns,
            y=targets,
            validation=held_out,
            test=for_test,
            classes=classes,
            dtype=dtype,
            order=describe_order(n, order),
            samples_per_epoch=per_epoch,
            seconds=seconds,
            compile_seconds=compile_seconds,
            **_state_at(done, status, hyper, recorded, updates, per_epoch, None if every else init),
        )
        if callback is not None:
            callback(result)
        if lost is not None:
            break
    return result


def _state_at(
    done: int,
    status: int,
    hyper: Hyperparameters,
    recorded: Record,
    updates: Integers,
    per_epoch: int,
    start: Floats | None,
) -> dict[str, Any]:
    """Return the fields of a result that change between checkpoints; with `start`, the trajectory is start and end."""
    checkpoints = hyper.checkpoints
    # The run continues with these arrays. After millions of epochs, a copy would take longer than the training between
    # two callbacks.
    protect = _read_only if status == MAX_EPOCHS and done < checkpoints.size - 1 else np.copy
    seen = int(checkpoints[done])
    checkpoint = int(np.searchsorted(checkpoints, recorded.lowest[1])) if np.isfinite(hyper.patience) else done
    rows = recorded.trajectory[: done + 1]
    trajectory = rows if start is None else np.stack([start, rows[-1]])
    return {
        "params": rows[min(checkpoint, len(rows) - 1)].copy(),
        "loss": protect(recorded.losses[: done + 1]),
        "trajectory": protect(trajectory),
        "validation_loss": protect(recorded.validation_losses[: done + 1]) if recorded.validation_losses.size else None,
        "rates": protect(hyper.rates[: -(-seen // per_epoch)]),
        "samples_seen": protect(checkpoints[: done + 1]),
        "updates": protect(updates[: done + 1]),
        "status": STATUSES[status],
        "epochs": seen // per_epoch,
        "epochs_to_target": whole_or_fraction(seen, per_epoch) if status == CONVERGED else None,
        "memory": recorded.memory.copy(),
        "kept_checkpoint": checkpoint,
    }


def _read_only(view: NDArray[Any]) -> NDArray[Any]:
    """Return the view after making it read-only."""
    view.flags.writeable = False
    return view
