"""Gates: how much slower each row of a comparison may be, by default and by name."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from sgdbench.kernels.base.checks import check_real
from sgdbench.system.files import parse_toml, read_regular_file

ACCEPTED_FILE = 'expected one table [gates] with lines such as "fused*" = 1.03'
DEFAULT_GATE = "default"


class Gates(NamedTuple):
    """The largest permitted ratios.

    `patterns` has gates by the name of a row, with wildcards `*` and `?`; the first match counts. `default` is for rows
    that match no pattern; None permits any ratio.
    """

    default: float | None
    patterns: dict[str, float]

    @property
    def given(self) -> bool:
        """Whether there is any gate."""
        return self.default is not None or bool(self.patterns)

    def named(self, row: str) -> float | None:
        """Return the gate of a row from the patterns."""
        return next((gate for pattern, gate in self.patterns.items() if _matches(row, pattern)), None)

    def of(self, row: str) -> float | None:
        """Return the gate of a row, from the patterns or the default."""
        named = self.named(row)
        return self.default if named is None else named

    def unused(self, rows: Iterable[str]) -> list[str]:
        """Return the patterns that match none of the rows."""
        rows = list(rows)
        return [pattern for pattern in self.patterns if not any(_matches(row, pattern) for row in rows)]


def _matches(row: str, pattern: str) -> bool:
    # Brackets, which are common in names of tests, would be character sets.
    return fnmatchcase(row, pattern.replace("[", "[[]"))


def load_gates(gate: float | None, path: Path | None) -> Gates:
    """Return the gates of a TOML file with one table, `[gates]`; `gate` replaces its default."""
    if gate is not None:
        _check_gate("--gate", gate)
    patterns = _read(path) if path else {}
    default = patterns.pop(DEFAULT_GATE, None)
    return Gates(default if gate is None else gate, patterns)


def _check_gate(name: str, gate: object) -> float:
    return check_real(name, gate, lambda ratio: ratio > 0, "a positive finite ratio such as 1.05")


def _read(path: Path) -> dict[str, float]:
    try:
        text = read_regular_file(path).decode("utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {ACCEPTED_FILE}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    table = parse_toml(text, path)
    if unknown := next((name for name in table if name != "gates"), None):
        raise ValueError(f"{path}: {unknown} is not a table of this file; {ACCEPTED_FILE}")
    if not isinstance(table.get("gates"), dict):
        raise ValueError(f"{path}: {ACCEPTED_FILE}")
    return {row: _check_gate(f"{path}: gates.{row}", gate) for row, gate in table["gates"].items()}
