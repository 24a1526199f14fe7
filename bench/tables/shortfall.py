"""How far the best choice ends from the lowest loss that the model can reach, and what would bring it nearer."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.tables.excess import EXCESS
from bench.tables.facts import Advice, NoGain, NoSkill, Shortfall, UnreachableTarget
from bench.tables.ranking import edge_of_rates
from bench.tables.winners import is_confirmed
from kernels.base.run import Floats
from kernels.optimizers import make_optimizer
from kernels.train.yardstick import ARRIVED, Yardstick

# More epochs help where, over the last half of them, most runs gain: by this share or more of their excess or, as at a
# rate that is far too low, of what the first half gained.
FALLING, MOST = 0.05, 0.75
# Ends of runs from different starts that differ by more than this factor are ends in different places.
APART = 3.0
ROUNDED = 1e-9


def final_loss_of(best: pd.Series) -> float:
    """Return the median final loss of a choice, on fresh seeds where there are any."""
    return float(best["confirmed_final_loss" if is_confirmed(best) else "final_loss"])


def find_no_gain(loss: float, constant: float, rows: str) -> Iterator[NoGain]:
    """Yield that a constant reaches as low a loss on rows that were not trained on, if it does.

    Of targets that are all alike, as that of a single row, a constant is exact: they say nothing about a gain.
    """
    if constant != 0 and constant <= loss < np.inf:
        yield NoGain(rows, loss, constant)


def share_of_most_frequent(classes: Floats) -> float:
    """Return the accuracy of always predicting the most frequent class, of classes 0, 1, ..."""
    return max(np.count_nonzero(classes == k) for k in range(int(classes.max()) + 1)) / classes.size


def find_no_skill(accuracy: float, share: float, rows: str) -> Iterator[NoSkill]:
    """Yield that an accuracy is no higher than the share of the most frequent class, if it is not.

    Of rows of one class it says nothing, as `find_no_gain`.
    """
    if share < 1 and accuracy <= share * (1 + ROUNDED):
        yield NoSkill(rows, accuracy, share)


def find_unreachable_target(
    target: float | None, yardstick: Yardstick, *, standardized: bool = False
) -> Iterator[UnreachableTarget]:
    """Yield a target that no run can reach; nothing where one can."""
    if target is not None and target < yardstick.loss * (1 - ROUNDED):
        yield UnreachableTarget(target, yardstick.loss, yardstick.target, standardized)


def find_shortfall(
    best: pd.Series,
    own: pd.DataFrame,
    curves: pd.DataFrame,
    ranked: pd.DataFrame,
    yardstick: Yardstick,
    target: float | None,
    *,
    is_linear: bool,
    sizes_differ: bool,
    beyond: str = "",
    standardized: bool = False,
) -> Iterator[Shortfall]:
    """Yield how far a best choice that has not arrived is off and what to change; nothing where it may have.

    `best` is a row of `ranked`; `own` and `curves` are its runs, with `excess_loss`, and their losses. In a model that
    `is_linear` in its parameters every start leads to the same place. `sizes_differ` is whether the inputs are of
    different orders of magnitude, and were not standardized. `beyond` is the option that adds rates beyond those that
    were tried, and losses are `standardized` where those of the table are.
    """
    loss = final_loss_of(best)
    left = yardstick.remaining(loss)
    ends = curves.groupby("config_id", observed=True, sort=False)["loss"].agg(["first", "last"])
    risen = bool((ends["last"] > ends["first"]).mean() > 1 / 2)
    rates = list(_advise_rates(best, ranked, beyond, risen=risen))
    if np.isnan(left) and risen:  # where the lowest loss is not known, that of the start is
        yield Shortfall(loss, yardstick, tuple(rates))
    if not left > ARRIVED:
        return
    advice = []
    mostly_reached = bool(np.isfinite(best["confirmed_samples" if is_confirmed(best) else "samples"]))
    if target is not None and mostly_reached and yardstick.remaining(target) > ARRIVED:
        about = {"advised": yardstick.target, "standardized": standardized, "leaves": yardstick.remaining(target)}
        advice.append(Advice("target", about))
    elif risen:
        advice += rates
    else:
        decays = _decays(str(best["optimizer"]))
        advice += rates
        if decays:
            advice.append(Advice("decay"))
        if _still_falls(own, curves, yardstick.loss):
            advice.append(Advice("epochs"))
        elif best["schedule"] == "constant" and best["batch_size"] < own["samples_seen"].max():
            larger = bool(best["batch_size"] < (own["samples_seen"] / own["epochs"]).max())
            advice.append(Advice("schedule", {"epochs": int(own["epochs"].max()), "larger": larger}))
        elif is_linear and not decays and best["schedule"] != "constant":
            advice.append(Advice("slower schedule"))
    if not (advice and advice[0].change == "target"):
        if not is_linear and _starts_differ(own):
            advice.append(Advice("starts"))
        if sizes_differ:
            advice.append(Advice("standardize"))
    yield Shortfall(loss, yardstick, tuple(advice) or (Advice("others", {"is_linear": is_linear}),))


def _advise_rates(best: pd.Series, ranked: pd.DataFrame, beyond: str, *, risen: bool) -> Iterator[Advice]:
    end, tried = edge_of_rates(ranked, best) or ("", 0)
    if risen or end:
        at_edge = end == "lowest" or not risen
        yield Advice("rates", {"end": end if at_edge else "", "tried": tried, "beyond": beyond, "risen": risen})


def _decays(text: str) -> bool:
    """Return whether an optimizer has more weight decay than it has by default."""
    try:
        made = make_optimizer(text)
    except ValueError:  # of the user's own, and not registered here
        return False
    while made.inner:
        made = made.inner
    usual = make_optimizer(made.name).weight_decays
    return any(decay > usual.get(name, 0.0) for name, decay in made.weight_decays.items())


def _still_falls(own: pd.DataFrame, curves: pd.DataFrame, lowest: float) -> bool:
    """Return whether the median run gained on the lowest loss, or as it had before, in the last half of its samples.

    Runs that stopped at their target do not count beside others.
    """
    gains, missed = [], own[own["status"] != "converged"]
    ids = (missed if len(missed) else own)["config_id"]
    for _, run in curves[curves["config_id"].isin(ids)].groupby("config_id", observed=True, sort=False):
        losses = run["loss"].to_numpy(float)
        middle = _halfway(run["samples"].to_numpy(float))
        if np.isfinite(losses[[middle, -1]]).all() and losses[middle] > lowest:
            before, left = losses[0] - losses[middle], losses[middle] - lowest
            gains.append((losses[middle] - losses[-1]) / (min(before, left) if before > 0 else left))
    return bool(gains) and bool(np.median(gains) > FALLING and np.mean(np.array(gains) > 0) >= MOST)


def _halfway(samples: Floats) -> int:
    """Return the first mark of a run in its last half, or the last one before its end."""
    return min(int(np.searchsorted(samples, samples[-1] / 2)), max(samples.size - 2, 0))


def falls_on_held_out(curves: pd.DataFrame) -> bool:
    """Return whether, in the last half of its samples, the loss of the median run on held-out samples fell by much.

    That is by much of what the run gained or, as from a start that is far away, of what was left halfway.
    """
    falls = []
    for _, run in curves.groupby("config_id", observed=True, sort=False):
        losses = run["validation_loss"].to_numpy(float)
        middle = _halfway(run["samples"].to_numpy(float))
        much = min(losses[0] - losses[-1], abs(losses[middle]))
        falls.append((losses[middle] - losses[-1]) / much if much > 0 else 0.0)
    return bool(np.median(falls) > FALLING)


def _starts_differ(own: pd.DataFrame) -> bool:
    """Return whether runs from different starts end at distances from the lowest loss of different sizes."""
    if EXCESS not in own:
        return False
    ends = own.groupby("init", observed=True)[EXCESS].median()
    ends = ends[np.isfinite(ends) & (ends > 0)]
    return len(ends) > 1 and bool(ends.max() > APART * ends.min())
