"""What a sweep gives, read from its folder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.store import Run, read_run
from kernels import Model
from kernels.run import CONVERGED, STATUS, Floats

PLAN = "plan.parquet"


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What a sweep gives, read from its folder.

    Attributes
    ----------
    model : Model
    frame : DataFrame
        One row per configuration, in the grid's order: config_id, the grid's columns, status, epochs, epochs_to_target,
        final_loss, best_loss, and param_<name> for each parameter.
    starts : array, shape (rows, P)
        Where each of them started.
    seconds : array, shape (rows,)
        Its share of the time that its block took. Not in the frame, which is the same every time.
    run : Run
        The folder.
    """

    model: Model
    frame: pd.DataFrame
    starts: Floats
    seconds: Floats
    run: Run
    _kept: Any = field(repr=False, default=None)  # a temporary folder lives as long as its result

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per configuration and epoch, in the frame's order: config_id (categorical), epoch, loss."""
        written = self.run.curves()
        ids = pd.Index(self.frame["config_id"])
        places = ids.get_indexer(written["config_id"].cat.categories)[written["config_id"].cat.codes]
        order = np.argsort(places, kind="stable")
        rest = written[["epoch", "loss"]].iloc[order].reset_index(drop=True)
        rest.insert(0, "config_id", pd.Categorical.from_codes(places[order], categories=ids))
        return rest

    def losses(self, config_ids: Iterable[str]) -> dict[str, Floats]:
        """The curves of some configurations: config_id -> losses from epoch 0 on."""
        wanted = self.curves[self.curves["config_id"].isin(list(config_ids))]
        return {str(name): curve.to_numpy() for name, curve in wanted.groupby("config_id", observed=True)["loss"]}


def load_run(folder: str | Path, kept: Any = None) -> SweepResult:
    """Read a run, even while it goes on: then the frame has the rows that are there.

    Parameters
    ----------
    folder : path
    kept : object, optional
        What must not be collected before the result is.

    Raises
    ------
    ValueError
        If it is no run folder, or one of a newer version.
    """
    run = read_run(folder)
    about = run.identity
    model = Model(about["model"], about["inputs"].split(", "), about["parameters"].split(", "))
    plan = pd.read_parquet(run.folder / PLAN)
    params = [f"param_{name}" for name in model.params]
    columns = ["config_id", "status", "epochs", "final_loss", "best_loss", "seconds", *params]
    rows = plan.merge(run.configurations(columns), on="config_id", how="inner")
    starts = [f"start_{name}" for name in model.params]
    codes = rows["status"].to_numpy(np.int64)
    frame = rows.drop(columns=[*starts, "seconds"]).assign(status=pd.Categorical.from_codes(codes, categories=STATUS))
    reached = frame["epochs"].astype("Int64").where(codes == CONVERGED)
    frame.insert(frame.columns.get_loc("epochs") + 1, "epochs_to_target", reached)  # type: ignore[arg-type]
    return SweepResult(model, frame, rows[starts].to_numpy(), rows["seconds"].to_numpy(), run, kept)
