"""Columns of CSV and TSV files, read by pyarrow, and the place of the first error in a file that it rejects.

In much of the world decimals have a comma, and spreadsheets there separate fields by semicolons.

pandas is not used: when it reads only some columns, it accepts a row with a field too many, such as `1,234,18` in a
file of two columns, and a wrong number in the data is worse than a refusal.
"""

import csv
import re
import reprlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.csv

from sgdbench.data.table_errors import NoNumbersError, find_columns, join_names
from sgdbench.kernels.losses.classes import losses_of_classes

SEPARATORS = {".csv": ",", ".tsv": "\t"}
MISSING_WORDS = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "-")
# A blank often follows a separator.
_MISSING_FIELDS = (*MISSING_WORDS, *(f" {word}" for word in MISSING_WORDS))
# Bools, which become the numbers 0 and 1.
_FALSE_WORDS = ("False", " False", "FALSE", " FALSE", "false", " false")
_TRUE_WORDS = ("True", " True", "TRUE", " TRUE", "true", " true")
# The first value of a column is searched in this many rows; a column without one is not a column of bools.
_ROWS_TO_FIRST_VALUE = 1000
# A line that no file contains, appended to the last one: it becomes part of a field with an unclosed quotation mark.
_END_OF_FILE_LINE = "\N{END OF TRANSMISSION}"
# Bytes that are read at a time, in whole lines; files of some megabytes are then parsed in parallel.
_BYTES_AT_A_TIME = 2**24
_DECIMAL_NUMBER = re.compile(r"\s*[-+]?\d+[.,]\d+(?:[eE][-+]?\d+)?\s*", re.ASCII)
_SEPARATED_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}(?:[,.'\s]\d{3})+(?:[.,]\d+)?\s*")


@dataclass(frozen=True)
class TextColumns:
    """Some columns of a text file, the target last, and their positions in its lines, which have `width` fields.

    The rows begin in line `first_line`, counted from 1; it is 0 if there are none. The inputs at the positions `truths`
    hold bools, and the columns named `texts` any text.
    """

    path: Path
    names: Sequence[str]
    separator: str
    places: list[int]
    width: int
    first_line: int
    truths: Collection[int]
    texts: Collection[str]

    @property
    def decimal_points(self) -> tuple[str, ...]:
        """The possible decimal points: a comma only with semicolons, as "1,234" may otherwise be a thousand."""
        return (".", ",") if self.separator == ";" else (".",)

    def read_batches(self, *, whole: bool) -> Iterator[tuple[int, list[pa.Array]]]:
        """Yield the columns as float64, or as text: some rows, or the `whole` file, and their first index.

        If a number does not match the first decimal point, all rows are read and yielded again with the other one.
        """
        failures = []
        for point in self.decimal_points if self.first_line else ():
            first = 0
            try:
                for batch in self._parse(point, whole=whole):
                    yield first, [batch.column(str(place)) for place in self.places]
                    first += batch.num_rows
                self._check_quotes()
                return
            except pa.ArrowInvalid as error:
                failures.append(error)
        if failures:
            self._raise_fault(failures[0])

    def _parse(self, point: str, *, whole: bool) -> Iterable[Any]:
        """Return pyarrow's record batches, or a table of all rows, which several threads parse."""
        # By position: names may be padded with spaces, or not be unique in other columns.
        headings = [str(place) for place in self.places]
        types = dict.fromkeys(headings, pa.float64()) | {str(place): pa.bool_() for place in self.truths}
        types |= {place: pa.string() for name, place in zip(self.names, headings, strict=True) if name in self.texts}
        layout = {
            "read_options": pa.csv.ReadOptions(
                column_names=[str(place) for place in range(self.width)],
                skip_rows=self.first_line - 1,
                block_size=_BYTES_AT_A_TIME,
            ),
            "parse_options": pa.csv.ParseOptions(delimiter=self.separator, newlines_in_values=True),
            "convert_options": pa.csv.ConvertOptions(
                include_columns=headings,
                column_types=types,
                null_values=_MISSING_FIELDS,
                true_values=_TRUE_WORDS,
                false_values=_FALSE_WORDS,
                decimal_point=point,
            ),
        }
        return [pa.csv.read_csv(self.path, **layout)] if whole else pa.csv.open_csv(self.path, **layout)

    def _check_quotes(self) -> None:
        """Refuse a quotation mark that is never closed: pyarrow would take all further rows as part of the field."""
        with self.path.open("rb") as file:
            count = sum(piece.count(b'"') for piece in iter(lambda: file.read(2**20), b""))
        if count % 2:  # a mark may also be a character within a field
            for _ in _read_rows(self.path, self.separator):
                pass

    def locate_row(self, row: int) -> str:
        """Return the place of a row for a message."""
        line, _ = next(islice(_read_rows(self.path, self.separator), row + 1, None))
        return f"line {line}"

    def _raise_fault(self, error: pa.ArrowInvalid) -> NoReturn:
        """Raise a ValueError about what pyarrow could not read: a line of a wrong length, or text for a number."""
        points = self.decimal_points  # until a field determines which of them it is
        for line, fields in islice(_read_rows(self.path, self.separator), 1, None):
            if len(fields) != self.width:
                raise ValueError(
                    f"{self.path}: line {line} must have {self.width} fields like the header, not {len(fields)}"
                )
            faults, message = dict[str, str](), ""
            for name, place in zip(self.names, self.places, strict=True):
                field = fields[place]
                if name in self.texts:
                    if "\N{REPLACEMENT CHARACTER}" in field:
                        raise ValueError(
                            f"{self.path}: line {line}, column {name!r} must be UTF-8 text, not "
                            f"{reprlib.repr(field)}; save the file as UTF-8"
                        )
                    continue
                fits, accepted = _is_number, "a number such as -1234.5"
                if place in self.truths:
                    fits, accepted = _is_truth_value, "True or False, as in the rows before"
                if fitting := tuple(point for point in points if fits(field, point)):
                    points = fitting
                    continue
                if faults and any(fits(field, point) for point in self.decimal_points):
                    continue  # a number with the other decimal point, which only a faulty column rules out
                hint = "" if place in self.truths else self._hint_at_separators(field)
                hint = hint or (_hint_at_classes(field) if name == self.names[-1] else "")
                share = "no numbers" if line == self.first_line else "not all numbers"
                message = message or f"line {line}, column {name!r} must be {accepted}, not {reprlib.repr(field)}{hint}"
                faults[name] = f"{share}: {reprlib.repr(field.strip())} in line {line}"
            if faults:
                raise NoNumbersError(f"{self.path}: {message}", faults)
        if "block" in str(error):
            longest = f"{_BYTES_AT_A_TIME:,} bytes"
            raise ValueError(f"{self.path} has a line of more than {longest}, the maximum") from error
        raise error

    def _hint_at_separators(self, field: str) -> str:
        """Return the rule for decimal commas or thousands, as the end of a sentence, if the field breaks it."""
        if _DECIMAL_NUMBER.fullmatch(field):
            if self.separator == ";":
                return "; a comma stands before the decimals of all columns, or of none"
            return (
                "; a comma before decimals is read where semicolons separate the fields, and between thousands nowhere"
            )
        return "; write it without separators of thousands" if _SEPARATED_THOUSANDS.fullmatch(field) else ""


def text_columns(
    path: Path, names: Sequence[str], texts: Collection[str] = (), *, has_target: bool = True
) -> TextColumns:
    """Return columns of a text file, located by its header, some of them as texts.

    Other inputs hold bools if their first value is a bool; those of a target, the last column, are labels.
    """
    separator = _find_separator(path, names)
    rows = _read_rows(path, separator)
    header = _check_header(path, next(rows, (0, []))[1])
    places = find_columns(path, names, header)
    first = next(rows, (0, []))
    inputs = zip(names, places[:-1] if has_target else places, strict=False)
    missing, truths = {place for name, place in inputs if name not in texts}, set[int]()
    for _, row in islice(chain([first], rows), _ROWS_TO_FIRST_VALUE):
        valued = {place for place in missing if place < len(row) and row[place] not in _MISSING_FIELDS}
        truths |= {place for place in valued if row[place] in (*_TRUE_WORDS, *_FALSE_WORDS)}
        missing -= valued
        if not missing:
            break
    return TextColumns(path, names, separator, places, len(header), first[0], truths, texts)


def text_headings(path: Path, expected: Sequence[str]) -> list[str]:
    """Return the names of all columns of a text file; some of them are `expected`."""
    return _check_header(path, _header(path, _find_separator(path, expected)))


def _find_separator(path: Path, names: Sequence[str]) -> str:
    """Return the field separator: that of the suffix, unless the header matches only another one.

    Without names, it is the one that splits the header and the first row alike.
    """
    usual = SEPARATORS[path.suffix.lower()]
    candidates = sorted((",", ";", "\t"), key=lambda separator: separator != usual)
    if names:
        for separator in candidates:
            if set(names) <= set(_header(path, separator)):
                return separator
    widths = {separator: [len(row) for _, row in islice(_read_rows(path, separator), 2)] for separator in candidates}
    several = [separator for separator in candidates if widths[separator][:1] > [1]]
    # A comma may be part of a heading or of a decimal number.
    return next((separator for separator in several if len(set(widths[separator])) == 1), (several or [usual])[0])


def _check_header(path: Path, header: Sequence[str]) -> list[str]:
    """Return the names in a header; refuse a first line that is purely numeric and thus a row of data."""
    if not header:
        raise ValueError(f"{path} is empty; it needs a header line with column names, then rows of numbers")
    if any("\N{REPLACEMENT CHARACTER}" in name for name in header):
        raise ValueError(f"{path}: the header must be UTF-8 text; save the file as UTF-8")
    names = [name.strip() for name in header]
    if all(_is_number(name, ".") or _is_number(name, ",") for name in names):
        raise ValueError(
            f"{path} has no header line: its first line holds numbers only, {join_names(names[:3])}; write the names "
            "of the columns above it"
        )
    return names


def _header(path: Path, separator: str) -> list[str]:
    _, header = next(_read_rows(path, separator), (0, []))
    return [name.strip() for name in header]


def _read_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that is not blank, the header first, with the line it starts on, counted from 1.

    Bytes that are not UTF-8 are replaced, which does no harm in other columns.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(chain(file, [_END_OF_FILE_LINE]), delimiter=separator)
        line = 1
        try:
            for fields in reader:
                if fields == [_END_OF_FILE_LINE]:
                    return
                if fields and fields[-1].endswith(_END_OF_FILE_LINE):
                    raise ValueError(
                        f"{path}: line {line} opens a quotation mark that is never closed; close or remove it"
                    )
                if fields:
                    yield line, fields
                line = reader.line_num + 1  # a quoted field may span several lines
        except csv.Error as error:  # csv's only error class
            raise ValueError(
                f"{path}: line {line} has a field of more than {csv.field_size_limit():,} characters, the "
                "maximum; look for a quotation mark that is never closed"
            ) from error


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
    # Python also accepts 1_000, digits of other scripts, and numbers beside no-break spaces or line breaks.
    return field.isascii() and not re.search("[^-+.0-9A-Za-z]", field.strip(" \t"))


def _is_truth_value(field: str, point: str) -> bool:
    """Return whether a field is a bool (for any decimal `point`) or a missing value."""
    return field in (*_TRUE_WORDS, *_FALSE_WORDS, *_MISSING_FIELDS)


def _hint_at_classes(field: str) -> str:
    """Return which losses take words, if the field is a word rather than a flawed number."""
    is_word = any(map(str.isalpha, field)) and not any(map(str.isdigit, field))
    return f"; {losses_of_classes()}" if is_word else ""
