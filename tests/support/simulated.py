"""Simulated studies of choices of settings whose truth is known, and small ones made by hand."""

import numpy as np
import pandas as pd

from tests.support.frames import make_frame

# Noise on the logarithms of costs, with a median of 0 and about the same interquartile range.
NOISES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy": lambda rng, shape: rng.standard_t(3, shape) / 1.13,
    "skewed": lambda rng, shape: 1.23 * (rng.exponential(size=shape) - np.log(2)),
    "cauchy": lambda rng, shape: 0.67 * rng.standard_cauchy(shape),
}


def costs_of(rng, medians, pairs, *, noise="normal", spread=0.1, unequal=0.0, success=1.0):
    """Costs, shape (choices, pairs): starts make all choices cheap or expensive, and some runs fail."""
    choices = len(medians)
    spreads = spread * np.exp(unequal * rng.standard_normal(choices))
    logs = np.log(medians)[:, np.newaxis] + rng.normal(0, 1, pairs)
    logs = logs + spreads[:, np.newaxis] * NOISES[noise](rng, (choices, pairs))
    failed = rng.random((choices, pairs)) >= np.broadcast_to(success, choices)[:, np.newaxis]
    return np.where(failed, np.inf, np.exp(np.clip(logs, -200, 200)))


def runs_of(costs, *, seeds=0, batch_size=1, seconds_per_update=None, **settings):
    """A frame of runs from costs in samples, shape (choices, pairs), where what is infinite failed.

    Without settings, choices differ in the learning rate.
    """
    costs = np.asarray(costs, dtype=float)
    choices, pairs = costs.shape
    settings = settings or {"lr": 0.1 * 2.0 ** np.arange(choices)}
    each = {name: np.repeat(np.broadcast_to(values, choices), pairs) for name, values in settings.items()}
    batch_size = np.repeat(np.broadcast_to(batch_size, choices), pairs)
    reached = np.isfinite(costs.ravel())
    samples = pd.array(np.where(reached, np.ceil(costs.ravel()), np.nan), dtype="Float64").astype("Int64")
    frame = make_frame(
        costs.size,
        **each,
        batch_size=batch_size,
        seed=np.tile(seeds + np.arange(pairs), choices),
        status=pd.Categorical(np.where(reached, "converged", "max_epochs")),
        final_loss=np.where(reached, 1e-6, 1.0),
    )
    frame = frame.assign(samples_to_target=samples, updates_to_target=samples // batch_size)
    if seconds_per_update is not None:
        seconds = np.repeat(np.broadcast_to(seconds_per_update, choices), pairs)
        frame = frame.assign(
            seconds_per_update=seconds,
            seconds_per_update_low=0.98 * seconds,
            seconds_per_update_high=1.02 * seconds,
        )
    return frame


def study(rng, pairs, noise):
    """Two optimizers with 15 rates and 2 batch sizes; rates above an edge fail, and below it cost more and more."""
    lr, optimizer, batch_size = (
        grid.ravel() for grid in np.meshgrid(np.geomspace(0.01, 1, 15), ["sgd", "adam"], [1, 16], indexing="ij")
    )
    batch_size = batch_size.astype(int)
    edge = np.where(optimizer == "sgd", rng.uniform(0.3, 1), rng.uniform(0.1, 0.5))
    distance = np.log(lr / (0.6 * edge))
    medians = 2000 * np.exp(0.2 * distance**2 + 0.1 * rng.random() * (batch_size > 1) + 0.1 * (optimizer == "sgd"))
    success = np.clip(1 - 4 * np.log(lr / edge), 0, 1)
    costs = costs_of(rng, medians, pairs, noise=noise, spread=0.1, unequal=0.3, success=success)
    seconds = np.where(batch_size > 1, 2e-8, 1e-8)
    frame = runs_of(costs, optimizer=optimizer, lr=lr, batch_size=batch_size, seconds_per_update=seconds)
    return frame, medians, success
