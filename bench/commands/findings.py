"""How a comparison is printed: as text, Markdown or JSON."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pandas as pd

from bench.commands.console import print_sentence, print_table
from bench.tables.formatting import escape_markdown, text, to_markdown

Style = Literal["text", "markdown", "json"]


class Finding(NamedTuple):
    """A table of a comparison: all of it, for scripts, and what is shown of it, by titles."""

    table: pd.DataFrame
    shown: Mapping[str, pd.DataFrame]


class Findings(NamedTuple):
    """A comparison: its result and its verdict in a sentence, tables by name, and notes.

    A note is what a sentence is about, and the sentence.
    """

    summary: str
    verdict: str
    tables: dict[str, Finding]
    notes: Sequence[tuple[str, str]]


def print_findings(findings: Findings, style: Style) -> None:
    """Print a comparison, without empty tables except in JSON."""
    {"text": _print_text, "markdown": _print_markdown, "json": _print_json}[style](findings)


def _print_text(findings: Findings) -> None:
    print_sentence("Result", findings.summary)
    print()
    for found in findings.tables.values():
        for title, table in found.shown.items():
            if len(table):
                print_table(table, title)
    for about, sentence in findings.notes:
        print_sentence(about, sentence)
    print_sentence("Verdict", findings.verdict)


def _print_markdown(findings: Findings) -> None:
    shown = [pair for found in findings.tables.values() for pair in found.shown.items()]
    parts = [
        f"**{escape_markdown(text(findings.verdict))}**\n",
        f"{escape_markdown(text(findings.summary))}\n",
        *(f"{escape_markdown(text(title))}:\n\n{to_markdown(table)}" for title, table in shown if len(table)),
        "".join(f"- **{about}:** {escape_markdown(text(sentence))}\n" for about, sentence in findings.notes),
    ]
    print("\n".join(parts), end="")


def _print_json(findings: Findings) -> None:
    records = {
        name: [{key: _plain(value) for key, value in row.items()} for row in found.table.to_dict("records")]
        for name, found in findings.tables.items()
    }
    notes = [{"about": about, "says": sentence} for about, sentence in findings.notes]
    print(json.dumps({"verdict": findings.verdict, "summary": findings.summary} | records | {"notes": notes}))


def _plain(value: Any) -> Any:
    """Return None for nan and infinity, which JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
