"""What a sweep gives, read from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.store.choice import Choice
from bench.store.clock import Clock
from bench.store.run_folder import Run, read_run
from kernels import Model
from kernels.run import CONVERGED, STATUS, Floats
from kernels.views import find_view, load_view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLAN = "plan.parquet"
CONFIRMATION = "confirmation"
# Of runs with held-out samples.
VALIDATION = ["validation_loss", "best_validation_loss", "best_samples"]


@dataclass(frozen=True, eq=False)
class SweepResult:
    """What a sweep gives, read from its folder.

    Attributes
    ----------
    model : Model
    frame : DataFrame
        One row per configuration, in the grid's order: config_id, the grid's columns; status; the `epochs` finished,
        the `samples_seen` and the `updates` made; `epochs_to_target` (a fraction within an epoch), `samples_to_target`
        and `updates_to_target`, missing where the target was not reached; final_loss, best_loss; where there are
        held-out samples `validation_loss` at the end, the lowest, `best_validation_loss`, and the samples seen then,
        `best_samples`; and param_<name> for each parameter.
    starts : array, shape (rows, P)
        Where each of them started.
    clock : Clock
        The moments at which losses were recorded.
    run : Run
        The folder.
    """

    model: Model
    frame: pd.DataFrame
    starts: Floats
    clock: Clock
    run: Run

    @cached_property
    def confirmation(self) -> "SweepResult | None":
        """The leading choices trained again with fresh seeds; None where that was not done."""
        folder = self.run.folder / CONFIRMATION
        return load_run(folder) if folder.exists() else None

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The losses in the frame's order: config_id (categorical), epoch (a fraction), samples, updates, loss.

        Where there are held-out samples, validation_loss too. One row per configuration and mark, or every second,
        fourth, ... mark and the last where there are too many; see `sweep`. `read_curves` reads those of a few
        configurations alone.
        """
        return self.read_curves(self.frame["config_id"].tolist())

    def read_curves(self, config_ids: Sequence[str]) -> pd.DataFrame:
        """Return the losses of some configurations, in the order of `config_ids`; see `curves`.

        Parameters
        ----------
        config_ids : sequence of str
            Those that the frame does not have are left out.
        """
        curves = self.run.curves(config_ids)
        ids = curves["config_id"].cat
        rows = pd.Index(self.frame["config_id"]).get_indexer(ids.categories)
        sizes = self.frame["batch_size"].to_numpy(np.int64)[rows]
        times = self.clock.times(sizes, curves["mark"].to_numpy(), ids.codes.to_numpy())
        columns = {"epoch": times.epoch, "samples": times.samples, "updates": times.updates}
        losses = {name: curves[name] for name in curves.columns.drop(["config_id", "mark"])}
        return pd.DataFrame({"config_id": curves["config_id"], **columns, **losses}, copy=False)

    def ranking(self, cost: str = "samples") -> pd.DataFrame:
        """Rank the choices of settings.

        Parameters
        ----------
        cost : str
            "samples", "updates" or "seconds" to the target, or "final_loss".

        Returns
        -------
        DataFrame
            One row per choice, best first: see `bench.tables.choice_ranking.ranking`; with `confirmed_` columns where
            the leading choices were trained again on fresh seeds.

        Raises
        ------
        ValueError
            For an unknown cost, or for seconds where the time of an update was not measured, as `sgdbench run` does.
        """
        ranked: pd.DataFrame = load_view("sweep_ranking")(self, cost)
        return ranked

    def best(self, cost: str = "samples", optimizer: str | None = None) -> Choice:
        """Return the recommended choice of settings, or the best one of an optimizer.

        Parameters
        ----------
        cost : str
            As for `ranking`.
        optimizer : str, optional
            One of those in the frame.

        Returns
        -------
        bench.store.choice.Choice
            With `settings`, `init`, `seeds`, `rank` and `ties`; `refit(x, y)`, `code()` and `to_study()`.

        Raises
        ------
        ValueError
            As from `ranking`; for an optimizer that was not tried.
        """
        choice: Choice = load_view("sweep_best")(self, cost, optimizer)
        return choice

    def verdict(self) -> dict[str, str]:
        """Return the conclusions of the sweep in sentences, by subject."""
        sentences: dict[str, str] = load_view("sweep_verdict")(self)
        return sentences

    def report(self) -> Path:
        """Write the report into the folder, with tables and figures, and return the path of the page."""
        page: Path = load_view("sweep_report")(self)
        return page

    def __str__(self) -> str:
        render = find_view("sweep_text")
        return render(self) if render else repr(self)

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
    held_out = VALIDATION if about["validation"] != "none" else []
    columns = ["config_id", "status", "marks", "final_loss", "best_loss", *held_out, *params]
    rows = plan.merge(run.configurations(columns), on="config_id", how="inner")
    starts = [f"start_{name}" for name in model.params]
    clock = Clock.from_identity(about)
    frame = _with_costs(rows.drop(columns=starts), clock)
    return SweepResult(model, frame, rows[starts].to_numpy(), clock, run)


def _with_costs(rows: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """Return the rows with their status in words, and with samples, updates and epochs in place of marks."""
    codes = rows["status"].to_numpy(np.int64)
    times = clock.times(rows["batch_size"].to_numpy(np.int64), rows["marks"].to_numpy(np.int64))
    reached = codes == CONVERGED
    made: dict[str, Any] = {
        "epochs": np.floor(times.epoch).astype(np.int64),
        "samples_seen": times.samples.astype(np.int64),
        "updates": times.updates.astype(np.int64),
        "epochs_to_target": pd.array(times.epoch, dtype="Float64"),
        "samples_to_target": pd.array(times.samples, dtype="Int64"),
        "updates_to_target": pd.array(times.updates, dtype="Int64"),
    }
    place = rows.columns.tolist().index("marks")
    frame = rows.drop(columns="marks").assign(status=pd.Categorical.from_codes(codes, categories=pd.Index(STATUS)))
    for offset, (name, values) in enumerate(made.items()):
        frame.insert(place + offset, name, values)
        if name.endswith("_to_target"):
            frame[name] = frame[name].where(reached)
    return frame
