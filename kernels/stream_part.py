"""A part of an epoch: samples, where the run stands, and what is to be done; for the kernels and for the reference."""

from typing import NamedTuple

from kernels.run import Floats

AT_MARK, NOW = 0, 1
"""Rows of `StreamState.params`."""


class Part(NamedTuple):
    """Samples in visiting order; they may be shuffled in place."""

    x: tuple[Floats, ...]
    y: Floats


class StreamState(NamedTuple):
    """Where a run stands.

    Attributes
    ----------
    params : array, shape (2, P)
        At the last mark, and now.
    memory : array
        What the optimizer remembers now.
    total : array, shape (1,)
        Takes the sum of the losses of a part at the last mark.
    """

    params: Floats
    memory: Floats
    total: Floats


class PartTask(NamedTuple):
    """What is to be done with the samples of a part, in this order.

    Attributes
    ----------
    settings : array
        As in `kernels.run.Hyperparameters`.
    lr : float
    batch_size : int
    first : int
        The sample at which the next two begin.
    evaluated, shuffled : int
        How many samples are evaluated at the last mark, and how many are shuffled.
    seed, key : int
        From which they are shuffled; `key` takes the place of the epoch.
    trained : int
        How many samples are trained, from the beginning of the part.
    """

    settings: Floats
    lr: float
    batch_size: int
    first: int
    evaluated: int
    shuffled: int
    seed: int
    key: int
    trained: int
