"""Tables that are read in pieces, again in each pass: Parquet and Arrow files that may be larger than memory.

Memory holds two pieces of them at a time and what Arrow needs to read one, some 20 MB, besides what
`kernels.stream_training` works on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from bench.data.table import (
    Dataset,
    check_names,
    check_number_columns,
    either,
    explain_failures,
    missing_or_infinite,
    numbers_of,
)
from bench.system.memory import available_memory
from kernels.checks import describe
from kernels.run import Floats
from kernels.sample_stream import SampleStream
from kernels.samples import Samples, find_non_finite

PARQUET, ARROW = (".parquet",), (".arrow", ".feather", ".ipc")
STREAMED = (*PARQUET, *ARROW)
# Bytes of a piece, and its rows at least. With half as many, threads wait for each other a sixth of the time.
PIECE, FEWEST_ROWS = 2**21, 2**10
# Bytes that are read from a file at a time. Without it the columns of a row group are read at once.
READ_BUFFER = 2**18


class _File(NamedTuple):
    """A file, as it was when it was opened first.

    Attributes
    ----------
    path : Path
    version : tuple of int
        Its size and its time.
    metadata : FileMetaData or None
        Of a Parquet file: where its row groups are.
    groups : tuple of int
        The rows in each row group, or in each record batch.
    begins : tuple of int
        The place of the first row of each.
    """

    path: Path
    version: tuple[int, int]
    metadata: pa.parquet.FileMetaData | None
    groups: tuple[int, ...]
    begins: tuple[int, ...]


class TableStream:
    """The rows of files, in the order of their names, as a stream of samples (`kernels.sample_stream.SampleStream`).

    Attributes
    ----------
    samples : int
        Rows in all files.
    inputs : int
        Columns of x.
    blocks : list of int
        The rows in each row group of a Parquet file, or in each record batch of an Arrow file.
    x_names, y_name
        The columns that samples are made of.
    source : str
        Where the data come from, for people.
    """

    def __init__(self, files: Sequence[_File], x_names: tuple[str, ...], y_name: str, source: str) -> None:
        self.files, self.x_names, self.y_name, self.source = files, x_names, y_name, source
        self.inputs = len(x_names)
        # Empty groups are no blocks.
        self._places = [(file, k) for file in files for k, rows in enumerate(file.groups) if rows]
        self.blocks: Sequence[int] = [file.groups[k] for file, k in self._places]
        self.samples = sum(self.blocks)

    def __repr__(self) -> str:
        return f"TableStream({self.source!r}, {self.samples:,} rows, x={self.x_names}, y={self.y_name!r})"

    def as_stream(self) -> SampleStream:
        """Return itself: what has this method has samples."""
        return self

    def describe_row(self, row: int) -> str:
        """Return the file and the row in it, counted from 1, of a row of the stream."""
        for file in self.files:
            rows = sum(file.groups)
            if row < rows:
                return f"{file.path}, row {row + 1}"
            row -= rows
        raise IndexError(row)

    def parts(self) -> Iterator[Samples]:
        """Yield all rows in their order.

        Raises
        ------
        ValueError
            For a value that is missing or infinite, naming its row, and for a file that has changed or is damaged.
        """
        for file in self.files:
            yield from self._samples(file, 0, range(len(file.groups)))

    def read(self, block: int) -> Iterator[Samples]:
        """Yield the rows of a block; raises as `parts`."""
        file, group = self._places[block]
        return self._samples(file, file.begins[group], [group])

    def _batches(self, file: _File, groups: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of row groups."""
        names = [*self.x_names, self.y_name]
        rows = max(FEWEST_ROWS, PIECE // (8 * len(names)))
        if _version(file.path) != file.version:
            raise ValueError(f"{file.path} has changed since it was opened; open it again when it is complete")
        with explain_failures(file.path, STREAMED):
            if file.metadata is None:
                with pa.memory_map(str(file.path)) as source:
                    schema = pa.ipc.open_file(source).schema
                    # Columns that nobody asked for are not unpacked.
                    fields = [schema.get_field_index(name) for name in names]
                    reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
                    for group in groups:
                        batch = reader.get_batch(group).select(names)
                        yield from (batch.slice(first, rows) for first in range(0, batch.num_rows, rows))
                return
            options = {"pre_buffer": False, "buffer_size": READ_BUFFER, "metadata": file.metadata}
            with pa.parquet.ParquetFile(file.path, **options) as source:
                for group in groups:
                    yield from source.iter_batches(rows, row_groups=[group], columns=names, use_threads=False)

    def _samples(self, file: _File, first: int, groups: Sequence[int]) -> Iterator[Samples]:
        """Yield the rows of row groups as samples; `first` is the place in the file of the first row."""
        for batch in self._batches(file, groups):
            columns = []
            for name in (*self.x_names, self.y_name):
                values = numbers_of(batch.column(name))
                row = find_non_finite(values)
                if row is not None:
                    found = missing_or_infinite(values[row])
                    raise ValueError(
                        f"{file.path}: row {first + row + 1}, column {name!r} is {found}; fill it in, or write the "
                        "file without such rows"
                    )
                columns.append(values)
            yield tuple(columns[:-1]), columns[-1]
            first += batch.num_rows


def open_table(path: str | Path, x: str | Sequence[str], y: str) -> TableStream:
    """Open a Parquet or Arrow file, or a folder of them, to be read in pieces by `kernels.fit`.

    Only what says how many rows there are is read. Values are looked at when they are read first: one that is missing
    or infinite ends the fit, with its row.

    Parameters
    ----------
    path
        A .parquet, .arrow, .feather or .ipc file, or a folder: then all such files in it and below, in the order of
        their paths. Those whose names begin with a dot or an underscore are left out, as writers leave notes there, and
        links to folders are not followed.
    x
        The input column, or several in the order of the model's inputs.
    y
        The target column.

    Returns
    -------
    TableStream

    Raises
    ------
    ValueError
        In one line that says where: for files that cannot be read or are damaged; columns that do not exist, are not
        unique or do not hold real numbers; and where there are no rows.

    Examples
    --------
    >>> from kernels import fit
    >>> fit("a*x + b", open_table("trips/", x="distance", y="fare"), epochs=2)  # doctest: +SKIP
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path must be a file or a folder, not {describe(path)}")
    path = Path(path)
    names = (x, y) if isinstance(x, str) else (*x, y)
    check_names(names)
    stream = TableStream([_open(file, names) for file in _files(path)], names[:-1], y, str(path))
    if not stream.samples:
        raise ValueError(f"{path} has columns but no rows of data")
    return stream


def _files(path: Path) -> list[Path]:
    """Return the files that a path stands for."""
    if not path.is_dir():
        if not path.exists() and not path.suffix:
            raise ValueError(f"{path} is no file and no folder; give a {either(STREAMED)} file, or a folder of them")
        if path.suffix.lower() not in STREAMED:
            raise ValueError(f"{path} must be a {either(STREAMED)} file, or a folder of such files, to be streamed")
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in STREAMED
        and not file.is_dir()
        and not any(name.startswith((".", "_")) for name in file.relative_to(path).parts)
    )
    if not found:
        raise ValueError(f"{path} has no {either(STREAMED)} files")
    return found


def _open(path: Path, names: Sequence[str]) -> _File:
    """Return a file that has the columns."""
    with explain_failures(path, STREAMED):
        version = _version(path)
        if path.suffix.lower() in PARQUET:
            with pa.parquet.ParquetFile(path) as source:
                metadata, schema = source.metadata, source.schema_arrow
            check_number_columns(path, names, schema)
            groups = tuple(metadata.row_group(k).num_rows for k in range(metadata.num_row_groups))
        else:
            with pa.memory_map(str(path)) as source:
                if version[0] and source.read(6) != b"ARROW1":
                    raise ValueError(f"{path} must be in Arrow's file format, which is Feather version 2 too")
                source.seek(0)
                metadata, schema = None, pa.ipc.open_file(source).schema
                check_number_columns(path, names, schema)
                # Of one column alone, since compressed ones are unpacked to be counted.
                one = pa.ipc.IpcReadOptions(included_fields=[schema.get_field_index(names[0])])
                reader = pa.ipc.open_file(source, options=one)
                groups = tuple(reader.get_batch(k).num_rows for k in range(reader.num_record_batches))
    return _File(path, version, metadata, groups, tuple(accumulate(groups, initial=0))[:-1])


def _version(path: Path) -> tuple[int, int]:
    state = os.stat(path)
    return state.st_size, state.st_mtime_ns


class MappedStream:
    """A stream whose samples are changed as they are read.

    Parameters
    ----------
    stream : TableStream or MappedStream
    change : callable
        From the inputs and y of a part to those that take their place.
    """

    def __init__(
        self, stream: "TableStream | MappedStream", change: Callable[[tuple[Floats, ...], Floats], Samples]
    ) -> None:
        self.stream, self.change = stream, change
        self.samples: int = stream.samples
        self.inputs: int = stream.inputs
        self.blocks: Sequence[int] = stream.blocks
        self.x_names: tuple[str, ...] = stream.x_names
        self.y_name: str = stream.y_name
        self.source: str = stream.source

    def as_stream(self) -> SampleStream:
        """Return itself."""
        return self

    def describe_row(self, row: int) -> str:
        """Return the file and the row in it, counted from 1, of a row of the stream."""
        return self.stream.describe_row(row)

    def parts(self) -> Iterator[Samples]:
        """Yield all rows in their order; raises as those of the stream."""
        return (self.change(*part) for part in self.stream.parts())

    def read(self, block: int) -> Iterator[Samples]:
        """Yield the rows of a block; raises as that of the stream."""
        return (self.change(*part) for part in self.stream.read(block))


Stream = TableStream | MappedStream
Table = Dataset | Stream


def thin_rows(stream: Stream, most: int) -> Dataset:
    """Return at most so many rows of a stream, at equal distances from each other.

    Parameters
    ----------
    stream : TableStream or MappedStream
    most : int
    """
    step = -(-stream.samples // most)
    kept, first = [], 0
    for x, y in stream.parts():
        chosen = slice(-first % step, None, step)
        kept.append(np.column_stack([column[chosen] for column in (*x, y)]))
        first += y.size
    rows = np.concatenate(kept)
    x_part = np.ascontiguousarray(rows[:, :-1])
    return Dataset(x_part, rows[:, -1].copy(), stream.x_names, stream.y_name, stream.source)


class RowCounter:
    """Tells how many rows were read so far.

    Attributes
    ----------
    advance : callable
        Called with the number after each part.
    rows : int
    """

    def __init__(self) -> None:
        self.advance: Callable[[int], None] = lambda rows: None
        self.rows = 0

    def count(self, x: tuple[Floats, ...], y: Floats) -> Samples:
        """Return a part as it is."""
        self.rows += y.size
        self.advance(self.rows)
        return x, y


def check_room(stream: Stream, buffer: int | None) -> None:
    """Refuse to shuffle row groups of which memory cannot hold one, or a buffer that is too large for it.

    Raises
    ------
    ValueError
        With how much it would take.
    """
    rows = min(max(*stream.blocks, buffer or 0), stream.samples)
    needed, available = 2 * 8 * rows * (stream.inputs + 1), available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"--shuffle needs {rows:,} rows of {stream.source} in memory, its largest row group or the buffer, which "
            f"take {needed / 1e9:,.1f} GB, and {available / 1e9:,.1f} GB are available; smaller row groups would help"
        )
