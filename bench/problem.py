"""The job that every variant is given: train the quadratic a*x**2 + b*x + c on this data with these settings."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.check import largest_error
from kernels.run import Floats
from kernels.schedules import learning_rates


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and settings of a run with plain SGD and the squared loss; nothing in it is ever written to.

    Attributes
    ----------
    x, y : array, shape (n,)
    init : array, shape (3,)
    rates : array, shape (epochs,)
        The learning rate of each epoch.
    batch_size : int
        Samples per update; what is left over at the end of an epoch is dropped.
    shuffle : bool
        Visit the samples in the order that `kernels.order` draws from (seed, epoch).
    seed : int
    """

    x: Floats
    y: Floats
    init: Floats
    rates: Floats
    batch_size: int = 1
    shuffle: bool = False
    seed: int = 0

    @property
    def updates(self) -> int:
        """Updates in the whole run."""
        return self.rates.size * (self.x.size // self.batch_size)

    @property
    def sample_updates(self) -> int:
        """Samples visited in the whole run."""
        return self.updates * self.batch_size


class Trained(NamedTuple):
    """What a variant returns: row e is the state after e epochs; the loss is the MSE over the whole data set."""

    trajectory: Floats
    losses: Floats


class UnavailableError(Exception):
    """A variant cannot run here; the message says why, and what would help."""


def classic(epochs: int = 100, batch_size: int = 1, *, shuffle: bool = False) -> Problem:
    """The classic lesson: 800 samples of 2*x**2 - 4*x + 3, from (-1, 10, 26), the rate 0.5 halved every ten epochs."""
    x = np.arange(-400, 400) / 400
    y = 2 * x**2 - 4 * x + 3
    rates = learning_rates("halve(10)", 0.5, epochs)
    return Problem(x, y, np.array([-1.0, 10.0, 26.0]), rates, batch_size, shuffle)


def error(trained: Trained, expected: Trained) -> float:
    """The largest difference: relative to what is expected where that exceeds 1, absolute below; 0 for equal bits."""
    return max(largest_error(found, wanted) for found, wanted in zip(trained, expected, strict=True))
