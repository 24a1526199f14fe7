"""Proves a sweep: some of its configurations, trained again with the reference."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from kernels import Model, fit
from kernels.losses import make_loss
from kernels.run import Floats

# The reference takes up to ten microseconds for a sample, and all checks together should take a second or two.
SAMPLES = 20_000
# What is not promised to the bit must agree this well: fused operations and functions that are not correctly rounded.
TOLERANCE = 1e-6


def is_exact(model: Model, kernel: str, loss: str) -> bool:
    """Whether a kernel promises the same bits as the reference for this model and loss."""
    return model.program.is_exact and make_loss(loss).name != "logcosh" and not kernel.endswith("-fma")


def check(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    frame: pd.DataFrame,
    starts: Floats,
    losses: Mapping[str, Floats],
    *,
    kernel: str,
    loss: str,
    drop_last: bool,
) -> pd.DataFrame:
    """Train configurations again with the reference, as many epochs as there is time for, and compare every loss.

    Parameters
    ----------
    frame : DataFrame
        Some rows of `SweepResult.frame`.
    starts : array, shape (rows, P)
    losses : mapping of str to array
        config_id -> the losses that the sweep found, from epoch 0 on.
    kernel, loss, drop_last
        As in the sweep.

    Returns
    -------
    DataFrame
        One row per configuration: config_id, optimizer, lr, batch_size, `epochs` compared, the largest `error` of a loss
        (relative where the loss exceeds 1, absolute below), `verified`, and for both the time of a sample-update:
        `reference_seconds`, `fused_seconds`.
    """
    tolerance = 0.0 if is_exact(model, kernel, loss) else TOLERANCE
    rows = []
    for row, start in zip(frame.itertuples(index=False), starts, strict=True):
        found = losses[row.config_id]
        epochs = max(1, min(len(found) - 1, SAMPLES // np.size(y)))
        settings = {
            "init": start,
            "lr": row.lr,
            "schedule": row.schedule,
            "batch_size": int(row.batch_size),
            "epochs": epochs,
            "shuffle": bool(row.shuffle),
            "seed": int(row.seed),
            "drop_last": drop_last,
            "optimizer": row.optimizer,
            "loss": loss,
        }
        expected = fit(model, x, y, kernel="reference", **settings)
        fused = min((fit(model, x, y, kernel="fused", **settings) for _ in range(5)), key=lambda result: result.seconds)
        error = largest_error(found[: epochs + 1], expected.loss)
        samples = np.size(y) * max(1, expected.epochs)
        rows.append(
            {
                "config_id": row.config_id,
                "optimizer": row.optimizer,
                "lr": row.lr,
                "batch_size": row.batch_size,
                "epochs": expected.epochs,
                "error": error,
                "verified": error <= tolerance,
                "reference_seconds": expected.seconds / samples,
                "fused_seconds": fused.seconds / samples,
            }
        )
    return pd.DataFrame(rows)


def largest_error(found: Floats, expected: Floats) -> float:
    """The largest difference, relative where the expected value exceeds 1; 0 for the same bits, inf for another length."""
    if found.shape != expected.shape:
        return np.inf
    if np.array_equal(found, expected, equal_nan=True):
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.abs(found - expected) / np.maximum(np.abs(expected), 1)
    return float(np.nan_to_num(difference, nan=np.inf).max())
