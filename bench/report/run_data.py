"""All that a report is made of, read from a run's folder; of a run that goes on, what is there."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.data.scaling import Scaling
from bench.data.table import Dataset
from bench.store.evidence import read_tables
from bench.store.results import SweepResult, load_run
from bench.study.load import Study, load_study
from bench.tables.ranking import standard_tables
from bench.tables.verdict import verdict
from kernels.run import Floats


@dataclass(frozen=True, eq=False)
class RunData:
    """What a run's folder tells.

    Attributes
    ----------
    result : SweepResult
    evidence : mapping of str to DataFrame
        What was measured around the sweep, by name; see `bench.commands.run`. A name may be missing.
    study : Study or None
        None for a sweep that was made without one.
    data : Dataset or None
        What was trained, or None where it cannot be read any more; then `missing_data` says why.
    scaling : Scaling or None
        If the data were standardized: the way back.
    missing_data : str or None
        Why there are no data.
    """

    result: SweepResult
    evidence: Mapping[str, pd.DataFrame]
    study: Study | None
    data: Dataset | None
    scaling: Scaling | None
    missing_data: str | None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per configuration, as `bench.tables.ranking` describes it."""
        return self.result.timed

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Those of `bench.tables.ranking.standard_tables`."""
        return standard_tables(self.frame)

    @cached_property
    def verdict(self) -> dict[str, str]:
        """What the run shows, in words; nothing where nothing is trained yet."""
        return verdict(self.frame, self.result.model, self.target, self.scaling) if len(self.frame) else {}

    @property
    def target(self) -> float | None:
        """The loss at which the runs stopped."""
        target = self.result.run.identity["target"]
        return None if target == "none" else float(target)

    @property
    def title(self) -> str:
        """What the run is called."""
        return (self.study.title or self.study.name) if self.study else self.result.run.folder.name

    @property
    def source(self) -> str:
        """Where the data come from, as the end of a sentence; nothing where nobody knows."""
        return f" on {Path(self.data.source).name} ({len(self.data.y):,} samples)" if self.data else ""

    def data_in_table_units(self) -> tuple[Floats, Floats]:
        """The data as they were before they were standardized: x, shape (n, inputs), and y, shape (n,)."""
        assert self.data  # noqa: S101 (who asks has looked)
        x, y = self.data.x, self.data.y
        if self.scaling is None:
            return x, y
        return self.scaling.x_mean + self.scaling.x_scale * x, self.scaling.y_mean + self.scaling.y_scale * y


def read_run_data(folder: str | Path) -> RunData:
    """Read a run's folder.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ValueError
        If it is no run folder, or one of a newer version.
    """
    result = load_run(folder)
    evidence = read_tables(result.run.folder)
    if not result.run.study:
        return RunData(result, evidence, None, None, None, "The sweep was made without a study.")
    study = load_study(result.run.folder / "run.toml")
    try:
        data, scaling = study.dataset()
    except (OSError, ValueError) as error:
        return RunData(result, evidence, study, None, None, f"The data cannot be read any more: {error}.")
    return RunData(result, evidence, study, data, scaling, None)
