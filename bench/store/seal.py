"""TOML, JSON and Parquet files that contain their own checksum, which includes the run they belong to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sgdbench.kernels.base.checksum import LAST_LINE, PLACEHOLDER, add_checksum, find_flaw
from sgdbench.system.atomic import replace_atomically
from sgdbench.system.files import read_regular_file

_SEAL_KEY = "seal"


class DamagedError(ValueError):
    """A file was modified after it was written; the message names it and its flaw."""


def name_owner(identity: Mapping[str, str]) -> bytes:
    """Return the owner for the checksums of a run's files: the facts that its results share."""
    return json.dumps(dict(identity), sort_keys=True).encode()


def seal_text(text: str, owner: bytes = b"") -> bytes:
    """Return a TOML text with its checksum in a comment at the end."""
    return add_checksum(text.encode() + LAST_LINE, owner)


def read_text(path: Path, owner: bytes = b"") -> str:
    """Return a text that `seal_text` has sealed, or raise DamagedError."""
    content = _read_sealed(path, owner)
    try:
        return content[: -len(LAST_LINE)].decode()
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is damaged (it is not UTF-8 text)") from error


def seal_json(facts: Mapping[str, object], owner: bytes = b"") -> bytes:
    """Return facts as readable JSON, with the checksum as the last entry."""
    text = json.dumps({**facts, _SEAL_KEY: PLACEHOLDER.decode()}, indent=2, ensure_ascii=False) + "\n"
    return add_checksum(text.encode(), owner)


def read_json(path: Path, owner: bytes = b"") -> dict[str, Any]:
    """Return facts that `seal_json` has sealed, or raise DamagedError."""
    content = _read_sealed(path, owner)
    try:
        facts: dict[str, Any] = json.loads(content)
        del facts[_SEAL_KEY]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged (it was not written by `seal_json`)") from error
    return facts


def write_table(path: Path, table: pd.DataFrame | pa.Table, owner: bytes, **options: object) -> None:
    """Write a table as Parquet, as `seal_table` makes it."""
    with replace_atomically(path) as temporary:
        temporary.write_bytes(seal_table(table, owner, **options))


def seal_table(table: pd.DataFrame | pa.Table, owner: bytes, **options: object) -> bytes:
    """Return a Parquet file with its checksum in the metadata and with options of `pyarrow.parquet.write_table`."""
    arrow = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _SEAL_KEY: PLACEHOLDER})
    content = pa.BufferOutputStream()
    pq.write_table(arrow, content, **options)
    return add_checksum(content.getvalue().to_pybytes(), owner)


def read_table(path: Path, owner: bytes) -> pd.DataFrame:
    """Return a table that `write_table` has written, or raise DamagedError."""
    content = _read_sealed(path, owner)
    try:
        rows = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        table: pd.DataFrame = rows.to_pandas(use_threads=False)
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"{path} is damaged ({' '.join(str(error).split())})") from error
    return table


def _read_sealed(path: Path, owner: bytes) -> bytes:
    try:
        content = read_regular_file(path)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
    if flaw := find_flaw(content, owner):
        raise DamagedError(f"{path} is damaged ({flaw})")
    return content
