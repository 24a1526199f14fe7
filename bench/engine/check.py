"""The check of a sweep: some of its configurations are trained again with the reference."""

from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sgdbench.kernels import FitResult, fit
from sgdbench.kernels.base.run import STATUSES, Floats
from sgdbench.kernels.compile.kinds import NUDGE, TOLERANCE, count_agreeing, is_exact, largest_error, largest_loss_error
from sgdbench.kernels.model.param_columns import params_of_row
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.slices import reference_cost
from sgdbench.store.results import StoredSweep
from sgdbench.study.run_settings import fit_settings
from sgdbench.study.schema import RunTable

# Samples of a check: the reference takes up to ten microseconds for each, with a model without vectors.
CHECKED_SAMPLES = 20_000
# Kernels that are not exact are compared while a loss is below this multiple of the first one. While a run blows up, a
# residual of 1e20 multiplies the last bit of the derivative of a saturated unit, whose other bits are 0.
BLOWN_UP_FACTOR = 1e9


def check(
    result: StoredSweep,
    settings: RunTable,
    x: ArrayLike,
    y: ArrayLike,
    validation: tuple[Floats, Floats] | None = None,
) -> pd.DataFrame:
    """Train configurations again with the reference, for as many epochs as there is time, and compare.

    If there is no time for one epoch, it ends at the first checkpoint after `CHECKED_SAMPLES` samples. Every stored
    loss is compared, and for a whole run also its length and its end. The frame and the starts of `result` have only
    these configurations; the settings and the data of the sweep are unchanged.

    Return one row per configuration: config_id, optimizer, lr, batch_size, `epochs` compared (a fraction if it ends
    within an epoch), the largest `error` (relative to the reference's value if that exceeds 1, else absolute), its
    `bound` (0 for exact kernels), the largest relative error of losses not close to 0, `loss_error`, and `verified`.
    """
    rows, curves = [], result.run.curves(result.frame["config_id"].tolist())
    for row, start in zip(result.frame.to_dict("records"), result.starts, strict=True):
        most = max(1, CHECKED_SAMPLES // reference_cost(result.model))
        epochs = max(1, min(settings.epochs, most // result.clock.n))
        options = fit_settings(row, settings, result.clock) | {
            "epochs": epochs,
            # A schedule may depend on the total epochs of the sweep.
            "schedule": learning_rates(row["schedule"], 1.0, settings.epochs)[:epochs],
            "validation": validation,
        }
        exact = is_exact(result.model, settings.kernel, settings.loss, row["optimizer"])
        train = partial(fit, result.model, x, y, **options)
        curve = curves[curves["config_id"] == row["config_id"]]
        rows.append(_check_run(row, start, curve, train, most, exact=exact))
    return pd.DataFrame(rows)


class _EnoughError(Exception):
    """The reference has trained on enough samples."""


def _train_by_reference(train: "partial[FitResult]", start: Floats, most: int) -> FitResult:
    """Return the run, in which an epoch of more than `most` samples is cut off after that many."""
    results: list[FitResult] = []

    def stop(result: FitResult) -> None:
        results[:] = [result]
        if most <= result.samples_seen[-1] < result.samples_per_epoch:
            raise _EnoughError

    try:
        return train(init=start, kernel="reference", callback=stop)
    except _EnoughError:
        return results[0]


def _check_run(
    row: Mapping[Hashable, Any],
    start: Floats,
    curve: pd.DataFrame,
    train: "partial[FitResult]",
    most: int,
    *,
    exact: bool,
) -> dict[str, Any]:
    """Return the row of `check` for one configuration, which `train` trains from a start with a kernel."""
    reference = _train_by_reference(train, start, most)
    # A slower machine may not have trained beyond this checkpoint.
    compared = min(reference.loss.size - 1, int(np.searchsorted(reference.samples_seen, most)))
    if not exact:
        nudged = _train_by_reference(train, start + NUDGE * np.maximum(np.abs(start), 1), most)
        grown = np.isfinite(reference.loss) & (reference.loss > BLOWN_UP_FACTOR * reference.loss[0])
        sure = int(np.argmax(grown)) if grown.any() else reference.loss.size
        compared = max(0, min(count_agreeing(nudged.loss, reference.loss), sure, compared + 1) - 1)
    computed, expected = _values_to_compare(row, curve, reference, compared, train.keywords)
    error, checkpoints = largest_error(computed, expected), int((curve["checkpoint"] <= compared).sum())
    return {
        **{name: row[name] for name in ("config_id", "optimizer", "lr", "batch_size")},
        "epochs": reference.samples_seen[compared] / reference.samples_per_epoch,
        "error": error,
        "loss_error": largest_loss_error(computed[:checkpoints], expected[:checkpoints], reference.y),
        "bound": 0.0 if exact else TOLERANCE,
        "verified": np.array_equal(computed, expected, equal_nan=True) if exact else error <= TOLERANCE,
    }


def _values_to_compare(
    row: Mapping[Hashable, Any],
    curve: pd.DataFrame,
    reference: FitResult,
    compared: int,
    options: Mapping[str, Any],
) -> tuple[Floats, Floats]:
    """Return the values of the sweep and of the reference, up to the checkpoint where the latter's losses are certain.

    The `row` and the `curve` are the sweep's; `options` are the arguments of the reference.
    """
    curve = curve[curve["checkpoint"] <= compared]
    checkpoints = curve["checkpoint"].to_numpy()
    pairs: list[tuple[Any, Any]] = [(curve["loss"], reference.loss[checkpoints])]
    if reference.validation_loss is not None:
        pairs.append((curve["validation_loss"], reference.validation_loss[checkpoints]))
    was_cut = reference.status == "max_epochs" and reference.samples_seen[-1] < reference.samples_per_epoch
    if compared == reference.loss.size - 1 and not was_cut:
        last = options["epochs"] * reference.samples_per_epoch
        pairs.append((min(row["samples_seen"], last), reference.samples_seen[-1]))
        if row["samples_seen"] <= last:
            best, lowest = -1, reference.validation_loss
            if options.get("patience") is not None and lowest is not None:
                # Rounding decides between equally good checkpoints: use the row's own if it is as good as the
                # reference's.
                best = min(compared, int(np.searchsorted(reference.samples_seen, row["best_samples"])))
                lowest = np.fmin(lowest[[reference.kept_checkpoint]], np.inf)
            pairs.append((STATUSES.index(row["status"]), STATUSES.index(reference.status)))
            pairs.append((row["final_loss"], reference.loss[best]))
            pairs.append((params_of_row(reference.model, row), reference.trajectory[best]))
            if lowest is not None:
                pairs.append((row["validation_loss"], lowest[-1]))
    computed, expected = zip(*pairs, strict=True)
    return np.hstack(computed), np.hstack(expected)
