"""What a sweep gives, read from its folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.store.run_folder import Run, read_run
from kernels import Model
from kernels.run import CONVERGED, STATUS, Floats
from kernels.views import load_view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    @property
    def timed(self) -> pd.DataFrame:
        """The frame with a column `seconds`, as `bench.tables.ranking` describes it."""
        return self.frame.assign(seconds=self.seconds)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The losses in the frame's order: config_id (categorical), epoch, loss.

        One row per configuration and epoch, or every second, fourth, ... epoch and the last where there are too many;
        see `sweep`. `run.curves(config_ids)` reads those of a few configurations alone.
        """
        return self.run.curves(self.frame["config_id"].tolist())

    def plot(self) -> "Figure":
        """Draw how soon each learning rate and batch size reaches the target.

        Where no run did: the losses of each optimizer at its best choice.

        Returns
        -------
        matplotlib.figure.Figure
            Jupyter shows it.
        """
        figure: Figure = load_view("plot_sweep")(self)
        return figure

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: how the runs ended, the best choices, the figure."""
        html: str = load_view("sweep_html")(self)
        return html


def load_run(folder: str | Path) -> SweepResult:
    """Read a run, even while it goes on: then the frame has the rows that are there.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ValueError
        If it is no run folder, or one of a newer version.
    """
    run = read_run(folder)
    about = run.identity
    model = Model(about["model"], about["inputs"].split(", "), about["parameters"].split(", "))
    try:
        plan = pd.read_parquet(run.folder / PLAN)
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no sweep: it has no {PLAN}") from None
    params = [f"param_{name}" for name in model.params]
    columns = ["config_id", "status", "epochs", "final_loss", "best_loss", "seconds", *params]
    rows = plan.merge(run.configurations(columns), on="config_id", how="inner")
    starts = [f"start_{name}" for name in model.params]
    codes = rows["status"].to_numpy(np.int64)
    status = pd.Categorical.from_codes(codes, categories=pd.Index(STATUS))
    frame = rows.drop(columns=[*starts, "seconds"]).assign(status=status)
    reached = frame["epochs"].astype("Int64").where(codes == CONVERGED)
    frame.insert(frame.columns.tolist().index("epochs") + 1, "epochs_to_target", reached)
    return SweepResult(model, frame, rows[starts].to_numpy(), rows["seconds"].to_numpy(), run)
