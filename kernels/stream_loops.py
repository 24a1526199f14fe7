"""A part of an epoch: the loss at the last mark over some samples, and the updates from them, in one go.

The names declared below without a value are bound as those of `kernels.loops`.
"""

from collections.abc import Callable
from typing import Any

from kernels.loops import minibatch_leg, per_sample_leg
from kernels.order import permute
from kernels.stream_part import AT_MARK, NOW
from kernels.tuples import load, store

Bound = Callable[..., Any]
inputs_between: Bound
read_options: Bound
read_state: Bound
write_state: Bound
zeros: Bound
recorded_sum: Bound


def train_part(samples, run, work, scratch):
    """Evaluate, shuffle and train samples, each where there is work of the kind; see `kernels.stream_part`."""
    x, y = samples.x, samples.y
    options = read_options(work.settings)
    if work.evaluated > 0:
        theta = load(run.params, AT_MARK, zeros())
        (run.total[0],) = recorded_sum(theta, x, y, work.first, work.evaluated, options, scratch)
    if work.shuffled > 0:
        stop = work.first + work.shuffled
        permute(inputs_between(x, work.first, stop) + (y[work.first : stop],), work.seed, work.key)  # noqa: RUF005
    if work.trained > 0:
        theta = load(run.params, NOW, zeros())
        state = read_state(run.memory)
        if work.batch_size == 1:
            theta, state = per_sample_leg(
                theta, state, inputs_between(x, 0, work.trained), y[: work.trained], work.lr, options
            )
        else:
            theta, state = minibatch_leg(
                theta, state, x, y, 0, work.trained, work.lr, options, work.batch_size, scratch
            )
        store(run.params, NOW, theta)
        write_state(run.memory, state)
