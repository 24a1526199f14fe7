"""The report as Markdown, for a pull request or a wiki: the answer first, the details folded away."""

import re
import shlex
from collections.abc import Iterable
from itertools import chain

from sgdbench.report.measurements import find_check, measurements_of
from sgdbench.report.run_data import RunData
from sgdbench.tables.formatting import escape_markdown, text, to_markdown
from sgdbench.tables.render import TITLES
from sgdbench.tables.words import describe_progress, format_count, say_check

LEADING_FIGURES = 3
COMMAND = "sgdbench run run.toml --out FOLDER"


def render_markdown(run_data: RunData, captions: dict[str, str]) -> str:
    """Return the report as GitHub's Markdown; `captions` are those of figures/, by name."""
    result, frame = run_data.result, run_data.frame
    opening = [
        f"# {escape_markdown(text(run_data.title))}",
        f"`{result.model.expression}`{escape_markdown(text(run_data.source))}, "
        f"{format_count(len(frame), 'configuration')}.",
    ]
    if progress := describe_progress(len(frame), result.planned):
        opening.append(f"**{escape_markdown(progress)}**")
    if frame.empty:
        return _join_blocks([*opening, *_reproduction_section(run_data)])
    figures = [f"![{escape_markdown(text(caption))}](figures/{name}.png)" for name, caption in captions.items()]
    best, *others = run_data.tables
    tables = {name: to_markdown(run_data.readable(name, table)) for name, table in run_data.tables.items()}
    details = [_details_section(TITLES[name], [tables[name]]) for name in others if len(run_data.tables[name])]
    for part in measurements_of(run_data):
        if part.table is not None and len(part.table):
            words = [escape_markdown(part.caption)] if part.caption and part.name != "check" else []
            details.append(_details_section(part.title, [*words, to_markdown(part.table)]))
    confusions = [
        _details_section(f"Observed and predicted classes: {name}", [to_markdown(table)])
        for name, table in run_data.confusions.items()
    ]
    return _join_blocks(
        [
            *opening,
            "".join(
                f"- **{about}.** {escape_markdown(text(sentence))}\n" for about, sentence in run_data.verdict.items()
            ),
            f"## {TITLES[best]}",
            tables[best],
            "## Figures",
            *figures[:LEADING_FIGURES],
            *_details_section("More figures", figures[LEADING_FIGURES:]),
            *chain.from_iterable(confusions),
            "## Measurements and checks",
            say_check(find_check(run_data)),
            *chain.from_iterable(details),
            *_reproduction_section(run_data),
        ]
    )


def _reproduction_section(run_data: RunData) -> list[str]:
    environment = run_data.result.run.environment
    facts = ["".join(f"- {name}: {escape_markdown(text(value))}\n" for name, value in environment.items())]
    study = run_data.result.run.study
    rules = [
        part
        for name, place, source in run_data.rules
        for part in (f"The {escape_markdown(name)} ({escape_markdown(place)}):", _fence_code(source, "python"))
    ]
    if run_data.study is None or study is None:
        return _details_section("How to reproduce this run", [run_data.origin, *rules, *facts])
    command = command_of(run_data)
    instructions = f"Save the study below, which spells out every setting, as `run.toml`, and run `{command}`:"
    return _details_section("How to reproduce this run", [instructions, _fence_code(study), *rules, *facts])


def command_of(run_data: RunData) -> str:
    """Return the command that runs the study of a run again, with the files in which its rules were."""
    return COMMAND + "".join(f" --plugin {shlex.quote(file)}" for file in run_data.plugins)


def _details_section(title: str, parts: Iterable[str]) -> list[str]:
    """Return a section that opens at a click; nothing if it has no parts."""
    parts = list(parts)
    return [f"<details><summary>{escape_markdown(title)}</summary>", *parts, "</details>"] if parts else []


def _join_blocks(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _fence_code(code: str, language: str = "toml") -> str:
    """Return a block of code, with a fence longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"
