"""Checks a sweep: some of its configurations are trained again with the reference."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bench.store.clock import Clock
from bench.study.run_settings import fit_settings
from bench.study.schema import RunTable
from kernels import FitResult, Model, fit
from kernels.base.run import STATUS, Floats
from kernels.compile.kinds import NUDGE, TOLERANCE, count_agreeing, is_exact, largest_error, largest_loss_error
from kernels.optimizers.schedules import learning_rates

# Samples of a check: the reference takes up to ten microseconds for each.
SAMPLES = 20_000
# The fastest of this many timings counts.
REPEATS = 5


def check(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    frame: pd.DataFrame,
    starts: Floats,
    curves: pd.DataFrame,
    settings: RunTable,
    clock: Clock,
    validation: tuple[Floats, Floats] | None = None,
) -> pd.DataFrame:
    """Train configurations again with the reference, as many epochs as there is time for, and compare.

    All stored losses are compared, and where there was time for the whole run also its length and its end.

    Parameters
    ----------
    frame : DataFrame
        Some rows of `SweepResult.frame`.
    starts : array, shape (rows, P)
    curves : DataFrame
        Those of `bench.store.run_folder.Run.curves`, for these rows at least.
    settings, clock, validation
        As in the sweep.

    Returns
    -------
    DataFrame
        One row per configuration: config_id, optimizer, lr, batch_size, `epochs` compared (a fraction where there is a
        mark within one), the largest `error` (relative to what the reference gives where that exceeds 1, absolute
        below), its `bound` (0 where the same bits are promised), that of the losses that are not close to 0,
        `loss_error` (relative), `verified`, and for both the time of a sample-update: `reference_seconds`,
        `fused_seconds`.
    """
    params = frame[[f"param_{name}" for name in model.params]].to_numpy()
    rows = zip(frame.to_dict("records"), starts, params, strict=True)
    return pd.DataFrame([_check_run(model, x, y, *row, curves, settings, clock, validation) for row in rows])


def _check_run(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    row: Mapping[Hashable, Any],
    start: Floats,
    params: Floats,
    curves: pd.DataFrame,
    settings: RunTable,
    clock: Clock,
    validation: tuple[Floats, Floats] | None,
) -> dict[str, Any]:
    """Return the row of `check` for one configuration."""
    epochs = max(1, min(settings.epochs, SAMPLES // clock.n))
    options = fit_settings(row, settings, clock) | {
        "epochs": epochs,
        # A schedule may look ahead to the last epoch of the sweep.
        "schedule": learning_rates(row["schedule"], 1.0, settings.epochs)[:epochs],
        "validation": validation,
    }

    def train(kernel: str, init: Floats = start) -> FitResult:
        """Train this configuration with a kernel."""
        return fit(model, x, y, init=init, kernel=kernel, **options)

    exact = is_exact(model, settings.kernel, settings.loss, row["optimizer"])
    reference = train("reference")
    compared = reference.loss.size - 1
    if not exact:
        nudged = train("reference", start + NUDGE * np.maximum(np.abs(start), 1))
        compared = max(0, count_agreeing(nudged.loss, reference.loss) - 1)
    curve = curves[curves["config_id"] == row["config_id"]]
    found, expected = _values_to_compare(row, params, curve, reference, compared, options)
    error, marks = largest_error(found, expected), int((curve["mark"] <= compared).sum())
    samples = max(1, int(reference.samples_seen[-1]))
    return {
        **{name: row[name] for name in ("config_id", "optimizer", "lr", "batch_size")},
        "epochs": reference.samples_seen[compared] / reference.samples_per_epoch,
        "error": error,
        "loss_error": largest_loss_error(found[:marks], expected[:marks], np.asarray(y)),
        "bound": 0.0 if exact else TOLERANCE,
        "verified": np.array_equal(found, expected, equal_nan=True) if exact else error <= TOLERANCE,
        "reference_seconds": reference.seconds / samples,
        "fused_seconds": min(train("fused").seconds for _ in range(REPEATS)) / samples,
    }


def _values_to_compare(
    row: Mapping[Hashable, Any],
    params: Floats,
    curve: pd.DataFrame,
    reference: FitResult,
    compared: int,
    options: dict[str, Any],
) -> tuple[Floats, Floats]:
    """Return the values of the sweep and of the reference, up to the mark at which the latter is sure of its losses.

    The `row`, the `params` and the `curve` are of the sweep; `options` are the arguments of the reference.
    """
    marks = curve["mark"].to_numpy()
    marks = marks[marks <= compared]
    found, expected = [*curve["loss"].iloc[: marks.size]], [*reference.loss[marks]]
    if reference.validation_loss is not None:
        found += [*curve["validation_loss"].iloc[: marks.size]]
        expected += [*reference.validation_loss[marks]]
    if compared == reference.loss.size - 1:
        last = options["epochs"] * reference.samples_per_epoch
        found += [min(row["samples_seen"], last)]
        expected += [reference.samples_seen[-1]]
        if row["samples_seen"] <= last:
            kept, lowest = -1, reference.validation_loss
            if options["patience"] is not None and lowest is not None:
                # Of marks that are as good, a rounding decides: the row's own, if it is as good as the reference's.
                kept = min(compared, int(np.searchsorted(reference.samples_seen, row["best_samples"])))
                lowest = np.fmin(lowest[[reference.kept_mark]], np.inf)
            found += [STATUS.index(row["status"]), row["final_loss"], *params]
            expected += [STATUS.index(reference.status), reference.loss[kept], *reference.trajectory[kept]]
            if lowest is not None:
                found += [row["validation_loss"]]
                expected += [lowest[-1]]
    return np.array(found), np.array(expected)
