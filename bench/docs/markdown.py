"""Docstrings and signatures as Markdown."""

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

_SECTION = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)
# Characters that Markdown would take for emphasis or for a tag.
_SPECIAL = re.compile(r"(?<! )\*|\*(?! )|(?<!\w)_|_(?!\w)|<(?=[a-z])|\|")


def escape(text: str) -> str:
    """Return plain text on one line, in which only code spans have a meaning."""
    spans = " ".join(text.split()).replace("``", "`").split("`")
    spans[::2] = [_SPECIAL.sub(r"\\\g<0>", part) for part in spans[::2]]
    spans[1::2] = [part.replace("|", r"\|") for part in spans[1::2]]
    return "`".join(spans)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table."""
    head = list(head)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)) + "\n"


def summary(described: Any) -> str:
    """Return the first paragraph of a docstring."""
    return escape((inspect.getdoc(described) or "").partition("\n\n")[0])


def formula_entry(call: str, function: Callable[..., Any]) -> str:
    """Return the heading, the summary and, unchanged, the rest of a docstring: formulas and sources."""
    rest = (inspect.getdoc(function) or "").partition("\n\n")[2]
    text = f"\n```text\n{rest}\n```\n" if rest else ""
    return f"## {call.partition('(')[0]}\n\n`{call}`\n\n{summary(function)}\n{text}"


def signature_of(name: str, described: Callable[..., Any]) -> str:
    """Return a call with the names of the arguments and short defaults."""
    shown, star = [], False
    for one in inspect.signature(described).parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            shown.append("*")
        star = star or one.kind is one.KEYWORD_ONLY
        default = "" if one.default is one.empty else f"={one.default!r}"
        default = "=..." if "<" in default else default  # the repr of a function differs between processes
        shown.append("**" * (one.kind is one.VAR_KEYWORD) + one.name + default)
    return f"{name}({', '.join(shown)})"


def numpydoc(described: Any) -> str:
    """Return a docstring with its sections: lists of names with descriptions; notes and examples unchanged."""
    text, *sections = _SECTION.split(inspect.getdoc(described) or "")
    parts = [escape(paragraph) for paragraph in text.strip().split("\n\n")]
    for heading, body in zip(sections[::2], sections[1::2], strict=True):
        parts.append(f"**{heading}**")
        parts.append(f"```text\n{body.strip()}\n```" if heading in ("Examples", "Notes") else _items(body))
    return "\n\n".join(parts) + "\n"


def _items(body: str) -> str:
    """Return the entries of a section as a list: a line at the margin, and an indented description each."""
    items = []
    for head, about in re.findall(r"^(\S.*)\n((?:[ \t]+.*\n?|\n)*)", body.strip() + "\n", re.MULTILINE):
        name, _, kind = head.partition(" : ")
        paragraphs = inspect.cleandoc(about).split("\n\n")
        described = ": " + "\n\n  ".join(map(escape, paragraphs)) if about.strip() else ""
        items.append(f"- `{name}`{', ' + escape(kind) if kind else ''}{described}")
    return "\n".join(items)
