"""The hot loop of the kernels alone, which compiles in a fraction of the time of a kernel.

The names declared below belong to a model, a loss and an optimizer, as in `loops`.
"""

from collections.abc import Callable
from typing import Any

from kernels.loops.loops import per_sample_leg
from kernels.simd.lanes import read_lane
from kernels.simd.tuples import load, store

Bound = Callable[..., Any]
read_options: Bound
read_state: Bound
write_state: Bound
read_theta: Bound
write_theta: Bound
zeros: Bound
WIDTH: int


def train_one(params, memory, settings, x, y, lr):
    """Train one run, sample by sample: params has the shape (1, P), memory (M,), lr (1,)."""
    options = read_options(settings)
    theta, state = per_sample_leg(load(params, 0, zeros()), read_state(memory, ()), x, y, lr[0], options, (), ())
    store(params, 0, theta)
    write_state(memory, state)


def train_lane(params, memory, settings, x, y, lr):
    """Train the runs of a lane: params has the shape (P, WIDTH), memory (M, WIDTH), lr (WIDTH,)."""
    options = read_options(settings)
    rates = read_lane(lr, 0, WIDTH)
    theta, state = per_sample_leg(read_theta(params), read_state(memory, ()), x, y, rates, options, (), ())
    write_theta(params, theta)
    write_state(memory, state)
