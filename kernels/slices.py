"""Training in slices of time, so that Ctrl-C is heard and progress seen; the results are the same."""

import time
from collections.abc import Callable, Iterator

from kernels.run import MAX_EPOCHS

SLICE_SECONDS = 0.05
FIRST_SLICE = 1_000_000  # sample-updates of a compiled kernel
REFERENCE_SLOWDOWN = 1000  # how many times as long the reference takes


def train_in_slices(
    train: Callable[[int, int], tuple[int, int]], first: int, last: int, *, samples: int
) -> Iterator[tuple[int, int, float]]:
    """Train epochs first..last-1 with `train(first, last)` -> (status, epochs done), slice by slice.

    Parameters
    ----------
    samples : int
        How many sample-updates an epoch takes; the first slice is sized by it, the others by the clock.

    Yields
    ------
    (status, epochs done, seconds of this slice)
    """
    epochs = max(1, FIRST_SLICE // samples)
    while True:
        started = time.perf_counter()
        status, done = train(first, min(first + epochs, last))
        seconds = time.perf_counter() - started
        yield status, done, seconds
        if status != MAX_EPOCHS or done == last:
            return
        epochs = max(1, int((done - first) * SLICE_SECONDS / max(seconds, 1e-6)))
        first = done
