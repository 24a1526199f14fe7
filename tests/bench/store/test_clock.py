"""The clock of a sweep: numbers of checkpoints become samples, updates and epochs, in no more memory than they need."""

import tracemalloc

import numpy as np
import pytest

from sgdbench.kernels.data.checkpoints import count_updates, make_checkpoints
from sgdbench.store.clock import Clock

SIZES = np.array([1, 16, 7])


@pytest.mark.parametrize("record", ["epoch", "log:3", 1, 10])
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_moments_are_those_of_the_checkpoints(record, drop_last):
    run = np.repeat(np.arange(3), 40)
    checkpoint = np.tile(np.arange(40), 3)
    times = Clock(record, 50, drop_last).times(SIZES, checkpoint, run)
    for place, size in enumerate(SIZES.tolist()):
        checkpoints = make_checkpoints(record, 50, size, 40, drop_last=drop_last)[:40]
        np.testing.assert_array_equal(times.samples[run == place], checkpoints)
        updates = count_updates(checkpoints, 50, size, drop_last=drop_last)
        np.testing.assert_array_equal(times.updates[run == place], updates)
        per_epoch = 50 - 50 % size if drop_last else 50
        np.testing.assert_array_equal(times.epoch[run == place], checkpoints / per_epoch)


def test_checkpoints_after_every_update_are_not_taken_for_epochs():
    """Of 8,000 checkpoints in 10 epochs, those of 8,000 epochs were made: 6,400,000 of them."""
    tracemalloc.start()
    times = Clock(1, 800, drop_last=True).times(np.array([1]), np.array([8_000]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (times.samples[0], times.updates[0], times.epoch[0]) == (8_000, 8_000, 10)
    assert peak < 2e6


def test_moments_beyond_32_bits_are_exact():
    times = Clock("epoch", 2**31, drop_last=True).times(np.array([2**20]), np.array([0, 3]), np.array([0, 0]))
    assert (times.samples.tolist(), times.updates.tolist(), times.epoch.tolist()) == (
        [0, 3 * 2**31],
        [0, 3 * 2**11],
        [0, 3],
    )
