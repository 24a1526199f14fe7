"""Measurements around a sweep: tables in its folder, so that a report can be made again and trains nothing."""

import os
from pathlib import Path
from warnings import warn

import pandas as pd

from bench.store.run_folder import EVIDENCE, read_identity
from bench.store.seal import DamagedError, name_owner, read_table, write_table

_KIND = {"optimizer", "batch_size", "shuffle"}
_PER_UPDATE = {"seconds_per_update", "seconds_per_update_low", "seconds_per_update_high"}
COLUMNS = {
    "basin": {*_KIND, "config_id", "lr", "schedule", "status", "samples_seen", "samples_to_target", "final_loss"},
    "check": {"config_id", "optimizer", "lr", "batch_size", "epochs", "error", "bound", "verified"},
    "costs": {*_KIND, *_PER_UPDATE, "variant"},
    "rates": {*_KIND, "lr", "runs", "predicted_rate", "measured_rate"},
    "settings": {"epochs"},
    "speed": {
        *("variant", "ours", "threads", "verified", "error", "ns", "ns_low", "ns_high", "updates_per_second"),
        *("to_reference", "to_reference_low", "to_reference_high", "to_c", "to_c_low", "to_c_high"),
        *("compile_seconds", "load_seconds", "break_even", "note"),
    },
    "paths": {"config_id", "samples", "loss"},
    "speed_rounds": {"variant", "ns"},
    "test": {"config_id", "samples_seen", "rows", "loss"},
    "theory": {*_KIND, "predicted_edge", "stable_up_to", "diverges_from", "agrees"},
    "times": {*_KIND, *_PER_UPDATE, "lr", "schedule", "variant", "runs", "success", "updates_to_target"},
    "yardstick": {"loss", "constant_loss", "params", "method", "note", "baseline"},
    "trajectories": {"epoch", "lr", "loss", "samples", "updates", "role", "init", "config_id"},
}
"""What is read of the tables of a name, which another version may not have written."""


def store_tables(folder: Path, **tables: pd.DataFrame) -> None:
    """Store tables under their names in a run's folder, each in the place of the one before."""
    owner = name_owner(read_identity(folder))
    for name, table in tables.items():
        write_table(folder / EVIDENCE / f"{name}.parquet", table, owner)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all tables stored in a run's folder, by name.

    Damaged ones, and those without a column that is read, are named in a warning and left out.
    """
    owner = name_owner(read_identity(folder))
    tables = {}
    for path in _stored(folder / EVIDENCE):
        try:
            table = read_table(path, owner)
        except DamagedError as error:
            warn(f"{error}: it is left out", RuntimeWarning, stacklevel=2)
            continue
        if len(table) and (missing := sorted(COLUMNS.get(path.stem, set()) - set(table))):
            reason = f"it has no column {missing[0]}, as if another version had written it"
            warn(f"{path} cannot be used ({reason}): it is left out", RuntimeWarning, stacklevel=2)
            continue
        tables[path.stem] = table
    return tables


def read_table_of(folder: Path, name: str) -> pd.DataFrame:
    """Return one of the tables stored in a run's folder; an empty one where there is none.

    Raises
    ------
    DamagedError
        If it is not what was written.
    """
    path = folder / EVIDENCE / f"{name}.parquet"
    return read_table(path, name_owner(read_identity(folder))) if path.exists() else pd.DataFrame()


def _stored(folder: Path) -> list[Path]:
    """Return the files of the tables."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        warn(f"{folder} cannot be read ({error.strerror}): what it holds is left out", RuntimeWarning, stacklevel=3)
        return []
    return [folder / name for name in sorted(names) if name.endswith(".parquet") and not name.startswith(".")]
