"""Measurements around a sweep: tables in its folder, so that a report can be made again and trains nothing."""

from pathlib import Path

import pandas as pd

from bench.system.atomic import replace_atomically

FOLDER = "evidence"


def store_tables(folder: Path, **tables: pd.DataFrame) -> None:
    """Store tables under their names, each in the place of the one before."""
    for name, table in tables.items():
        with replace_atomically(folder / FOLDER / f"{name}.parquet") as path:
            table.to_parquet(path, index=False)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Return all tables that are stored, by name."""
    return {path.stem: pd.read_parquet(path) for path in sorted((folder / FOLDER).glob("*.parquet"))}
