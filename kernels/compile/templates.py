"""Kernel texts made from templates, the files in `kernels/loops/texts`."""

import re
from collections.abc import Iterable, Sequence
from functools import cache as once
from pathlib import Path
from string import Template

import sgdbench.kernels.loops

FOLDER = Path(sgdbench.kernels.loops.__file__).parent / "texts"
Part = str | Sequence[str]
LONGEST = 30
"""The most elements of a tuple that Python builds without a list (`STACK_USE_GUIDELINE` in CPython's compiler)."""


@once
def template(name: str) -> str:
    """Return the text of a template."""
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def fill(which: str, /, **parts: Part) -> str:
    """Return the text of a template with its parts filled in."""
    return "\n".join(fill_lines(which, **parts)) + "\n"


def fill_lines(which: str, /, **parts: Part) -> list[str]:
    """Return the lines of a template with its parts filled in.

    A text replaces every occurrence of its name after a dollar sign. A sequence of lines replaces a line that consists
    only of its name, with the same indentation. A line that names sequences beside other text is repeated for each
    element.
    """
    lines = []
    for line in template(which).splitlines():
        space, alone = line[: len(line) - len(line.lstrip())], parts.get(line.strip().removeprefix("$"), "")
        if line.lstrip().startswith("$") and not isinstance(alone, str):
            lines += indented(alone, space)
            continue
        names = [name for name in dict.fromkeys(re.findall(r"\$\{?(\w+)", line)) if not isinstance(parts[name], str)]
        rows = zip(*(parts[name] for name in names), strict=True) if names else [()]
        lines += [Template(line).substitute(parts, **dict(zip(names, row, strict=True))) for row in rows]
    return lines


def indented(lines: Iterable[str], space: str = "    ") -> list[str]:
    """Return lines with space before them."""
    return [space + line for line in lines]


def tuple_text(names: Iterable[str]) -> str:
    """Return the text of a tuple.

    A longer tuple is joined from parts: Python builds it from a list, which numba does not compile.
    """
    names = list(names)
    parts = [names[first : first + LONGEST] for first in range(0, len(names), LONGEST)] or [[]]
    return " + ".join(f"({', '.join(part)}{',' if len(part) == 1 else ''})" for part in parts)


def unpack(names: Sequence[str], of: str) -> list[str]:
    """Return the line that unpacks a tuple, unless it is empty."""
    return [f"{tuple_text(names) if len(names) == 1 else ', '.join(names)} = {of}"] if names else []
