"""How far the best choice ends from the lowest loss that the model can reach, and what would bring it nearer."""

import numpy as np
import pandas as pd

from bench.tables.excess import EXCESS
from bench.tables.formatting import text
from bench.tables.phrases import settling_schedule
from bench.tables.ranking import edge_of_rates
from bench.tables.winners import is_confirmed
from kernels.base.run import Floats
from kernels.optimizers import make_optimizer
from kernels.train.yardstick import ARRIVED, Yardstick, format_share

# More epochs help where, over the last half of them, most runs gain: by this share or more of their excess or, as at a
# rate that is far too low, of what the first half gained.
FALLING, MOST = 0.05, 0.75
# Ends of runs from different starts that differ by more than this factor are ends in different places.
APART = 3.0
ROUNDED = 1e-9


def final_loss_of(best: pd.Series) -> float:
    """Return the median final loss of a choice, on fresh seeds where there are any."""
    return float(best["confirmed_final_loss" if is_confirmed(best) else "final_loss"])


def describe_distance(best: pd.Series, yardstick: Yardstick) -> str:
    """Return a sentence on how far the best choice ends from the lowest loss."""
    if not np.isfinite(yardstick.loss):
        return f"It is not known: {yardstick.note}."
    found = f"{text(yardstick.loss, 6)}, found by {yardstick.method}"
    note = f" ({yardstick.note})" if yardstick.note else ""
    if np.isnan(yardstick.improvement):
        return f"The lowest loss is {found}{note}; it is no improvement over that of {yardstick.baseline}."
    if not np.isfinite(final_loss_of(best)):
        return f"The lowest loss is {found}{note}."
    return f"{_describe_end(best, yardstick, found)}{note}."


def _describe_end(best: pd.Series, yardstick: Yardstick, lowest: str) -> str:
    """Return how far above the lowest loss, a text, the best choice ends, as a sentence without its full stop."""
    loss, baseline = final_loss_of(best), yardstick.baseline
    if (left := yardstick.remaining(loss)) >= 1:
        over = text(yardstick.constant_loss, 4)
        return f"The best choice ends no lower than {baseline}, {over}; the lowest loss is {lowest}"
    return (
        f"The best choice ends {format_share(left)} of the improvement over {baseline} above the lowest loss, {lowest}"
    )


def describe_no_gain(loss: float, constant: float, rows: str) -> str:
    """Return a sentence on a loss on rows that were not trained on, if a constant could reach one as low; else "".

    Of targets that are all alike, as that of a single row, a constant is exact: they say nothing about a gain.
    """
    if constant == 0 or not constant <= loss < np.inf:
        return ""
    return (
        f"On the {rows} the best choice ends at {text(loss, 4)}, and the best constant for these rows at "
        f"{text(constant, 4)}: it predicts them no better than a constant."
    )


def share_of_most_frequent(classes: Floats) -> float:
    """Return the accuracy of always predicting the most frequent class, of classes 0, 1, ..."""
    return max(np.count_nonzero(classes == k) for k in range(int(classes.max()) + 1)) / classes.size


def describe_no_skill(accuracy: float, share: float, rows: str) -> str:
    """Return a sentence on an accuracy that the most frequent class, with this share of the rows, has too; else "".

    Of rows of one class it says nothing, as `describe_no_gain`.
    """
    if share >= 1 or not accuracy <= share * (1 + ROUNDED):
        return ""
    return (
        f"On the {rows} the accuracy is {text(accuracy, 4)}, no higher than that of always predicting the most "
        f"frequent class, {text(share, 4)}."
    )


def _name_target(target: float, standardized: bool) -> str:
    """Return a target that is advised; one in standardized units as the key of a study, as --target has the table's."""
    return f"run.target = {text(target)} in standardized units" if standardized else text(target)


def describe_impossible_target(target: float | None, yardstick: Yardstick, *, standardized: bool = False) -> str:
    """Return a sentence on a target that no run can reach; empty where one can."""
    if target is None or not target < yardstick.loss * (1 - ROUNDED):
        return ""
    wanted = (
        f"; {_name_target(yardstick.target, standardized)} leaves 1 % of the improvement" if yardstick.target else ""
    )
    digits = (text(target), text(yardstick.loss))
    if digits[0] == digits[1]:  # ten tell apart what differs by more than ROUNDED
        digits = (f"{target:.10g}", f"{yardstick.loss:.10g}")
    return f"The target {digits[0]} is below the lowest loss that was found, {digits[1]}: no run can reach it{wanted}."


def describe_shortfall(
    best: pd.Series,
    own: pd.DataFrame,
    curves: pd.DataFrame,
    ranked: pd.DataFrame,
    yardstick: Yardstick,
    target: float | None,
    *,
    is_linear: bool,
    sizes_differ: bool,
    how: str = "",
    standardized: bool = False,
) -> str:
    """Return a sentence on a best choice that has not arrived and what to change; empty where it has, or may have.

    `best` is a row of `ranked`; `own` and `curves` are its runs, with `excess_loss`, and their losses. In a model that
    `is_linear` in its parameters every start leads to the same place. `sizes_differ` is whether the inputs are of
    different orders of magnitude, and were not standardized. `how` follows rates beyond those that were tried,
    and losses are `standardized` where those of the table are.
    """
    left = yardstick.remaining(final_loss_of(best))
    impossible = describe_impossible_target(target, yardstick, standardized=standardized)
    ends = curves.groupby("config_id", observed=True, sort=False)["loss"].agg(["first", "last"])
    risen = bool((ends["last"] > ends["first"]).mean() > 1 / 2)
    if np.isnan(left) and risen:  # where the lowest loss is not known, that of the start is
        (lower,) = _advise_rates(best, ranked, how, risen=True)
        return f"Most runs of the best choice end higher than they start. Try {lower}. {impossible}".rstrip()
    if not left > ARRIVED:
        return impossible
    advice = []
    mostly_reached = bool(np.isfinite(best["confirmed_samples" if is_confirmed(best) else "samples"]))
    if target is not None and mostly_reached and yardstick.remaining(target) > ARRIVED:
        wanted = f", such as {_name_target(yardstick.target, standardized)}" if yardstick.target else ""
        share = yardstick.remaining(target)
        leaves = f"leaves {format_share(share)}" if share < 1 else f"is no lower than the loss of {yardstick.baseline}"
        advice.append(f"a lower target{wanted}, as runs stop at this one, which {leaves}")
    else:
        decays = _decays(str(best["optimizer"]))
        advice += _advise_rates(best, ranked, how, risen=risen)
        if not risen and decays:
            advice.append("less weight decay, which keeps the parameters from the lowest loss")
        if not risen and _still_falls(own, curves, yardstick.loss):
            advice.append("more epochs, as the loss was still falling")
        elif not risen and best["schedule"] == "constant" and best["batch_size"] < own["samples_seen"].max():
            schedule = settling_schedule(int(own["epochs"].max()))
            per_epoch = (own["samples_seen"] / own["epochs"]).max()
            larger = ", or larger batches" if best["batch_size"] < per_epoch else ""
            advice.append(f"a schedule that lowers the rate, such as {schedule}{larger}, as it no longer falls")
        elif not risen and is_linear and not decays and best["schedule"] != "constant":
            advice.append("a schedule that lowers the rate more slowly, as the loss no longer falls")
        if not is_linear and _starts_differ(own):
            advice.append("other starts, as they lead to different places")
        if sizes_differ:
            advice.append("standardized inputs, which are of different sizes")
    suggestions = "; ".join(advice) or (
        "other rates or optimizers" if is_linear else "other rates, optimizers or starts"
    )
    lowest = text(yardstick.loss, 4)
    return f"{_describe_end(best, yardstick, lowest)}. Try {suggestions}. {impossible}".rstrip()


def _advise_rates(best: pd.Series, ranked: pd.DataFrame, how: str, *, risen: bool) -> list[str]:
    end, tried = edge_of_rates(ranked, best) or ("", 0)
    if risen:
        beyond = f" than the lowest of {tried}{how}" if end == "lowest" else ""
        return [f"lower learning rates{beyond}, as the loss rose"]
    beyond = "higher" if end == "highest" else "lower"
    return [f"{beyond} learning rates than the {end} of {tried}{how}"] if end else []


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
