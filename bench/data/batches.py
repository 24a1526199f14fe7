"""Tables read piece by piece: the columns of Parquet, Arrow, CSV and TSV files as numbers, checked."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet

from bench.data.table import (
    TABLES,
    check_number_columns,
    explain_failures,
    missing_or_infinite,
    numbers_of,
    text_batches,
)
from kernels.base.run import Floats
from kernels.data.samples import find_non_finite

ARROW = (".arrow", ".feather", ".ipc")
MAPPED = (*TABLES, *ARROW)
# Rows at a time, and bytes that are read from a Parquet file at a time: without it a row group is read at once.
ROWS, READ_BUFFER = 2**16, 2**18


class Batch(NamedTuple):
    """Some rows of a file: the place of the first, and the columns, nan where a value is missing."""

    first: int
    columns: list[Floats]


def read_batches(path: Path, names: Sequence[str]) -> Iterator[Batch]:
    """Yield the rows of a file, some at a time.

    Raises
    ------
    ValueError
        For a file that cannot be read or is damaged, and columns that do not exist, are not unique or hold no numbers.
    """
    suffix = path.suffix.lower()
    with explain_failures(path, MAPPED):
        if suffix == ".parquet":
            batches = _parquet_batches(path, names)
        elif suffix in ARROW:
            batches = _arrow_batches(path, names)
        else:
            batches = text_batches(path, names)
        first = 0
        for batch in batches:
            columns = [numbers_of(column) for column in batch]
            yield Batch(first, columns)
            first += columns[0].size


def count_rows(path: Path, name: str) -> int:
    """Return how many rows a file has, of which a column is read where nothing else tells; raises as `read_batches`."""
    suffix = path.suffix.lower()
    if suffix != ".parquet" and suffix not in ARROW:
        return sum(batch.columns[0].size for batch in read_batches(path, [name]))
    with explain_failures(path, MAPPED):
        if suffix == ".parquet":
            with pa.parquet.ParquetFile(path) as file:
                return int(file.metadata.num_rows)
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))


def _parquet_batches(path: Path, names: Sequence[str]) -> Iterator[list[pa.Array]]:
    with pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_BUFFER) as source:
        check_number_columns(path, names, source.schema_arrow)
        for batch in source.iter_batches(ROWS, columns=list(names), use_threads=False):
            yield [batch.column(name) for name in names]


def _arrow_batches(path: Path, names: Sequence[str]) -> Iterator[list[pa.Array]]:
    with pa.memory_map(str(path)) as source:
        if source.size() and source.read(6) != b"ARROW1":
            raise ValueError(f"{path} must be in Arrow's file format, which is Feather version 2 too")
        source.seek(0)
        schema = pa.ipc.open_file(source).schema
        check_number_columns(path, names, schema)
        # Columns that were not asked for are not unpacked.
        fields = [schema.get_field_index(name) for name in names]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for first in range(0, batch.num_rows, ROWS):
                yield [batch.column(name).slice(first, ROWS) for name in names]


def find_incomplete(path: Path, names: Sequence[str], batch: Batch) -> None:
    """Refuse a value that is missing or infinite, with its file and row.

    Raises
    ------
    ValueError
    """
    for name, values in zip(names, batch.columns, strict=True):
        row = find_non_finite(values)
        if row is not None:
            raise ValueError(
                f"{path}: row {batch.first + row + 1}, column {name!r} is {missing_or_infinite(values[row])}; fill it "
                "in, or write the file without such rows"
            )
