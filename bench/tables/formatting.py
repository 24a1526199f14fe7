"""Tables as text, Markdown, LaTeX and files.

Names in a table come from users. Every renderer escapes them.
"""

import html
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from sgdbench.system.atomic import replace_atomically, write_text

LABELS = {
    "lr": "learning rate",
    "init": "start",
    "seconds": "time",
    "dtype": "precision",
    "shuffle": "order",
    "validation": "held-out",
}
MISSING = "\N{EN DASH}"
OBSERVED = "observed / predicted"
"""The column of a confusion table whose other columns are called like classes."""


def label(column: str) -> str:
    """Return the heading of a column: `lr` is "learning rate", and `param_x_1` is the parameter's own "x_1"."""
    if column.startswith("param_"):
        return text(column.removeprefix("param_"))
    return " ".join(LABELS.get(word, word) for word in text(column).split("_"))


def text(value: str | float | None, digits: int | None = None) -> str:
    """Return a value as text; a number is first rounded to `digits` significant digits.

    Numbers get four significant digits and thousands separators, with powers of ten from a million on and below 1e-4. A
    missing value is an en dash. Text is unchanged, except that characters without a glyph, such as line breaks and the
    control codes of terminals, become U+FFFD.
    """
    if digits is not None:
        value = float(f"{value:.{digits}g}")
    if isinstance(value, str):
        return "".join(character if character.isprintable() else "\ufffd" for character in value)
    if pd.isna(value):
        return MISSING
    if isinstance(value, bool | np.bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | np.integer) else _format_decimal(float(value))


def _format_decimal(value: float) -> str:
    if np.isinf(value):
        return "∞" if value > 0 else "-∞"
    rounded = float(f"{value:.3e}")
    if rounded == 0:
        return "0"
    if not 1e-4 <= abs(rounded) < 1e6:
        mantissa, exponent = f"{value:.3e}".split("e")
        return f"{_strip_zeros(mantissa)}e{int(exponent)}"
    return f"{value:,.0f}" if abs(rounded) >= 1000 else _strip_zeros(f"{rounded:.7f}")


def _strip_zeros(decimal: str) -> str:
    return decimal.rstrip("0").rstrip(".")


def shorten(value: str | float, most: int = 32) -> str:
    """Return a value, or a user's name, as text of at most `most` characters.

    It is cut in its last third: names often differ at their end, such as ``adam(weight_decay=0.1)`` and 0.01.
    """
    formatted, tail = text(value), (most - 1) // 3
    return (
        formatted if len(formatted) <= most else f"{formatted[: most - 1 - tail]}…{formatted[len(formatted) - tail :]}"
    )


def duration(seconds: float) -> str:
    """Return a time with three digits in a suitable unit: "15 µs", "1.25 ms", "340 s"."""
    if pd.isna(seconds):
        return MISSING
    units = {"ns": 1e9, "µs": 1e6, "ms": 1e3, "s": 1.0}
    if np.isinf(seconds):
        return text(seconds)
    unit = next((unit for unit, factor in units.items() if abs(seconds) * factor < 999.5), "s")
    return f"{_format_decimal(float(f'{seconds * units[unit]:.3g}'))} {unit}"


def shorten_exponent(formatted: str) -> str:
    """Return a number with the exponent in the form of `text`: "2.18e-08" becomes "2.18e-8"."""
    return re.sub(r"e([+-])0*(?=\d)", lambda sign: "e-" if sign[1] == "-" else "e", formatted)


def format_three_digits(value: float) -> str:
    """Return a number with three significant digits."""
    if not np.isfinite(value):
        return text(value)
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else shorten_exponent(f"{value:#.3g}")


def format_two_digits(value: float) -> str:
    """Return a large number with two significant digits."""
    return MISSING if pd.isna(value) else f"{float(f'{value:.2g}'):,.0f}"


def percentage(share: float) -> str:
    """Return a share in whole percent: "42 %"."""
    return f"{100 * share:.0f} %"


def display(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as text, the form from which every renderer starts.

    Columns are named by `label`, values formatted by `text`, times by `duration`. If there are both `runs` and
    `converged`, they become one column, as in "3/5". The class names over the columns of a confusion table stay.
    """
    cells = table.map(text).astype("str")
    if OBSERVED in cells:
        return cells
    for name in table.columns:
        if "seconds" in name.split("_") and not name.startswith("param_"):
            cells[name] = table[name].map(duration).astype("str")
    if {"runs", "converged"} <= set(cells):
        cells["converged"] = cells["converged"] + "/" + cells.pop("runs")
    return cells.rename(columns=label)


def to_markdown(table: pd.DataFrame) -> str:
    """Render a table as Markdown (GitHub's dialect), with its text escaped."""
    cells = display(table)
    numbers = numeric_labels(table)
    rule = ["---:" if column in numbers else "---" for column in cells]
    lines = [map(escape_markdown, cells.columns), rule, *(map(escape_markdown, row) for row in cells.to_numpy())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: pd.DataFrame) -> str:
    """Render a table for LaTeX, which needs the package booktabs, with its text escaped."""
    cells = display(table)
    numbers = numeric_labels(table)
    alignment = "".join("r" if column in numbers else "l" for column in cells)
    formatted = cells.to_latex(index=False, escape=True, column_format=alignment)
    return formatted.translate(_LATEX_CHARACTERS)


# Characters that classic LaTeX lacks or typesets differently.
_LATEX_CHARACTERS = str.maketrans(
    {
        "∞": r"$\infty$",
        "µ": r"\textmu{}",
        MISSING: "--",
        "\ufffd": "?",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
    }
)


def numeric_labels(table: pd.DataFrame) -> set[str]:
    """Return the headings of numeric columns, which are aligned to the right."""
    columns = table.select_dtypes("number").columns
    return {name if OBSERVED in table else label(name) for name in columns}


def escape_markdown(cell: str) -> str:
    """Escape text for Markdown."""
    # Entities against HTML and GitHub's mathematics, backslashes against Markdown's own signs.
    escaped = html.escape(cell, quote=False).replace("$", "&#36;")
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", escaped)


# Spreadsheets treat text that begins so as a formula, which may start a program; some keyboards type the wide forms.
_FORMULA_STARTS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def write_csv(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as CSV with every digit, in one step, with text that is safe to open in a spreadsheet.

    Text that a spreadsheet would treat as a formula gets a leading apostrophe, as if it had been typed in as text.
    Numbers stay numbers.
    """
    numbers = set(table.select_dtypes(["number", "bool"]).columns)
    texts = {str(name): column.map(_disarm_formula) for name, column in table.items() if name not in numbers}
    with replace_atomically(path) as temporary:
        table.assign(**texts).rename(columns=_disarm_formula).to_csv(temporary, index=False)


def _disarm_formula(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def write_tables(
    tables: Mapping[str, pd.DataFrame],
    folder: str | os.PathLike[str],
    readable: Callable[[str, pd.DataFrame], pd.DataFrame] = lambda name, table: table,
) -> None:
    """Write each table as CSV (see `write_csv`) and Parquet, with every digit, and as Markdown and LaTeX, for reading.

    A table's name is that of its files, each of which is replaced in one step; `readable` gives the table for readers.
    """
    for name, table in tables.items():
        stem, cells = Path(folder) / name, readable(name, table)
        write_csv(table, f"{stem}.csv")
        with replace_atomically(f"{stem}.parquet") as path:
            table.to_parquet(path, index=False)
        write_text(f"{stem}.md", to_markdown(cells))
        write_text(f"{stem}.tex", to_latex(cells))


def remove_leftovers(folder: Path, names: Iterable[str]) -> None:
    """Remove tables or figures that a report no longer has, left by an earlier one of the same run."""
    for name in names:
        for path in folder.glob(f"{name}.*"):
            path.unlink()
