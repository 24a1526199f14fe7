"""The arguments and the results of a training run, shared by the kernels and the reference."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_EPOCHS, CONVERGED, DIVERGED = 0, 1, 2
STOPPED = 3
STATUSES = ("max_epochs", "converged", "diverged", "stopped")
FIRST_SUM = 2
"""The first row of `Scratch.partials` for sums that wait, after the parameters of all runs and their sums."""
ADD_TOP_TWO = -1
"""Among counts of terms to add: the last two sums are added to one another."""
MAX_COUNTS = 126
"""The numbers in `Scratch.counts`: enough for any sum."""
NO_LOWEST = (math.inf, 0.0)
"""The lowest validation loss, and the samples seen then, of a run that has none yet."""


class Data(NamedTuple):
    """The samples of a run, and space for their visiting order.

    `order` is a `sgdbench.kernels.data.order.Order`, whose places index `shuffled_x` and `shuffled_y`. These are the
    same arrays as x and y, or copies in which the numbers of a sample are adjacent, so that they are loaded together.
    `validation_x` and `validation_y`, which may be empty, are not trained on. `factors` are the QR factors of the
    training and validation samples (`sgdbench.kernels.compile.loss_factor`), empty where losses are summed over the
    samples.
    """

    x: tuple[Floats, ...]
    y: Floats
    order: Any
    shuffled_x: tuple[Floats, ...]
    shuffled_y: Floats
    validation_x: tuple[Floats, ...]
    validation_y: Floats
    factors: Floats = np.zeros((0, 0, 0))

    @property
    def dtype(self) -> str:
        """The type of the numbers, ``"float64"`` or ``"float32"``; NumPy's own lookup of the name is slower."""
        return "float64" if self.y.itemsize == 8 else "float32"


def count_evaluated(data: Data) -> int:
    """Return the number of samples on which the losses at a checkpoint are evaluated."""
    return data.y.size + data.validation_y.size


class Hyperparameters(NamedTuple):
    """The settings that stay constant during a run.

    `settings` holds the options of the loss, those of the optimizer and the weight decay, with a column per run if runs
    side by side differ in them (`sgdbench.kernels.optimizers.run_options`). `checkpoints` are the counts of samples
    seen at which the run is recorded (`sgdbench.kernels.data.checkpoints`); if empty, the ends of epochs. A run stops
    after `patience` epochs without a lower validation loss, and keeps the checkpoint with the lowest.
    """

    rates: Floats
    settings: Floats
    batch_size: int
    drop_last: bool
    shuffle: bool
    seed: int
    target: float
    checkpoints: Integers = np.zeros(0, np.int64)
    patience: float = math.inf


class Record(NamedTuple):
    """The course of a run: row m of `losses` and `trajectory` is the state at checkpoint m.

    `memory` is the optimizer's state at the last checkpoint: the slots of each parameter, then its clock.
    `validation_losses` also has a row per checkpoint; `lowest` begins with the lowest validation loss so far and the
    samples seen then. Both are empty without validation samples.
    """

    losses: Floats
    trajectory: Floats
    memory: Floats
    validation_losses: Floats = np.zeros(0)
    lowest: Floats = np.zeros(0)


class Block(NamedTuple):
    """Runs that are trained side by side, one per column. Kernels take several blocks, as rows of arrays.

    `params` and `memory` are the state of a run, or its last state once it has ended; `losses` has a row per
    checkpoint, undefined after a run's `checkpoints`. `now` and `memory_now` are the state of its lane, which continues
    after the run has ended, because the shared clock must not stop with the first run that does. `validation_losses`
    is like `losses`, without rows if there are no validation samples, and `lowest` has a row per run, as made by
    `start_lowest`. `rates` and `settings` replace those of `Hyperparameters`; `settings` has one dimension if all runs
    share them.
    """

    params: Floats
    memory: Floats
    losses: Floats
    status: NDArray[np.int64]
    checkpoints: NDArray[np.int64]
    now: Floats
    validation_losses: Floats
    lowest: Floats
    rates: Floats
    settings: Floats


def start_lowest(params: Floats, patience: float) -> Floats:
    """Return `lowest` for runs before their first checkpoint, shape (R, 2), or (R, 3 + P) with patience.

    A row holds the lowest validation loss and the samples seen then; with finite patience also the training loss and
    the parameters there. These stay at the start, `params`, if a run never has a finite validation loss.
    """
    lowest = np.full((len(params), 2), NO_LOWEST)
    if np.isinf(patience):
        return lowest
    return np.column_stack([lowest, np.full(len(params), np.nan), params])


class Scratch(NamedTuple):
    """Buffers for pairwise sums: counts of terms left to add, and partial sums waiting for their partner.

    Where runs are added up in parts, the first two rows of `partials` hold the parameters and the sums of all runs.
    `values` holds, for `PAIRWISE_BLOCK` samples, the values that do not depend on the parameters.
    """

    counts: NDArray[np.int64]
    partials: Floats
    values: Floats


def sums_that_wait(n: int) -> int:
    """Return the largest number of waiting partial sums when n terms are added: one per halving."""
    return 2 + max(0, math.ceil(math.log2(max(1, n / PAIRWISE_BLOCK))))


def allocate_scratch(params: int, n: int, width: int, values: int, dtype: str) -> Scratch:
    """Return buffers for sums of n terms; each halving leaves at most two more entries in the counts.

    A term is a gradient, plus a loss where an optimizer needs it.
    """
    rows = FIRST_SUM + sums_that_wait(n)
    partials = allocate_aligned(rows * (params + 1) * width)
    return Scratch(np.empty(MAX_COUNTS, np.int64), partials, allocate_aligned(values * PAIRWISE_BLOCK, dtype))


CACHE_LINE = 64
PAIRWISE_BLOCK = 128
"""The samples, or the weights, that are added up without being split."""
ROWS = 16
"""The samples of which all dots are taken before any is used: weights are read from a second cache once for them."""


BUFFERS = ("stack", "loss_sums", "dots", "hidden", "before", "scores", "terms", "products", "gradients", "rounded")
"""The buffers of a run of a model with vectors.

Sums of dots and of losses that wait for others, the dots of `ROWS` samples, hidden units, the derivatives of the loss
by them, scores, the terms of samples, products to be added, the gradients of batches, and in float32 the parameters and
slots of one run.
"""
SAMPLE_ROWS, HIDDEN_ROWS, LAYOUT = PAIRWISE_BLOCK, 2 * PAIRWISE_BLOCK, 3 * PAIRWISE_BLOCK
"""The places in its counts, after those of any sum: where the inputs of samples begin, and their hidden units, and the
layout of its network.
"""


def allocate_buffers(
    layout: Integers, first: int, last: int, dots: int, slots: int, n: int, width: int, dtype: str
) -> list[Floats]:
    """Return the `BUFFERS` of a network.

    Parameters
    ----------
    layout : array
        See `sgdbench.kernels.model.network.Network.layout`.
    first, last : int
        The numbers of units of the first layer and of the last.
    dots : int
        The number of dot products with the inputs per sample.
    slots : int
        The number of values that the optimizer keeps per parameter.
    n : int
        The number of samples in the largest batch.
    width : int
        The number of runs that are trained side by side, each in its own lane.
    dtype : str
    """
    params, terms = int(layout[0]), int(layout[2])
    rounded = params * (slots + 1) if width == 1 and dtype == "float32" else 0
    sizes = [
        8 * PAIRWISE_BLOCK,
        PAIRWISE_BLOCK,
        ROWS * dots,
        PAIRWISE_BLOCK * first,
        first,
        last + 1,
        PAIRWISE_BLOCK * terms,
        PAIRWISE_BLOCK,
    ]
    sizes += [sums_that_wait(n) * (params + 1), rounded]
    # One array holds all buffers: separate allocations would take 20 microseconds each.
    line = CACHE_LINE // np.dtype(dtype).itemsize
    ends = np.cumsum([line * -(-size * width // line) for size in sizes])
    return np.split(allocate_aligned(int(ends[-1]), dtype), ends[:-1])


def allocate_aligned(size: int, dtype: str = "float64") -> Floats:
    """Return an array that begins at a cache line: weights that straddle two lines take up to 1.5x as long."""
    item = np.dtype(dtype).itemsize
    whole = np.empty(size + CACHE_LINE // item, dtype)
    skipped = -whole.ctypes.data % CACHE_LINE // item
    return whole[skipped : skipped + size]


def samples_per_epoch(n: int, batch_size: Any, drop_last: bool) -> Any:
    """Return the number of samples that an epoch visits, for a batch size or an array of them."""
    return n - n % batch_size if drop_last else n
