"""How good a trial is, as one number to be minimized: what it costs to reach the target once, or how low the loss gets.

A sampler has to be given a number for every trial, also for one of which some runs fail, and of two that fail it should
know the better one.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.run_costs import CHOICES, find_choices
from kernels.run import Floats

HOPELESS = 4.0
"""A trial whose value, a logarithm, is higher than the best by so much is hopeless, however bad it is."""


def samples_per_success(samples: NDArray[np.integer], converged: NDArray[np.bool_]) -> float:
    """Return the samples that all runs have seen for each of them that reached the target; infinite if none did.

    It estimates what it costs to reach the target if a run that fails is followed by another: the expected running
    time of N. Hansen, A. Auger, R. Ros, S. Finck, P. Pošík, Comparing results of 31 algorithms from the black-box
    optimization benchmarking BBOB-2009 (GECCO 2010).

    Parameters
    ----------
    samples : array, shape (runs,)
        Seen by each run until it reached the target, or until it ended.
    converged : array of bool, shape (runs,)
    """
    successes = int(np.count_nonzero(converged))
    return max(float(np.sum(samples)), 1.0) / successes if successes else math.inf


def value_by_target(
    samples: NDArray[np.integer], converged: NDArray[np.bool_], losses: Floats, target: float, floor: float
) -> float:
    """Return the logarithm, to base 10, of the samples per success.

    Where no run reached the target it is that of all samples plus 1 and how far the losses are from the target, on
    average and as a logarithm: more than if one run had reached it, and the less the nearer they came.

    Parameters
    ----------
    samples, converged
        As for `samples_per_success`.
    losses : array, shape (runs,)
        The lowest of each run; finite.
    target : float
    floor : float
        The loss below which differences are rounding.
    """
    cost = samples_per_success(samples, converged)
    if math.isfinite(cost):
        return math.log10(cost)
    with np.errstate(divide="ignore"):  # by logarithms: the quotient may be too large for a float
        excess = np.log(np.maximum(losses / 2 - target / 2, 0)) + math.log(2) - math.log(max(abs(target), floor))
    distance = np.logaddexp(0.0, excess) / math.log(10)
    return math.log10(max(float(np.sum(samples)), 1.0)) + 1 + float(np.mean(distance))


def value_by_loss(losses: Floats, floor: float, *, nonnegative: bool) -> float:
    """Return the mean logarithm, to base 10, of the losses; the mean of losses that may be negative.

    Parameters
    ----------
    losses : array, shape (runs,)
        Finite.
    floor : float
        The loss below which differences are rounding.
    nonnegative : bool
        Whether no loss is negative.
    """
    return float(np.mean(np.log10(np.maximum(losses, floor)) if nonnegative else losses))


def families_of(choices: pd.DataFrame, trials: pd.DataFrame) -> NDArray[np.object_]:
    """Return the family of each of the choices, of which there are trials: the optimizer as the search was given it."""
    distinct = trials.drop_duplicates(CHOICES)
    places = find_choices(choices, distinct, CHOICES).to_numpy(int)
    families: NDArray[np.object_] = distinct["family"].to_numpy(object)[places]
    return families


def choice_values(frame: pd.DataFrame, target: float | None, floor: float, *, nonnegative: bool = True) -> pd.DataFrame:
    """Return what each choice of settings in a frame is worth, as a trial of it is.

    Parameters
    ----------
    frame : DataFrame
        As `SweepResult.frame`, of runs that were trained to their end.
    target : float or None
    floor, nonnegative
        As for `value_by_loss`.

    Returns
    -------
    DataFrame
        One row per choice: its settings, `value`, which is infinite where a run diverged, and the `samples` that its
        runs have seen together.
    """
    rows = []
    losses = "best_validation_loss" if target is None and "best_validation_loss" in frame else "final_loss"
    for key, runs in frame.groupby(CHOICES, observed=True, sort=False):
        samples, ended = runs["samples_seen"].to_numpy(), runs[losses].to_numpy(float)
        converged = (runs["status"] == "converged").to_numpy()
        if (runs["status"] == "diverged").any():
            value = math.inf
        elif target is None:
            value = value_by_loss(ended, floor, nonnegative=nonnegative)
        else:
            value = value_by_target(samples, converged, ended, target, floor)
        rows.append(dict(zip(CHOICES, key, strict=True)) | {"value": value, "samples": int(samples.sum())})
    return pd.DataFrame(rows, columns=[*CHOICES, "value", "samples"])
