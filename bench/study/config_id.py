"""Configuration ids, which allow a run to continue: hashes of everything that the training depends on."""

import json
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.registry import registered_in, registered_named
from sgdbench.kernels.base.spec import make_from_spec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.param_columns import START_PREFIX, params_from_columns
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.schedules import SCHEDULES, canonical_schedule
from sgdbench.study.schema import RunTable


def config_ids(frame: pd.DataFrame, model: Model, data_fingerprint: str, shared: RunTable) -> NDArray[np.str_]:
    """Return a stable id for each configuration: 16 hexadecimal digits that hash everything its training depends on.

    This comprises the model with its inputs and parameters in order, the data, the loss, `drop_last`, `shuffling`, and
    the columns of the row: rates, seeds and starts to the last bit, optimizers and schedules by their meaning
    ("momentum" is "momentum(0.9)"), users' rules by everything that they compute. A setting counts even if it has no
    effect, such as the seed of a run that draws nothing.

    The place in the grid, the name of a start and a `dtype` of float64 do not count. Neither do the target and the
    number of epochs, which determine how far a run is followed, so that a longer run keeps its id and continues the
    shorter one. The exception is a schedule that depends on the last epoch, such as cosine: with more epochs it is a
    different run from the first epoch on. The kernel counts only if a user's optimizer is not correctly rounded,
    because kernels agree on all others.

    The frame is from `Grid.frame`, or some rows of it. Two rows with the same configuration raise a ValueError.
    """
    loss = make_loss(shared.loss)
    common = [model.expression, model.inputs, model.params, data_fingerprint, loss.text, shared.drop_last]
    common += [rule.digest for rule in registered_in(loss, "loss")]
    common += [] if shared.shuffling == "all" else [shared.shuffling]
    prefix = _digest(json.dumps(common))

    def hash_column(name: str, meaning: Callable[[str], str]) -> NDArray[Any]:
        """Return a number for the meaning of each text in a column."""
        codes, texts = pd.factorize(frame[name])
        return np.frombuffer(b"".join(_digest(meaning(text)) for text in texts), "<u8")[codes]

    def schedule_meaning(text: str) -> str:
        """Return the schedule, and the epochs if it depends on their number."""
        own = "".join(f" {rule.digest}" for rule in registered_named("schedule", text))
        length = f" of {shared.epochs}" if _depends_on_length(text, shared.epochs) else ""
        return canonical_schedule(text) + own + length

    def optimizer_meaning(text: str) -> str:
        """Return the optimizer, and the kernel if kernels do not agree on it."""
        optimizer = make_optimizer(text)
        own = "".join(f" {rule.digest}" for rule in registered_in(optimizer, "optimizer"))
        return optimizer.text + own + ("" if optimizer.is_exact else f" by {shared.kernel}")

    starts = params_from_columns(model, frame, START_PREFIX)
    numbers = [np.asarray(column, "<f8").view("<u8") for column in (frame["lr"], starts)]
    integers = [np.asarray(frame[name], "<u8") for name in ("batch_size", "seed", "shuffle")]
    texts = [hash_column("optimizer", optimizer_meaning), hash_column("schedule", schedule_meaning)]
    table = np.column_stack([*numbers, *integers, *texts]).astype("<u8", copy=False)
    rows = table.view(f"V{table.itemsize * table.shape[1]}").ravel()
    kinds = [b""] * len(frame)
    if "dtype" in frame:
        kinds = [b"" if dtype == "float64" else str(dtype).encode() for dtype in frame["dtype"]]
    hashed = zip(rows.tolist(), kinds, strict=True)
    ids = [blake2b(prefix + row + kind, digest_size=8).hexdigest() for row, kind in hashed]
    if len(set(ids)) < len(ids):
        first = int(np.argmax(pd.Series(ids).duplicated()))
        raise ValueError(f"configurations must be distinct, and rows {ids.index(ids[first])} and {first} are the same")
    return np.array(ids, "U16")


def _depends_on_length(schedule: str, epochs: int) -> bool:
    """Return whether a longer run would have other rates in the epochs of this one."""
    factors = make_from_spec(schedule, SCHEDULES, "schedule")
    short, long = (factors(np.arange(count, dtype=np.float64), count) for count in (epochs, 2 * epochs))
    return not np.array_equal(short, long[:epochs])


def _digest(text: str) -> bytes:
    """Return the eight bytes that represent a text."""
    return blake2b(text.encode(), digest_size=8).digest()
