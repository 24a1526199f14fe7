"""Reading of tables in pieces or as a whole: the columns of Parquet, Arrow, CSV and TSV files as checked numbers.

Columns with `LabelNumbers` hold labels, which become their numbers.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from sgdbench.data.column_file import ROWS_AT_A_TIME
from sgdbench.data.label_numbers import LabelNumbers, is_label
from sgdbench.data.table_errors import (
    STREAM_ADVICE,
    NoNumbersError,
    describe_gap,
    either,
    explain_failures,
    find_columns,
)
from sgdbench.data.text_table import text_columns, text_headings
from sgdbench.kernels.base.memory import available_memory, check_memory
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import find_non_finite
from sgdbench.kernels.losses.classes import losses_of_classes
from sgdbench.system.files import TABLE_SUFFIXES

ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
MAPPED_SUFFIXES = (*TABLE_SUFFIXES, *ARROW_SUFFIXES)
# Bytes of a Parquet file that are read at a time; otherwise a whole row group would be read.
READ_BUFFER = 2**18
NO_LABELS: Mapping[str, LabelNumbers] = MappingProxyType({})
T = TypeVar("T")


class Batch(NamedTuple):
    """Some rows of a file: the index of the first, and the columns, nan where a value is missing."""

    first: int
    columns: list[Floats]


def table_files(path: Path) -> list[Path]:
    """Return the files of a table: the file itself, or all files in a folder and below, sorted by path."""
    if not path.is_dir():
        if not path.exists() and not path.suffix:
            raise ValueError(
                f"{path} is neither a file nor a folder; give a {either(MAPPED_SUFFIXES)} file, or a folder of them"
            )
        if path.suffix.lower() not in MAPPED_SUFFIXES:
            raise ValueError(f"{path} must be a {either(MAPPED_SUFFIXES)} file, or a folder of such files")
        return [path]
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in MAPPED_SUFFIXES
        and not file.is_dir()
        and not any(name.startswith((".", "_")) for name in file.relative_to(path).parts)
    )
    if not files:
        raise ValueError(f"{path} has no {either(MAPPED_SUFFIXES)} files")
    return files


def column_headings(path: Path, *expected: str) -> list[str]:
    """Return the names of all columns of a file; `expected` names help to find the separator of a text file."""
    with explain_failures(path, MAPPED_SUFFIXES):
        if path.suffix.lower() == ".parquet":
            return list(pa.parquet.read_schema(path).names)
        if path.suffix.lower() not in ARROW_SUFFIXES:
            return text_headings(path, expected)
        with open_arrow(path) as source:
            return list(pa.ipc.open_file(source).schema.names)


def read_batches(
    path: Path,
    names: Sequence[str],
    labels: Mapping[str, LabelNumbers] = NO_LABELS,
    *,
    has_target: bool = True,
    whole: bool = False,
) -> Iterator[Batch]:
    """Yield the rows of a file, in pieces or as a `whole`; those of a text file may be repeated from the first one.

    The last column is the target, if there is one. The columns of `labels` are read as the numbers of their labels.
    Files that cannot be read or are damaged, and other columns that are missing, duplicated or not numeric, raise a
    ValueError. Arrow files are never read as a whole.
    """
    with explain_failures(path, TABLE_SUFFIXES if whole else MAPPED_SUFFIXES):
        text = path.suffix.lower() not in (".parquet", *ARROW_SUFFIXES)
        if text:
            batches = text_columns(path, names, labels, has_target=has_target).read_batches(whole=whole)
        elif path.suffix.lower() in ARROW_SUFFIXES:
            batches = _arrow_batches(path, names, labels, has_target=has_target)
        else:
            batches = _parquet_batches(path, names, labels, has_target=has_target, whole=whole)
        for first, columns in batches:
            named = zip(names, columns, strict=True)
            numbers = [
                labels[name].add(column, text=text) if name in labels else numbers_of(column) for name, column in named
            ]
            yield Batch(first, numbers)


def with_labels(
    read: Callable[[Mapping[str, LabelNumbers]], T], texts: Collection[str], target: str | None
) -> tuple[T, Mapping[str, LabelNumbers]]:
    """Read columns, of which `texts` hold labels, and return them with the numbers of the labels.

    The `target`, unless it is None, may hold labels too: columns that are not numbers are read again with its labels.
    """
    labels = {name: LabelNumbers() for name in texts}
    try:
        return read(labels), labels
    except NoNumbersError:
        if target is None:
            raise
    labels = {name: LabelNumbers() for name in (*texts, target)}
    return read(labels), labels


def read_rows(
    path: Path, names: Sequence[str], texts: Collection[str], *, labels: bool
) -> tuple[Floats, dict[str, list[Any]]]:
    """Return columns of a .csv, .tsv or .parquet file, shape (n, columns), nan where a value is missing.

    The values of `texts`, and of the last column if `labels` allows it to hold labels, are indices into the lists of
    labels that are returned second, by name.
    """

    def read(numbers: Mapping[str, LabelNumbers]) -> Floats:
        values = np.empty((0, len(names)))
        for _, columns in read_batches(path, names, numbers, whole=True):
            values = np.column_stack(columns)
        return values

    values, numbers = with_labels(read, texts, names[-1] if labels else None)
    return values, {name: of.labels for name, of in numbers.items()}


def locate_row(path: Path, names: Sequence[str], row: int) -> str:
    """Return the place of a row of a file with these columns, for a message."""
    return f"row {row + 1}" if path.suffix.lower() == ".parquet" else text_columns(path, names).locate_row(row)


def read_labels(path: Path, y: str) -> list[Any]:
    """Return the distinct labels of a column, except missing ones; a column of other values raises a ValueError."""
    labels = LabelNumbers()
    for file in table_files(path):
        for _ in read_batches(file, [y], {y: labels}):
            pass
    return labels.present


def count_rows(path: Path, names: Sequence[str], labels: Mapping[str, LabelNumbers] = NO_LABELS) -> int:
    """Return the number of rows of a file, after checking its columns; rows are read only if necessary."""
    with explain_failures(path, MAPPED_SUFFIXES):
        if path.suffix.lower() == ".parquet":
            with pa.parquet.ParquetFile(path) as source:
                check_number_columns(path, names, source.schema_arrow, labels)
                return int(source.metadata.num_rows)
        if path.suffix.lower() in ARROW_SUFFIXES:
            with open_arrow(path) as source:
                reader = _open_columns(path, source, names, labels, used=1)
                return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    rows = 0
    for first, columns in read_batches(path, names, labels):
        rows = first + columns[0].size
    return rows


@contextmanager
def open_arrow(path: Path) -> Iterator[pa.MemoryMappedFile]:
    """Map a file into memory, after checking that it is in Arrow's file format."""
    with pa.memory_map(str(path)) as source:
        if source.size() and source.read(6) != b"ARROW1":
            raise ValueError(f"{path} must be in Arrow's file format, which is Feather version 2 too")
        source.seek(0)
        yield source


def _parquet_batches(
    path: Path, names: Sequence[str], labels: Collection[str], *, has_target: bool, whole: bool
) -> Iterator[tuple[int, list[pa.Array]]]:
    buffered = {} if whole else {"pre_buffer": False, "buffer_size": READ_BUFFER}
    with pa.parquet.ParquetFile(path, **buffered) as source:
        check_number_columns(path, names, source.schema_arrow, labels, has_target=has_target)
        if whole:
            rows = source.metadata.num_rows
            # Twice: as read, and stacked.
            needed, subject = 2 * 8 * rows * len(names), f"{path} has {rows:,} rows, which take"
            check_memory(needed, available_memory(), subject, f"; {STREAM_ADVICE}")
            table = source.read(columns=list(names))
            yield 0, [table.column(name) for name in names]
            return
        first = 0
        for batch in source.iter_batches(ROWS_AT_A_TIME, columns=list(names), use_threads=False):
            yield first, [batch.column(name) for name in names]
            first += batch.num_rows


def _arrow_batches(
    path: Path, names: Sequence[str], labels: Collection[str], *, has_target: bool
) -> Iterator[tuple[int, list[pa.Array]]]:
    with open_arrow(path) as source:
        reader = _open_columns(path, source, names, labels, used=len(names), has_target=has_target)
        first = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            for begin in range(0, batch.num_rows, ROWS_AT_A_TIME):
                yield first + begin, [batch.column(name).slice(begin, ROWS_AT_A_TIME) for name in names]
            first += batch.num_rows


def _open_columns(
    path: Path,
    source: pa.MemoryMappedFile,
    names: Sequence[str],
    labels: Collection[str],
    *,
    used: int,
    has_target: bool = True,
) -> pa.RecordBatchFileReader:
    """Check the columns of an Arrow file, and open the first `used` of them: the others are not unpacked."""
    schema = pa.ipc.open_file(source).schema
    check_number_columns(path, names, schema, labels, has_target=has_target)
    fields = [schema.get_field_index(name) for name in names[:used]]
    return pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))


def check_finite(path: Path, names: Sequence[str], batch: Batch) -> None:
    """Refuse a value that is missing or infinite, with its file and row."""
    for name, values in zip(names, batch.columns, strict=True):
        row = find_non_finite(values)
        if row is not None:
            raise ValueError(
                f"{path}: row {batch.first + row + 1} {describe_gap(values[row], name)}; fill it "
                "in, or write the file without such rows"
            )


def check_number_columns(
    path: Path, names: Sequence[str], schema: pa.Schema, labels: Collection[str] = (), *, has_target: bool = True
) -> None:
    """Refuse columns that are missing, duplicated or not real numbers; bools are valid as inputs.

    The columns `labels` may hold labels. The last column is the target, if there is one.
    """
    faults, first_fault = dict[str, str](), ""
    for name, position in zip(names, find_columns(path, names, schema.names), strict=True):
        kind = schema.field(position).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind  # categorical columns are dictionaries
        may_be_label = has_target and name == names[-1] and is_label(kind)
        if (name in labels and is_label(kind)) or (pa.types.is_boolean(kind) and not may_be_label):
            continue
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            hint = f"; {losses_of_classes()}" if may_be_label else ""
            first_fault = first_fault or f"column {name!r} must hold real numbers, not {kind}{hint}"
            faults[name] = f"no numbers: type {kind}"
    if faults:
        raise NoNumbersError(f"{path}: {first_fault}", faults)


def numbers_of(column: pa.Array | pa.ChunkedArray) -> Floats:
    """Return a column as float64, nan where a value is missing, without a copy if it already is float64.

    An integer beyond 2**53 becomes the nearest float, as it does in a text file, and so does a decimal number.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # casting a decimal directly to float has a rounding error
    numbers: Floats = np.asarray(column.cast(pa.float64(), safe=False))
    return numbers
