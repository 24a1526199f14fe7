"""Training in slices of time, so that Ctrl-C and callbacks take effect; the results are the same."""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

from kernels.base.run import MAX_EPOCHS, Marks
from kernels.model.model import Model

SLICE_SECONDS = 0.05
FIRST_SLICE = 1_000_000  # sample-updates of a compiled kernel
REFERENCE_SLOWDOWN = 1000  # how many times as long the reference takes


def reference_cost(model: Model) -> int:
    """Return how many times as long the reference takes for a sample as with a model without vectors."""
    if model.network is None:
        return 1
    units = sum(layer.units for layer in model.network.layers)
    return 5 * units + len(model.params) // 100


def train_in_slices(
    train: Callable[[int, int], tuple[int, int]],
    marks: Marks,
    first: int = 0,
    *,
    samples: int,
    slowdown: int = 1,
    stops: Sequence[int] = (),
) -> Iterator[tuple[int, int, float]]:
    """Train from mark `first` to the last one with `train(first, last)` -> (status, mark reached), slice by slice.

    Parameters
    ----------
    train : callable
    marks : array, shape (M,)
        See `kernels.data.marks.make_marks`.
    first : int
    samples : int
        The samples on which a loss is evaluated at each mark, which counts like an update from each.
    slowdown : int
        The time of a sample-update relative to the kernel `fused`. The first slice is sized by it, the others by the
        clock.
    stops : sequence of int
        Marks, increasing, at which a slice ends.

    Yields
    ------
    (status, mark reached, seconds of this slice)
    """

    def work(mark: int) -> float:
        return (int(marks[mark]) + samples * mark) / 2

    budget, last = FIRST_SLICE / slowdown, marks.size - 1
    while True:
        # No array is made here: a block of few epochs takes 100 microseconds.
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
