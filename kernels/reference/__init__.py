"""The slow twin: the same training in plain NumPy, written for readability.

It defines the results of the kernels. It shares with them the model's program, the loss and the update rule, which are
tested against complex steps, finite differences and torch; its loops, sample order and sums are independent.

It computes with the type of the samples, float64 or float32. In float32, options, the clock and 1/size have double
precision and are rounded where they meet a float32 (`sgdbench.kernels.base.weak_scalars`).
"""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sgdbench.kernels.base.checks import errors_in_one_line
from sgdbench.kernels.base.columns import stack_columns
from sgdbench.kernels.base.run import CONVERGED, DIVERGED, MAX_EPOCHS, STOPPED, Data, Floats, Hyperparameters, Record
from sgdbench.kernels.base.weak_scalars import as_scalars
from sgdbench.kernels.data.order import visiting_order
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.network import Network, run_network
from sgdbench.kernels.model.program import Program
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay

State = tuple[tuple[Floats, ...], tuple[float, ...]]
Visiting = Callable[[int, int], NDArray[np.int64]]
"""From a seed and an epoch to the order in which it visits the samples."""


def train(
    program: Program | Network,
    loss: Loss,
    optimizer: Optimizer,
    data: Data,
    hyper: Hyperparameters,
    record: Record,
    first: int,
    last: int,
    visiting: Visiting | None = None,
) -> tuple[int, int]:
    """Train segments first..last-1 of a run; return the status and the last checkpoint reached.

    A caller that trains a run in slices gets `visiting` from `remember_order`.
    """
    x, y = _columns_of(program, data.x, data.y.size), data.y
    x_held_out = _columns_of(program, data.validation_x, data.validation_y.size)
    n, size = y.size, hyper.batch_size
    checkpoints = hyper.checkpoints
    per_epoch = n // size * size if hyper.drop_last else n
    # Models with vectors may record only the last checkpoint.
    rows = len(record.trajectory)
    theta = record.trajectory[min(first, rows - 1)].astype(y.dtype)
    state = _state_from(record.memory, optimizer, theta)
    done = first
    visiting = visiting or remember_order(data)
    order = np.arange(n)
    with np.errstate(all="ignore"), errors_in_one_line(f"optimizer {optimizer.text} with the loss {loss.text}"):
        while True:
            recorded = _recorded_loss(program, loss, theta, x, y)
            record.losses[done], record.trajectory[min(done, rows - 1)] = recorded, theta
            status = MAX_EPOCHS
            if not np.isfinite([recorded, *theta]).all():
                status = DIVERGED
            elif recorded <= hyper.target:
                status = CONVERGED
            if data.validation_y.size:
                held_out = _recorded_loss(program, loss, theta, x_held_out, data.validation_y)
                record.validation_losses[done] = held_out
                lowest, when = record.lowest[:2]
                if held_out < lowest and status != DIVERGED:
                    record.lowest[:2] = held_out, checkpoints[done]
                elif status == MAX_EPOCHS and checkpoints[done] - when >= hyper.patience * per_epoch:
                    status = STOPPED
            if done == last or status != MAX_EPOCHS:
                break
            epoch, start = divmod(int(checkpoints[done]), per_epoch)
            if hyper.shuffle:
                order = visiting(hyper.seed, epoch)
            for batch in _batches(order[start : start + checkpoints[done + 1] - checkpoints[done]], size):
                lr = theta.dtype.type(hyper.rates[epoch])
                theta, state = _step(program, loss, optimizer, theta, state, x[:, batch], y[batch], lr)
            done += 1
    record.memory[:] = _memory_of(state, theta)
    return status, done


def remember_order(data: Data) -> Visiting:
    """Return the cached orders of these samples: drawing the order of many samples takes longer than a slice."""
    return lru_cache(maxsize=1)(partial(visiting_order, data.y.size, data.order))


def _batches(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64] | np.int64]:
    """Yield the samples of each update: one index if the batch size is 1, otherwise an array of indices."""
    if size == 1:
        yield from order
        return
    for start in range(0, order.size, size):
        yield order[start : start + size]


def _columns_of(program: Program | Network, x: tuple[Floats, ...], n: int) -> Floats:
    """Return the inputs, shape (inputs, n)."""
    return x[0].reshape(n, program.inputs).T if isinstance(program, Network) else stack_columns(x, n)


class _Gradient(NamedTuple):
    """The arguments of the loss, and for each parameter the slope and the derivative at one sample, or the mean.

    For several samples, the slope is the mean of slope * derivative, and the derivatives are 1.
    """

    given: tuple[Any, ...]
    slope: Floats
    derivative: Floats


def _step(
    program: Program | Network,
    loss: Loss,
    optimizer: Optimizer,
    theta: Floats,
    state: State,
    x: Floats,
    y: Floats,
    lr: float,
) -> tuple[Floats, State]:
    """Return the state after an update from one sample, x of shape (inputs,), or from several, (inputs, batch)."""
    slots, clock = state
    options = as_scalars(optimizer.options.values(), theta)
    point = optimizer.gradient_at(theta, slots, options) if optimizer.gradient_at else theta
    if isinstance(program, Network):
        evaluated = _by_layers(program, loss, point, x, y)
    else:
        evaluated = _by_program(program, loss, point, x, y)
    if y.ndim == 0 and optimizer.per_sample:
        return optimizer.per_sample(theta, evaluated.slope, evaluated.derivative, lr), state
    gradient = evaluated.slope * evaluated.derivative
    known = clock = optimizer.clock(clock, options) if optimizer.clock else clock
    if optimizer.needs_loss:
        losses = loss.value(*evaluated.given)
        known = (*known, losses if y.ndim == 0 else _sum(losses) * (1.0 / y.size))
    if optimizer.needs_norm:
        known = (*known, sum((number * number for number in gradient[1:]), start=gradient[0] * gradient[0]))
    decayed = add_weight_decay(point, gradient, optimizer.weight_decay) if optimizer.weight_decay else gradient
    updated = optimizer.rule(theta, slots, decayed, lr, known, options)
    weights = _decaying(program) if optimizer.weight_decay or optimizer.decay_options else None
    if weights is not None:
        free = tuple(0.0 if place in optimizer.decay_options else option for place, option in enumerate(options))
        updated = _choose(weights, updated, optimizer.rule(theta, slots, gradient, lr, known, free))
    theta, slots = updated
    return theta, (slots, clock)


def _decaying(program: Program | Network) -> NDArray[np.bool_] | None:
    """Return which parameters decay: of models with vectors only the weights; None if all do."""
    if isinstance(program, Network):
        return program.weights
    return np.isin(np.arange(program.params), program.weights) if program.weights else None


def _by_program(program: Program, loss: Loss, point: Floats, x: Floats, y: Floats) -> _Gradient:
    """Return the gradient of a program; if it has weights, that of one sample has the form of `_by_layers`."""
    loss_arguments, derivatives = loss.evaluate(program, point, x, y)
    slope = loss.derivative(*loss_arguments)
    if y.ndim == 0:
        factors = np.array(derivatives)
        return (
            _Gradient(loss_arguments, factors, slope) if program.weights else _Gradient(loss_arguments, slope, factors)
        )
    mean = np.array([_sum(slope * derivative) * (1.0 / y.size) for derivative in derivatives])
    return _Gradient(loss_arguments, mean, np.ones_like(mean))


def _by_layers(network: Network, loss: Loss, point: Floats, x: Floats, y: Floats) -> _Gradient:
    """Return the gradient of a network; for one sample, the slope is the input, and the derivative is s.

    ``theta - x * (lr * s)`` then needs one multiplication per weight.
    """
    one = y.ndim == 0
    targets = y.reshape(-1)
    forward = run_network(
        network, point, x.reshape(network.inputs, -1), targets if loss.of_residual else np.zeros_like(targets)
    )
    scores = forward.values[-1] if network.scores > 1 else forward.values[-1][0]
    loss_arguments = loss.arguments(scores, targets)
    slopes = loss.derivative(*loss_arguments).reshape(network.scores, -1)
    slope, derivative = np.empty(network.params, point.dtype), np.ones(network.params, point.dtype)
    for term in forward.terms(slopes):
        if not one:
            slope[term.places] = term.sums() * (1.0 / y.size)
            continue
        by_unit = len(term.slope), term.symbol.size
        derivative[term.places].reshape(by_unit)[:] = term.slope
        slope[term.places].reshape(by_unit)[:] = 1.0 if term.source is None else term.source[:, 0]
    if one:
        loss_arguments = tuple(part[..., 0] if isinstance(part, np.ndarray) else part for part in loss_arguments)
    return _Gradient(loss_arguments, slope, derivative)


def _choose(weights: NDArray[np.bool_], decayed: Any, plain: Any) -> tuple[Floats, tuple[Floats, ...]]:
    """Return parameters and slots, for weights from the decayed update and for scalars from the plain one."""
    slots = tuple(np.where(weights, one, other) for one, other in zip(decayed[1], plain[1], strict=True))
    return np.where(weights, decayed[0], plain[0]), slots


def _recorded_loss(program: Program | Network, loss: Loss, theta: Floats, x: Floats, y: Floats) -> float:
    """Return the mean squared residual, or the mean loss, over samples; x has shape (inputs, n)."""
    loss_arguments, _ = loss.evaluate(program, theta, x, y)
    return float(np.add.reduce(loss.recorded(loss_arguments)) / y.size)


def _sum(terms: Floats) -> Floats:
    """Return the sum in NumPy's order of addition; a sum of -0.0s is -0.0, as in IEEE 754.

    Without `initial`, NumPy adds the sum to 0.0, which changes this result and no other.
    """
    total: Floats = np.add.reduce(terms, initial=-0.0)
    return total


def _state_from(memory: Floats, optimizer: Optimizer, theta: Floats) -> State:
    own = theta.size * optimizer.slots
    slots = memory[:own].reshape(theta.size, optimizer.slots).T.astype(theta.dtype)
    return tuple(slots), as_scalars(memory[own:], theta)


def _memory_of(state: State, theta: Floats) -> Floats:
    slots, clock = state
    own = [np.broadcast_to(slot, theta.shape) for slot in slots]
    remembered = np.stack(own, axis=-1).ravel() if own else np.empty(0)
    return np.concatenate([remembered, [float(number) for number in clock]])
