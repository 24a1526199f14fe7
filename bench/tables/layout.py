"""The layout of a table in a terminal: lines break between words of headers and sentences, and nowhere else.

A table that is still too wide becomes several, one below another, each with the columns that identify its rows. If even
two columns are too wide for the terminal, each row is a block of lines.
"""

import re
import textwrap
from collections.abc import Mapping

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from sgdbench.tables.formatting import MISSING, display, numeric_labels

GAP = 2  # blanks between columns
_BREAKABLE = 24  # shorter text stays on one line
_NUMBER = re.compile(r"[-\[(]?[\d∞]")


def draw_table(table: pd.DataFrame, width: int) -> list[Table | Text]:
    """Return the parts of a table for a terminal with that many characters in a line, with its text escaped."""
    cells, numbers = display(table), numeric_labels(table)
    panels = lay_out(cells, width)
    if panels is None:
        return [Text(stack_rows(cells, width))]
    drawn: list[Table | Text] = []
    for widths in panels:
        panel = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0))
        for k, wide in widths.items():
            heading = str(cells.columns[k])
            panel.add_column(Text(heading), justify="right" if heading in numbers else "left", width=wide)
        for row in cells.to_numpy().tolist():
            panel.add_row(*(Text(row[k]) for k in widths))
        drawn.append(panel)
    return drawn


def lay_out(cells: pd.DataFrame, width: int) -> list[dict[int, int]] | None:
    """Return the panels in which a table of text is shown, from left to right; None if its rows must be stacked.

    A panel has the width of each of its columns, by their positions. The headings are the names of the columns of
    `cells`; `width` is the number of characters in a line.
    """
    for one_line_headers, whole_sentences in ((True, True), (False, True), (False, False)):
        widths = {k: _column_width(cells, k, one_line_headers, whole_sentences) for k in range(cells.shape[1])}
        if _total(widths) <= width:
            return [widths]
    keys = {k: widths[k] for k in _key_columns(cells)}
    panels, panel = [], keys.copy()
    for k in range(len(keys), cells.shape[1]):
        if len(panel) > len(keys) and _total(panel | {k: widths[k]}) > width:
            panels.append(panel)
            panel = keys.copy()
        panel[k] = widths[k]
    panels.append(panel)
    return panels if all(_total(panel) <= width for panel in panels) else None


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


def _total(widths: Mapping[int, int]) -> int:
    """Return the width of a table, including the blank after its last column."""
    return sum(widths.values()) + GAP * len(widths) - 1


def _key_columns(cells: pd.DataFrame) -> list[int]:
    """Return the leading columns that identify the rows; only the first if no short ones do."""
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
