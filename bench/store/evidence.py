"""Evidence: tables of measurements in a sweep's folder, so that a report can be repeated without training."""

from pathlib import Path
from warnings import warn

import pandas as pd
import pyarrow.parquet as pq

from sgdbench.store.run_folder import EVIDENCE_FOLDER, PLAN_FILE, read_identity, resume_command, visible_files
from sgdbench.store.seal import DamagedError, name_owner, read_table, write_table


def with_interval(name: str) -> list[str]:
    """Return the columns of a number and of the ends of its interval."""
    return [name, f"{name}_low", f"{name}_high"]


_KIND_COLUMNS = {"optimizer", "batch_size", "shuffle"}
SPEED_COLUMNS = [
    *("variant", "ours", "threads", "verified", "error", "error_loss", *with_interval("ns"), "updates_per_second"),
    *(*with_interval("to_reference"), *with_interval("to_c"), *with_interval("share")),
    *("compile_seconds", "load_seconds", "break_even", "note"),
]
EVIDENCE_COLUMNS = {
    "basin": {
        *_KIND_COLUMNS,
        "config_id",
        "lr",
        "schedule",
        "status",
        "samples_seen",
        "samples_to_target",
        "final_loss",
    },
    "check": {"config_id", "optimizer", "lr", "batch_size", "epochs", "error", "bound", "verified"},
    "costs": {*_KIND_COLUMNS, *with_interval("seconds_per_update"), "variant"},
    "rates": {*_KIND_COLUMNS, "lr", "runs", "predicted_rate", "measured_rate"},
    "settings": {"epochs"},
    "speed": set(SPEED_COLUMNS),
    "paths": {"config_id", "samples", "loss"},
    "speed_rounds": {"variant", "ns"},
    "test": {"config_id", "samples_seen", "rows", "constant", "loss"},
    "theory": {*_KIND_COLUMNS, "predicted_edge", "stable_up_to", "diverges_from", "agrees"},
    "yardstick": {"loss", "constant_loss", "params", "method", "note", "baseline"},
    "typical_paths": {"config_id", "init", "samples", "loss"},
}
"""Columns to read of the tables of each name; tables of another version may lack some."""


# Tables about the runs of a sweep in their state at that time.
_TABLES_ABOUT_RUNS = ("basin", "check", "paths", "rates", "theory", "typical_paths")


def forget_runs(folder: Path) -> None:
    """Remove the tables about the runs of a folder, which continues: no report may combine old and new ones."""
    for name in _TABLES_ABOUT_RUNS:
        (folder / EVIDENCE_FOLDER / f"{name}.parquet").unlink(missing_ok=True)


def store_tables(folder: Path, **tables: pd.DataFrame) -> None:
    """Store tables under their names in a run's folder, replacing earlier ones."""
    owner = name_owner(read_identity(folder))
    for name, table in tables.items():
        write_table(folder / EVIDENCE_FOLDER / f"{name}.parquet", table, owner)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all tables stored in a run's folder, by name.

    Tables that are damaged, lack a required column or are about other runs are named in a warning and ignored.
    """
    owner = name_owner(read_identity(folder))
    tables = {}
    try:
        paths = sorted(path for path in visible_files(folder / EVIDENCE_FOLDER) if path.suffix == ".parquet")
    except OSError as error:
        reason = f"{folder / EVIDENCE_FOLDER} cannot be read ({error.strerror})"
        warn(f"{reason}: its tables are ignored", RuntimeWarning, stacklevel=2)
        return {}
    for path in paths:
        try:
            table = read_table(path, owner)
        except DamagedError as error:
            warn(f"{error}: it is ignored", RuntimeWarning, stacklevel=2)
            continue
        reason = ""
        if len(table) and (missing := sorted(EVIDENCE_COLUMNS.get(path.stem, set()) - set(table))):
            reason = f"it has no column {missing[0]}, as if another version had written it"
        elif path.stem in _TABLES_ABOUT_RUNS and "config_id" in table:
            planned = pq.read_table(folder / PLAN_FILE, columns=["config_id"])["config_id"].to_pandas()
            reason = "" if table["config_id"].isin(planned).all() else "it is about runs of another folder"
        if reason:
            warn(f"{path} cannot be used ({reason}): it is ignored", RuntimeWarning, stacklevel=2)
            continue
        tables[path.stem] = table
    return tables


def read_table_of(folder: Path, name: str) -> pd.DataFrame:
    """Return one of the tables stored in a run's folder, or an empty one; a DamagedError says how to recreate it."""
    path = folder / EVIDENCE_FOLDER / f"{name}.parquet"
    try:
        return read_table(path, name_owner(read_identity(folder))) if path.exists() else pd.DataFrame()
    except DamagedError as error:
        raise DamagedError(f"{error}: `{resume_command(folder)}` makes it again") from None
