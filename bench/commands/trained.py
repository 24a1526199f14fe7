"""A study that has been trained: what the stages of a command that come after the training work on."""

from typing import NamedTuple

import pandas as pd

from bench.data.scaling import Scaling
from bench.data.table import Dataset
from bench.report.run_data import RunData
from bench.store.evidence import read_tables, store_tables
from bench.store.results import SweepResult
from bench.study.schema import Study


class Trained(NamedTuple):
    """A study that has been trained, with its data."""

    result: SweepResult
    study: Study
    data: Dataset
    scaling: Scaling | None

    def gather(self) -> RunData:
        """Return the contents of the folder for a report."""
        evidence = read_tables(self.result.run.folder)
        return RunData(self.result, evidence, self.study, self.data, self.scaling, None)

    def store(self, **tables: pd.DataFrame) -> None:
        """Store tables in the folder."""
        store_tables(self.result.run.folder, **tables)
