"""The names of the columns of a table in expressions: one rule, from a heading to a name."""

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
    """Return the name of a column in expressions.

    A heading that is a name already, such as ``hp`` or ``MPG``, is kept. In others letters become small, anything else
    but letters and digits becomes one underscore between them, and ``x_`` is put in front if the first character is no
    letter: ``Engine Power (PS)`` is engine_power_ps, and ``2nd try`` is x_2nd_try. Letters of all scripts are letters.
    """
    if is_name(column):
        return column
    composed = unicodedata.normalize("NFKC", column).lower()
    words = re.findall(r"(?:[^\W\d_]|[0-9])+", composed)
    name = "_".join(words)[:MAX_NAME] or "column"
    return name if is_name(name) else f"x_{name}"[:MAX_NAME]


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns in expressions; two columns of one name are refused."""
    named: dict[str, str] = {}
    for column in columns:
        other = named.setdefault(column_name(column), column)
        if other != column:
            raise ValueError(
                f"the columns {other!r} and {column!r} would both be called {column_name(column)}; give one of them "
                f'another name, as in "other={column}"'
            )
    return tuple(named)
