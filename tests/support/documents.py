"""What the Markdown files of the repository hold: headings, links, blocks of code, and command lines that parse."""

import re
import shlex
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt
from typer.main import get_command

from sgdbench.cli import app
from tests.support.constants import ROOT

PATHS = sorted(ROOT.glob("*.md"))
PATHS += sorted(
    path for room in ("kernels", "bench", "tests", "results/reference") for path in (ROOT / room).rglob("*.md")
)
PATHS += [ROOT / "results" / "README.md"]
FILES = [path.relative_to(ROOT).as_posix() for path in PATHS]
MARKDOWN = MarkdownIt("commonmark").enable("table")
ENDS = {"|", ">", ">>", "&&"}


class Block(NamedTuple):
    """A block of code; `section` is the heading of the second level above it, `language` may be empty."""

    file: str
    section: str
    language: str
    text: str


class Document:
    """A Markdown file: headings with their levels, links (of pictures too), spans of code within lines, and blocks."""

    def __init__(self, file):
        self.file, self.text = file, (ROOT / file).read_text("utf-8")
        self.headings, self.links, self.spans, self.blocks = [], [], [], []
        section, tokens = "", MARKDOWN.parse(self.text)
        for before, token in zip([None, *tokens], tokens, strict=False):
            if token.type == "fence":
                self.blocks.append(Block(file, section, token.info, token.content))
            elif token.type == "inline":
                if before.type == "heading_open":
                    self.headings.append((int(before.tag[1]), "".join(child.content for child in token.children)))
                    section = self.headings[-1][1] if before.tag == "h2" else section
                for child in token.children:
                    self.links += [child.attrs[name] for name in ("href", "src") if name in child.attrs]
                    self.spans += [child.content] if child.type == "code_inline" else []

    @property
    def anchors(self):
        """Of the headings, as GitHub makes them."""
        found = []
        for _, heading in self.headings:
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
        return found

    def section(self, heading):
        """The text of a section of the second level."""
        return re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", self.text, re.MULTILINE | re.DOTALL)[1]


DOCUMENTS = {file: Document(file) for file in FILES}
BLOCKS = [block for document in DOCUMENTS.values() for block in document.blocks]


def lines_of(block):
    """The command lines of a block."""
    if block.language == "yaml":
        return re.findall(r"^ *- run: (.*)$", block.text, re.MULTILINE)
    return [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]


def words_of(line):
    """The words of a command, without comments and without what the shell does with its output."""
    words = shlex.split(line, comments=True)
    return words[: next((place for place, word in enumerate(words) if word in ENDS), len(words))]


def parse_command(line, config, *, whole=True):
    """Parse a line as the program that it calls does, without running it; where not `whole`, it is only mentioned."""
    program, *words = words_of(line)
    PARSERS[program](words, config, whole)


def _parse_sgdbench(words, config, whole):
    group = get_command(app)
    if not words or words[0].startswith("-"):
        known = {option for parameter in group.params for option in parameter.opts} | {"--help"}
        assert set(words) <= known, words
        return
    name, *rest = words
    assert name in group.commands, f"there is no command {name}"
    if rest == ["--help"]:
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sgdbench.kernels.base.plugins.load_plugin", lambda file: None)
        try:
            group.commands[name].make_context(name, rest)
        except Exception as error:
            if whole or type(error).__name__ != "MissingParameter":
                raise AssertionError(f"sgdbench {name} {shlex.join(rest)}: {error.format_message()}") from None


def _parse_pytest(words, config, whole):
    for word in words:
        if word.startswith("--"):
            config.getoption(word.partition("=")[0][2:].replace("-", "_"))  # an error if there is none


def _parse_make(words, config, whole):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(words) <= set(targets), words


def _parse_pip(words, config, whole):
    extras = re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    for word in words:
        named = re.fullmatch(r"(?:\.|sgdbench)\[([\w,]+)\]", word)
        assert not named or set(named[1].split(",")) <= set(extras), word


PARSERS = {
    "sgdbench": _parse_sgdbench,
    "pytest": _parse_pytest,
    "make": _parse_make,
    "pip": _parse_pip,
    "mkdir": lambda words, config, whole: None,
    "source": lambda words, config, whole: None,
}
