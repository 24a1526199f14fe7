"""The arguments and the results of a training run, the same for the kernels and for the reference."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.int64]

MAX_EPOCHS, CONVERGED, DIVERGED = 0, 1, 2
STOPPED = 3
STATUS = ("max_epochs", "converged", "diverged", "stopped")
POINT, TOTAL, WAITING = 0, 1, 2
"""The rows of `Scratch.partials`: the parameters of all runs, their sums, and the first of the sums that wait."""
NARROW = 127
"""The place in `Scratch.counts`, after those of any sum, that says whether losses are summed in halves of a lane."""
BACKWARDS = 126
"""The place in `Room.counts`, after those of any sum, that says whether sums of many terms are taken backwards."""
JOIN = -1
"""Among counts of terms to add: the last two sums are added to one another."""
NO_LOWEST = (math.inf, 0.0)
"""The lowest validation loss, and the samples seen then, of a run that has none yet."""


class Data(NamedTuple):
    """The samples of a run, and buffers for their visiting order.

    `visited_x` and `visited_y` hold some samples in visiting order, and `order` their places; `order` is empty where
    the samples themselves are shuffled in a copy (`kernels.loops.order`). Where there is room for twice as many, one
    run draws the order of the next epoch ahead, and `ahead` says how far it has come. A run is not trained on the
    samples of `validation_x` and `validation_y`, which may be empty. `factors` are the QR factors of both
    (`kernels.compile.loss_factor`), empty where losses are summed over the samples.
    """

    x: tuple[Floats, ...]
    y: Floats
    visited_x: tuple[Floats, ...]
    visited_y: Floats
    order: NDArray[np.uint32]
    ahead: NDArray[np.uint64]
    validation_x: tuple[Floats, ...]
    validation_y: Floats
    factors: Floats = np.zeros((0, 0, 0))

    @property
    def dtype(self) -> str:
        """The numbers to compute with, ``"float64"`` or ``"float32"``; NumPy takes longer to name its types."""
        return "float64" if self.y.itemsize == 8 else "float32"


def count_evaluated(data: Data) -> int:
    """Return the number of samples that the losses at a mark are evaluated on."""
    return data.y.size + data.validation_y.size


class Hyperparameters(NamedTuple):
    """The settings that stay the same during a run.

    `settings` holds the options of the loss, those of the optimizer and the weight decay, with a column for each run
    if runs side by side differ in them (`kernels.optimizers.run_options`). `marks` are the counts of samples seen at
    which the run is recorded (`kernels.data.marks`); without any, it is recorded at the ends of epochs. A run stops
    after `patience` epochs without a lower validation loss, and keeps the mark of the lowest.
    """

    rates: Floats
    settings: Floats
    batch_size: int
    drop_last: bool
    shuffle: bool
    seed: int
    target: float
    marks: Marks = np.zeros(0, np.int64)
    patience: float = math.inf


class Record(NamedTuple):
    """The course of a run: row m of `losses` and `trajectory` is the state at mark m.

    `memory` is the optimizer's state at the last mark: the slots of each parameter, then its clock.
    `validation_losses` has a row for each mark too, and `lowest` begins with the lowest of them so far and the samples
    seen then; both are empty without samples for validation.
    """

    losses: Floats
    trajectory: Floats
    memory: Floats
    validation_losses: Floats = np.zeros(0)
    lowest: Floats = np.zeros(0)


class Block(NamedTuple):
    """Runs that are trained side by side; one column each. Kernels are given several blocks, a row of arrays for each.

    `params` and `memory` are the state of a run, or its last state if it is over; `losses` has a row per mark, without
    meaning after a run's `marks`. `now` and `memory_now` are the state of its lane, which goes on: the clock that all
    share, for one, must not stop with the first run that is over. `validation_losses` are like `losses`, without rows
    if there are no samples for validation, and `lowest` has a row for each run, as `start_lowest` makes it. `rates` and
    `settings` are in place of those of `Hyperparameters`, the latter of one dimension where all runs have the same.
    """

    params: Floats
    memory: Floats
    losses: Floats
    status: NDArray[np.int64]
    marks: NDArray[np.int64]
    now: Floats
    memory_now: Floats
    validation_losses: Floats
    lowest: Floats
    rates: Floats
    settings: Floats


def start_lowest(params: Floats, patience: float) -> Floats:
    """Return the lowest validation losses of runs before their first mark, shape (R, 2), or (R, 3 + P) with patience.

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
    `values` are those that some samples alone determine, `LEAF` for each.
    """

    counts: NDArray[np.int64]
    partials: Floats
    values: Floats


def sums_that_wait(n: int) -> int:
    """Return the most sums that wait at a time where n terms are added: each halving of more than `LEAF` leaves one."""
    return 2 + max(0, math.ceil(math.log2(max(1, n / LEAF))))


def allocate_scratch(params: int, n: int, width: int, values: int, dtype: str) -> Scratch:
    """Return buffers for sums of n terms; each halving leaves at most two more entries in the counts.

    A term is a gradient, and a loss where an optimizer needs it.
    """
    rows = WAITING + sums_that_wait(n)
    partials = allocate_aligned(rows * (params + 1) * width).reshape(rows, -1)
    return Scratch(np.empty(NARROW + 1, np.int64), partials, allocate_aligned(values * LEAF, dtype))


class Room(NamedTuple):
    """The buffers of a run of a model with vectors, in place of `Scratch`, and the layout of its network.

    Where runs are trained side by side, a number is a lane, and `theta` and `slots` are those of the block.
    """

    layout: Marks
    counts: Marks
    rows: Marks
    theta: Floats
    slots: Floats
    stack: Floats
    sums: Floats
    dots: Floats
    hidden: Floats
    before: Floats
    scores: Floats
    terms: Floats
    losses: Floats
    partials: Floats


CACHE_LINE = 64
LEAF = 128
"""The samples, or the weights, that are added up without being split."""
ROWS = 16
"""The samples of which all dots are taken before any is used: weights are read from a second cache once for them."""


def allocate_room(layout: Marks, first: int, last: int, dots: int, slots: int, n: int, width: int, dtype: str) -> Room:
    """Return buffers for a network.

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
        The runs that are trained side by side.
    dtype : str
    """
    params, terms = int(layout[0]), int(layout[2])
    own = params if width == 1 else 0
    sizes = {
        "theta": own,
        "slots": own * slots,
        "stack": 4 * LEAF,
        "sums": LEAF,
        "dots": ROWS * dots,
        "hidden": LEAF * first,
        "before": first,
        "scores": last + 1,
        "terms": LEAF * terms,
        "losses": 16,  # eight running sums, and the rest
        "partials": sums_that_wait(n) * (params + 1),
    }
    # One array for all: to allocate each by itself would take 20 microseconds more for each.
    line = CACHE_LINE // np.dtype(dtype).itemsize
    lengths = [line * -(-size * width // line) for size in sizes.values()]
    whole, begin, buffers = allocate_aligned(sum(lengths), dtype), 0, {}
    for (name, size), length in zip(sizes.items(), lengths, strict=True):
        buffers[name] = whole[begin : begin + size * width]
        begin += length
    counts, rows = np.empty((2, LEAF), np.int64)
    return Room(layout, counts, rows, **buffers)


def allocate_aligned(size: int, dtype: str = "float64") -> Floats:
    """Return an array that begins at a cache line: weights that lie across two lines take up to half as long again."""
    item = np.dtype(dtype).itemsize
    whole = np.empty(size + CACHE_LINE // item, dtype)
    skipped = -whole.ctypes.data % CACHE_LINE // item
    return whole[skipped : skipped + size]


def samples_per_epoch(n: int, batch_size: Any, drop_last: bool) -> Any:
    """Return the number of samples that an epoch visits, for a batch size or an array of them."""
    return n - n % batch_size if drop_last else n
