"""What a training run is given, and what it leaves behind; the same for the kernels and for the reference."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.int64]

MAX_EPOCHS, CONVERGED, DIVERGED = 0, 1, 2
STOPPED = 3
STATUS = ("max_epochs", "converged", "diverged", "stopped")
# In the room for partial sums, a row for the parameters of all runs and one for their sums.
POINT, TOTAL = 64, 65
NO_LOWEST = (math.inf, 0.0)
"""The lowest validation loss, and the samples seen then, of a run that has none yet."""


class Data(NamedTuple):
    """The samples, room for some of them in visiting order, and for that order (none where they stand in it already).

    `order` is empty where few enough samples are shuffled to be copied and shuffled themselves; see
    `kernels.loops.order`. On those of `validation_x` and `validation_y`, of which there may be none, a run is not
    trained. `factors` are those of the samples and of these (`kernels.compile.loss_factor`), none where losses are
    summed over the samples.
    """

    x: tuple[Floats, ...]
    y: Floats
    visited_x: tuple[Floats, ...]
    visited_y: Floats
    order: NDArray[np.uint32]
    validation_x: tuple[Floats, ...]
    validation_y: Floats
    factors: Floats = np.zeros((0, 0, 0))


def count_evaluated(data: Data) -> int:
    """Return how many samples the losses at a mark are evaluated on."""
    return data.y.size + data.validation_y.size


class Hyperparameters(NamedTuple):
    """What stays the same during a run.

    `settings` holds the options of the loss, those of the optimizer and the weight decay; where runs side by side have
    options of their own it has a column for each (`kernels.optimizers.run_options`). `marks` are the counts of
    samples seen at which the run is recorded (`kernels.data.marks`); without any, it is at the ends of epochs. A run
    stops after `patience` epochs without a lower validation loss, where there is one, and keeps the mark of the lowest.
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
    """Row m of `losses` and `trajectory` is the state at mark m.

    `memory` is what the optimizer remembers at the last of them: the slots of each parameter, then its clock.
    `validation_losses` has a row for each mark too, and `lowest` begins with the lowest of them so far and the samples
    seen then; both are empty where the data have no samples for validation.
    """

    losses: Floats
    trajectory: Floats
    memory: Floats
    validation_losses: Floats = np.zeros(0)
    lowest: Floats = np.zeros(0)


class Block(NamedTuple):
    """Runs that are trained side by side; one column each.

    `params` and `memory` are where a run stands, or stood when it was over; `losses` has a row per mark, of no meaning
    after a run's `marks`. `now` and `memory_now` are where it would stand had it gone on, as it does in its lane: the
    clock that all share, for one, must not stop with the first run that is over. `validation_losses` are as `losses`,
    and `lowest` has a row for each run, as `start_lowest` makes it.
    `validation_losses` has no rows where the data have no samples for validation.
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


def start_lowest(params: Floats, patience: float) -> Floats:
    """Return what is known of the lowest validation loss of runs before their first mark.

    Parameters
    ----------
    params : array, shape (R, P)
        Where they start.
    patience : float
        With any, runs keep the mark of their lowest validation loss, and so it is stored.

    Returns
    -------
    array, shape (R, 2), or (R, 3 + P) with patience
        The lowest validation loss and the samples seen then; with patience the training loss and the parameters there.
        Of a run that never has a finite validation loss, those of its start.
    """
    known = np.full((len(params), 2), NO_LOWEST)
    if np.isinf(patience):
        return known
    return np.column_stack([known, np.full(len(params), np.nan), params])


class Scratch(NamedTuple):
    """Room for pairwise sums: how much is left to add up, and sums that wait for their partner.

    Where runs are added up in parts, the last two rows are for what comes from all and goes to all.
    """

    counts: NDArray[np.int64]
    partials: Floats


def allocate_scratch(params: int, width: int = 1) -> Scratch:
    """Room enough for 2**63 terms: each halving leaves at most two more entries, each sum is of at least 64 terms.

    A sum is of the gradient, and of the loss where an optimizer needs it.
    """
    return Scratch(np.empty(2 * 64, np.int64), np.empty((TOTAL + 1, (params + 1) * width)))


def samples_per_epoch(n: int, batch_size: Any, drop_last: bool) -> Any:
    """Return how many of n samples an epoch visits, for a batch size or an array of them."""
    return n - n % batch_size if drop_last else n
