"""The arguments and the results of a training run, the same for the kernels and for the reference."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MAX_EPOCHS, CONVERGED, DIVERGED = 0, 1, 2
STOPPED = 3
STATUS = ("max_epochs", "converged", "diverged", "stopped")
FIRST_SUM = 2
"""The first row of `Scratch.partials` for sums that wait, after the parameters of all runs and their sums."""
ADD_TOP_TWO = -1
"""Among counts of terms to add: the last two sums are added to one another."""
COUNTS = 126
"""The numbers in `Scratch.counts`: enough for any sum."""
NO_LOWEST = (math.inf, 0.0)
"""The lowest validation loss, and the samples seen then, of a run that has none yet."""


class Data(NamedTuple):
    """The samples of a run, and room for their visiting order.

    `order` is a `kernels.data.order.Order`. Its places are those of samples in `shuffled_x` and `shuffled_y`: the same
    arrays, or copies in which the numbers of a sample lie side by side, so that they are loaded together. A run is not
    trained on the samples of `validation_x` and `validation_y`, which may be empty. `factors` are the QR factors of
    both (`kernels.compile.loss_factor`), empty where losses are summed over the samples.
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
        """The numbers to compute with, ``"float64"`` or ``"float32"``; NumPy takes longer to name its types."""
        return "float64" if self.y.itemsize == 8 else "float32"


def count_evaluated(data: Data) -> int:
    """Return the number of samples that the losses at a checkpoint are evaluated on."""
    return data.y.size + data.validation_y.size


class Hyperparameters(NamedTuple):
    """The settings that stay the same during a run.

    `settings` holds the options of the loss, those of the optimizer and the weight decay, with a column for each run
    if runs side by side differ in them (`kernels.optimizers.run_options`). `checkpoints` are the counts of samples seen
    at which the run is recorded (`kernels.data.checkpoints`); without any, it is recorded at the ends of epochs. A run
    stops after `patience` epochs without a lower validation loss, and keeps the checkpoint of the lowest.
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
    `validation_losses` has a row for each checkpoint too, and `lowest` begins with the lowest of them so far and the
    samples seen then; both are empty without samples for validation.
    """

    losses: Floats
    trajectory: Floats
    memory: Floats
    validation_losses: Floats = np.zeros(0)
    lowest: Floats = np.zeros(0)


class Block(NamedTuple):
    """Runs that are trained side by side; one column each. Kernels are given several blocks, a row of arrays for each.

    `params` and `memory` are the state of a run, or its last state if it is over; `losses` has a row per checkpoint,
    without meaning after a run's `checkpoints`. `now` and `memory_now` are the state of its lane, which goes on: the
    clock that all share, for one, must not stop with the first run that is over. `validation_losses` are like `losses`,
    without rows if there are no samples for validation, and `lowest` has a row for each run, as `start_lowest` makes
    it. `rates` and `settings` are in place of those of `Hyperparameters`, the latter of one dimension where all runs
    have
    the same.
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
    """Return `lowest` of runs before their first checkpoint, shape (R, 2), or (R, 3 + P) with patience.

    A row holds the lowest validation loss and the samples seen then; with finite patience also the training loss and
    the parameters there, which are those of the start, `params`, if a run never has a finite validation loss.
    """
    known = np.full((len(params), 2), NO_LOWEST)
    if np.isinf(patience):
        return known
    return np.column_stack([known, np.full(len(params), np.nan), params])


class Scratch(NamedTuple):
    """Buffers of pairwise sums: the counts of terms that are left to add, and sums that wait for their partner.

    Where runs are added up in parts, the first two rows of `partials` hold the parameters and the sums of all runs.
    `values` are those that some samples alone determine, `PAIRWISE_BLOCK` for each.
    """

    counts: NDArray[np.int64]
    partials: Floats
    values: Floats


def sums_that_wait(n: int) -> int:
    """Return the most sums that wait at a time where n terms are added: each halving leaves one."""
    return 2 + max(0, math.ceil(math.log2(max(1, n / PAIRWISE_BLOCK))))


def allocate_scratch(params: int, n: int, width: int, values: int, dtype: str) -> Scratch:
    """Return buffers for sums of n terms; each halving leaves at most two more entries in the counts.

    A term is a gradient, and a loss where an optimizer needs it.
    """
    rows = FIRST_SUM + sums_that_wait(n)
    partials = allocate_aligned(rows * (params + 1) * width)
    return Scratch(np.empty(COUNTS, np.int64), partials, allocate_aligned(values * PAIRWISE_BLOCK, dtype))


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
        See `kernels.model.network.Network.layout`.
    first, last : int
        The units of the first layer, and of the last.
    dots : int
        The dots with the inputs at a sample.
    slots : int
        The numbers that the optimizer keeps of each parameter.
    n : int
        The samples of the largest batch.
    width : int
        The runs that are trained side by side, of which each number is a lane.
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
    # One array for all: to allocate each by itself would take 20 microseconds more for each.
    line = CACHE_LINE // np.dtype(dtype).itemsize
    ends = np.cumsum([line * -(-size * width // line) for size in sizes])
    return np.split(allocate_aligned(int(ends[-1]), dtype), ends[:-1])


def allocate_aligned(size: int, dtype: str = "float64") -> Floats:
    """Return an array that begins at a cache line: weights that lie across two lines take up to half as long again."""
    item = np.dtype(dtype).itemsize
    whole = np.empty(size + CACHE_LINE // item, dtype)
    skipped = -whole.ctypes.data % CACHE_LINE // item
    return whole[skipped : skipped + size]


def samples_per_epoch(n: int, batch_size: Any, drop_last: bool) -> Any:
    """Return the number of samples that an epoch visits, for a batch size or an array of them."""
    return n - n % batch_size if drop_last else n
