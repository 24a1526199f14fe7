"""Advice on a fit that diverged or fell short: settings that work, as trial runs have shown."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from inspect import signature
from typing import Any

import numpy as np

from sgdbench.analysis.curvature import MAX_PARAMS, edges_of_runs, nearby_edges, some_samples
from sgdbench.analysis.default_study import choose_centering
from sgdbench.analysis.stability import EpochMap, has_linear_map, sample_orders
from sgdbench.data.fit_table import TableFit
from sgdbench.data.quality import TableQuality
from sgdbench.data.table import Dataset
from sgdbench.data.units import original_loss
from sgdbench.kernels import FitResult, Model
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.train.attainable_loss import ARRIVED_SHARE, AttainableLoss
from sgdbench.kernels.train.fit import fit
from sgdbench.tables.facts import FitAdvice
from sgdbench.tables.words import name_places, settling_schedule

Settings = dict[str, Any]
"""Settings by the names of the options of `sgdbench fit`; `standardize` is one of them."""

# Full batches need the eigenvalues of one matrix, which takes seconds with more parameters.
MAX_FULL_BATCH_PARAMS = 1000
# If the lowest loss is unknown, a stalled run with a lower R² than this has no way out of where it is.
WEAK_R2 = 0.01
# The loss has stalled if it fell by less than this fraction over the last half of the epochs.
STALLED_SHARE = 1e-3
# One trial trains for at most TRIAL_SECONDS. No trial starts once all of them have taken ALL_TRIALS_SECONDS of
# processor time, which does not depend on the load of the machine.
TRIAL_SECONDS, ALL_TRIALS_SECONDS = 2.0, 6.0
# Fractions of the largest stable rate that are tried, and factors on a rate where theory knows none.
SHARES_OF_STABLE, LOWER_FACTORS, HIGHER_FACTORS = (
    (1 / 2, 1 / 10, 1 / 100),
    (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8),
    (10.0, 100.0),
)
# The factor on the epochs that is tried, and the number of further seeds of a start.
EPOCHS_FACTOR, MORE_SEEDS = 10, 4
# The number of rates tried from each of these.
RATES_PER_START = 2
# The factor on the weight decay that is tried.
DECAY_FACTOR = 0.01
# If the lowest loss is unknown, an advised run must end at most at this fraction of the loss.
BETTER_LOSS_SHARE = 0.5
# A schedule counts as lowering the rate if it ends below this fraction of its first rate.
LOWERED_RATE_SHARE = 0.1
DEFAULT_RATE: float = signature(fit).parameters["lr"].default
# Columns whose sizes differ by more than this factor are worth standardizing.
SIZE_RATIO = 10.0


def predicted_edge(
    model: Model, data: Dataset, optimizer: str, batch_size: int | str, *, shuffle: bool | str, seed: int
) -> float | None:
    """Return the largest stable learning rate; None if theory does not predict it.

    It is predicted for models that are linear in their parameters, with the optimizers in
    `sgdbench.analysis.epoch_matrix.AFFINE_OPTIMIZERS`. Large data sets are represented by some of their samples.
    """
    if not model.is_linear or not has_linear_map(optimizer):
        return None
    x = data.x[some_samples(data)]
    n = len(x)
    size = n if batch_size == "full" else min(int(batch_size), n)
    if len(model.params) > (MAX_PARAMS if size < n else MAX_FULL_BATCH_PARAMS):
        return None
    orders = sample_orders(n, [seed], 16, shuffle) if shuffle else None
    edge = EpochMap(model.design_matrix(x), size, optimizer=optimizer, orders=orders).largest_stable_rate()
    return edge if 0 < edge < np.inf else None


def advise(
    fitted: TableFit, quality: TableQuality, train: Callable[..., TableFit], settings: Settings
) -> FitAdvice | None:
    """Return why a run diverged or fell short, and settings that work; None for a good run.

    The settings were tried, and miss at most 5 % of the improvement over the best constant; if the lowest loss is
    unknown, they halve the loss. `train` repeats the run of `settings` with some of them changed: `lr`, `schedule`,
    `shuffle`, `epochs`, `optimizer`, `seed` or `standardize`; `watch` is as for `sgdbench.data.fit_table.fit_table`.
    """
    result, lr = fitted.result, settings["lr"]
    if not falls_short(fitted, quality) or fitted.interrupted:
        return None
    if result.status == "diverged" and result.loss.size == 1:
        return FitAdvice("not finite", lr)
    stable, where = _find_stable_rate(fitted, quality, settings)
    begun, tried = time.process_time(), 0
    diverged: list[Settings] = []
    over = _ends_past_best(result)
    for changes in () if over and _falls(result) else _candidates(fitted, settings, stable):
        if tried and time.process_time() - begun > ALL_TRIALS_SECONDS:
            break
        # Such a run also diverges with a schedule or in another order.
        base = {name: value for name, value in changes.items() if name not in ("schedule", "shuffle", "epochs")}
        if base in diverged:
            continue
        trial, tried = train(**changes, watch=_stop), tried + 1
        if trial.interrupted and trial.result.seconds <= TRIAL_SECONDS:  # the user interrupted it
            break
        if trial.result.status == "diverged":
            diverged.append(base)
        elif arrives := _arrives(trial, fitted, quality):
            problem = _find_problem(changes, fitted, settings)
            return FitAdvice(problem, lr, stable, where, changes, *arrives, tried)
    if over:
        return FitAdvice("overfits", lr)
    return FitAdvice("high rate" if _strays(result) else "", lr, stable, where, tried=tried)


def falls_short(fitted: TableFit, quality: TableQuality) -> bool:
    """Return whether a run diverged, is too far above the lowest loss or, if that is unknown, made no progress."""
    result = fitted.result
    if result.status in ("converged", "diverged"):
        return result.status == "diverged"
    remaining = _attainable_loss_of(fitted, quality).remaining(fitted.loss)
    if np.isfinite(remaining):
        return remaining > ARRIVED_SHARE
    return _strays(result) or (not _falls(result) and bool(quality.r2 < WEAK_R2))


def _attainable_loss_of(fitted: TableFit, quality: TableQuality) -> AttainableLoss:
    """Return the attainable loss in units of `fitted.loss`; the start replaces a constant that is no worse than it."""
    attainable, result = quality.attainable, fitted.result
    constant = result.loss[0] if np.isnan(attainable.improvement) else attainable.constant_loss
    ends = original_loss([attainable.loss, constant], fitted.scaling, result.criterion)
    return replace(attainable, loss=float(ends[0]), constant_loss=float(ends[1]))


def _strays(result: FitResult) -> bool:
    """Return whether a run diverged, or ended with a higher loss than at its start."""
    return result.status == "diverged" or bool(result.loss[-1] > result.loss[0])


def _falls(result: FitResult) -> bool:
    """Return whether the loss fell over the last half of the epochs, relative to itself and to its fluctuations."""
    late = result.loss[result.loss.size // 2 :]
    before, last = np.array_split(late, 2) if late.size > 1 else (result.loss[:1], late)
    fell = np.median(before) - np.median(last)
    return bool(fell > 0 and fell >= STALLED_SHARE * abs(np.median(before)) and fell >= np.ptp(last) / 2)


def _candidates(fitted: TableFit, settings: Settings, stable: float | None) -> Iterator[Settings]:
    """Yield changes of the settings, each change before its combinations with others, and more epochs at the end.

    Standardized columns come first if the columns differ in size, otherwise last. Among the other changes, less weight
    decay comes first, then other rates and other starts.
    """
    model, rows, criterion = fitted.result.model, fitted.rows, fitted.result.criterion
    others: list[Settings] = [] if fitted.result.status == "diverged" else [{}]
    others += _less_decay(settings)
    others += [{"lr": lr} for lr in _other_rates(fitted.result, settings, stable)]
    starts: list[Settings] = []
    if not model.is_linear and settings["init"] is None:
        starts = [{"seed": settings["seed"] + number} for number in range(1, MORE_SEEDS + 1)]
    groups = [[*others, *(one | start for start in starts for one in others[:RATES_PER_START])]]
    if fitted.scaling is None and model.inputs and choose_centering(model, rows, criterion)[0] is not None:
        rates = _standard_rates(settings)
        scaled: list[Settings] = [{"standardize": True} | ({"lr": lr} if lr != settings["lr"] else {}) for lr in rates]
        # In a linear model the size of the target does not matter.
        first = _differ_in_size(rows.x if model.is_linear else np.column_stack([rows.x, rows.y]))
        groups.insert(
            0 if first else 1, [*scaled, *(one | start for start in starts for one in scaled[:RATES_PER_START])]
        )
    for bases in groups:
        for more in ({}, {"epochs": EPOCHS_FACTOR * settings["epochs"]}):
            for base in bases:
                yield from (
                    candidate for one in _orders_and_schedules(settings | more) if (candidate := base | more | one)
                )


def _orders_and_schedules(settings: Settings) -> list[Settings]:
    """Return no change, a schedule that lowers the rate, a new order each epoch, and both."""
    settled: Settings = {"schedule": settling_schedule(settings["epochs"])}
    changes: list[Settings] = [{}, settled] if settled["schedule"] != settings["schedule"] else [{}]
    if settings["shuffle"] or settings["batch_size"] == "full":
        return changes
    return [*changes, *(one | {"shuffle": True} for one in changes)]


def _standard_rates(settings: Settings) -> list[float]:
    """Return the rates to try on standardized columns: the given, the default, and lower ones for many inputs."""
    return list(
        dict.fromkeys([settings["lr"], *(float(f"{DEFAULT_RATE * share:.2g}") for share in (1, *LOWER_FACTORS[:2]))])
    )


def _other_rates(result: FitResult, settings: Settings, stable: float | None) -> list[float]:
    """Return the rates to try on unscaled columns: lower ones for a run that strays, otherwise higher ones first."""
    lr = settings["lr"]
    shares = [stable * share for share in SHARES_OF_STABLE] if stable else []
    lower = (
        [rate for rate in shares if rate < lr] if stable and lr > stable else [lr * share for share in LOWER_FACTORS]
    )
    if _strays(result):
        rates = lower
    else:
        rates = [
            *([rate for rate in shares if rate > 2 * lr] or [lr * factor for factor in HIGHER_FACTORS]),
            *lower[:1],
        ]
    return list(dict.fromkeys(float(f"{rate:.2g}") for rate in [*rates, DEFAULT_RATE] if rate != lr))


def _less_decay(settings: Settings) -> list[Settings]:
    """Return the optimizer with a hundredth of its weight decay, if it has any."""
    optimizer = make_optimizer(settings["optimizer"]).text
    less = re.sub(r"(?<=weight_decay=)[^,)]+", lambda match: f"{float(match[0]) * DECAY_FACTOR:.2g}", optimizer)
    return [{"optimizer": less}] if less != optimizer else []


def _stop(result: FitResult, data: Dataset) -> None:
    """Stop a trial that has used up its seconds."""
    if result.seconds > TRIAL_SECONDS:
        raise KeyboardInterrupt  # upon which `train` returns the result so far


def _arrives(trial: TableFit, fitted: TableFit, quality: TableQuality) -> tuple[float, float] | None:
    """Return the share of the improvement that a trial misses (NaN if unknown) and its loss, if the trial succeeded.

    On held-out rows, its loss may exceed the loss of the run by at most `ARRIVED_SHARE` of the improvement.
    """
    # A loss such as huber has other units on standardized columns.
    attainable = trial.result.optimum if trial.loss_units != fitted.loss_units else _attainable_loss_of(fitted, quality)
    if _is_worse_on_held_out(trial, fitted, np.nan_to_num(ARRIVED_SHARE * attainable.improvement)):
        return None
    left, loss = attainable.remaining(trial.loss), trial.loss
    own = fitted.loss if np.isfinite(fitted.loss) else fitted.result.loss[0]
    return (left, loss) if (left <= ARRIVED_SHARE if np.isfinite(left) else loss < BETTER_LOSS_SHARE * own) else None


def _is_worse_on_held_out(trial: TableFit, fitted: TableFit, allowed: float) -> bool:
    own, other = fitted.validation_losses, trial.validation_losses
    if own is None or other is None or _strays(fitted.result):
        return False
    return bool(other[trial.result.kept_checkpoint] > own[fitted.result.kept_checkpoint] + allowed)


def _ends_past_best(result: FitResult) -> bool:
    """Return whether the held-out loss was lowest before the last quarter of the epochs, or ended the run."""
    ended = result.status == "stopped" or result.best.epoch < 3 / 4 * result.epochs
    return result.validation_loss is not None and not _strays(result) and ended


def _find_stable_rate(fitted: TableFit, quality: TableQuality, settings: Settings) -> tuple[float | None, str]:
    """Return the largest stable learning rate by theory, and where it applies; None if theory does not predict it.

    For squared losses of linear models, it is computed for the settings of the run. Otherwise it is that of sgd, from
    the curvature of the loss: the lowest along the run or, for nonlinear models, of the `nearby_edges`.
    """
    result, optimizer = fitted.result, settings["optimizer"]
    if result.criterion.is_squared:
        how = {name: settings[name] for name in ("batch_size", "shuffle", "seed")}
        if edge := predicted_edge(result.model, fitted.rows, optimizer, **how):
            return edge, ""
    if make_optimizer(optimizer).name != "sgd":
        return None, ""
    stable_edges = edges_of_runs(
        result.model, result.criterion, fitted.rows, quality.attainable.params, [result.trajectory[0]]
    )
    lowest = [min(edges) for edges in stable_edges]
    exact = result.criterion.is_squared and result.model.is_linear
    edge = min(lowest if result.model.is_linear else nearby_edges(lowest), default=None)
    return edge, "" if exact else f" {name_places(result.model)}"


def _find_problem(changes: Settings, fitted: TableFit, settings: Settings) -> str:
    """Return why a run fell short, derived from the first of the changes that helped."""
    lr, rates, size = settings["lr"], fitted.result.rates, settings["batch_size"]
    if rates[-1] < LOWERED_RATE_SHARE * rates[0]:
        settling = "schedule"
    else:
        settling = {"full": "steps", 1: "single samples"}.get(size, "small batches")
    problems = {
        "standardize": "scale",
        "lr": "high rate" if changes.get("lr", lr) < lr else "low rate",
        "optimizer": "decay",
        "seed": "start",
        "epochs": "epochs",
        "schedule": settling,
        "shuffle": "order",
    }
    return next(problem for name, problem in problems.items() if name in changes)


def is_worth_standardizing(model: Model, data: Dataset, loss: Loss) -> bool:
    """Return whether columns (and the 1 of an offset) differ in size, and the model allows scaling them."""
    return _differ_in_size(data.x) and choose_centering(model, data, loss)[0] is not None


def _differ_in_size(columns: Floats) -> bool:
    """Return whether columns, shape (n, columns), and the 1 of an offset differ in size."""
    sizes = np.append(np.sqrt(np.mean(columns**2, axis=0)), 1.0)
    return bool(sizes.max() > SIZE_RATIO * sizes.min())
