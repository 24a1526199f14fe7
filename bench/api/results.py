"""Results of sweeps and searches: rankings, the best choice, conclusions, report and figures."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from sgdbench.store.results import StoredSweep, read_sweep
from sgdbench.store.tuning import StoredSearch, read_search
from sgdbench.tables.formatting import text
from sgdbench.tables.words import describe_endings, format_count

# Imported by the methods that need them: a sweep should wait neither for matplotlib nor for the study parser.
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdbench.report.run_data import RunData
    from sgdbench.report.tune_data import TuneData
    from sgdbench.store.choice import Choice


class Ranked(ABC):
    """A result whose choices of settings are ranked."""

    @abstractmethod
    def _gather(self) -> "RunData":
        """Return the contents of the folder, with its conclusions."""

    def ranking(self, cost: str = "samples") -> pd.DataFrame:
        """Rank the choices of settings that were fully trained.

        Parameters
        ----------
        cost : str
            "samples", "updates" or "seconds" to the target; "final_loss"; or "validation_loss", on held-out samples. If
            no run reached a target, it must be one of the losses.

        Returns
        -------
        DataFrame
            One row per choice, best first; see `sgdbench.tables.rank.ranking`. If the first choices were trained again
            on fresh seeds, there are `confirmed_` columns.

        Raises
        ------
        ValueError
            For an unknown cost, or for seconds if updates were not timed, as `sgdbench run` does.
        """
        return self._gather().ranked_by(cost)

    def best(self, cost: str = "samples", optimizer: str | None = None) -> "Choice":
        """Return the recommended choice of settings, or the best one of an optimizer.

        Parameters
        ----------
        cost : str
            As for `ranking`.
        optimizer : str, optional
            An optimizer that was trained; for a search also by the name used in the verdict, such as "momentum".

        Returns
        -------
        sgdbench.store.choice.Choice
            With `settings`, `init`, `seeds`, `rank` and `ties`; `refit(x, y)`, `code()` and `to_study()`.

        Raises
        ------
        ValueError
            As from `ranking`; for an optimizer that was not tried; if no run was completed.
        """
        from sgdbench.report.choice import find_choice  # noqa: PLC0415 (as above)

        return find_choice(self._gather(), cost, optimizer)

    def verdict(self) -> dict[str, str]:
        """Return the conclusions in sentences, by subject."""
        return self._gather().verdict

    def report(self) -> Path:
        """Write the report into the folder, with tables and figures, and return the path of the page."""
        from sgdbench.report.report import write_run_report  # noqa: PLC0415 (as above)
        from sgdbench.report.tune_data import TuneData  # noqa: PLC0415 (as above)
        from sgdbench.report.tune_report import write_tune_report  # noqa: PLC0415 (as above)

        run_data = self._gather()
        return write_tune_report(run_data) if isinstance(run_data, TuneData) else write_run_report(run_data)


@dataclass(frozen=True, eq=False)
class SweepResult(StoredSweep, Ranked):
    """The result of a sweep, read from its folder.

    Attributes
    ----------
    model : Model
    frame : DataFrame
        One row per configuration, in the grid's order: config_id, the grid's columns; status; the completed `epochs`,
        the `samples_seen` and the `updates` made; `epochs_to_target` (a fraction within an epoch), `samples_to_target`
        and `updates_to_target`, missing if the target was not reached; param_<name> for each parameter, at the end, or
        with patience at the checkpoint of the lowest loss on held-out samples; `final_loss`, the loss with these
        parameters, and `best_loss`, the lowest at any checkpoint; with held-out samples also `validation_loss` with the
        same parameters, the lowest, `best_validation_loss`, and the samples seen at that point, `best_samples`.
    starts : array, shape (rows, P)
        The initial parameters of each row.
    clock : Clock
        The samples seen at the checkpoints at which losses were recorded.
    run : Run
        The folder.
    planned : int
        The number of configurations, including those that are not trained yet, or for fewer epochs than others, and
        have no row in `frame`.
    """

    @classmethod
    def of(cls, stored: StoredSweep) -> "SweepResult":
        """Return stored runs as a result with rankings and figures."""
        return cls(**{part.name: getattr(stored, part.name) for part in fields(StoredSweep)})

    @cached_property
    def confirmation(self) -> "SweepResult | None":
        """The leading choices trained again with fresh seeds; None if that was not done, or cannot be read."""
        confirmed = super().confirmation
        return None if confirmed is None else SweepResult.of(confirmed)

    def _gather(self) -> "RunData":
        from sgdbench.report.run_data import run_data_of  # noqa: PLC0415 (as above)

        return run_data_of(self)

    def plot(self, *, ax: "Axes | None" = None) -> "Figure":
        """Draw how soon each learning rate and batch size reaches the target.

        If no run did, draw the losses of each optimizer at its best choice.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes for these losses, from the first start; by default, a new figure shows all starts.

        Returns
        -------
        matplotlib.figure.Figure
            Jupyter displays it.
        """
        from sgdbench.report.notebook import plot_sweep  # noqa: PLC0415 (as above)

        return plot_sweep(self, ax)

    def _repr_html_(self) -> str:
        """Return the view in Jupyter: how the runs ended, the best choices, the figure."""
        from sgdbench.report.notebook import sweep_html  # noqa: PLC0415 (as above)

        return sweep_html(self)

    def __repr__(self) -> str:
        counts = self.frame["status"].value_counts()
        ends = "".join(f", {count:,} {status}" for status, count in counts.items() if count)
        return f"<SweepResult of {self.model.expression}: {len(self.frame):,} of {self.planned:,} configurations{ends}>"

    def __str__(self) -> str:
        run_data = self._gather()
        frame, settings = run_data.frame, self.run.identity
        done = "" if len(frame) == self.planned else f"{text(len(frame))} of "
        lines = [
            f"Sweep of {self.model.expression}: {done}{format_count(self.planned, 'configuration')}",
            f"  data        {format_count(int(settings['samples']), 'sample')}, loss {settings['loss']}",
            f"  target      {'none' if run_data.target is None else text(run_data.target)}",
        ]
        if frame.empty:
            return "\n".join([*lines, "  nothing has been trained yet"])
        lines.append(f"  runs        {describe_endings(frame['status'])}")
        return "\n".join([*lines, *(f"  {about}: {run_data.verdict[about]}" for about in run_data.headline)])


@dataclass(frozen=True, eq=False)
class TuneResult(StoredSearch, Ranked):
    """The result of a search, read from its folder.

    Attributes
    ----------
    result : SweepResult
        The runs of the trials that were fully trained.
    trials : DataFrame
        One row per trial, in the order of the rounds: `family`, the optimizer with its ranges; its `number` within the
        family; the `round` in which it was trained; lr, batch_size, optimizer, schedule, shuffle; `state` ("complete",
        "pruned", "diverged"), its `value`, a logarithm described in `sgdbench.tune`, and the `epochs` after which it
        ended; the `samples` that its runs have seen in total, the number of `runs` and of those that `converged`;
        `diverged_after`, the samples after which the first of them diverged, or -1; `params`, a dictionary of the
        values that Optuna proposed.
    importance : DataFrame
        `family`, `parameter`, `importance`: a parameter's share of the main effects on the value, that is of what the
        parameters explain individually; the shares of a family add up to 1. Empty until a search is complete.
    grid : SweepResult or None
        The grid that was trained for comparison.
    """

    result: SweepResult
    grid: SweepResult | None

    @classmethod
    def of(cls, stored: StoredSearch) -> "TuneResult":
        """Return a stored search as a result with rankings and figures."""
        grid = None if stored.grid is None else SweepResult.of(stored.grid)
        return cls(SweepResult.of(stored.result), stored.trials, stored.importance, grid)

    @property
    def folder(self) -> Path:
        """The folder in which it is stored."""
        return self.result.run.folder

    def _gather(self) -> "TuneData":
        from sgdbench.report.tune_data import read_tune_data  # noqa: PLC0415 (as above)

        return read_tune_data(self)

    def __repr__(self) -> str:
        counts = self.trials["state"].value_counts()
        listed = ", ".join(
            f"{counts[state]:,} {state}" for state in ("complete", "pruned", "diverged") if state in counts
        )
        return f"<TuneResult of {len(self.trials):,} trial{'s' * (len(self.trials) != 1)}{': ' * bool(listed)}{listed}>"

    def __str__(self) -> str:
        lines = [f"Search for settings of {self.result.model.expression}: {format_count(len(self.trials), 'trial')}"]
        return "\n".join([*lines, *(f"  {about}: {sentence}" for about, sentence in self.verdict().items())])


def load_run(folder: str | Path) -> SweepResult:
    """Read a run, even while it is in progress: then the frame has the rows so far.

    Runs that are behind others, while a run is extended to more epochs, count as not trained: they are not comparable.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ValueError
        If it is not a run folder, is one of another version, or has modified files.
    """
    return SweepResult.of(read_sweep(folder))


def load_tuning(folder: str | Path) -> TuneResult:
    """Read the folder of a search.

    Raises
    ------
    ValueError
        If it is not the folder of a search, or its files were modified.
    """
    return TuneResult.of(read_search(folder))
