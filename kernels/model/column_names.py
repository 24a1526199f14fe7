"""What an expression calls the columns of a table: one rule, from a heading to a name."""

import re
import unicodedata
from collections.abc import Sequence

from kernels.model.expression import MAX_NAME, Name, parse


def is_name(text: object) -> bool:
    """Return whether an expression can use a text as a name."""
    try:
        return isinstance(text, str) and parse(text) == Name(text)
    except ValueError:
        return False


def column_name(column: str) -> str:
    """Return what an expression calls a column.

    A column whose heading is a name already keeps it, such as ``hp`` or ``MPG``. Of any other, letters become small,
    whatever is neither letter nor digit becomes one underscore between them, and what does not begin with a letter
    gets an ``x_`` in front: ``Engine Power (PS)`` is engine_power_ps, and ``2nd try`` is x_2nd_try. Letters of all
    scripts are letters.
    """
    if is_name(column):
        return column
    composed = unicodedata.normalize("NFKC", column).lower()
    words = re.findall(r"(?:[^\W\d_]|[0-9])+", composed)
    name = "_".join(words)[:MAX_NAME] or "column"
    return name if is_name(name) else f"x_{name}"[:MAX_NAME]


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return what an expression calls each of some columns.

    Raises
    ------
    ValueError
        If two of them would have one name.
    """
    named: dict[str, str] = {}
    for column in columns:
        other = named.setdefault(column_name(column), column)
        if other != column:
            raise ValueError(
                f"the columns {other!r} and {column!r} would both be called {column_name(column)}; give one of them "
                f'another name, as in "other={column}"'
            )
    return tuple(named)
