"""Files that hold their own checksum, so that one rename publishes both and no moment lies between them.

The checksum is over the whole file with zeros in its place, and over the name of the owner: a file of another run is no
more believed than one whose bits have changed. It is text that a JSON, a TOML and a Parquet file have room for, so each
of them can be read by whatever reads its kind.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.system.atomic import replace_atomically
from bench.system.files import read_regular_file

_MARK = b"sgdbench-sha256-"
_ROOM = _MARK + 64 * b"0"
_SEAL = re.compile(_MARK + rb"[0-9a-f]{64}")
_LAST_LINE = b"\n# "
_KEY = "seal"


class DamagedError(ValueError):
    """A file that is not what was written; says which one and what is wrong with it."""


def name_owner(identity: Mapping[str, str]) -> bytes:
    """Return what stands for a run in the checksums of its files: all that its results have in common."""
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).digest()


def seal_text(text: str, owner: bytes = b"") -> bytes:
    """Return a TOML text with its checksum in a comment at the end."""
    return _seal(text.encode() + _LAST_LINE + _ROOM + b"\n", owner)


def read_text(path: Path, owner: bytes = b"") -> str:
    """Return a text that `seal_text` has sealed.

    Raises
    ------
    DamagedError
        If it is not what was written, or cannot be read.
    """
    content = _read_sealed(path, owner)
    try:
        return content.rpartition(_LAST_LINE)[0].decode()
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is damaged (it is not UTF-8 text)") from error


def seal_json(facts: Mapping[str, object], owner: bytes = b"") -> bytes:
    """Return facts as JSON that people can read, with its checksum as the last of them."""
    text = json.dumps({**facts, _KEY: _ROOM.decode()}, indent=2, ensure_ascii=False) + "\n"
    return _seal(text.encode(), owner)


def read_json(path: Path, owner: bytes = b"") -> dict[str, Any]:
    """Return facts that `seal_json` has sealed; raises as `read_text` does."""
    content = _read_sealed(path, owner)
    try:
        facts: dict[str, Any] = json.loads(content)
        del facts[_KEY]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged (it is not what `seal_json` writes)") from error
    return facts


def write_table(path: Path, table: pd.DataFrame, owner: bytes) -> None:
    """Write a table as Parquet, with its checksum among the metadata at the end of the file."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _KEY: _ROOM})
    content = pa.BufferOutputStream()
    pq.write_table(arrow, content)
    with replace_atomically(path) as temporary:
        temporary.write_bytes(_seal(content.getvalue().to_pybytes(), owner))


def read_table(path: Path, owner: bytes) -> pd.DataFrame:
    """Return a table that `write_table` has written; raises as `read_text` does."""
    content = _read_sealed(path, owner)
    try:
        return pd.read_parquet(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        raise DamagedError(f"{path} is damaged ({' '.join(str(error).split())})") from error


def find_flaw(content: bytes, owner: bytes = b"") -> str | None:
    """Return what is wrong with the content of a file, or None if it is as it was written."""
    seals = list(_SEAL.finditer(content))
    if not seals:
        return "it holds no checksum"
    # The last one: names and texts of users, which may look like one, come before.
    last = seals[-1]
    intact = last[0] == _checksum(content, last.start(), owner)
    return None if intact else "its content has changed, or is that of another run"


def _seal(content: bytes, owner: bytes) -> bytes:
    """Return the content with the checksum in the place of the last room for one."""
    start = content.rindex(_ROOM)
    return content[:start] + _checksum(content, start, owner) + content[start + len(_ROOM) :]


def _checksum(content: bytes, start: int, owner: bytes) -> bytes:
    """Return the seal of a content, taken as if there were zeros in the place of its checksum."""
    digest = hashlib.sha256(owner)
    for piece in (memoryview(content)[:start], _ROOM, memoryview(content)[start + len(_ROOM) :]):
        digest.update(piece)
    return _MARK + digest.hexdigest().encode()


def _read_sealed(path: Path, owner: bytes) -> bytes:
    """Return the content of a file that is as it was written."""
    try:
        content = read_regular_file(path)
    except OSError as error:
        raise DamagedError(f"{path} cannot be read ({error.strerror})") from error
    if flaw := find_flaw(content, owner):
        raise DamagedError(f"{path} is damaged ({flaw})")
    return content
