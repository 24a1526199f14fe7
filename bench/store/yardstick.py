"""The yardstick of a run in its folder: the lowest loss that its model can reach, found once."""

from pathlib import Path

import numpy as np
import pandas as pd

from bench.store.evidence import read_table_of, store_tables
from kernels.yardstick import Yardstick

NAME = "yardstick"


def store_yardstick(folder: Path, yardstick: Yardstick) -> None:
    """Store the yardstick of a run among its evidence."""
    params = None if yardstick.params is None else yardstick.params.tolist()
    row = {name: getattr(yardstick, name) for name in ("loss", "constant_loss", "method", "note", "baseline")}
    store_tables(folder, **{NAME: pd.DataFrame([row | {"params": params}])})


def read_yardstick(folder: Path) -> Yardstick | None:
    """Return the yardstick of a run; None where none was stored.

    Raises
    ------
    DamagedError
        If it is not what was written.
    """
    return yardstick_of(read_table_of(folder, NAME))


def yardstick_of(table: pd.DataFrame | None) -> Yardstick | None:
    """Return the yardstick that a table of the evidence holds."""
    if table is None or table.empty:
        return None
    row = {str(name): value for name, value in table.iloc[0].items()}
    params = row.pop("params")
    return Yardstick(**row, params=None if params is None else np.asarray(params, float))


def lowered_by(yardstick: Yardstick, frame: pd.DataFrame, params: tuple[str, ...]) -> Yardstick:
    """Return the yardstick, or the end of a run that is lower: no search finds every minimum."""
    ended = frame[np.isfinite(frame["final_loss"]) & (frame["status"] != "diverged")]
    if ended.empty:
        return yardstick
    best = ended.loc[ended["final_loss"].idxmin()]
    return yardstick.lowered(
        float(best["final_loss"]), best[[f"param_{name}" for name in params]].to_numpy(float), "a run"
    )
