"""The report as Markdown, for a pull request or a wiki: the answer first, what it rests on folded away."""

import re
from collections.abc import Iterable

from bench.report.run_data import RunData
from bench.tables.formatting import literal, text, to_markdown
from bench.tables.readable import caption, readable_table
from bench.tables.verdict import count, unfinished

FIGURES = 3
COMMAND = "sgdbench run run.toml --out FOLDER"


def markdown(material: RunData, planned: int, titles: dict[str, str], captions: dict[str, str], checked: str) -> str:
    """Write the report as GitHub's Markdown; the arguments are those of `bench.report.page.page`."""
    result, frame = material.result, material.frame
    opening = [
        f"# {literal(text(material.title))}",
        f"`{result.model.expression}`{literal(text(material.source))}, {count(len(frame), 'configuration')}.",
    ]
    if going_on := unfinished(len(frame), planned):
        opening.append(f"**{literal(going_on)}**")
    if frame.empty:
        return _joined([*opening, *_remade(material)])
    figures = [f"![{literal(text(caption))}](figures/{name}.png)" for name, caption in captions.items()]
    best, *others = material.tables
    return _joined(
        [
            *opening,
            "".join(f"- **{about}.** {literal(text(sentence))}\n" for about, sentence in material.verdict.items()),
            f"## {titles[best]}",
            to_markdown(material.tables[best]),
            "## Figures",
            *figures[:FIGURES],
            *_folded("More figures", figures[FIGURES:]),
            "## What it rests on",
            checked,
            *(part for name in others for part in _folded(titles[name], [to_markdown(material.tables[name])])),
            *(part for name, title in titles.items() for part in _evidence(material, name, title)),
            *_remade(material),
        ]
    )


def _evidence(material: RunData, name: str, title: str) -> list[str]:
    table = material.evidence.get(name)
    if name in material.tables or table is None or table.empty:
        return []
    said = caption(name, table)
    return _folded(title, [*([literal(said)] if said else []), to_markdown(readable_table(name, table))])


def _remade(material: RunData) -> list[str]:
    environment = material.result.run.environment
    facts = ["".join(f"- {name}: {literal(text(value))}\n" for name, value in environment.items())]
    if material.study is None:
        return _folded("How to make it again", ["By a sweep in Python.", *facts])
    how = f"With the study as it was run, every setting spelled out, `{COMMAND}` does it again. This is `run.toml`:"
    return _folded("How to make it again", [how, _fenced(material.result.run.study), *facts])


def _folded(title: str, parts: Iterable[str]) -> list[str]:
    """What opens at a click."""
    parts = list(parts)
    return [f"<details><summary>{literal(title)}</summary>", *parts, "</details>"] if parts else []


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _fenced(toml: str) -> str:
    """A block of code, with a fence longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", toml)), default=0))
    return f"{fence}toml\n{toml}{fence}"
