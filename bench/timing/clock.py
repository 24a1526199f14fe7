"""The clock of the processor, measured: a chain of operations whose cycles are known.

The clock that a processor is sold with is not the one it runs at: that changes with load and heat, and on some with the
width of the vectors in use. So the chain is timed in turns with what is to be known in cycles, and there is a second
one that multiplies and adds vectors meanwhile, as lanes do.
"""

from collections.abc import Callable
from functools import cache as once
from functools import partial

import numba
import numpy as np
from numba import types

from kernels.block import WIDTH
from kernels.lanes import read_lane, write_lane

TURNS = 20_000
# Three times a multiplication of integers, 3 cycles, and an exclusive or, 1: the same on all x86-64 of the last ten
# years. The multiplication and the addition beside it take 8 at most.
CYCLES_OF_TURN = 3 * (3 + 1)
CYCLES = TURNS * CYCLES_OF_TURN
"""How many cycles a call takes."""


def spin(turns, factor, mask, number, cells):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 (compiled)
    """Go through the chain, beside one float."""
    value = factor
    beside = cells[0]
    for _ in range(turns):
        value = (value * factor) ^ mask
        value = (value * factor) ^ mask
        value = (value * factor) ^ mask
        beside = beside * number + number
    cells[0] = beside
    return value


def spin_beside_lanes(turns, factor, mask, number, cells):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Go through the chain, beside a lane."""
    value = factor
    beside = read_lane(cells, 0, WIDTH)
    for _ in range(turns):
        value = (value * factor) ^ mask
        value = (value * factor) ^ mask
        value = (value * factor) ^ mask
        beside = beside * number + number
    write_lane(beside, cells, 0)
    return value


@once
def make_clock(*, lanes: bool) -> Callable[[], object]:
    """Return a call that takes `CYCLES` cycles, compiled.

    Parameters
    ----------
    lanes : bool
        Whether vectors are in use meanwhile.
    """
    signature = types.uint64(types.int64, types.uint64, types.uint64, types.float64, types.float64[::1])
    compiled = numba.njit(nogil=True)(spin_beside_lanes if lanes else spin)
    compiled.compile(signature)
    arguments = np.uint64(6364136223846793005), np.uint64(1442695040888963407), 0.5, np.ones(WIDTH)
    return partial(compiled, TURNS, *arguments)
