"""Learning-rate schedules, which are evaluated before training to one absolute learning rate per epoch.

A schedule is a factor per epoch that multiplies the learning rate, so that a grid of rates means the same
under every schedule. ``halve`` and ``step`` are easily confused, by one epoch:

=================  ====  ====  ======  ======  =====  =====  ======  ======  =====
epoch, from 0      0     8     9       10      18     19     20      28      29
``halve(10)``      1     1     1/2     1/2     1/2    1/4    1/4     1/4     1/8
``step(10, 0.5)``  1     1     1       1/2     1/2    1/2    1/4     1/4     1/4
=================  ====  ====  ======  ======  =====  =====  ======  ======  =====

``halve(10)`` counts epochs from 1 and already trains the tenth at half the rate; ``step(10, 0.5)`` is
PyTorch's StepLR and trains ten epochs at the full rate.
"""

import math
from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.kernels.base.checks import (
    check_array,
    check_between,
    check_integer,
    check_positive,
    check_real,
    check_unmasked,
    describe,
)
from sgdbench.kernels.base.registry import Table
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.base.spec import make_from_spec, parse_spec

Schedule = Callable[[Floats, int], Floats]
"""``(epoch, epochs) -> factors``: the epochs 0.0, 1.0, ... of a run in order, and how many there are."""


def constant() -> Schedule:
    """Keep the factor at 1."""
    return lambda epoch, epochs: np.ones(epochs)


def halve(period: int) -> Schedule:
    """Halve in every `period`-th epoch, counted from 1: 0.5**((epoch + 1) // period). Compare `step`."""
    period = check_integer("period", period)
    return lambda epoch, epochs: _powers(0.5, (epoch + 1) // period)


def step(period: int, gamma: float = 0.1) -> Schedule:
    """Train `period` epochs at each rate: gamma**(epoch // period), PyTorch's StepLR. Compare `halve`."""
    period, gamma = check_integer("period", period), check_positive("gamma", gamma)
    return lambda epoch, epochs: _powers(gamma, epoch // period)


def multistep(milestones: list[int], gamma: float = 0.1) -> Schedule:
    """Multiply by gamma from every milestone on, PyTorch's MultiStepLR."""
    if not isinstance(milestones, list | tuple) or not milestones:
        raise ValueError(f"milestones must be a list of epochs such as [30, 60], not {describe(milestones)}")
    at = np.sort([check_integer("every milestone", milestone) for milestone in milestones])
    gamma = check_positive("gamma", gamma)
    return lambda epoch, epochs: _powers(gamma, np.searchsorted(at, epoch, side="right"))


def exponential(gamma: float) -> Schedule:
    """Multiply by gamma every epoch: gamma**epoch, PyTorch's ExponentialLR."""
    gamma = check_positive("gamma", gamma)
    return lambda epoch, epochs: _powers(gamma, epoch)


def inverse_scaling(power: float = 0.5) -> Schedule:
    """Divide by (epoch + 1)**power: scikit-learn's "invscaling" counted in epochs, not in samples."""
    power = check_positive("power", power)
    return lambda epoch, epochs: (epoch + 1.0) ** -power


def cosine(minimum: float = 0.0) -> Schedule:
    """Follow half a cosine from 1 towards `minimum`: PyTorch's CosineAnnealingLR with T_max = epochs.

    `minimum` is a fraction of the learning rate (PyTorch's eta_min is a rate). It would be reached one epoch
    after the last.
    """
    minimum = _fraction("minimum", minimum)
    return lambda epoch, epochs: _half_cosine(epoch / epochs, 1.0, minimum)


def warmup_cosine(warmup: int = 5, start: float = 1 / 3, minimum: float = 0.0) -> Schedule:
    """Rise linearly from `start` to 1 over `warmup` epochs, then follow `cosine` for the rest of the run.

    PyTorch's SequentialLR of LinearLR(start_factor=start, total_iters=warmup) and CosineAnnealingLR with
    T_max = epochs - warmup. `start` and `minimum` are fractions of the learning rate. A run of at most `warmup`
    epochs is warm-up only.
    """
    warmup = check_integer("warmup", warmup)
    start, minimum = _fraction("start", start), _fraction("minimum", minimum)

    def factors(epoch: Floats, epochs: int) -> Floats:
        rising = start + (1.0 - start) * (epoch[:warmup] / warmup)
        falling = _half_cosine((epoch[warmup:] - warmup) / max(epochs - warmup, 1), 1.0, minimum)
        return np.concatenate([rising, falling])

    return factors


def one_cycle(pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4) -> Schedule:
    """Rise from 1 / div_factor to 1 in the first `pct_start` of the run, then fall far below the initial factor.

    Rise and fall are half cosines; the last epoch has 1 / (div_factor * final_div_factor). L. N. Smith, N. Topin,
    Super-convergence (2017), arXiv:1708.07120. PyTorch's OneCycleLR stepped once per epoch, with max_lr = lr,
    the cosine strategy and two phases; momentum is unchanged.
    """
    pct_start = check_between("pct_start", pct_start, 0, 1)
    initial = 1.0 / check_positive("div_factor", div_factor)
    final = initial / check_positive("final_div_factor", final_div_factor)

    def factors(epoch: Floats, epochs: int) -> Floats:
        peak = pct_start * epochs - 1.0
        rising = _half_cosine(epoch[epoch < peak] / peak, initial, 1.0)
        falling = _half_cosine((epoch[epoch >= peak] - peak) / (epochs - 1.0 - peak), 1.0, final)
        return np.concatenate([rising, falling])

    return factors


_BUILDERS: tuple[Callable[..., Schedule], ...] = (
    *(constant, halve, step, multistep, exponential, inverse_scaling, cosine, warmup_cosine, one_cycle),
)
SCHEDULES = Table("schedule", {build.__name__: build for build in _BUILDERS})


def __dir__() -> list[str]:
    """Return the names for consoles to complete."""
    return sorted([*SCHEDULES, "SCHEDULES", "Schedule", "canonical_schedule", "learning_rates"])


def learning_rates(schedule: str | Callable[[int], float] | ArrayLike | None, lr: float, epochs: int) -> Floats:
    """Return the learning rate of every epoch: `lr` times the factor of the schedule.

    Parameters
    ----------
    schedule : str, callable, array-like of shape (epochs,), or None
        A name from `SCHEDULES` with options, such as ``"halve(10)"``; a deterministic function from the epoch, counted
        from 0, to a factor, like PyTorch's LambdaLR; an array of factors; or None for a constant rate. All of them
        multiply `lr`: for absolute rates set ``lr=1``.
    lr : float
        Positive.
    epochs : int
        At least 1.

    Returns
    -------
    rates : array, shape (epochs,)

    Raises
    ------
    ValueError
        If an argument is out of range, an array has the wrong length, a rate is negative or not finite, or a function
        returns other factors when called again.
    """
    lr = check_positive("lr", lr)
    epochs = check_integer("epochs", epochs)
    if schedule is None:
        factors = np.ones(epochs)
    elif isinstance(schedule, str):
        factors = make_from_spec(schedule, SCHEDULES, "schedule")(np.arange(epochs, dtype=np.float64), epochs)
    elif callable(schedule):
        _check_parameters(schedule)
        factors, again = (np.array([_call_schedule(schedule, epoch) for epoch in range(epochs)]) for _ in range(2))
        check_repeated("schedule", factors, again)
    else:
        factors = _check_factors(schedule, epochs)

    with np.errstate(over="ignore"):
        rates = lr * factors
    good = np.isfinite(rates) & (rates >= 0.0)
    if not good.all():
        epoch = int(np.argmin(good))
        raise ValueError(f"schedule must give finite learning rates >= 0, not {rates[epoch]} in epoch {epoch}")
    return rates


def canonical_schedule(text: str) -> str:
    """Return the schedule with every option by name, so that equal schedules have equal texts."""
    make_from_spec(text, SCHEDULES, "schedule")
    name, args, kwargs = parse_spec(text, "schedule")
    bound = signature(SCHEDULES[name]).bind(*args, **kwargs)
    bound.apply_defaults()
    options = {key: value if isinstance(value, list) else float(value) for key, value in bound.arguments.items()}
    return f"{name} {options}"


def check_repeated(subject: str, factors: Floats, again: Floats) -> None:
    """Refuse a schedule whose second call gives other factors, such as random ones: runs could not be repeated."""
    if not np.array_equal(factors, again, equal_nan=True):
        epoch = int(np.argmax(factors != again))
        raise ValueError(
            f"{subject} must give the same whenever it is called, not first {factors[epoch]:g} and then "
            f"{again[epoch]:g} in epoch {epoch}"
        )


def _check_parameters(schedule: Callable[[int], float]) -> None:
    """Refuse a function that cannot be called with the epoch alone, such as a registered schedule."""
    try:
        parameters = signature(schedule)
    except ValueError:  # some C functions have no signature
        return
    try:
        parameters.bind(0)
    except TypeError:
        raise ValueError(
            f"schedule must be a function of the epoch alone, not of {parameters}; give a registered schedule by its "
            "name"
        ) from None


def _call_schedule(schedule: Callable[[int], float], epoch: int) -> float:
    factor = schedule(epoch)
    try:
        return float(factor)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"schedule must return a number, not {describe(factor)} in epoch {epoch}") from None


def _check_factors(schedule: ArrayLike, epochs: int) -> Floats:
    """Return factors as an array, one per epoch."""
    check_unmasked("schedule", schedule)
    try:
        factors = check_array("schedule", schedule, "biuf")
    except ValueError:
        raise ValueError("schedule must be text, a function of the epoch, or an array of numbers") from None
    if factors.shape != (epochs,):
        raise ValueError(f"schedule must have the shape ({epochs},), one factor per epoch, not {factors.shape}")
    return factors


def _powers(gamma: float, exponents: NDArray[Any]) -> Floats:
    """Return gamma**exponents by C's pow, which is exact for gamma = 0.5; np.power on arrays need not be."""
    distinct, places = np.unique(exponents, return_inverse=True)
    with np.errstate(over="ignore"):
        return np.array([np.float64(gamma) ** exponent for exponent in distinct.tolist()])[places]


def _half_cosine(progress: Floats, start: float, end: float) -> Floats:
    """Return half a cosine, from `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) * (1.0 + np.cos(math.pi * progress)) / 2.0


def _fraction(name: str, value: float) -> float:
    return check_real(name, value, lambda number: 0.0 <= number <= 1.0, "a number from 0 to 1")
