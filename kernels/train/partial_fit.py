"""partial_fit(): one more epoch from the state of a run, on any samples."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.kernels.base.checks import check_bool, check_integer, check_not_negative, check_seed, check_target
from sgdbench.kernels.base.columns import Inputs, Params, check_row_order
from sgdbench.kernels.base.run import NO_LOWEST, Floats, Hyperparameters, Record, samples_per_epoch
from sgdbench.kernels.compile.kinds import SINGLE, check_kernel
from sgdbench.kernels.data.order import make_shuffle
from sgdbench.kernels.data.samples import allocate_data, check_batch_size, check_samples
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import check_scores
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.trainer import make_trainer


class RunState(NamedTuple):
    """The state of a run: its parameters, the memory of its optimizer (`FitResult.memory`), and completed epochs."""

    params: Floats
    memory: Floats
    epochs: int


def start_run(model: Model, init: Params, optimizer: str | Optimizer = "sgd") -> RunState:
    """Return the state before the first update."""
    params = model.vector(init, "init")
    return RunState(params, make_optimizer(optimizer).initial_memory(params), 0)


def partial_fit(
    model: Model,
    x: Inputs,
    y: ArrayLike,
    state: RunState,
    *,
    lr: float = 0.1,
    batch_size: int | str = 1,
    shuffle: bool | str = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str | Optimizer = "sgd",
    loss: str | Loss = "squared",
    kernel: str = "fused",
) -> tuple[RunState, float]:
    """Train one epoch; return the new state and the loss over the samples, as recorded by `sgdbench.fit`.

    Repeated calls with the same samples and the rates of a schedule give the bits of `sgdbench.fit`.

    Parameters
    ----------
    model : Model
        For the softmax loss, a model with a score per class, ``Model("W @ x + b", inputs, classes=K)``: the samples of
        a call need not include all classes.
    x : array, shape (n,) or (n, inputs), or a table
        See `sgdbench.kernels.base.columns`. Rows are matched by position, as in `sgdbench.fit`.
    y : array, shape (n,)
        For losses of classes, class numbers from 0, not labels.
    state : RunState
        From `start_run` or from the previous call.
    lr : float
        The learning rate of this epoch, nonnegative.
    batch_size, shuffle, seed, drop_last, optimizer, loss, kernel
        As for `sgdbench.fit`. The order of the samples depends on the seed and on the number of the epoch.

    Raises
    ------
    ValueError
        Naming the argument, its value and what would be accepted.
    """
    loss, optimizer = make_loss(loss), make_optimizer(optimizer)
    state = _check_state(model, optimizer, state)
    check_row_order(x, y)
    columns, y = check_samples(model, x, y)
    check_scores(model, loss, y)
    order = make_shuffle(shuffle)
    size, drop_last = check_batch_size(batch_size, y.size), check_bool("drop_last", drop_last)
    rate = check_not_negative("lr", lr)
    epoch = np.arange(state.epochs, state.epochs + 2)
    hyper = Hyperparameters(
        np.full(state.epochs + 1, rate),
        option_values(loss, optimizer),
        size,
        drop_last,
        bool(order),
        check_seed(seed),
        check_target(None),
        epoch * samples_per_epoch(y.size, size, drop_last),
    )
    record = Record(np.empty(2), np.tile(state.params, (2, 1)), state.memory, np.empty(0), np.array(NO_LOWEST))
    data = allocate_data(columns, y, shuffle=order, batch_size=size, by_row=model.by_row)
    train = make_trainer(check_kernel(kernel, SINGLE), model, loss, optimizer, data)
    _, done = train(hyper, record, 0, 1)
    return RunState(record.trajectory[done].copy(), record.memory, state.epochs + 1), float(record.losses[done])


def _check_state(model: Model, optimizer: Optimizer, state: RunState) -> RunState:
    """Return a copy of a state in float64, refusing that of another model or optimizer.

    A kernel would access memory outside of the arrays.
    """
    params, memory = model.vector(state.params, "the parameters of the state"), np.array(state.memory, np.float64)
    remembered = optimizer.initial_memory(params).size
    if memory.shape != (remembered,):
        raise ValueError(
            f"optimizer {optimizer.text!r} remembers {remembered} numbers, and the state has {memory.size} of another "
            "one"
        )
    return RunState(params, memory, check_integer("the epochs of the state", state.epochs, 0))
