"""The problem that every variant solves: train this model on this data with these settings, one run or many."""

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.compile.kinds import NO_TARGETS, largest_error, largest_loss_error
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.slices import reference_cost

exponential = Model("a*exp(b*x) + c")


@dataclass(frozen=True, eq=False)
class Problem:
    """Data and settings of runs that differ only in start and learning rate; immutable.

    Attributes
    ----------
    model : Model
    x : tuple of array, shape (n,)
        One for each input.
    y : array, shape (n,)
    inits : array, shape (R, P)
        The start of each run.
    rates : array, shape (epochs, R)
        The learning rate of each run in each epoch.
    batch_size : int
        Samples per update; an incomplete batch at the end of an epoch is dropped.
    shuffle : bool or str
        The order of the samples, as for `sgdbench.fit`.
    seed : int
    optimizer : str
    loss : str
        The trained loss; its mean is reported, and for the squared loss the mean squared residual.
    dtype : str
    """

    model: Model
    x: tuple[Floats, ...]
    y: Floats
    inits: Floats
    rates: Floats
    batch_size: int = 1
    shuffle: bool | str = False
    seed: int = 0
    optimizer: str = "sgd"
    loss: str = "squared"
    dtype: str = "float64"

    def __eq__(self, other: object) -> bool:
        """Return whether the other has the same contents."""
        names = [field.name for field in fields(self)]
        same = (np.array_equal(getattr(self, name), getattr(other, name)) for name in names)
        return self is other or (isinstance(other, Problem) and all(same))

    def __hash__(self) -> int:
        return hash((self.inits.shape, self.rates.shape, self.y.size, self.batch_size, self.optimizer))

    @property
    def runs(self) -> int:
        """The number of runs."""
        return len(self.inits)

    @property
    def epochs(self) -> int:
        """The number of epochs of each run."""
        return len(self.rates)

    @property
    def updates(self) -> int:
        """The number of updates of all runs together."""
        return self.rates.size * (self.y.size // self.batch_size)

    @property
    def sample_updates(self) -> int:
        """The number of samples visited by all runs together."""
        return self.updates * self.batch_size

    @property
    def reference_cost(self) -> int:
        """The cost of the reference, in sample-updates of a model without vectors."""
        return self.sample_updates * reference_cost(self.model)

    def linear_system(self) -> tuple[Floats, Floats]:
        """Return the matrix D, shape (n, P), and the targets t of a linear model: its residual is D theta - t."""
        x = np.stack(self.x, axis=1)
        return self.model.design_matrix(x), self.y - self.model.predict(np.zeros(len(self.model.params)), x)

    def part(self, *, runs: int | None = None, epochs: int | None = None, samples: int | None = None) -> "Problem":
        """Return the first runs, epochs and samples; a batch is then no larger than these samples."""
        return replace(
            self,
            x=tuple(column[:samples] for column in self.x),
            y=self.y[:samples],
            inits=self.inits[:runs],
            rates=np.ascontiguousarray(self.rates[:epochs, :runs]),
            batch_size=min(self.batch_size, self.y[:samples].size),
        )


class Trained(NamedTuple):
    """The result of a variant: final parameters, shape (R, P), and losses, shape (epochs + 1, R).

    The loss is the mean squared residual over the whole data set, before the first epoch and after each.
    """

    params: Floats
    losses: Floats


class UnavailableError(Exception):
    """A variant cannot run here; the message says why, and what would help."""


class FailedError(UnavailableError):
    """A peer is installed but failed; the message says how, in one line."""


class Errors(NamedTuple):
    """The largest differences between the result of a variant and the expected one.

    `largest` is the largest of all values, relative where the expected value exceeds 1 and absolute below: it is
    checked against a bound, and is 0 for equal bits. `loss` is the largest of the losses, relative; it ignores losses
    near 0, which consist of rounding errors (`sgdbench.kernels.compile.kinds.largest_loss_error`).
    """

    largest: float
    loss: float


def errors(trained: Trained, expected: Trained, y: Floats = NO_TARGETS) -> Errors:
    """Return how far a result is from the expected one, where y are the targets."""
    largest = max(largest_error(computed, reference) for computed, reference in zip(trained, expected, strict=True))
    if trained.params.shape != expected.params.shape:
        return Errors(np.inf, np.inf)
    return Errors(largest, largest_loss_error(trained.losses, expected.losses, y))


def classic(
    epochs: int = 100, batch_size: int = 1, *, shuffle: bool = False, optimizer: str = "sgd", n: int = 800
) -> Problem:
    """Return the classic lesson: samples of 2*x**2 - 4*x + 3, from (-1, 10, 26), the rate 0.5 halved every ten epochs.

    Adaptive optimizers start at a tenth of that rate; `n` may exceed the 800 samples of the lesson.
    """
    x = (np.arange(n) - n // 2) / (n / 2)
    y = 2 * x**2 - 4 * x + 3
    rates = learning_rates("halve(10)", 0.5 if optimizer == "sgd" else 0.05, epochs)
    start = np.array([[-1.0, 10.0, 26.0]])
    return Problem(quadratic, (x,), y, start, rates[:, np.newaxis], batch_size, shuffle, optimizer=optimizer)


def many(
    model: Model = quadratic,
    runs: int = 1024,
    epochs: int = 10,
    dtype: str = "float64",
    optimizer: str = "sgd",
    noise: float = 0.0,
) -> Problem:
    """Return runs on the classic quadratic, or on a decay, with different starts and rates, all of which work.

    With `noise`, its standard deviation, gradients do not vanish.
    """
    x = np.arange(-400, 400) / 400
    y = 2 * x**2 - 4 * x + 3 if model is quadratic else 2 * np.exp(-1.3 * x) + 0.5
    y = y + noise * np.random.default_rng(1).standard_normal(y.size)
    rng = np.random.default_rng(0)
    rates = np.outer(learning_rates("halve(10)", 1.0, epochs), np.geomspace(0.0003, 0.01, runs))
    return Problem(model, (x,), y, rng.normal([1, -1, 0], 0.3, size=(runs, 3)), rates, dtype=dtype, optimizer=optimizer)


def wide(inputs: int, runs: int = 256, epochs: int = 2, n: int = 1000, batch_size: int = 1) -> Problem:
    """Return runs of ``w @ x + b`` on normal inputs with noise, from small starts, with different rates that work."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, inputs))
    y = x @ rng.standard_normal(inputs) / np.sqrt(inputs) + 1.0 + 0.1 * rng.standard_normal(n)
    rates = np.tile(np.geomspace(0.01, 0.1, runs) / inputs, (epochs, 1))
    starts = 0.1 * rng.standard_normal((runs, inputs + 1))
    model = Model("w @ x + b", [f"x{number}" for number in range(1, inputs + 1)])
    return Problem(model, tuple(x.T), y, starts, rates, batch_size)
