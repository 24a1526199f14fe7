"""The layout of a table in a terminal: headers and sentences break between words, numbers and intervals nowhere.

A table that is still too wide becomes several, one below the other, each with the columns that tell its rows apart.
Where even two columns are too wide for the terminal, each row is a block of lines.
"""

import re
import textwrap
from typing import NamedTuple

import pandas as pd
from rich.cells import cell_len

from bench.tables.formatting import MISSING

GAP = 2  # blanks between columns
_BREAKABLE = 24  # text that is shorter stays on a line
_NUMBER = re.compile(r"[-\[(]?[\d∞]")


class Panel(NamedTuple):
    """Some columns of a table, by position, and how wide each of them is."""

    columns: list[int]
    widths: list[int]


def lay_out(cells: pd.DataFrame, width: int) -> list[Panel] | None:
    """Return the panels in which a table of text is shown, from left to right; None where its rows must be stacked.

    The headings are the names of the columns of `cells`; `width` is the number of characters in a line.
    """
    everything = list(range(cells.shape[1]))
    for one_line_headers, whole_sentences in ((True, True), (False, True), (False, False)):
        widths = [_column_width(cells, k, one_line_headers, whole_sentences) for k in everything]
        if _total(widths) <= width:
            return [Panel(everything, widths)]
    keys = _key_columns(cells)
    panels: list[Panel] = []
    columns = keys.copy()
    for k in everything[len(keys) :]:
        if len(columns) > len(keys) and _total([widths[column] for column in [*columns, k]]) > width:
            panels.append(_panel(columns, widths))
            columns = keys.copy()
        columns.append(k)
    panels.append(_panel(columns, widths))
    return panels if all(_total(panel.widths) <= width for panel in panels) else None


def stack_rows(cells: pd.DataFrame, width: int) -> str:
    """Return each row of a table as a block, with a line for each column that is not empty."""
    blocks = []
    for row in cells.to_numpy().tolist():
        lines = [
            textwrap.fill(
                f"{heading}: {cell}" if heading else cell, width, subsequent_indent="  ", break_long_words=False
            )
            for heading, cell in zip(cells.columns, row, strict=True)
            if cell
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _panel(columns: list[int], widths: list[int]) -> Panel:
    return Panel(columns, [widths[column] for column in columns])


def _total(widths: list[int]) -> int:
    """Return the width of a table, with the blank that is drawn after its last column."""
    return sum(widths) + GAP * len(widths) - 1


def _key_columns(cells: pd.DataFrame) -> list[int]:
    """Return the leading columns that tell the rows apart; the first alone where nothing short does."""
    for count in range(1, min(4, cells.shape[1])):
        if not cells.iloc[:, :count].duplicated().any():
            return list(range(count))
    return [0]


def _column_width(cells: pd.DataFrame, k: int, one_line_header: bool, whole_sentences: bool) -> int:
    heading = str(cells.columns[k])
    column = cells.iloc[:, k].tolist()
    widest = max(map(cell_len, column), default=0)
    filled = [cell for cell in column if cell not in ("", MISSING)]
    if not whole_sentences and widest > _BREAKABLE and not all(map(_NUMBER.match, filled)):
        widest = max(_BREAKABLE, *(cell_len(word) for cell in column for word in cell.split()))
    words = [heading] if one_line_header else heading.split()
    return max(widest, 1, *map(cell_len, words)) if words else max(widest, 1)
