"""The moments of a run that are worth a picture: whole epochs, and of the first ones the updates within."""

import itertools
from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import FitResult, fit
from kernels.fit import trainer
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.reference import permutation
from kernels.run import Data, Floats, Hyperparameters, Record, initial_memory
from kernels.run import option_values as numbers_of
from kernels.samples import allocate_data, check_batch_size, check_samples

SLOW_EPOCHS = 16
SLOW_SAMPLES = 4_000_000  # in all of these together: what is trained once more in a moment,
SLOW_REFERENCE = 40_000  # and what the reference trains in that time
PIECES = 50  # of an epoch
MOST_EPOCHS = 1000


class Moments(NamedTuple):
    """States of a run in the order of time, all of them finite; none where the loss is infinite from the start.

    Attributes
    ----------
    epoch : array, shape (m,)
        How far the run is: 1.5 is the middle of the second epoch.
    params : array, shape (m, P)
        As they were trained.
    loss : array, shape (m,)
        Mean squared residual over the whole data set; nan within an epoch, where it has not been evaluated.
    """

    epoch: Floats
    params: Floats
    loss: Floats


def by_epochs(result: FitResult) -> Moments:
    """The states after whole epochs, of a long run closer together at first, for as long as they are finite."""
    epochs = np.unique(np.geomspace(1, result.epochs + 1, MOST_EPOCHS).round().astype(int)) - 1
    finite = np.isfinite(result.loss[epochs]) & np.isfinite(result.trajectory[epochs]).all(axis=1)
    epochs = epochs[np.logical_and.accumulate(finite)]
    return Moments(epochs.astype(float), result.trajectory[epochs], result.loss[epochs])


def by_updates(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    batch_size: int | str = 1,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = True,
    optimizer: str = "sgd",
    loss: str = "squared",
    kernel: str = "fused",
    **others: Any,
) -> Moments:
    """As `by_epochs`, and within the first epochs the states after each update, or after each fiftieth of an epoch.

    These epochs are trained once more, piece by piece, with the samples in the order of the run and with what the
    optimizer remembers carried along. So these are states that the run went through; none is interpolated.

    Parameters
    ----------
    result : FitResult
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The data that were trained.
    batch_size, shuffle, seed, drop_last, optimizer, loss, kernel
        As they were given to `kernels.fit`.
    **others
        Its other settings may be given too; the result knows them already.

    Raises
    ------
    ValueError
        For a setting that `kernels.fit` does not have, and if these data and settings do not lead where the run went.
    """
    _check_names(others)
    whole = by_epochs(result)
    if not whole.epoch.size:
        return whole
    columns, y = check_samples(result.model, x, y)
    batch_size = check_batch_size(batch_size, y.size)
    train = _trainer(result, optimizer, loss, kernel)
    most = SLOW_REFERENCE if kernel == "reference" else SLOW_SAMPLES
    slow = int(min(SLOW_EPOCHS, most // y.size, whole.epoch[-1]))
    epochs, states, losses = [0.0], [result.trajectory[0]], [result.loss[0]]
    for epoch in range(slow):
        order = permutation(y.size, seed, epoch) if shuffle else np.arange(y.size)
        pieces = _pieces(order, batch_size, drop_last=drop_last)
        for number, piece in enumerate(pieces, 1):
            data = allocate_data(tuple(column[piece] for column in columns), y[piece], shuffle=False)
            states.append(train(data, result.rates[epoch], batch_size, states[-1]))
            epochs.append(epoch + number / len(pieces))
            losses.append(result.loss[epoch + 1] if number == len(pieces) else np.nan)
        arrived, expected = states[-1], result.trajectory[epoch + 1]
        if not np.allclose(arrived, expected, rtol=1e-6):
            raise ValueError(
                f"x, y and the settings must be those of the fit: epoch {epoch + 1} of it ended at "
                f"{expected.tolist()}, and here it ends at {arrived.tolist()}"
            )
    later = whole.epoch > slow
    return Moments(
        np.concatenate([epochs, whole.epoch[later]]),
        np.concatenate([states, whole.params[later]]),
        np.concatenate([losses, whole.loss[later]]),
    )


def _check_names(settings: Iterable[str]) -> None:
    """Refuse what is no setting of a fit: a misspelt one would silently be left at its default."""
    known = [name for name, parameter in signature(fit).parameters.items() if parameter.kind is parameter.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            raise ValueError(f"settings must be those of kernels.fit ({', '.join(known)}), not {name!r}")


def _trainer(result: FitResult, optimizer: str, loss: str, kernel: str) -> Callable[[Data, float, int, Floats], Floats]:
    """The function that goes on from a state with some samples; what the optimizer remembers stays between calls."""
    rule, penalty = make_optimizer(optimizer), make_loss(loss)
    train = trainer(kernel, result.model, penalty, rule)
    options, remembered = numbers_of(penalty, rule), initial_memory(rule, len(result.model.params))

    def train_piece(data: Data, rate: float, batch_size: int, params: Floats) -> Floats:
        record = Record(np.empty(2), np.empty((2, params.size)), remembered)
        record.trajectory[0] = params
        plan = Hyperparameters(
            np.array([rate]), options, batch_size, drop_last=False, shuffle=False, seed=0, target=-np.inf
        )
        train(data, plan, record, 0, 1)
        after: Floats = record.trajectory[1]
        return after

    return train_piece


def _pieces(order: NDArray[np.int64], batch_size: int, *, drop_last: bool) -> list[NDArray[np.int64]]:
    """The samples of an epoch in at most fifty pieces of whole batches, the last of which may be smaller."""
    updates = len(order) // batch_size if drop_last else -(-len(order) // batch_size)
    ends = np.linspace(0, updates, min(updates, PIECES) + 1).round().astype(int) * batch_size
    return [order[start:end] for start, end in itertools.pairwise(ends)]
