"""From a table to what people read: text in cells, Markdown, LaTeX, a terminal's table, files.

Names in a table come from users. Every renderer shows them literally.
"""

import html
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from bench.system.atomic import replace_atomically

LABELS = {
    "lr": "learning rate",
    "init": "start",
    "seconds": "time",
}
MISSING = "\N{EN DASH}"


def label(column: str) -> str:
    """Name a column for a reader: `lr` is "learning rate", and `param_x_1` is the parameter's own "x_1"."""
    if column.startswith("param_"):
        return text(column.removeprefix("param_"))
    return " ".join(LABELS.get(word, word) for word in text(column).split("_"))


def text(value: str | float | None) -> str:
    """Write one value for a reader.

    Numbers get four significant digits and thousands separators, with powers of ten from a million on and
    below 1e-4. What is missing is an en dash. Text stays as it is, except that characters nobody can see,
    such as line breaks and the control codes of terminals, become U+FFFD.
    """
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


def duration(seconds: float) -> str:
    """Write a time with three digits in the unit that suits it: "15 µs", "1.25 ms", "340 s"."""
    if pd.isna(seconds):
        return MISSING
    units = {"ns": 1e9, "µs": 1e6, "ms": 1e3, "s": 1.0}
    unit = next((unit for unit, factor in units.items() if abs(seconds) * factor < 999.5), "s")
    return f"{_format_decimal(float(f'{seconds * units[unit]:.3g}'))} {unit}"


def display(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a table into the text that every renderer shows.

    Columns are named by `label`, values written by `text`, times by `duration`. Where `runs` and `converged`
    are both there they become one column, as in "3/5".
    """
    shown = table.map(text).astype("str")
    for name in table.columns:
        if "seconds" in name.split("_"):
            shown[name] = table[name].map(duration).astype("str")
    if {"runs", "converged"} <= set(shown):
        shown["converged"] = shown["converged"] + "/" + shown.pop("runs")
    return shown.rename(columns=label)


def to_markdown(table: pd.DataFrame) -> str:
    """Render a table as Markdown (GitHub's dialect). Text is shown literally, whatever is in it."""
    shown = display(table)
    numbers = _numeric_labels(table)
    rule = ["---:" if column in numbers else "---" for column in shown]
    lines = [map(escape_markdown, shown.columns), rule, *(map(escape_markdown, row) for row in shown.to_numpy())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: pd.DataFrame) -> str:
    """Render a table for LaTeX, which needs the package booktabs. Text is shown literally, whatever is in it."""
    shown = display(table)
    numbers = _numeric_labels(table)
    alignment = "".join("r" if column in numbers else "l" for column in shown)
    written = shown.to_latex(index=False, escape=True, column_format=alignment)
    return written.translate(_LATEX_CHARACTERS)


# What classic LaTeX has no letter for, or another one.
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


def to_rich(table: pd.DataFrame, title: str = "") -> Table:
    """Render a table for the terminal. Text is shown literally, whatever is in it."""
    shown = display(table)
    numbers = _numeric_labels(table)
    rendered = Table(title=Text(text(title)) if title else None, title_justify="left")
    for column in shown.columns:
        rendered.add_column(Text(column), justify="right" if column in numbers else "left")
    for row in shown.to_numpy():
        rendered.add_row(*map(Text, row))
    return rendered


def _numeric_labels(table: pd.DataFrame) -> set[str]:
    """Labels of the columns that hold numbers, which are aligned to the right."""
    columns = table.select_dtypes("number").columns
    return {label(name) for name in columns}


def escape_markdown(cell: str) -> str:
    """Write text so that Markdown shows it as it is."""
    # Entities against HTML and GitHub's mathematics, backslashes against Markdown's own signs.
    escaped = html.escape(cell, quote=False).replace("$", "&#36;")
    return re.sub(r"([\\`*_~\[\]|])", r"\\\1", escaped)


def write_tables(
    tables: Mapping[str, pd.DataFrame],
    folder: str | os.PathLike[str],
    readable: Callable[[str, pd.DataFrame], pd.DataFrame] = lambda name, table: table,
) -> list[Path]:
    """Write each table as CSV and Parquet, with every digit, and as Markdown and LaTeX, for reading.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        File name without its suffix -> table.
    folder : path
        Made if it is missing. Each file is replaced as a whole.
    readable : callable, optional
        What people read of a table, from its name and the whole.

    Returns
    -------
    list of pathlib.Path
        The files written.
    """
    written = []
    for name, table in tables.items():
        csv, parquet, markdown, latex = (
            Path(folder) / f"{name}.{suffix}" for suffix in ("csv", "parquet", "md", "tex")
        )
        shown = readable(name, table)
        with replace_atomically(csv) as path:
            table.to_csv(path, index=False)
        with replace_atomically(parquet) as path:
            table.to_parquet(path, index=False)
        with replace_atomically(markdown) as path:
            path.write_text(to_markdown(shown), encoding="utf-8")
        with replace_atomically(latex) as path:
            path.write_text(to_latex(shown), encoding="utf-8")
        written += [csv, parquet, markdown, latex]
    return written
