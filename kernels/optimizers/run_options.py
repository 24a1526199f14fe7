"""Optimizer options that differ between the runs of a lane.

A kernel is compiled for a rule, and takes the values of its options as arguments: numbers that all runs of a lane
share, or a column per run. In the latter case the clock, which depends on the options, is a lane too.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.optimizers.optimizer import Optimizer


def option_values(loss: Loss, optimizer: Optimizer) -> Floats:
    """Return the values of the options, in the order in which a kernel takes them."""
    return np.array([*loss.options.values(), *optimizer.options.values(), optimizer.weight_decay])


def stack_options(loss: Loss, optimizers: Sequence[Optimizer]) -> Floats:
    """Return the option values of runs that share a rule, shape (S, R): a column per optimizer."""
    return np.stack([option_values(loss, optimizer) for optimizer in optimizers], axis=1)


def kernel_key(optimizer: Optimizer) -> Hashable:
    """Return a key that is equal for optimizers that differ only in option values and so share a kernel."""
    return (
        *(optimizer.name, optimizer.rule, optimizer.clock, optimizer.per_sample, optimizer.gradient_at),
        *(optimizer.slots, len(optimizer.clock_start), optimizer.needs_norm, optimizer.needs_loss),
        *(tuple(optimizer.options), optimizer.weight_decay != 0, optimizer.is_exact),
    )


def initial_memory(optimizers: Sequence[Optimizer], params: Floats) -> Floats:
    """Return the memory of runs before their first update, shape (R, M), each from its own optimizer.

    Parameters
    ----------
    optimizers : sequence of Optimizer
        All with the same kernel.
    params : array, shape (R, P)
        The initial parameters of the runs.
    """
    if len(set(map(id, optimizers))) == 1:
        return optimizers[0].initial_memory(params)
    pairs = zip(optimizers, params, strict=True)
    return np.stack([optimizer.initial_memory(start) for optimizer, start in pairs])
