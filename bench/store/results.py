"""The runs of a sweep, read from its folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
import pandas as pd
import pyarrow as pa

from sgdbench.kernels import Model
from sgdbench.kernels.base.checks import list_names
from sgdbench.kernels.base.run import CONVERGED, MAX_EPOCHS, STATUSES, Floats
from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.model.model_identity import model_of_identity
from sgdbench.kernels.model.param_columns import (
    PARAM_PREFIX,
    START_PREFIX,
    array_columns,
    param_columns,
    params_from_columns,
)
from sgdbench.kernels.train.attainable_loss import AttainableLoss
from sgdbench.store.attainable_loss import TABLE_NAME, attainable_loss_of, lowered_by
from sgdbench.store.clock import Clock
from sgdbench.store.evidence import read_table_of
from sgdbench.store.run_folder import (
    CONFIRMATION_FOLDER,
    IDENTITY_FILE,
    PLAN_FILE,
    Run,
    holds_search,
    read_run,
    resume_command,
)
from sgdbench.store.seal import DamagedError, name_owner, read_table

# Columns of a plan besides the starts.
_SETTING_COLUMNS = ("config_id", "lr", "batch_size", "init", "optimizer", "schedule", "seed", "shuffle")
REFINED_COLUMN = "refined"
"""The column of a plan that says whether a row was added to those of the grid, around the best learning rates."""
# Columns of the results besides the parameters.
_RESULT_COLUMNS = {
    "config_id": pa.string(),
    "status": pa.int8(),
    "marks": pa.int32(),
    "final_loss": pa.float64(),
    "best_loss": pa.float64(),
}
# Further columns of runs with held-out samples.
VALIDATION_COLUMNS = {"validation_loss": pa.float64(), "best_validation_loss": pa.float64(), "best_samples": pa.int64()}


@dataclass(frozen=True, eq=False)
class StoredSweep:
    """The runs of a sweep, read from its folder; `sgdbench.SweepResult` describes the attributes."""

    model: Model
    frame: pd.DataFrame
    starts: Floats
    clock: Clock
    run: Run
    planned: int

    @cached_property
    def classes(self) -> Classes | None:
        """The labels of the classes 0, 1, ..., if y held labels."""
        try:
            recorded = read_table_of(self.run.folder, "settings").get("classes")
        except DamagedError:
            return None
        labels = None if recorded is None or recorded.empty else json.loads(recorded.iloc[0])
        return Classes(tuple(labels)) if labels else None

    @cached_property
    def confirmation(self) -> "StoredSweep | None":
        """The leading choices trained again with fresh seeds; None if that was not done, or cannot be read."""
        folder = self.run.folder / CONFIRMATION_FOLDER
        try:
            # A plan is written before the first results: without either, confirmation was stopped before it began.
            begun = (folder / PLAN_FILE).exists() or any(folder.glob("parts/*"))
            if not begun:
                return None
            confirmed = read_sweep(folder)
            confirmed.run.within = self.run
            frame = match_precision(confirmed.frame, self.frame)
            return replace(confirmed, frame=frame.reset_index(drop=True), starts=confirmed.starts[frame.index])
        except (ValueError, OSError) as error:
            warn(f"the runs on fresh seeds are ignored: {error}", RuntimeWarning, stacklevel=2)
            return None

    @cached_property
    def optimum(self) -> AttainableLoss:
        """The lowest attainable loss on the samples, or that of a run if lower; and the loss of a constant."""
        attainable = attainable_loss_of(read_table_of(self.run.folder, TABLE_NAME))
        return lowered_by(attainable, self.frame, self.model)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The losses in the frame's order: config_id (categorical), epoch (a fraction), samples, updates, loss.

        With held-out samples, also validation_loss. One row per configuration and checkpoint, or every second, fourth,
        ... checkpoint and the last if there are too many; see `sgdbench.sweep`.
        """
        return self.read_curves(self.frame["config_id"].tolist())

    def read_curves(self, config_ids: Sequence[str]) -> pd.DataFrame:
        """Return the losses of some configurations, in the order of `config_ids`; those not stored are omitted."""
        curves = self.run.curves(config_ids)
        ids = curves["config_id"].cat
        rows = pd.Index(self.frame["config_id"]).get_indexer(ids.categories)
        sizes = self.frame["batch_size"].to_numpy(np.int64)[rows]
        times = self.clock.times(sizes, curves["checkpoint"].to_numpy(), ids.codes.to_numpy())
        columns = {"epoch": times.epoch, "samples": times.samples, "updates": times.updates}
        losses = {name: curves[name] for name in curves.columns.drop(["config_id", "checkpoint"])}
        return pd.DataFrame({"config_id": curves["config_id"], **columns, **losses}, copy=False)


def match_precision(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return an earlier table with a column `dtype` if the frame has one; runs without it are float64."""
    if ("dtype" in table) == ("dtype" in frame):
        return table
    if "dtype" in frame:
        return table.assign(dtype="float64")
    return table[table["dtype"] == "float64"].drop(columns="dtype")


def read_sweep(folder: str | Path) -> StoredSweep:
    """Read the runs of a folder, except those that are behind others in an extension; see `sgdbench.load_run`."""
    run = read_run(folder)
    if holds_search(run.identity):
        raise ValueError(f"{folder} holds a search for settings: sgdbench.load_tuning reads it")
    result = read_result(run)
    frame = result.frame
    ended = (frame["status"] != STATUSES[MAX_EPOCHS]) | (frame["epochs"] == frame["epochs"].max())
    if ended.all():  # avoids copying up to a million rows
        return result
    return replace(result, frame=frame[ended].reset_index(drop=True), starts=result.starts[ended])


def read_result(run: Run) -> StoredSweep:
    """Return the runs of a folder, of a sweep or of the trials of a search, including abandoned ones."""
    try:
        model = model_of_identity(run.identity)
        kinds = _RESULT_COLUMNS | (VALIDATION_COLUMNS if run.identity["validation"] != "none" else {})
        clock = Clock.from_identity(run.identity)
    except (KeyError, ValueError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(f"{run.folder / IDENTITY_FILE} does not describe a sweep: {reason}") from None
    plan = read_plan(run)
    left_out = [name for name in plan.columns if name.startswith(START_PREFIX) or name == REFINED_COLUMN]
    _check_columns(run, model, plan.columns.tolist(), kinds)
    results = run.configurations([*kinds, *param_columns(model)])
    rows = plan.merge(results, on="config_id")
    frame = _with_costs(rows.drop(columns=left_out), clock)
    return StoredSweep(model, frame, params_from_columns(model, rows, START_PREFIX), clock, run, len(plan))


def read_plan(run: Run) -> pd.DataFrame:
    """Return the plan in a run's folder; raise ValueError if it is missing or damaged."""
    path = run.folder / PLAN_FILE
    if not path.exists():
        raise ValueError(f"{run.folder} holds no sweep: it has no {PLAN_FILE}")
    try:
        return read_table(path, name_owner(run.identity))
    except DamagedError as error:
        command = resume_command(run.folder)
        raise ValueError(f"{error}: `{command}` writes it again without training") from None


def _check_columns(run: Run, model: Model, plan: list[str], kinds: dict[str, pa.DataType]) -> None:
    """Refuse a plan and results whose columns are not those of a sweep of this model."""
    in_parts = run.columns
    stored = [(PLAN_FILE, plan, START_PREFIX)] + ([("parts", list(in_parts), PARAM_PREFIX)] if in_parts else [])
    for what, columns, prefix in stored:
        names, expected = [name for name in columns if name.startswith(prefix)], param_columns(model, prefix)
        if names != expected:
            params = list_names(name.removeprefix(prefix) for name in expected)
            raise ValueError(
                f"{run.folder} is damaged: {what} has the columns {list_names(names) or 'of no parameters'}, and "
                f"{IDENTITY_FILE} the parameters {params}"
            )
    if missing := [name for name in _SETTING_COLUMNS if name not in plan]:
        raise ValueError(f"{run.folder} is damaged: {PLAN_FILE} has no column {missing[0]} of a sweep")
    kinds = kinds | dict.fromkeys(param_columns(model), pa.float64())
    kinds |= dict.fromkeys(array_columns(model), pa.list_(pa.float64()))
    if in_parts and (wrong := [name for name, kind in kinds.items() if in_parts.get(name) != kind]):
        raise ValueError(f"{run.folder} is damaged: its parts have no column {wrong[0]} of a sweep")


def _with_costs(rows: pd.DataFrame, clock: Clock) -> pd.DataFrame:
    """Return the rows with their status as text, and with samples, updates and epochs in place of checkpoints."""
    codes = rows["status"].to_numpy(np.int64)
    times = clock.times(rows["batch_size"].to_numpy(np.int64), rows["marks"].to_numpy(np.int64))
    frame = rows.assign(status=pd.Categorical.from_codes(codes, categories=pd.Index(STATUSES)))
    place = frame.columns.tolist().index("marks")
    made: dict[str, Any] = {
        "epochs": np.floor(times.epoch).astype(np.int64),
        "samples_seen": times.samples.astype(np.int64),
        "updates": times.updates.astype(np.int64),
        "epochs_to_target": pd.array(times.epoch, dtype="Float64"),
        "samples_to_target": pd.array(times.samples, dtype="Int64"),
        "updates_to_target": pd.array(times.updates, dtype="Int64"),
    }
    for name in [name for name in made if name.endswith("_to_target")]:
        made[name][codes != CONVERGED] = pd.NA
    before, after = frame.iloc[:, :place], frame.iloc[:, place + 1 :]
    return pd.concat([before, pd.DataFrame(made, index=frame.index), after], axis=1)
