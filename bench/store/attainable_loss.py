"""The attainable loss of a run in its folder: the lowest loss that its model can reach, computed once."""

from pathlib import Path

import numpy as np
import pandas as pd

from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.param_columns import params_of_row
from sgdbench.kernels.train.attainable_loss import AttainableLoss, unknown_loss
from sgdbench.store.evidence import store_tables

TABLE_NAME = "yardstick"  # the name of the table in folders of 0.2


def store_attainable_loss(folder: Path, attainable: AttainableLoss) -> None:
    """Store the attainable loss of a run among its evidence."""
    params = None if attainable.params is None else attainable.params.tolist()
    store_tables(folder, **{TABLE_NAME: pd.DataFrame([vars(attainable) | {"params": params}])})


def attainable_loss_of(table: pd.DataFrame) -> AttainableLoss:
    """Return the attainable loss that a stored table holds; an unknown one if it is empty."""
    if table.empty:
        return unknown_loss("it was not computed")
    row = {str(name): value for name, value in table.iloc[0].items()}
    params = row.pop("params")
    return AttainableLoss(**row, params=None if params is None else np.asarray(params, float))


def lowered_by(attainable: AttainableLoss, frame: pd.DataFrame, model: Model) -> AttainableLoss:
    """Return the attainable loss, or a lower end of a run in the frame: no search finds every minimum."""
    ended = frame[np.isfinite(frame["final_loss"].to_numpy(float)) & (frame["status"] != "diverged")]
    if "dtype" not in ended:
        ended = ended.assign(dtype="float64")
    for dtype, runs in ended.groupby("dtype", observed=True):
        best = runs.loc[runs["final_loss"].idxmin()]
        attainable = attainable.lowered(float(best["final_loss"]), params_of_row(model, best), "a run", str(dtype))
    return attainable
