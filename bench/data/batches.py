"""Tables read piece by piece: the columns of Parquet, Arrow, CSV and TSV files as numbers, checked.

Where `LabelNumbers` are given, the last column may hold labels, which become their numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from bench.data.column_file import ROWS
from bench.data.label_numbers import LabelNumbers
from bench.data.table import check_number_columns, numbers_of
from bench.data.table_errors import either, explain_failures, missing_or_infinite
from bench.data.text_table import text_columns, text_headings
from bench.system.files import TABLES
from kernels.base.run import Floats
from kernels.data.samples import find_non_finite

ARROW = (".arrow", ".feather", ".ipc")
MAPPED = (*TABLES, *ARROW)
# Bytes that are read of a Parquet file at a time: without it a row group is read at once.
READ_BUFFER = 2**18


class Batch(NamedTuple):
    """Some rows of a file: the place of the first, and the columns, nan where a value is missing."""

    first: int
    columns: list[Floats]


def table_files(path: Path) -> list[Path]:
    """Return the files of a table: the file itself, or all in a folder and below, in the order of their paths."""
    if not path.is_dir():
        if not path.exists() and not path.suffix:
            raise ValueError(f"{path} is no file and no folder; give a {either(MAPPED)} file, or a folder of them")
        if path.suffix.lower() not in MAPPED:
            raise ValueError(f"{path} must be a {either(MAPPED)} file, or a folder of such files")
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in MAPPED
        and not file.is_dir()
        and not any(name.startswith((".", "_")) for name in file.relative_to(path).parts)
    )
    if not found:
        raise ValueError(f"{path} has no {either(MAPPED)} files")
    return found


def column_headings(path: Path, *known: str) -> list[str]:
    """Return the names of all columns of a file; those that are `known` tell the separator of a text file."""
    with explain_failures(path, MAPPED):
        if path.suffix.lower() == ".parquet":
            return list(pa.parquet.read_schema(path).names)
        if path.suffix.lower() not in ARROW:
            return text_headings(path, known)
        with open_arrow(path) as source:
            return list(pa.ipc.open_file(source).schema.names)


def read_batches(
    path: Path, names: Sequence[str], labels: LabelNumbers | None = None, *, has_target: bool = True
) -> Iterator[Batch]:
    """Yield the rows of a file, some at a time; those of a text file may come again from the first one.

    The last column is the target, unless there is none. A file that cannot be read or is damaged, and a column that is
    not there once or holds no numbers, is a ValueError.
    """
    with explain_failures(path, MAPPED):
        has_labels, text = labels is not None, path.suffix.lower() not in (".parquet", *ARROW)
        if text:
            batches = text_columns(path, names, has_target=has_target).read_batches(text_target=has_labels)
        else:
            read = _arrow_batches if path.suffix.lower() in ARROW else _parquet_batches
            batches = read(path, names, labels=has_labels, has_target=has_target)
        for first, (*inputs, target) in batches:
            last = numbers_of(target) if labels is None else labels.add(target, text=text)
            yield Batch(first, [*map(numbers_of, inputs), last])


def read_labels(path: Path, y: str) -> list[Any]:
    """Return the distinct labels of a column, without missing ones; one of other values is a ValueError."""
    labels = LabelNumbers()
    for file in table_files(path):
        for _ in read_batches(file, [y], labels):
            pass
    return labels.present


def count_rows(path: Path, names: Sequence[str], labels: LabelNumbers | None = None) -> int:
    """Return the number of rows of a file, after a check of its columns; they are read where nothing else tells."""
    with explain_failures(path, MAPPED):
        if path.suffix.lower() == ".parquet":
            with pa.parquet.ParquetFile(path) as source:
                check_number_columns(path, names, source.schema_arrow, labels=labels is not None)
                return int(source.metadata.num_rows)
        if path.suffix.lower() in ARROW:
            with open_arrow(path) as source:
                reader = _open_columns(path, source, names, used=1, labels=labels is not None)
                return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    rows = 0
    for first, columns in read_batches(path, names, labels):
        rows = first + columns[0].size
    return rows


@contextmanager
def open_arrow(path: Path) -> Iterator[pa.MemoryMappedFile]:
    """Map a file into memory, after a check that it is in Arrow's file format."""
    with pa.memory_map(str(path)) as source:
        if source.size() and source.read(6) != b"ARROW1":
            raise ValueError(f"{path} must be in Arrow's file format, which is Feather version 2 too")
        source.seek(0)
        yield source


def _parquet_batches(
    path: Path, names: Sequence[str], *, labels: bool, has_target: bool
) -> Iterator[tuple[int, list[pa.Array]]]:
    with pa.parquet.ParquetFile(path, pre_buffer=False, buffer_size=READ_BUFFER) as source:
        check_number_columns(path, names, source.schema_arrow, labels=labels, has_target=has_target)
        first = 0
        for batch in source.iter_batches(ROWS, columns=list(names), use_threads=False):
            yield first, [batch.column(name) for name in names]
            first += batch.num_rows


def _arrow_batches(
    path: Path, names: Sequence[str], *, labels: bool, has_target: bool
) -> Iterator[tuple[int, list[pa.Array]]]:
    with open_arrow(path) as source:
        reader = _open_columns(path, source, names, used=len(names), labels=labels, has_target=has_target)
        first = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for begin in range(0, batch.num_rows, ROWS):
                yield first + begin, [batch.column(name).slice(begin, ROWS) for name in names]
            first += batch.num_rows


def _open_columns(
    path: Path, source: pa.MemoryMappedFile, names: Sequence[str], *, used: int, labels: bool, has_target: bool = True
) -> pa.RecordBatchFileReader:
    """Check the columns of an Arrow file, and open the first of them that are used: the others are not unpacked."""
    schema = pa.ipc.open_file(source).schema
    check_number_columns(path, names, schema, labels=labels, has_target=has_target)
    fields = [schema.get_field_index(name) for name in names[:used]]
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))


def check_finite(path: Path, names: Sequence[str], batch: Batch) -> None:
    """Refuse a value that is missing or infinite, with its file and row."""
    for name, values in zip(names, batch.columns, strict=True):
        row = find_non_finite(values)
        if row is not None:
            raise ValueError(
                f"{path}: row {batch.first + row + 1}, column {name!r} is {missing_or_infinite(values[row])}; fill it "
                "in, or write the file without such rows"
            )
