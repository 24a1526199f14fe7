"""Column names in expressions: the rule that turns a heading into a name."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache

from sgdbench.kernels.base.checks import closest_name
from sgdbench.kernels.model.expression import MAX_NAME, Name, parse

ALL_INPUTS = "x"
# Shorter names are not matched with the words of a column's name.
SHORTEST_WORD = 3


def is_name(text: object) -> bool:
    """Return whether an expression can use a text as a name."""
    return isinstance(text, str) and _reads_as_name(text)


# Every fit looks up the names of all columns, and wide tables have thousands.
@lru_cache(2**15)
def _reads_as_name(text: str) -> bool:
    try:
        return parse(text) == Name(text)
    except ValueError:
        return False


@lru_cache(2**15)
def column_name(column: str) -> str:
    """Return the name of a column in expressions.

    A heading that is already a name, such as ``hp`` or ``MPG``, is unchanged. Otherwise letters become lower case, and
    any run of characters other than letters (of any script) and digits becomes one underscore; ``x_`` is prepended if
    the result is still not a name: ``Engine Power (PS)`` becomes engine_power_ps, and ``2nd try`` x_2nd_try.
    """
    if is_name(column):
        return column
    composed = unicodedata.normalize("NFKC", column).lower()
    words = re.findall(r"(?:[^\W\d_]|[0-9])+", composed)
    name = "_".join(words)[:MAX_NAME] or "column"
    return name if is_name(name) else f"x_{name}"[:MAX_NAME]


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the names of columns in expressions; two columns with one name are refused."""
    named: dict[str, str] = {}
    for column in columns:
        other = named.setdefault(column_name(column), column)
        if other != column:
            raise ValueError(
                f"the columns {other!r} and {column!r} would both be called {column_name(column)}; give one of them "
                f'another name, as in "other={column}"'
            )
    return tuple(named)


def headings_by_name(headings: Sequence[str], used: Collection[str]) -> dict[str, str]:
    """Return the headings of columns by their names in expressions; a name in use must identify one column.

    A heading that is already a name takes precedence over others that would get the same name.
    """
    names: dict[str, str] = {}
    own = set(headings)
    for heading in headings:
        name = column_name(heading)
        other = names.setdefault(name, name if name in own else heading)
        if other not in (heading, name) and name in used:
            raise ValueError(
                f"the columns {other!r} and {heading!r} would both be called {name}; give one of them another name"
            )
    return names


def number_columns(count: int) -> tuple[str, ...]:
    """Return names for unnamed columns: ``x`` for one, otherwise ``x1``, ``x2``, ..."""
    return ("x",) if count == 1 else tuple(f"x{number}" for number in range(1, count + 1))


def is_numbered(name: str) -> bool:
    """Return whether a name has the form ``x1``."""
    return re.fullmatch("x[0-9]+", name) is not None


def closest_column(name: str, columns: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the column that an unknown name probably means, or None.

    The name must be close to the column or to its name in expressions, or match words that only this column's name
    contains: "area" means ``living_area_sqft``.
    """
    called = {form: column for column in columns for form in (column_name(column), column)}
    if close := closest_name(name, called, cutoff):
        return called[close]
    words = set(column_name(name).lower().split("_"))
    matching = {column for form, column in called.items() if words <= set(form.lower().split("_"))}
    return matching.pop() if len(matching) == 1 and len(name) >= SHORTEST_WORD else None


def did_you_mean_column(name: str, columns: Iterable[str]) -> str:
    """Return a hint at the column that an unknown name probably means, to append to a message; else an empty text."""
    close = closest_column(name, columns)
    return f" (did you mean {close!r}?)" if close else ""


def refuse_misspelt(expression: str, used: Collection[str], inputs: Collection[str], columns: Collection[str]) -> None:
    """Refuse a parameter that is probably a misspelt column: it would be fitted, and the column ignored.

    Parameters
    ----------
    expression : str
    used : collection of str
        The names in the expression.
    inputs, columns : collection of str
        The names that stand for columns, and all columns. A parameter must not resemble a column that is not an input,
        be an anagram of an input, or continue the numbers of columns, as x0 and x4 would beside x1 and x2.
    """
    if ALL_INPUTS in used and ALL_INPUTS not in inputs:
        raise ValueError(f"the expression {expression!r} uses {ALL_INPUTS!r}, which is not one of the columns")
    stems = [_stem(name) for name in columns]
    for name in used:
        if name in inputs or len(name) == 1:
            continue
        stem = _stem(name)
        if stem != name and stems.count(stem) > 1:
            numbered = [column for column, of in zip(columns, stems, strict=True) if of == stem]
            raise ValueError(
                f"the expression {expression!r} uses {name!r}, which is not one of the columns {numbered[0]} to "
                f"{numbered[-1]}; give a parameter another name"
            )
        # Where the column temp is used too, the parameter temp0 is not a misspelling of it, nor is rate one of date.
        others = {
            column_name(other): other
            for other in columns
            if len(other) > 1 and other != stem and (other not in inputs or sorted(other) == sorted(name))
        }
        anagram = next((other for other in others if sorted(other) == sorted(name)), None)
        if close := anagram or closest_column(name, others, cutoff=0.8):
            raise ValueError(
                f"the expression {expression!r} uses {name!r}, which is not a column: did you mean {others[close]!r}? "
                "Give a parameter another name"
            )


def _stem(name: str) -> str:
    """Return a name without its trailing number."""
    return name.rstrip("0123456789").rstrip("_") or name
