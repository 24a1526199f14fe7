"""Parsers of lists and assignments on the command line; their values are checked where they are used."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# The maximum number of values of a grid setting.
MAX_VALUES = 1_000_000


def split_list(text: str) -> list[str]:
    """Split at commas, but not inside parentheses or brackets: "sgd,adam(0.9, 0.99)" has two parts."""
    parts, depth = [""], 0
    for character in text:
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        if depth < 0:
            break
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ValueError(f"brackets must be balanced, not {text!r}")
    return [part.strip() for part in parts]


def parse_value(text: str) -> int | float | str:
    """Return a number, or the text of any other value, such as "full" or "log:10"."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return text


def parse_values(text: str) -> Any:
    """Return the values between commas, such as "1,8,full"; a single value, such as "log:0.01:1:20", is not a list."""
    values = [parse_value(part) for part in split_list(text)]
    return values if len(values) > 1 else values[0]


def parse_seeds(text: str) -> list[Any]:
    """Return seeds; a range such as "0-4" stands for all seeds from its first to its last."""
    return [seed for part in split_list(text) for seed in _parse_seed_range(part)]


def _parse_seed_range(part: str) -> Sequence[Any]:
    ends = re.fullmatch(r"(\d{1,18}) ?- ?(\d{1,18})", part, re.ASCII)
    if not ends:
        return [parse_value(part)]
    first, last = int(ends[1]), int(ends[2])
    if not first <= last < first + MAX_VALUES:
        raise ValueError(
            f'seed must be numbers and ranges such as "0-4,9", each from low to high with at most {MAX_VALUES:,} '
            f"seeds, not {part!r}"
        )
    return range(first, last + 1)


def is_table(value: Any) -> bool:
    """Return whether a value is the path of a table (by its suffix), or of a folder."""
    from sgdbench.data.batches import MAPPED_SUFFIXES  # noqa: PLC0415 (pyarrow)

    return isinstance(value, str) and (Path(value).suffix.lower() in MAPPED_SUFFIXES or Path(value).is_dir())


def parse_seed(text: str) -> Any:
    """Return one seed; lists and ranges are refused."""
    if re.fullmatch(r"\s*\d+\s*([-,]\s*\d+\s*)+", text, re.ASCII):
        raise ValueError(f"fit takes one seed, not {text!r}; use `sgdbench run` for several")
    return parse_value(text)


def parse_start(text: str) -> dict[str, float] | list[float]:
    """Return parameter values by name, such as "a=1,b=-2.5", or in order, such as "1,-2.5"."""
    parts = split_list(text)
    with suppress(ValueError):
        return [float(part) for part in parts]
    pairs = [[side.strip() for side in part.split("=", 1)] for part in parts]
    try:
        values = {name: float(value) for name, value in pairs}
    except ValueError:
        values = {}
    if len(values) < len(pairs) or "" in values:
        raise ValueError(
            'init must be distinct names with their values, such as "a=1,b=2", or all values in order, such as "1,2", '
            f"not {text!r}"
        )
    return values


def parse_starts(text: str) -> dict[str, Any]:
    """Return starts by name, as in `grid.init`, from a text such as "near=-1,10,26; far=normal:5:3".

    Each is parsed by `parse_start`, or is a text such as "zero" or "normal:1:5". Starts without a name get one.
    """
    starts: dict[str, Any] = {}
    segments = text.split(";")
    for segment in segments:
        name, _, start = (side.strip() for side in segment.partition("="))
        first, *others = (part.count("=") for part in segment.split(","))
        # "near=1,2", "near=a=1,b=2" and "near=zero" begin with a name; "a=1,b=2" and a lone "a=1" do not.
        alone = len(segments) == 1 and not _is_random(start)
        if first <= (others[0] if others else alone):
            name, start = "", segment.strip()
        value = start if _is_random(start) else parse_start(start)
        name = name or (start.partition(":")[0] if _is_random(start) else f"init[{len(starts)}]")
        if name in starts:
            raise ValueError(f"init must have starts with distinct names, and {name!r} occurs twice in {text!r}")
        starts[name] = value
    return starts


def _is_random(start: str) -> bool:
    """Return whether a start is a word such as "zero", or one with numbers, such as "normal:1:5"."""
    return start[:1].isalpha() and "=" not in start


def parse_figures(text: str) -> bool:
    """Return whether figures are requested as SVG too."""
    if text not in {"png", "svg"}:
        raise ValueError(f'figures must be "png", or "svg" for both, not {text!r}')
    return text == "svg"


def parse_settings(assignments: Sequence[str] | None, **options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a study by key, such as "run.refine", from --set and from other options, by table.

    A value of --set is parsed as in a study file; anything that is not TOML, such as ``log:0.01:1:20``, is text.
    Options that are not given are None.
    """
    texts = {f"{table}.{name}": value for table, named in options.items() for name, value in named.items()}
    settings = {key: value for key, value in texts.items() if value is not None}
    for assignment in assignments or ():
        key, equals, value = (part.strip() for part in assignment.partition("="))
        if not equals or not key:
            raise ValueError(
                f"--set must be a key of the study and its value, such as run.refine=2, not {assignment!r}"
            )
        if key in settings:
            raise ValueError(f"{key} must be given once, by --set or by its own option")
        settings[key] = _parse_toml(value)
    return settings


def _parse_toml(text: str) -> Any:
    import tomllib  # noqa: PLC0415 (a third of the start-up time of this module)

    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text
