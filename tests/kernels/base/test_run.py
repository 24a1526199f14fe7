"""The buffers of a run: as many as its sums need, each at the beginning of a cache line."""

from functools import cache as once

import numpy as np
import pytest

from sgdbench.kernels.base.run import BUFFERS, CACHE_LINE, FIRST_SUM, allocate_buffers, allocate_scratch, sums_that_wait


@once
def most_waiting(n):
    """Count the sums that wait at a time where n terms are halved as NumPy does it, those of a leaf included."""
    if n <= 128:
        return 1
    half = n // 2 - n // 2 % 8
    return max(most_waiting(half), 1 + most_waiting(n - half))


def test_there_is_room_for_every_sum_that_waits():
    around = [128 * 2**k + rest for k in range(40) for rest in range(-9, 130)]
    spare = np.array([sums_that_wait(n) - most_waiting(n) for n in [*range(1, 20_000), *around]])
    assert spare.min() == 0
    assert spare.max() <= 2


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("width", [1, 8, 32])
def test_buffers_begin_at_cache_lines_and_do_not_overlap(width, dtype):
    layout = np.array([7, 5, 9])
    numbers = allocate_buffers(layout, 3, 2, dots=3, slots=2, n=1000, width=width, dtype=dtype)
    assert len(numbers) == len(BUFFERS)
    for number, buffer in enumerate(numbers):
        assert buffer.dtype == dtype
        assert buffer.ctypes.data % CACHE_LINE == 0
        buffer.fill(number)
    for number, buffer in enumerate(numbers):
        assert (buffer == number).all()
    assert numbers[BUFFERS.index("gradients")].size >= sums_that_wait(1000) * 8 * width
    scratch = allocate_scratch(3, 1000, width, 0, dtype)
    assert scratch.partials.shape == ((FIRST_SUM + sums_that_wait(1000)) * 4 * width,)
    assert scratch.partials.ctypes.data % CACHE_LINE == 0
