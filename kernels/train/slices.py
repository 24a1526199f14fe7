"""Training in slices of time, so that Ctrl-C and callbacks take effect; results do not depend on it."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sgdbench.kernels.base.run import MAX_EPOCHS, Integers
from sgdbench.kernels.model.model import Model

SLICE_SECONDS = 0.05
FIRST_SLICE = 1_000_000  # sample-updates of a compiled kernel
REFERENCE_SLOWDOWN = 1000  # time of the reference relative to a compiled kernel


def reference_cost(model: Model) -> int:
    """Return the time of the reference per sample, relative to a model without vectors."""
    if model.network is None:
        return 1
    units = sum(layer.units for layer in model.network.layers)
    return 5 * units + len(model.params) // 100


def slowdown_of(kernel: str, model: Model, width: int = 1) -> int:
    """Return the time of a sample-update of `width` runs, relative to one run of a small model by `fused`.

    It sizes the first slice: during a million updates of 10,000 weights, Ctrl-C would have no effect for seconds.
    """
    if kernel == "reference":
        return REFERENCE_SLOWDOWN * reference_cost(model)
    return max(1, width // 8) * (1 + len(model.params) // 8)


def work_until(checkpoint: int, checkpoints: Integers, samples: int) -> float:
    """Return the sample-updates of a run until a checkpoint, including loss evaluations; see `train_in_slices`."""
    return (int(checkpoints[checkpoint]) + samples * checkpoint) / 2


def runs_in_slice(checkpoints: Integers, first: int, *, samples: int, slowdown: int) -> int:
    """Return how many runs from checkpoint `first` to the last one fit into the first slice, at least 1."""
    work = work_until(checkpoints.size - 1, checkpoints, samples) - work_until(first, checkpoints, samples)
    return max(1, int(FIRST_SLICE / slowdown / max(1.0, work)))


def train_in_slices(
    train: Callable[[int, int], tuple[int, int]],
    checkpoints: Integers,
    first: int = 0,
    *,
    samples: int,
    slowdown: int = 1,
    stops: Sequence[int] = (),
) -> Iterator[tuple[int, int, float]]:
    """Train in slices, from checkpoint `first` to the last, by `train(first, last)` -> (status, checkpoint reached).

    Parameters
    ----------
    train : callable
    checkpoints : array, shape (M,)
        See `sgdbench.kernels.data.checkpoints.make_checkpoints`.
    first : int
    samples : int
        The samples on which a loss is evaluated at each checkpoint; each counts like an update.
    slowdown : int
        See `slowdown_of`. It determines the size of the first slice; the clock determines the others.
    stops : sequence of int
        Increasing checkpoints at which a slice ends.

    Yields
    ------
    (status, checkpoint reached, seconds of this slice)
    """
    work = partial(work_until, checkpoints=checkpoints, samples=samples)
    budget, last = FIRST_SLICE / slowdown, checkpoints.size - 1
    while True:
        # No array is allocated here: a block with few epochs takes only 100 microseconds.
        limit = work(first) + budget
        end = last if work(last) <= limit else max(first + 1, bisect_right(range(last), limit, key=work) - 1)
        later = bisect_right(stops, first)
        if later < len(stops):
            end = min(end, stops[later])
        started = time.perf_counter()
        status, done = train(first, end)
        seconds = time.perf_counter() - started
        yield status, done, seconds
        if status != MAX_EPOCHS or done == last:
            return
        budget = (work(done) - work(first)) * SLICE_SECONDS / max(seconds, 1e-6)
        first = done
