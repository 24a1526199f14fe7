"""How much slower each row of a comparison may be: one number for all, and others for some by name."""

import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from math import isfinite
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.system.files import read_regular_file
from kernels.base.checks import describe

ACCEPTED = 'accepted is one table [gates] with lines such as "fused*" = 1.03'
DEFAULT = "default"


class Gates(NamedTuple):
    """The most that a ratio may be.

    Attributes
    ----------
    default : float or None
        For rows that no pattern names; None lets them be.
    patterns : dict of str to float
        From the name of a row, in which `*` and `?` stand for anything, to its gate. The first that matches counts.
    """

    default: float | None
    patterns: dict[str, float]

    def named(self, row: str) -> float | None:
        """Return the gate of a row that a pattern names."""
        return next((gate for pattern, gate in self.patterns.items() if _matches(row, pattern)), None)

    def of(self, row: str) -> float | None:
        """Return the gate of a row."""
        named = self.named(row)
        return self.default if named is None else named

    def unused(self, rows: Iterable[str]) -> list[str]:
        """Return the patterns that name none of the rows."""
        rows = list(rows)
        return [pattern for pattern in self.patterns if not any(_matches(row, pattern) for row in rows)]


def _matches(row: str, pattern: str) -> bool:
    # Names of tests are full of brackets, which would be sets of characters.
    return fnmatchcase(row, pattern.replace("[", "[[]"))


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    gates: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]]


def load_gates(gate: float | None, path: Path | None) -> Gates:
    """Read gates.

    Parameters
    ----------
    gate : float or None
        For rows that the file does not name; takes the place of the file's `default`.
    path : path or None
        A TOML file with one table, `[gates]`, of row names or patterns and numbers.

    Raises
    ------
    ValueError
        In one line: what is wrong, where, and what is accepted.
    """
    if gate is not None and not (isfinite(gate) and gate > 0):
        raise ValueError(f"--gate must be a positive finite ratio such as 1.05, not {gate:g}")
    patterns = _read(path) if path else {}
    default = patterns.pop(DEFAULT, None)
    return Gates(default if gate is None else gate, patterns)


def _read(path: Path) -> dict[str, float]:
    try:
        return _File.model_validate(tomllib.loads(read_regular_file(path).decode("utf-8-sig"))).gates
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        wanted = {"missing": "is missing", "extra_forbidden": "is no table of this file"}.get(first["type"])
        wanted = wanted or f"{first['msg'].replace('Input should be', 'must be')}, not {describe(first['input'])}"
        raise ValueError(f"{path}: {place} {wanted}; {ACCEPTED}") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {ACCEPTED}") from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not valid TOML: {' '.join(str(error).split())}") from None
