"""Proves a sweep: some of its configurations, trained again with the reference."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from kernels import Model, fit
from kernels.agreement import NUDGE, TOLERANCE, count_agreeing, is_exact, largest_error
from kernels.run import STATUS, Floats
from kernels.schedules import learning_rates

# The reference takes up to ten microseconds for a sample, and all checks together should take a second or two.
SAMPLES = 20_000


def check(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    frame: pd.DataFrame,
    starts: Floats,
    curves: pd.DataFrame,
    *,
    kernel: str,
    loss: str,
    drop_last: bool,
    epochs: int,
    target: float | None,
) -> pd.DataFrame:
    """Train configurations again with the reference, as many epochs as there is time for, and compare.

    All losses that were kept are compared, the length of the run and, where there was time for all of it, how it ended.

    Parameters
    ----------
    frame : DataFrame
        Some rows of `SweepResult.frame`.
    starts : array, shape (rows, P)
    curves : DataFrame
        `SweepResult.curves`, for these rows at least.
    kernel, loss, drop_last, epochs, target
        As in the sweep.

    Returns
    -------
    DataFrame
        One row per configuration: config_id, optimizer, lr, batch_size, `epochs` compared, the largest `error`
        (relative to what the reference gives where that exceeds 1, absolute below), its `bound` (0 where the same bits
        are promised), `verified`, and for both the time of a sample-update: `reference_seconds`, `fused_seconds`.
    """
    exact = is_exact(model, kernel, loss)
    trained = max(1, min(epochs, SAMPLES // np.size(y)))

    def checked(row: Any, start: Floats, params: Floats) -> dict[str, Any]:
        settings = {
            "lr": row.lr,
            "schedule": learning_rates(row.schedule, 1.0, epochs)[:trained],
            "batch_size": int(row.batch_size),
            "epochs": trained,
            "shuffle": bool(row.shuffle),
            "seed": int(row.seed),
            "drop_last": drop_last,
            "optimizer": row.optimizer,
            "loss": loss,
            "target": target,
        }
        reference = fit(model, x, y, init=start, kernel="reference", **settings)
        compared = reference.epochs
        if not exact:
            nudged = start + NUDGE * np.maximum(np.abs(start), 1)
            off = fit(model, x, y, init=nudged, kernel="reference", **settings)
            compared = max(0, count_agreeing(off.loss, reference.loss) - 1)
        own = curves[curves["config_id"] == row.config_id]
        kept = own["epoch"].to_numpy()
        kept = kept[kept <= compared]
        found, expected = [*own["loss"].iloc[: kept.size]], [*reference.loss[kept]]
        if compared == reference.epochs:
            found += [min(row.epochs, trained)]
            expected += [reference.epochs]
            if row.epochs <= trained:
                found += [STATUS.index(row.status), row.final_loss, *params]
                expected += [STATUS.index(reference.status), reference.loss[-1], *reference.params]
        error = largest_error(np.array(found), np.array(expected))
        fused = [fit(model, x, y, init=start, kernel="fused", **settings) for _ in range(5)]
        samples = np.size(y) * max(1, reference.epochs)
        return {
            "config_id": row.config_id,
            "optimizer": row.optimizer,
            "lr": row.lr,
            "batch_size": row.batch_size,
            "epochs": compared,
            "error": error,
            "bound": 0.0 if exact else TOLERANCE,
            "verified": np.array_equal(found, expected, equal_nan=True) if exact else error <= TOLERANCE,
            "reference_seconds": reference.seconds / samples,
            "fused_seconds": min(run.seconds for run in fused) / samples,
        }

    final = frame[[f"param_{name}" for name in model.params]].to_numpy()
    rows = zip(frame.itertuples(index=False), starts, final, strict=True)
    return pd.DataFrame([checked(*row) for row in rows])
