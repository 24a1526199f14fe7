"""The value of a trial, one number to be minimized: the cost of reaching the target, or the loss at the end.

A sampler needs a number for every trial. If two trials have no successful run, the better one has the lower number.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.excess import ranking_loss
from bench.tables.ranking import ranking
from bench.tables.run_costs import CHOICES, find_choices
from kernels.base.run import Floats

HOPELESS = 4.0
"""A trial whose value, a logarithm, exceeds the best one by this much is hopeless, whatever its value is."""


def trial_value(
    samples: NDArray[np.integer],
    converged: NDArray[np.bool_],
    losses: Floats,
    target: float | None,
    floor: float,
    *,
    nonnegative: bool = True,
) -> float:
    """Return the value of a trial from its runs, none of which diverged.

    With a target it is the logarithm, to base 10, of the samples per success: the samples that all runs have seen for
    each run that reached the target, an estimate of the expected running time of N. Hansen, A. Auger, R. Ros, S. Finck,
    P. Pošík, Comparing results of 31 algorithms from the black-box optimization benchmarking BBOB-2009 (GECCO 2010).
    Where no run reached the target it is the logarithm of all samples plus 1 and the mean logarithm of the distance
    from the losses to the target: higher than with one success, and lower for losses nearer to the target. Without a
    target it is the mean logarithm, to base 10, of the losses; the mean of losses that may be negative.

    `samples` and `losses` have one entry per run: the samples seen until it reached the target or ended, and the loss
    of the parameters that it keeps, which is finite. Below `floor`, differences of losses are rounding.
    """
    if target is None:
        return float(np.mean(np.log10(np.maximum(losses, floor)) if nonnegative else losses))
    spent, successes = max(float(np.sum(samples)), 1.0), int(np.count_nonzero(converged))
    if successes:
        return math.log10(spent / successes)
    with np.errstate(divide="ignore"):  # by logarithms: the quotient may be too large for a float
        excess = np.log(np.maximum(losses / 2 - target / 2, 0)) + math.log(2) - math.log(max(abs(target), floor))
    distance = np.logaddexp(0.0, excess) / math.log(10)
    return math.log10(spent) + 1 + float(np.mean(distance))


def choice_values(frame: pd.DataFrame, target: float | None, floor: float, *, nonnegative: bool = True) -> pd.DataFrame:
    """Return the value that each choice of settings in a frame has as a trial.

    The runs were trained to their end. There is one row per choice: its settings, `value`, which is infinite where a
    run diverged, and the `samples` that its runs have seen together.
    """
    rows = []
    losses = ranking_loss(frame) if target is None else "final_loss"
    for key, runs in frame.groupby(CHOICES, observed=True, sort=False):
        samples, ended = runs["samples_seen"].to_numpy(), runs[losses].to_numpy(float)
        converged, value = (runs["status"] == "converged").to_numpy(), math.inf
        if not (runs["status"] == "diverged").any():
            value = trial_value(samples, converged, ended, target, floor, nonnegative=nonnegative)
        rows.append(dict(zip(CHOICES, key, strict=True)) | {"value": value, "samples": int(samples.sum())})
    return pd.DataFrame(rows, columns=[*CHOICES, "value", "samples"])


def rank_trials(runs: pd.DataFrame, trials: pd.DataFrame, cost: str = "samples", *, floor: float) -> pd.DataFrame:
    """Rank the choices of the trials that were trained to their end, and recommend one.

    Each trial has settings of its own, so that rates around one tell nothing of it. The column `family` is the
    optimizer as the search was given it.
    """
    ranked, distinct = ranking(runs, cost, floor=floor, by_rates=False), trials.drop_duplicates(CHOICES)
    places = find_choices(ranked, distinct, CHOICES).to_numpy(int)
    return ranked.assign(family=distinct["family"].to_numpy(object)[places])
