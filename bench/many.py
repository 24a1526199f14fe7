"""The job of training many runs side by side: the same for our kernels and for the peers that can do it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bench.check import largest_error
from kernels import Model
from kernels.block import train_runs
from kernels.losses import make_loss
from kernels.models import quadratic
from kernels.optimizers import make_optimizer
from kernels.run import Floats, Plan
from kernels.samples import room
from kernels.schedules import learning_rates
from kernels.specialize import memory, settings

exponential = Model("a*exp(b*x) + c")


@dataclass(frozen=True, eq=False)
class ManyRuns:
    """Runs with plain SGD and the squared loss, sample by sample, as they stand; nothing in it is ever written to.

    Attributes
    ----------
    model : Model
        `quadratic` or `exponential`.
    x, y : array, shape (n,)
    inits : array, shape (R, 3)
    rates : array, shape (epochs, R)
    """

    model: Model
    x: Floats
    y: Floats
    inits: Floats
    rates: Floats

    @property
    def sample_updates(self) -> int:
        """Updates of all runs together."""
        return self.rates.size * self.x.size


class ManyTrained(NamedTuple):
    """Final parameters (R, 3), and losses (epochs + 1, R), the MSE over the whole data set."""

    params: Floats
    losses: Floats


def many(model: Model, runs: int = 1024, epochs: int = 10) -> ManyRuns:
    """Runs on the classic quadratic, or on a decay, from starts and with rates that all differ and all work."""
    x = np.arange(-400, 400) / 400
    y = 2 * x**2 - 4 * x + 3 if model is quadratic else 2 * np.exp(-1.3 * x) + 0.5
    rng = np.random.default_rng(0)
    rates = np.stack([learning_rates("halve(10)", lr, epochs) for lr in np.geomspace(0.0003, 0.01, runs)], axis=1)
    return ManyRuns(model, x, y, rng.normal([1, -1, 0], 0.3, size=(runs, 3)), rates)


def prepare(kernel: str, problem: ManyRuns) -> Callable[[], ManyTrained]:
    """A call that trains with one of our kernels, in one thread."""
    loss, optimizer = make_loss("squared"), make_optimizer("sgd")
    runs, params = problem.inits.shape
    plan = Plan(problem.rates, settings(loss, optimizer), 1, True, False, 0, -np.inf)
    data = room((problem.x,), problem.y, shuffle=False)
    empty = np.tile(memory(optimizer, params), (runs, 1))

    def run() -> ManyTrained:
        trained = train_runs(kernel, problem.model, loss, optimizer, data, plan, problem.inits, empty)
        assert trained is not None  # noqa: S101 (nobody stops it)
        return ManyTrained(trained.params, trained.losses)

    return run


def error(trained: ManyTrained, expected: ManyTrained) -> float:
    """The largest difference, relative where what is expected exceeds 1; 0 for equal bits."""
    return max(largest_error(found, wanted) for found, wanted in zip(trained, expected, strict=True))
