"""The moments of a run that a film may show: its marks, and the updates within the first epochs."""

import itertools
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import FitResult, fit
from kernels.block_shuffle import allocate_order, make_shuffle, visiting_order
from kernels.fit import trainer
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.run import Data, Floats, Hyperparameters, Record, option_values
from kernels.samples import allocate_data, check_batch_size, check_samples

DETAILED_EPOCHS = 16
DETAILED_SAMPLES = 4_000_000  # in all of these epochs together, so that training them again takes a moment
DETAILED_REFERENCE_SAMPLES = 40_000  # the same for the kernel "reference"
MAX_PIECES = 50  # per epoch
MAX_MARKS = 1000


class Moments(NamedTuple):
    """States of a run in the order of time, all of them finite; empty if the loss is not finite at the start.

    Attributes
    ----------
    epoch : array, shape (m,)
        The time in epochs: 1.5 is the middle of the second epoch.
    params : array, shape (m, P)
        In the units of training.
    loss : array, shape (m,)
        Mean squared residual over the whole data set; nan within an epoch, where it is not evaluated.
    """

    epoch: Floats
    params: Floats
    loss: Floats


def recorded_moments(result: FitResult) -> Moments:
    """Return the finite states at the marks of a run; of a long run a thousand, denser at the start."""
    marks = np.unique(np.geomspace(1, result.loss.size, MAX_MARKS).round().astype(int)) - 1
    finite = np.isfinite(result.loss[marks]) & np.isfinite(result.trajectory[marks]).all(axis=1)
    marks = marks[np.logical_and.accumulate(finite)]
    return Moments(result.samples_seen[marks] / result.samples_per_epoch, result.trajectory[marks], result.loss[marks])


def update_moments(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | str = 1,
    shuffle: bool | str = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str = "sgd",
    loss: str = "squared",
    kernel: str = "fused",
    **others: Any,
) -> Moments:
    """Return the states at the marks and, in the first epochs, after each update or fiftieth of an epoch.

    These epochs are trained again, piece by piece, with the samples in the order of the run; the optimizer's state is
    carried from piece to piece. The states are therefore those of the run, and none is interpolated.

    Parameters
    ----------
    result : FitResult
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The training data.
    batch_size, shuffle, seed, drop_last, optimizer, loss, kernel
        As they were given to `kernels.fit`.
    **others
        Its other settings are accepted and not used, because the result has them already.

    Raises
    ------
    ValueError
        If `kernels.fit` has no such setting, or the data and settings do not reproduce the run.
    """
    _check_names(others)
    recorded = recorded_moments(result)
    if not recorded.epoch.size:
        return recorded
    columns, y = check_samples(result.model, x, y)
    batch_size = check_batch_size(batch_size, y.size)
    train = _make_piece_trainer(result, optimizer, loss, kernel)
    max_samples = DETAILED_REFERENCE_SAMPLES if kernel == "reference" else DETAILED_SAMPLES
    detailed = int(min(DETAILED_EPOCHS, max_samples // y.size, recorded.epoch[-1]))
    ends = result.epoch_marks
    epochs, states, losses = [0.0], [result.trajectory[0]], [result.loss[0]]
    for epoch in range(detailed):
        order = _visiting_order(shuffle, y.size, seed, epoch)
        pieces = _split_epoch(order, batch_size, drop_last=drop_last)
        for number, piece in enumerate(pieces, 1):
            data = allocate_data(tuple(column[piece] for column in columns), y[piece], dtype=result.dtype)
            states.append(train(data, result.rates[epoch], batch_size, states[-1]))
            epochs.append(epoch + number / len(pieces))
            losses.append(result.loss[ends[epoch + 1]] if number == len(pieces) else np.nan)
        _check_reproduced(epoch + 1, states[-1], result.trajectory[ends[epoch + 1]])
    later = recorded.epoch > detailed
    return Moments(
        np.concatenate([epochs, recorded.epoch[later]]),
        np.concatenate([states, recorded.params[later]]),
        np.concatenate([losses, recorded.loss[later]]),
    )


def _visiting_order(shuffle: bool | str, n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits n samples."""
    return visiting_order(n, allocate_order(n, make_shuffle(shuffle)), seed, epoch) if shuffle else np.arange(n)


def _check_names(settings: Iterable[str]) -> None:
    """Raise an error for a name that is no setting of a fit: a misspelt one would silently keep its default."""
    known = [name for name, parameter in signature(fit).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            raise ValueError(f"settings must be those of kernels.fit ({', '.join(known)}), not {name!r}")


def _check_reproduced(epoch: int, params: Floats, expected: Floats) -> None:
    """Raise an error if training an epoch again does not lead to the same parameters."""
    if not np.allclose(params, expected, rtol=1e-6):
        raise ValueError(
            f"x, y and the settings must be those of the fit: epoch {epoch} of it ended at {expected.tolist()}, and "
            f"here it ends at {params.tolist()}"
        )


def _make_piece_trainer(
    result: FitResult, optimizer: str, loss: str, kernel: str
) -> Callable[[Data, float, int, Floats], Floats]:
    """Return a function that trains some samples from given parameters; the optimizer's state stays between calls."""
    rule, penalty = make_optimizer(optimizer), make_loss(loss)
    train = trainer(kernel, result.model, penalty, rule, result.dtype)
    options, memory = option_values(penalty, rule), rule.initial_memory(result.trajectory[0])

    def train_piece(data: Data, rate: float, batch_size: int, params: Floats) -> Floats:
        record = Record(np.empty(2), np.empty((2, params.size)), memory)
        record.trajectory[0] = params
        hyperparameters = Hyperparameters(
            np.array([rate]), options, batch_size, drop_last=False, shuffle=False, seed=0, target=-np.inf
        )
        train(data, hyperparameters, record, 0, 1)
        updated: Floats = record.trajectory[1]
        return updated

    return train_piece


def _split_epoch(order: NDArray[np.int64], batch_size: int, *, drop_last: bool) -> list[NDArray[np.int64]]:
    """Split the samples of an epoch into at most fifty pieces of whole batches, the last of which may be smaller."""
    updates = len(order) // batch_size if drop_last else -(-len(order) // batch_size)
    ends = np.linspace(0, updates, min(updates, MAX_PIECES) + 1).round().astype(int) * batch_size
    return [order[start:end] for start, end in itertools.pairwise(ends)]
