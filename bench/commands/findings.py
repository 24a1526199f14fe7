"""Printing a comparison as text, Markdown or JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from sgdbench.commands.console import print_sentence, print_table
from sgdbench.tables.formatting import escape_markdown, text, to_markdown

Style = Literal["text", "markdown", "json"]


def print_findings(
    style: Style,
    summary: str,
    verdict: str,
    tables: Mapping[str, pd.DataFrame],
    shown: Mapping[str, pd.DataFrame],
    notes: Sequence[tuple[str, str]],
) -> None:
    """Print a comparison: its result and its verdict in a sentence each, tables, and notes.

    `tables` has all tables by name, for JSON; `shown` is the part for people, by title; empty tables are omitted. A
    note is the subject of a sentence, and the sentence.
    """
    if style == "json":
        records = {name: [_plain(row) for row in table.to_dict("records")] for name, table in tables.items()}
        note_rows = [{"about": about, "says": sentence} for about, sentence in notes]
        print(json.dumps({"verdict": verdict, "summary": summary} | records | {"notes": note_rows}))
        return
    shown = {title: table for title, table in shown.items() if len(table)}
    if style == "markdown":
        parts = [
            f"**{escape_markdown(text(verdict))}**\n",
            f"{escape_markdown(text(summary))}\n",
            *(f"{escape_markdown(text(title))}:\n\n{to_markdown(table)}" for title, table in shown.items()),
            "".join(f"- **{about}:** {escape_markdown(text(sentence))}\n" for about, sentence in notes),
        ]
        print("\n".join(parts), end="")
        return
    print_sentence("Result", summary)
    print()
    for title, table in shown.items():
        print_table(table, title)
    for about, sentence in (*notes, ("Verdict", verdict)):
        print_sentence(about, sentence)


def _plain(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a row with None for nan and infinity, which JSON lacks."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in row.items()
    }
