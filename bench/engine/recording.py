"""The record of a sweep: how finely losses are recorded, and for how many epochs runs were to be trained."""

import json
from collections.abc import Mapping
from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd

from sgdbench.kernels.data.checkpoints import DEFAULT_PER_DECADE, make_checkpoints
from sgdbench.kernels.losses.classes import Classes
from sgdbench.store.evidence import store_tables
from sgdbench.store.run_folder import IDENTITY_FILE, explain_os_errors, read_identity
from sgdbench.study.schema import RunTable

# Checkpoints per epoch besides its end. Evaluating the loss once takes about half as long as training an epoch side by
# side (28 of 80 operations of the lanes of a quadratic), so these cost at most a quarter of the training.
CHECKPOINTS_PER_EPOCH = 0.4
# Checkpoints that a sweep with a target may have in any case. With many samples most good runs reach it within the
# first epoch, and choices would tie with fewer checkpoints. A run that reaches it ends there: sweeps of 20,000 to
# 1,000,000 samples took at most 1.4 times as long as with the checkpoints that `CHECKPOINTS_PER_EPOCH` allows.
CHECKPOINTS_TO_TARGET = 20
# After this many epochs, checkpoints evenly spaced in the logarithm, at most 50 per decade, are more than an epoch
# apart.
DENSE_EPOCHS = 100


def settle_record(
    record: str | int, n: int, epochs: int, folder: Path, *, finest: int = DEFAULT_PER_DECADE, more: float = 0.0
) -> str | int:
    """Return the `record` of a sweep of n samples, with the number of checkpoints per decade for a plain "log".

    A run in the folder continues as it began, also with more epochs. Otherwise "log" becomes the first of "log:10",
    "log:9", ..., "log:1", from `finest` on, that adds at most `CHECKPOINTS_PER_EPOCH` times `epochs` checkpoints, or
    `more`, to a run with batches of one sample; "epoch" if none does.
    """
    if record != "log":
        return record
    if (folder / IDENTITY_FILE).exists() and (before := read_identity(folder).get("record")):
        return int(before) if before.isdecimal() else before
    most, first = max(CHECKPOINTS_PER_EPOCH * epochs, more), min(epochs, DENSE_EPOCHS)
    for per_decade in range(finest, 0, -1):
        text = f"log:{per_decade}"
        if make_checkpoints(text, n, 1, first, drop_last=True).size - (first + 1) <= most:
            return text
    return "epoch"


def stops_at_target(settings: RunTable) -> bool:
    """Return whether checkpoints only detect that a run is at its target: with patience they decide where it ends."""
    return settings.target is not None and settings.patience is None


def record_settings(
    folder: Path,
    epochs: int,
    validation: object = None,
    test: object = None,
    classes: Classes | None = None,
    drawn: Mapping[str, str] | None = None,
    refine: object = 0,
) -> None:
    """Record the requested epochs, the shares that are held out (nan for given samples), and the labels of classes.

    `drawn` are the random starts by their names in a grid, which runs do not reveal; `refine` are the rounds that add
    learning rates.
    """
    labels = json.dumps(classes and classes.labels)
    shares = {
        name: [float(share) if isinstance(share, Real) else np.nan]
        for name, share in (("validation", validation), ("test", test))
    }
    with explain_os_errors(folder):
        rules = {"classes": [labels], "drawn": [json.dumps(dict(drawn or {}))]}
        store_tables(folder, settings=pd.DataFrame({"epochs": [epochs], "refine": [refine], **rules, **shares}))
