"""How a text file writes its table: what separates the fields, and what stands before decimals.

In much of the world a comma stands before decimals, and so spreadsheets separate the fields by semicolons there.
"""

import re
from collections.abc import Callable, Iterable, Sequence

SEPARATORS = (",", ";", "\t")
_COMMA_NUMBER = re.compile(r"\s*[-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*", re.ASCII)


def find_separator(usual: str, names: Sequence[str], header_by: Callable[[str], Sequence[str]]) -> str:
    """Return what separates the fields of a file: the usual sign, unless the header fits another one and not that.

    Parameters
    ----------
    usual : str
        That of the file's suffix.
    names : sequence of str
        The columns that are wanted.
    header_by : callable
        Returns the columns that a separator makes of the header.
    """
    candidates = (usual, *(separator for separator in SEPARATORS if separator != usual))
    if names:
        for separator in candidates:
            if set(names) <= set(header_by(separator)):
                return separator
    return next((separator for separator in candidates if len(header_by(separator)) > 1), usual)


def decimal_points(separator: str) -> Iterable[str]:
    """Return what may stand before decimals; a comma only where semicolons separate the fields.

    Elsewhere "1,234" may as well be a thousand.
    """
    return (".", ",") if separator == ";" else (".",)


def describe_comma(field: str, separator: str) -> str:
    """Return what is to be said of a comma in a field that should be a number, as the end of a sentence."""
    if not _COMMA_NUMBER.fullmatch(field):
        return ""
    if separator == ";":
        return "; a comma stands before the decimals of all columns, or of none"
    return "; a comma before decimals is read where semicolons separate the fields, and between thousands nowhere"
