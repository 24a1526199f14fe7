"""A search for settings, read from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.store.evidence import read_table_of
from sgdbench.store.results import StoredSweep, read_result, read_sweep
from sgdbench.store.run_folder import PLAN_FILE, holds_search, read_identity, read_run

IMPORTANCE_TABLE, GRID_FOLDER = "importance", "grid"
"""A table of a search, and the folder of the grid to compare it with."""
IMPORTANCE_COLUMNS = ["family", "parameter", "importance"]
# Columns that trials and configurations share.
_SETTING_COLUMNS = ["lr", "batch_size", "optimizer", "schedule", "shuffle"]


@dataclass(frozen=True, eq=False)
class StoredSearch:
    """The trials of a search and their runs, read from its folder; see `sgdbench.TuneResult`."""

    result: StoredSweep
    trials: pd.DataFrame
    importance: pd.DataFrame
    grid: StoredSweep | None

    def with_grid_runs(self, chosen: NDArray[np.bool_]) -> StoredSweep:
        """Return `result` followed by the `chosen` runs of the grid, a mask of shape (runs of the grid,)."""
        assert self.grid is not None  # noqa: S101 (whoever chooses its runs has looked)
        frames = [self.result.frame, self.grid.frame[chosen]]
        texts = [name for name in frames[0] if isinstance(frames[0][name].dtype, pd.CategoricalDtype)]
        joined = pd.concat([frame.astype(dict.fromkeys(texts, object)) for frame in frames], ignore_index=True)
        of_search = {part.name: getattr(self.result, part.name) for part in fields(StoredSweep)}
        return _WithGrid(
            **of_search
            | {
                "frame": joined.astype(dict.fromkeys(texts, "category")),
                "starts": np.concatenate([self.result.starts, self.grid.starts[chosen]]),
                "planned": len(joined),
            },
            grid=self.grid,
        )


@dataclass(frozen=True, eq=False)
class _WithGrid(StoredSweep):
    """The runs of trials, and some of a grid, whose losses are in the grid's folder."""

    grid: StoredSweep

    def read_curves(self, config_ids: Sequence[str]) -> pd.DataFrame:
        """Return the losses of some configurations; see `StoredSweep.read_curves`."""
        of_grid = set(self.grid.frame["config_id"])
        parts = [
            super().read_curves([one for one in config_ids if one not in of_grid]),
            self.grid.read_curves([one for one in config_ids if one in of_grid]),
        ]
        joined = pd.concat([part.astype({"config_id": object}) for part in parts if len(part)] or parts[:1])
        return joined.astype({"config_id": "category"}).reset_index(drop=True)


def is_tuning_folder(folder: Path) -> bool:
    """Return whether a run's folder holds a search."""
    return holds_search(read_identity(folder))


def read_search(folder: str | Path) -> StoredSearch:
    """Read the folder of a search; raise ValueError if it is none, or if its files were modified."""
    try:
        from sgdbench.store.journal import read_trials  # noqa: PLC0415 (it needs Optuna)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error
    run = read_run(folder)
    folder = run.folder
    if not holds_search(run.identity):
        raise ValueError(f"{folder} holds no search for settings; `sgdbench tune` makes one")
    whole, trials = read_result(run), read_trials(folder)
    importance = read_table_of(folder, IMPORTANCE_TABLE).reindex(columns=IMPORTANCE_COLUMNS)
    complete = pd.MultiIndex.from_frame(trials[trials["state"] == "complete"][_SETTING_COLUMNS])
    keys = whole.frame[_SETTING_COLUMNS].astype({"optimizer": object, "schedule": object})
    chosen = np.asarray(pd.MultiIndex.from_frame(keys).isin(complete))
    frame = whole.frame[chosen].reset_index(drop=True)
    for name in ("optimizer", "schedule"):
        frame[name] = frame[name].cat.remove_unused_categories()
    result = replace(whole, frame=frame, starts=whole.starts[chosen], planned=len(frame))
    # A plan is written before the first results: without it, the grid was stopped before it began.
    grid = read_sweep(folder / GRID_FOLDER) if (folder / GRID_FOLDER / PLAN_FILE).exists() else None
    if grid is not None:
        grid.run.within = run
    return StoredSearch(result, trials, importance, grid)
