"""Tables that may exceed memory: their columns are memory maps, which fits and sweeps accept as arrays.

An uncompressed Arrow file already has suitable columns, and is mapped directly. Any other file is converted once: its
columns are checked and written, piece by piece, to a file beside it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pyarrow as pa
from rich import filesize

from sgdbench.data.batches import (
    ARROW_SUFFIXES,
    MAPPED_SUFFIXES,
    Batch,
    check_finite,
    check_number_columns,
    column_headings,
    count_rows,
    open_arrow,
    read_batches,
    table_files,
    with_labels,
)
from sgdbench.data.categories import NO_CATEGORIES, find_categories, make_inputs
from sgdbench.data.column_file import CACHE_DIR_ADVICE, check_room, map_new_file, split_numbers
from sgdbench.data.label_numbers import LabelNumbers
from sgdbench.data.table import Dataset, encode_target, read_table
from sgdbench.data.table_errors import NoNumbersError, explain_failures, join_columns
from sgdbench.kernels.base.checks import check_bool, describe
from sgdbench.kernels.base.checksum import LAST_LINE, add_checksum, find_flaw
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import takes_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.categories import Categories
from sgdbench.system.atomic import replace_atomically
from sgdbench.system.files import TABLE_SUFFIXES, check_path
from sgdbench.system.lock import lock_folder

# Files of more bytes are mapped instead of read.
MAPPED_BYTES = 10**9
ShowProgress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar from a noun and a total; the bar is called with the number done."""


class MapOptions(TypedDict, total=False):
    """How a table is mapped; see `open_table`."""

    by_row: bool
    cache_dir: str | Path | None
    announce: Callable[[str], None]
    progress: ShowProgress


def _no_progress(what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda done: None)


def open_table(
    path: str | Path,
    x: str | Sequence[str],
    y: str,
    *,
    by_row: bool = False,
    cache_dir: str | Path | None = None,
    announce: Callable[[str], None] = lambda sentence: None,
    progress: ShowProgress = _no_progress,
) -> Dataset:
    """Map the columns `x` and `y` of a file, or of a folder of files, into memory.

    A single uncompressed Arrow file is mapped directly, if its columns are float64, in one record batch and, if there
    are more than two of them, at equal distances. Every other table is converted once to a file of columns, which takes
    8 bytes per value on disk, and is reused as long as its sources have not changed.

    Parameters
    ----------
    path
        A .csv, .tsv, .parquet, .arrow, .feather or .ipc file, or a folder: then all such files in it and below, sorted
        by path. Names that begin with a dot or an underscore are ignored, as writers store metadata under such names,
        and links to folders are not followed.
    x
        The input column, or several in the order of the model's inputs.
    y
        The target column.
    by_row
        Store the inputs of a row adjacently, as models with long vectors read them (`Model.by_row`); for other layouts,
        these hold the inputs in memory. An Arrow file is then converted too.
    cache_dir
        Where the file of columns is written; by default a folder beside `path`, with the same name and ``.columns``.
    announce
        Called with a sentence about the file to be written: its place and its size.
    progress
        Called with "rows" and their number before they are converted; opens a progress bar, as a context manager.
        The bar is called with the number of rows converted so far.

    Returns
    -------
    Dataset
        Its columns are read-only memory maps.

    Raises
    ------
    ValueError
        In one line with file and row: for files that cannot be read or are damaged; columns that are missing,
        duplicated or not real numbers; missing or infinite values; and files without rows.
    OSError
        If the file of columns cannot be written.

    Examples
    --------
    >>> from sgdbench import fit
    >>> trips = open_table("trips/", x="distance", y="fare")  # doctest: +SKIP
    >>> fit("a*x + b", trips.x, trips.y, epochs=2)  # doctest: +SKIP
    """
    mapping = MapOptions(by_row=by_row, cache_dir=cache_dir, announce=announce, progress=progress)
    return load_table(path, x, y, mapped=True, **mapping)


def _map_table(
    path: Path, names: tuple[str, ...], mapping: MapOptions, categories: Categories, *, labels: bool
) -> tuple[Dataset, list[Any] | None]:
    """Return a table as `open_table` does, and, for `labels`, the labels whose numbers the targets are."""
    files, by_row = table_files(path), check_bool("by_row", mapping.get("by_row", False))
    # A path such as "." has no name.
    place = path.absolute()
    folder = place.with_name(f"{place.name}.columns")
    if (cache_dir := mapping.get("cache_dir")) is not None:
        folder = check_path("cache_dir", cache_dir, "a folder")
    columns = found = None
    if len(files) == 1 and files[0].suffix.lower() in ARROW_SUFFIXES and not by_row and not categories.take(names):
        columns = _map_arrow(files[0], names, labels=labels)
    if columns is None:
        show = mapping.get("announce", lambda sentence: None), mapping.get("progress", _no_progress)
        reading = path, files, names, categories, folder
        inputs, targets, found = _map_converted(*reading, *show, by_row=by_row, labels=labels)
    else:
        inputs, targets = columns[:, :-1], columns[:, -1]
    used = categories.take(names)
    return Dataset(inputs, targets, names[:-1], names[-1], str(path), mapped_in=folder, categories=used), found


def is_mapped(path: str | Path) -> bool:
    """Return whether a table is mapped instead of read: Arrow files, folders, and files of more than 1 GB."""
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in ARROW_SUFFIXES:
        return True
    return path.suffix.lower() in TABLE_SUFFIXES and path.is_file() and path.stat().st_size > MAPPED_BYTES


def load_table(
    path: str | Path,
    x: str | Sequence[str],
    y: str,
    *,
    drop_missing: bool = False,
    loss: str | Loss = "squared",
    like: Dataset | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    mapped: bool = False,
    **mapping: Unpack[MapOptions],
) -> Dataset:
    """Read the columns `x` and `y` of a .csv, .tsv or .parquet file.

    Arrow files, folders, and files of more than 1 GB are mapped by `open_table`: they may exceed memory. If their
    target holds labels, it is held in memory.

    Text files are UTF-8 and start with a header line; spaces around column names are ignored. Fields are separated by
    commas, or by semicolons or tabs if the header is. Numbers have a decimal point, or a decimal comma if semicolons
    separate the fields, and no thousands separators. Empty fields, ?, NA, N/A, #N/A, NaN, null, None and - are missing
    values. True and False are 1 and 0 in inputs.

    Parameters
    ----------
    path
        The file; its suffix determines the format.
    x
        The input column, or several in the order of the model's inputs. A column of 2 to 30 different texts becomes
        indicators, which the model may call by names such as ``cut_very_good``.
    y
        The target column.
    drop_missing
        Skip rows in which one of these columns is missing or infinite, and count them in `Dataset.dropped`.
    loss : str
        The loss to train. For a loss of classes, such as ``"logistic"``, y may hold labels: strings, bools or any
        distinct numbers, which become `Dataset.classes`.
    like : Dataset, optional
        Other rows, such as the training data, whose classes and categories are used.
    categories : mapping of columns to sequences of str, optional
        The values of columns of texts, the first of which has no indicator; x may then also name indicators. By
        default, they are found in the table, with the most frequent value first.
    mapped : bool
        Map the file even if it is small.
    **mapping
        `by_row`, `cache_dir`, `announce` and `progress` of `open_table`, for a mapped file.

    Raises
    ------
    ValueError
        In one line with file and row: for a file that cannot be read or is damaged; columns that are missing,
        duplicated or not real numbers; missing or infinite values; and files without rows.
    """
    criterion = make_loss(loss)
    if unknown := mapping.keys() - MapOptions.__annotations__:
        raise TypeError(f"load_table() got an unexpected keyword argument {min(unknown)!r}")
    path, names, drop_missing = check_path("path", path), join_columns(x, y), check_bool("drop_missing", drop_missing)
    if not (like is None or isinstance(like, Dataset)):
        raise ValueError(f"like must be a Dataset, not {describe(like)}")
    if categories is None and like is not None and like.categories is not None:
        categories = like.categories.levels
    levels = NO_CATEGORIES if categories is None else Categories(categories)
    in_memory = not (check_bool("mapped", mapped) or is_mapped(path))

    def load(names: tuple[str, ...]) -> Dataset:
        if in_memory:
            return read_table(path, names, criterion, levels, drop_missing=drop_missing, like=like)
        return _load_map(path, names, criterion, levels, mapping, drop_missing=drop_missing, like=like)

    texts = dict[str, str]()
    while True:
        try:
            return load((*levels.expand(names[:-1]), y))
        except NoNumbersError as error:  # names only some columns: there may be more
            faults = {name: fault for name, fault in error.faults.items() if name in names[:-1]}
            if categories is not None or not faults:
                raise
            texts |= faults
            files = table_files(path)
            levels, _ = find_categories(files, texts, column_headings(files[0], y))
            if not set(faults) <= set(levels.levels):
                raise


def _load_map(
    path: Path,
    names: tuple[str, ...],
    criterion: Loss,
    categories: Categories,
    mapping: MapOptions,
    *,
    drop_missing: bool,
    like: Dataset | None,
) -> Dataset:
    if drop_missing:
        raise ValueError(
            f"{path} is mapped into memory, and a map has all rows: write the file without those that have missing "
            "values, in place of --drop-missing (drop_missing=True)"
        )
    table, labels = _map_table(path, names, mapping, categories, labels=takes_classes(criterion))
    what = f"{path}: column {names[-1]!r}"
    targets, classes = encode_target(what, table.y, labels, criterion, like, lambda row: f"row {row + 1}")
    return replace(table, y=targets, classes=classes)


def _map_arrow(path: Path, names: Sequence[str], *, labels: bool) -> Floats | None:
    """Return the columns of an Arrow file without copying, shape (n, columns); None if their layout prevents it."""
    with explain_failures(path, MAPPED_SUFFIXES), open_arrow(path) as source:
        begin = source.read_buffer().address  # of the whole file, without a copy
        reader = pa.ipc.open_file(source)
        check_number_columns(path, names, reader.schema, names[-1:] if labels else ())
        if reader.num_record_batches != 1 or any(reader.schema.field(name).type != pa.float64() for name in names):
            return None
        batch = reader.get_batch(0)
        chunks = [batch.column(name) for name in names]
        places = [column.buffers()[1].address - begin + 8 * column.offset for column in chunks]
        # Decompressed columns are outside of the file's buffer.
        in_file = all(0 <= place <= source.size() - 8 * batch.num_rows for place in places)
        distances = set(np.diff(places).tolist())
        if not batch.num_rows or not in_file or len(distances) > 1 or any(column.null_count for column in chunks):
            return None
    whole = np.memmap(path, np.uint8, "r")
    shape, distance = (batch.num_rows, len(names)), distances.pop()
    columns: Floats = np.ndarray(shape, np.float64, whole, places[0], (8, distance))
    columns.flags.writeable = False
    check_finite(path, names, Batch(0, [columns[:, k] for k in range(len(names))]))
    return columns


def _map_converted(
    path: Path,
    files: Sequence[Path],
    names: Sequence[str],
    categories: Categories,
    folder: Path,
    announce: Callable[[str], None],
    progress: ShowProgress,
    *,
    by_row: bool,
    labels: bool,
) -> tuple[Floats, Floats, list[Any] | None]:
    """Return the inputs, shape (n, inputs), and the targets of files from the file that they were converted to.

    Targets that are `labels` instead of numbers become the numbers of these, which are returned third.
    """
    versions = []
    for file in files:
        with explain_failures(file, MAPPED_SUFFIXES):
            status = file.stat()
            # A replaced file may have the same size and modification time, but programs cannot set its ctime.
            versions.append([str(file.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    columns, texts = [*categories.sources(names[:-1]), names[-1]], categories.take(names[:-1])
    values = {"categories": texts.levels} if texts else {}
    sources = json.dumps({"files": versions, "columns": list(names), **values}).encode()
    of = [[file for file, *_ in versions], list(names), *["by row"] * by_row, *[values] * bool(values)]
    name = hashlib.sha256(json.dumps(of).encode()).hexdigest()[:16]
    target, about = folder / f"{name}.float64", folder / f"{name}.json"
    stored = _read_note(target, about, sources, labels=labels)
    if stored is None:
        rows, numbers = with_labels(
            lambda numbers: sum(count_rows(file, columns, numbers) for file in files),
            texts.levels if texts else (),
            names[-1] if labels else None,
        )
        if not rows:
            raise ValueError(f"{path} has columns but no rows of data")
        with ExitStack() as held:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(lock_folder(folder, f".{name}.lock", announce=announce))
            except OSError as error:
                raise ValueError(f"{folder} cannot be made or written: {error.strerror}; {CACHE_DIR_ADVICE}") from None
            stored = _read_note(target, about, sources, labels=labels)  # written by a process that held the lock
            if stored is None:
                for leftover in folder.glob(f".{name}.*.partial"):  # left by a killed process
                    leftover.unlink()
                check_room(folder, size := 8 * rows * len(names))
                announce(f"{rows:,} rows of {path} are written to {folder}, once: {filesize.decimal(size)}.")
                _convert(files, names, columns, categories, numbers, target, rows, progress, by_row=by_row)
                of_target = numbers[names[-1]].labels if names[-1] in numbers else None
                stored = {"rows": rows, "sha256": _file_digest(target), "labels": of_target}
                with replace_atomically(about) as temporary:
                    note = json.dumps(stored, default=float).encode()
                    temporary.write_bytes(add_checksum(note + LAST_LINE, owner=sources))
    rows = stored["rows"]
    numbers_in_file = np.memmap(target, np.float64, "r", shape=(rows * len(names),))
    return *split_numbers(numbers_in_file, rows, by_row=by_row), stored.get("labels")


def _read_note(target: Path, about: Path, sources: bytes, *, labels: bool) -> dict[str, Any] | None:
    """Return the note on a file of columns; None if it is missing, damaged, or for other sources or labels."""
    try:
        note = about.read_bytes()
        if find_flaw(note, owner=sources):
            return None
        stored: dict[str, Any] = json.loads(note.splitlines()[0])
        usable = (labels or not stored.get("labels")) and _file_digest(target) == stored["sha256"]
        return stored if usable else None
    except OSError:
        return None


def _file_digest(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _convert(
    files: Sequence[Path],
    names: Sequence[str],
    columns: Sequence[str],
    categories: Categories,
    labels: Mapping[str, LabelNumbers],
    target: Path,
    rows: int,
    progress: ShowProgress,
    *,
    by_row: bool,
) -> None:
    end = 0
    with replace_atomically(target) as temporary, progress("rows", rows) as advance:
        with temporary.open("wb+") as empty:
            numbers = map_new_file(empty, rows * len(names))
        inputs, targets = split_numbers(numbers, rows, by_row=by_row)
        converted = [*inputs.T, targets]
        for file in files:
            before = end
            for batch in read_batches(file, columns, labels):
                check_finite(file, columns, batch)
                begin, end = before + batch.first, before + batch.first + batch.columns[0].size
                by_name = dict(zip(columns, batch.columns, strict=True))
                texts = {name: numbers.labels for name, numbers in labels.items()}
                made = make_inputs(names, by_name, texts, categories, str(file), partial(_name_row, batch.first))
                for column, values in zip(converted, made, strict=True):
                    column[begin:end] = values[: max(rows - begin, 0)]
                advance(end)
        if end != rows:
            raise ValueError(f"{files[-1]} has changed while it was read: there were {rows:,} rows, and now {end:,}")
        numbers.flush()


def _name_row(first: int, row: int) -> str:
    return f"row {first + row + 1}"
