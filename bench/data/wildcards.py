"""Columns of a table that are named by wildcards, such as ``pixel_*``."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from bench.data.table_errors import did_you_mean_columns, join_names


def has_wildcard(text: str) -> bool:
    """Return whether a text may stand for several columns: with ``*``, ``?`` or ``[``, as in `fnmatch`."""
    return any(mark in text for mark in "*?[")


def match_columns(text: str, headings: Sequence[str], place: str) -> list[str] | None:
    """Return the headings that a text with wildcards matches, in their order; None for a name without wildcards.

    A text that is a heading itself, such as ``temperature [C]``, has no wildcards. If none matches, a ValueError says
    so of the `place` that has the columns.
    """
    if text in headings or not has_wildcard(text):
        return None
    found = [heading for heading in headings if heading and fnmatchcase(heading, text)]
    if not found:
        close = did_you_mean_columns(text, headings)
        raise ValueError(f"{place} has no column that matches {text!r}{close}; its columns are {join_names(headings)}")
    return found
