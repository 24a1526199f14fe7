"""The line number of each key of a TOML file, for error messages."""

import re

Key = tuple[str | int, ...]
"""The path of a value, such as ``("grid", "lr")``."""

_HEADER = re.compile(r"""\s*\[\[?\s*([\w."' -]+?)\s*\]\]?\s*(#.*)?$""")
_KEY = re.compile(r"""\s*([\w.-]+|"[^"]*"|'[^']*')\s*=""")


def line_numbers(text: str) -> dict[Key, int]:
    """Return the line, counted from 1, of every table and every key that begins its line."""
    lines: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _split_key(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(table + _split_key(key[1]), number)
    return lines


def _split_key(key: str) -> Key:
    """Return the parts of a key, separated by dots unless it is quoted."""
    return (key[1:-1],) if key[0] in "\"'" else tuple(part.strip().strip("\"'") for part in key.split("."))


def quote_key(part: str) -> str:
    """Return a part of a key in TOML's form."""
    return part if re.fullmatch(r"[\w-]+", part) else repr(part)
