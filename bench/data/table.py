"""From a file to arrays: CSV, TSV, Parquet and the built-in data, checked so that a fit can trust them.

Tables are read by pyarrow and not by pandas: asked for some columns only, pandas accepts a row with a field
too many, such as `1,234,18` in a file of two columns, and a wrong number in the data is worse than a refusal.
"""

import csv
import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from bench.data.dialect import decimal_points, describe_comma, find_separator
from bench.data.generated import GENERATED, NO_DATA
from bench.system.files import check_regular_file
from bench.system.memory import available_memory
from kernels.base.checks import did_you_mean
from kernels.base.run import Floats
from kernels.data.samples import Samples
from kernels.losses import make_loss
from kernels.losses.classes import Classes, find_classes, losses_of_classes, takes_classes
from kernels.losses.loss import Loss

BUILTIN = ("quadratic", "auto-mpg", "diabetes", "noisy-quadratic", "exponential", "polynomial", "none")
# Of the built-in files: the columns that are inputs, and the target.
_BUILTIN_COLUMNS = {"auto-mpg": (["hp"], "mpg"), "diabetes": (["bmi", "bp", "s3", "s5"], "progression")}
MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "-")
# As text files may write them: a blank often follows a separator.
_MISSING_FIELDS = (*MISSING, *(f" {word}" for word in MISSING))

TABLES = (".csv", ".tsv", ".parquet")
MAP_IT = "bench.data.open_table maps such a table from the disk"
# Of a text file, in bytes; pyarrow reads it in blocks that hold whole lines.
_LONGEST_LINE = 2**26


class _Table(NamedTuple):
    """What a reader returns.

    Attributes
    ----------
    values : array, shape (n, columns)
        Of the last column, where it holds labels, which of them; nan where a value is missing.
    locate_row : callable
        Tells a person where a row is.
    labels : list or None
        Those of the last column.
    """

    values: Floats
    locate_row: Callable[[int], str]
    labels: list[Any] | None = None


class _Reader(Protocol):
    """Reads columns of a file, of which the last one may hold labels."""

    def __call__(self, path: Path, names: Sequence[str], *, labels: bool) -> _Table: ...


class NoNumbersError(ValueError):
    """A column does not hold numbers; `found` is what it holds instead, in a few words."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.found = found


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to fit, all of them finite.

    Attributes
    ----------
    x : array, shape (n, inputs)
        Inputs, float64; memory maps have one column after the other, all others one row after the other.
    y : array, shape (n,)
        Targets, float64.
    x_names, y_name
        The columns that `x` and `y` come from.
    source : str
        Where the data come from, for people: a path, or the name of a built-in data set.
    dropped : int
        How many rows were left out because a value was missing or infinite.
    validation : tuple or None
        Samples that are held out, and not among those in `x` and `y`: their inputs, shape (m, inputs), and targets,
        shape (m,).
    test : tuple or None
        Samples that are held out too, and decide nothing.
    classes : Classes or None
        The labels that `y` has as 0 and 1, where the column holds labels.
    mapped_in : Path or None
        Of memory maps, the folder that has room for what is made of them, such as standardized columns.
    """

    x: Floats
    y: Floats
    x_names: tuple[str, ...]
    y_name: str
    source: str
    dropped: int = 0
    validation: tuple[Floats, Floats] | None = None
    test: tuple[Floats, Floats] | None = None
    classes: Classes | None = None
    mapped_in: Path | None = None

    @property
    def samples(self) -> Samples:
        """The samples that are not held out: the inputs, one array for each, and y."""
        return tuple(map(np.ascontiguousarray, self.x.T)), self.y


def builtin(name: str) -> Dataset:
    """Return a built-in data set.

    `quadratic` has 800 exact points of 2x^2 - 4x + 3; `bench.data.generated` describes `noisy-quadratic`, `exponential`
    and `polynomial`; `none` has no inputs, for models of parameters alone. `auto-mpg` has 392 cars, and `diabetes` 442
    patients: body mass index, blood pressure and two blood values (HDL; the logarithm of triglycerides, possibly), and
    how far the disease has progressed after a year (B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, Annals of
    Statistics 32, 2004).

    Raises
    ------
    ValueError
        If there is no built-in data set of that name.
    """
    if name in GENERATED:
        x, y = GENERATED[name]()
        return Dataset(x[:, np.newaxis], y, ("x",), "y", f"built-in {name}")
    if name == "none":
        return Dataset(np.empty((NO_DATA, 0)), np.zeros(NO_DATA), (), "objective", "no data")
    if name in _BUILTIN_COLUMNS:
        x_names, y_name = _BUILTIN_COLUMNS[name]
        with resources.as_file(resources.files("bench.data") / f"{name.replace('-', '_')}.csv") as path:
            return replace(read_table(path, x=x_names, y=y_name), source=f"built-in {name}")
    raise ValueError(f"built-in data must be one of {_join_names(BUILTIN)}, not {name!r}")


def read_table(
    path: str | Path,
    x: str | Sequence[str],
    y: str,
    *,
    drop_missing: bool = False,
    loss: str | Loss = "squared",
    like: Dataset | None = None,
) -> Dataset:
    """Read the columns `x` and `y` of a .csv, .tsv or .parquet file into memory, as `bench.data.load_table` does.

    Raises
    ------
    ValueError
        As from `bench.data.load_table`.
    """
    loss = make_loss(loss)
    path = Path(path)
    names = (x, y) if isinstance(x, str) else (*x, y)
    check_names(names)
    _check_suffix(path)
    values, locate_row, labels = _read_values(path, names, _READERS[path.suffix.lower()], labels=takes_classes(loss))
    complete = np.isfinite(values).all(axis=1)
    dropped = len(values) - int(complete.sum())
    if dropped and not drop_missing:
        _raise_incomplete(path, names, values, locate_row)
    if dropped == len(values):
        raise ValueError(f"{path} has no complete row: in each of {dropped} a value is missing or infinite")
    if dropped:
        values = values[complete]
    targets, classes = _encode_target(f"{path}: column {y!r}", values[:, -1].copy(), labels, loss, like)
    return Dataset(
        x=np.ascontiguousarray(values[:, :-1]),
        y=targets,
        x_names=names[:-1],
        y_name=y,
        source=str(path),
        dropped=dropped,
        classes=classes,
    )


def _encode_target(
    what: str, y: Floats, labels: list[Any] | None, loss: Loss, like: Dataset | None
) -> tuple[Floats, Classes | None]:
    """Return a target column as classes, and their labels, where it holds labels; else as it is."""
    present = y if labels is None else np.array([labels[int(code)] for code in np.unique(y)], dtype=object)
    classes = like.classes if like else find_classes(loss, present, what)
    if classes is None:
        return y, None
    if labels is None:
        return classes.encode(y, what), classes
    codes = np.full(len(labels), np.nan)
    codes[np.unique(y).astype(np.int64)] = classes.encode(present, what)
    return codes[y.astype(np.int64)], classes


def read_numbers(path: str | Path, name: str) -> Floats:
    """Return a column of a file, nan where a value is missing.

    Raises
    ------
    NoNumbersError
        If it holds anything else.
    ValueError
        As from `read_table`.
    """
    path = Path(path)
    _check_suffix(path)
    values: Floats = _read_values(path, (name,), _READERS[path.suffix.lower()], labels=False).values[:, 0]
    return values


def column_headings(path: str | Path) -> list[str]:
    """Return the names of all columns of a file.

    Raises
    ------
    ValueError
        If the file cannot be read, or is no table.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    _check_suffix(path)
    with explain_failures(path):
        if suffix == ".parquet":
            with pa.parquet.ParquetFile(path) as file:
                return list(file.schema_arrow.names)
        header = _header(path, find_separator("\t" if suffix == ".tsv" else ",", (), partial(_header, path)))
        _check_header(path, header)
        return header


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a first line of numbers alone, which is a row of data."""
    if header and all(_is_number(name, ".") or _is_number(name, ",") for name in header):
        raise ValueError(
            f"{path} has no header line: its first line holds numbers only, {_join_names(header, 3)}; write the names "
            "of the columns above it"
        )


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in _READERS:
        what = ", not a directory" if path.is_dir() else ""
        raise ValueError(f"{path} must be a {either(TABLES)} file{what}")


def either(words: Sequence[str]) -> str:
    """Return words as a list of which one is wanted: "a, b or c"."""
    *most, last = words
    return f"{', '.join(most)} or {last}"


def _read_values(path: Path, names: Sequence[str], read: _Reader, *, labels: bool) -> _Table:
    """Return the columns of a file, with one wording of what is wrong for every kind of file."""
    with explain_failures(path):
        table = read(path, names, labels=labels)
    if not len(table.values):
        raise ValueError(f"{path} has column names but no rows of data")
    return table


@contextmanager
def explain_failures(path: Path, accepted: Sequence[str] = TABLES) -> Iterator[None]:
    """Say in one line that a file cannot be read, or that it is damaged."""
    try:
        check_regular_file(path)
        with path.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; give a {either(accepted)} file") from error
    try:
        yield
    except csv.Error as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    except pa.ArrowMemoryError as error:
        hint = f"; {MAP_IT}" if accepted == TABLES else ""
        raise ValueError(f"{path} does not fit into memory{hint}") from error
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def _raise_incomplete(path: Path, names: Sequence[str], values: Floats, locate_row: Callable[[int], str]) -> None:
    """Raise a ValueError for the first value that is missing or infinite."""
    finite = np.isfinite(values)
    complete = finite.all(axis=1)
    row = int(complete.argmin())
    column = int(finite[row].argmin())
    found = missing_or_infinite(values[row, column])
    raise ValueError(
        f"{path}: {locate_row(row)}, column {names[column]!r} is {found} ({int((~complete).sum())} of {len(values)} "
        "rows are incomplete); fill it in, or skip such rows with --drop-missing (drop_missing=True)"
    )


def missing_or_infinite(value: float) -> str:
    """Return what a number that is not finite is called in a table."""
    return "missing" if np.isnan(value) else "infinite"


def _read_text(path: Path, names: Sequence[str], *, labels: bool, separator: str) -> _Table:
    """Return columns of a text file; the separator is that of its suffix, and the header may have another."""
    found = _find_columns(path, names, separator)
    if found is None:
        return _Table(np.empty((0, len(names))), str)
    separator, positions, width, wanted, options = found
    texts = None
    try:
        try:
            table = _read_numbers(path, separator, wanted, options)
        except pa.ArrowInvalid:
            if not labels:
                raise
            table = _read_numbers(path, separator, wanted, options, text=wanted[-1])
            texts = pa.compute.utf8_trim_whitespace(table.column(wanted[-1]))
    except pa.ArrowInvalid as error:
        asked = dict(zip(names, positions, strict=True))
        if labels:
            del asked[names[-1]]
        _raise_fault(path, separator, asked, width, names[-1], error)

    def locate_row(row: int) -> str:
        """Return where a row is, for people."""
        line, _ = next(islice(_read_rows(path, separator), row + 1, None))
        return f"line {line}"

    if texts is None:
        return _Table(np.column_stack([table.column(name).to_numpy() for name in wanted]), locate_row)
    codes, labels_found = _codes_of(texts)
    kept = "+" in labels_found
    missing = [k for k, label in enumerate(labels_found) if label in MISSING and not (label == "-" and kept)]
    codes[np.isin(codes, missing)] = np.nan
    numbers = [table.column(name).to_numpy() for name in wanted[:-1]]
    return _Table(np.column_stack([*numbers, codes]), locate_row, labels_found)


class _Columns(NamedTuple):
    """The columns of a text file that were asked for: their places, how many fields a line has, how they are read."""

    separator: str
    positions: list[int]
    width: int
    wanted: list[str]
    options: Callable[..., pa.csv.ReadOptions]


def _find_columns(path: Path, names: Sequence[str], separator: str) -> _Columns | None:
    """Return where the columns of a text file are; None for a file without rows."""
    separator = find_separator(separator, names, partial(_header, path))
    rows = _read_rows(path, separator)
    _, header = next(rows, (0, []))
    if not header:
        raise ValueError(f"{path} is empty; it needs a header line with column names, then rows of numbers")
    if any("\N{REPLACEMENT CHARACTER}" in name for name in header):
        raise ValueError(f"{path}: the header must be UTF-8 text; save the file as UTF-8")
    header = [name.strip() for name in header]
    _check_header(path, header)
    positions = _column_positions(path, names, header)
    first_line, _ = next(rows, (0, []))
    if not first_line:
        return None
    # By position: names may be padded with spaces, or not be unique in columns that were not asked for.
    numbered = [str(position) for position in range(len(header))]
    wanted = [numbered[position] for position in positions]
    options = partial(pa.csv.ReadOptions, column_names=numbered, skip_rows=first_line - 1)
    return _Columns(separator, positions, len(header), wanted, options)


def text_batches(path: Path, names: Sequence[str]) -> Iterator[list[pa.Array]]:
    """Yield the columns of a .csv or .tsv file, some rows at a time.

    Raises
    ------
    ValueError
        As from `read_table`.
    """
    found = _find_columns(path, names, "\t" if path.suffix.lower() == ".tsv" else ",")
    if found is None:
        return
    separator, positions, width, wanted, options = found
    failure: pa.ArrowInvalid | None = None
    for point in decimal_points(separator):
        begun = False
        try:
            for batch in pa.csv.open_csv(
                path, options(block_size=_LONGEST_LINE // 4), **_csv_options(separator, wanted, point)
            ):
                begun = True
                yield [batch.column(name) for name in wanted]
            return
        except pa.ArrowInvalid as error:
            failure = error
            if begun:
                break
    assert failure  # noqa: S101 (every way ended in one)
    _raise_fault(path, separator, dict(zip(names, positions, strict=True)), width, names[-1], failure)


def _csv_options(separator: str, wanted: Sequence[str], point: str, text: str | None = None) -> dict[str, Any]:
    """Return how pyarrow takes a text file apart, and what it makes of the fields."""
    return {
        "parse_options": pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            include_columns=wanted,
            column_types={name: pa.string() if name == text else pa.float64() for name in wanted},
            null_values=_MISSING_FIELDS,
            decimal_point=point,
        ),
    }


def _codes_of(column: pa.ChunkedArray) -> tuple[Floats, list[Any]]:
    """Return which of its values a column has in each row, nan where it has none, and the values."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    coded = column.combine_chunks().dictionary_encode()
    return coded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False).copy(), coded.dictionary.to_pylist()


def _read_numbers(
    path: Path,
    separator: str,
    wanted: Sequence[str],
    options: Callable[..., pa.csv.ReadOptions],
    text: str | None = None,
) -> pa.Table:
    """Return columns as pyarrow reads them, one of them as text, with the decimal point that fits all others."""
    failure: pa.ArrowInvalid | None = None
    for point in decimal_points(separator):
        read = partial(pa.csv.read_csv, path, **_csv_options(separator, wanted, point, text))
        try:
            try:
                return read(read_options=options())
            except pa.ArrowInvalid as error:
                if "block" not in str(error):
                    raise
                # A line must fit into a block, of a megabyte otherwise.
                return read(read_options=options(block_size=_LONGEST_LINE))
        except pa.ArrowInvalid as error:
            failure = failure or error
    assert failure  # noqa: S101 (every way ended in one)
    raise failure


def _header(path: Path, separator: str) -> list[str]:
    """Return the names of the columns of a text file."""
    _, header = next(_read_rows(path, separator), (0, []))
    return [name.strip() for name in header]


def _read_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, the header first, with the line it starts on, counted from 1.

    Bytes that are not UTF-8 are replaced: they do no harm in columns that were not asked for.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=separator)
        line = 1
        try:
            for fields in reader:
                if fields:
                    yield line, fields
                line = reader.line_num + 1  # a quoted field may go over several lines
        except csv.Error as error:
            if "field limit" not in str(error):
                raise
            raise ValueError(
                f"{path}: line {line} has a field of more than {csv.field_size_limit():,} characters; accepted are "
                "fields up to that; is a quotation mark never closed?"
            ) from error


def _raise_fault(
    path: Path, separator: str, positions: dict[str, int], width: int, target: str, error: pa.ArrowInvalid
) -> NoReturn:
    """Raise a ValueError that says what pyarrow could not read."""
    _raise_first_fault(path, separator, positions, width, target)
    if "block" in str(error):
        longest = f"{_LONGEST_LINE:,} bytes"
        raise ValueError(f"{path} has a line of more than {longest}; accepted are lines up to that") from error
    raise error


def _raise_first_fault(path: Path, separator: str, positions: dict[str, int], width: int, target: str) -> None:
    """Raise a ValueError for the first row of a wrong length or with text where a number is needed."""
    points = list(decimal_points(separator))  # until a field has told which of them it is
    for line, fields in islice(_read_rows(path, separator), 1, None):
        if len(fields) != width:
            raise ValueError(f"{path}: line {line} must have {width} fields like the header, not {len(fields)}")
        for name, position in positions.items():
            field = fields[position]
            if not any(_is_number(field, point) for point in points):
                hint = describe_comma(field, separator) or (_hint_at_classes(field) if name == target else "")
                raise NoNumbersError(
                    f"{path}: line {line}, column {name!r} must be a number such as -1234.5, not "
                    f"{reprlib.repr(field)}{hint}",
                    f"{reprlib.repr(field.strip())} in line {line}",
                )
            points = [point for point in points if _is_number(field, point)]


def _is_number(field: str, point: str) -> bool:
    """Return whether a field is a number with that decimal point, or a missing value."""
    if field in _MISSING_FIELDS:
        return True
    if point != ".":
        field = field.replace(".", " ").replace(point, ".")
    try:
        float(field)
    except ValueError:
        return False
    # To Python alone are 1_000, digits of other scripts and numbers beside no-break spaces or line breaks numbers too.
    return field.isascii() and not re.search("[^-+.0-9A-Za-z]", field.strip(" \t"))


def _hint_at_classes(field: str) -> str:
    """Return where a word may stand as it is, if the field is one and not a number with a flaw."""
    is_word = any(map(str.isalpha, field)) and not any(map(str.isdigit, field))
    return f"; {losses_of_classes()}" if is_word else ""


def _read_parquet(path: Path, names: Sequence[str], *, labels: bool) -> _Table:
    """Return columns of a Parquet file."""
    with pa.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        labels = labels and names[-1] in schema.names and _is_label(schema.field(schema.names.index(names[-1])).type)
        check_number_columns(path, names[:-1] if labels else names, schema, target=names[-1])
        _check_memory(path, file.metadata.num_rows, len(names))
        table = file.read(columns=list(names))
    numbers = [numbers_of(table.column(name)) for name in (names[:-1] if labels else names)]
    codes, found = _codes_of(table.column(names[-1])) if labels else (None, None)
    return _Table(np.column_stack(numbers if codes is None else [*numbers, codes]), lambda row: f"row {row + 1}", found)


def _is_label(kind: pa.DataType) -> bool:
    """Return whether a column of Parquet holds texts or truth values."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _check_memory(path: Path, rows: int, columns: int) -> None:
    """Refuse more numbers than memory holds twice: as they are read, and side by side."""
    needed, available = 2 * 8 * rows * columns, available_memory()
    if available is not None and needed > available:
        raise ValueError(
            f"{path} has {rows:,} rows, which take {needed / 1e9:,.1f} GB of memory, and {available / 1e9:,.1f} GB are "
            f"available; {MAP_IT}"
        )


def check_number_columns(path: Path, names: Sequence[str], schema: pa.Schema, target: str | None = None) -> None:
    """Refuse columns that are not there once, or hold no real numbers."""
    for name, position in zip(names, _column_positions(path, names, schema.names), strict=True):
        kind = schema.field(position).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            hint = f"; {losses_of_classes()}" if name == target and _is_label(kind) else ""
            raise NoNumbersError(f"{path}: column {name!r} must hold real numbers, not {kind}{hint}", f"type {kind}")


def numbers_of(column: pa.Array | pa.ChunkedArray) -> Floats:
    """Return a column as float64, nan where a value is missing; without a copy where it is that already.

    An integer beyond 2**53 becomes the nearest float, as it does in a text file, and so does a decimal number.
    """
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # cast to a float at once, a decimal number is off by a rounding error
    floats = column.cast(pa.float64(), safe=False)
    numbers: Floats = (
        floats.to_numpy() if isinstance(floats, pa.ChunkedArray) else floats.to_numpy(zero_copy_only=False)
    )
    return numbers


_READERS: dict[str, _Reader] = {
    ".csv": partial(_read_text, separator=","),
    ".tsv": partial(_read_text, separator="\t"),
    ".parquet": _read_parquet,
}


def check_names(names: Sequence[str]) -> None:
    """Refuse columns that are not distinct."""
    *inputs, target = names
    if not inputs:
        raise ValueError("x must name at least one column")
    if target in inputs:
        raise ValueError(f"x and y must be different columns, not both {target!r}")
    for name in inputs:
        if inputs.count(name) > 1:
            raise ValueError(f"x must name each column once, not {name!r} {inputs.count(name)} times")


def _column_positions(path: Path, names: Sequence[str], existing: Sequence[str]) -> list[int]:
    """Return where each of `names` stands in `existing`, or refuse one that does not and help to find the right one."""
    for name in names:
        if name not in existing:
            close = did_you_mean(name, existing)
            raise ValueError(f"{path} has no column {name!r}{close}; its columns are {_join_names(existing)}")
        if existing.count(name) > 1:
            raise ValueError(f"{path} must have one column {name!r}, not {existing.count(name)}")
    return [existing.index(name) for name in names]


def _join_names(names: Sequence[str], most: int = 20) -> str:
    """Return names as a list for an error, cut short if there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
