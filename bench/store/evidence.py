"""Measurements around a sweep: tables in its folder, so that a report can be made again and trains nothing."""

import os
from pathlib import Path
from warnings import warn

import pandas as pd

from bench.store.run_folder import EVIDENCE, read_identity
from bench.store.seal import DamagedError, name_owner, read_table, write_table


def store_tables(folder: Path, **tables: pd.DataFrame) -> None:
    """Store tables under their names in a run's folder, each in the place of the one before."""
    owner = name_owner(read_identity(folder))
    for name, table in tables.items():
        write_table(folder / EVIDENCE / f"{name}.parquet", table, owner)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all tables stored in a run's folder, by name; damaged ones are named in a warning and left out."""
    owner = name_owner(read_identity(folder))
    tables = {}
    for path in _stored(folder / EVIDENCE):
        try:
            tables[path.stem] = read_table(path, owner)
        except DamagedError as error:
            warn(f"{error}: it is left out", RuntimeWarning, stacklevel=2)
    return tables


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
