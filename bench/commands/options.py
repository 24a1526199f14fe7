"""Lists and assignments as a person types them on a command line; what they hold is checked by who uses it."""

import re
from collections.abc import Sequence

# As many as a setting of a grid may have values.
MOST_SEEDS = 1_000_000
_CLOSING = {"(": ")", "[": "]"}


def split_list(text: str | None) -> list[str] | None:
    """Split at commas, but not inside parentheses or brackets: "sgd,adam(0.9, 0.99)" has two parts.

    Raises
    ------
    ValueError
        If a parenthesis or bracket is left open, or closes none.
    """
    if text is None:
        return None
    parts: list[str] = []
    start = 0
    opened: list[int] = []
    for place, character in enumerate(text):
        if character in _CLOSING:
            opened.append(place)
        elif character in _CLOSING.values():
            if not opened:
                raise ValueError(_unbalanced(text, place, "closes none"))
            if character != _CLOSING[text[opened[-1]]]:
                break  # what is open inside the brackets that close here stays open
            opened.pop()
        elif character == "," and not opened:
            parts.append(text[start:place].strip())
            start = place + 1
    if opened:
        raise ValueError(_unbalanced(text, opened[-1], "is not closed"))
    return [*parts, text[start:].strip()]


def _unbalanced(text: str, place: int, fault: str) -> str:
    return f"brackets must be balanced, and in {text!r} the {text[place]!r} in column {place + 1} {fault}"


def parse_rates(text: str | None) -> str | list[float] | None:
    """Return a range such as "log:0.01:1:20" as it is, else a list of learning rates.

    Raises
    ------
    ValueError
        For anything else.
    """
    if text is None or ":" in text:
        return text
    return [_number("lr", part) for part in split_list(text) or []]


def parse_range_or_rate(text: str | None) -> str | float | None:
    """Return a range such as "log:0.01:1" as it is, else a learning rate.

    Raises
    ------
    ValueError
        For anything else.
    """
    return text if text is None or ":" in text else _number("lr", text)


def parse_figures(text: str) -> bool:
    """Return whether figures are wanted as SVG too.

    Raises
    ------
    ValueError
        For another format than "png" and "svg".
    """
    if text not in {"png", "svg"}:
        raise ValueError(f'figures must be "png", or "svg" for both, not {text!r}')
    return text == "svg"


def parse_sizes(text: str | None) -> list[int | str] | None:
    """Return whole numbers and words, such as "1,8,full".

    Raises
    ------
    ValueError
        As from `split_list`.
    """
    parts = split_list(text)
    return None if parts is None else [parse_size(part) for part in parts]


def parse_size(text: str) -> int | str:
    """Return a whole number or a word, such as "16" or "full"."""
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text.strip()) else text


def parse_seeds(text: str | None) -> list[int | str] | None:
    """Return seeds, of which a range such as "0-4" stands for all from its first to its last.

    Raises
    ------
    ValueError
        If a range goes backwards or holds too many; and as from `split_list`.
    """
    parts = split_list(text)
    return None if parts is None else [seed for part in parts for seed in _parse_seed_range(part)]


def _parse_seed_range(part: str) -> Sequence[int | str]:
    found = re.fullmatch(r"(\d{1,18}) ?- ?(\d{1,18})", part, re.ASCII)
    if not found:
        return [parse_size(part)]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MOST_SEEDS:
        raise ValueError(
            f'seed must be numbers and ranges such as "0-4,9", each from low to high with at most {MOST_SEEDS:,} '
            f"seeds, not {part!r}"
        )
    return range(first, last + 1)


def parse_record(text: str | None) -> str | int | None:
    """Return what is recorded: a word such as "log:10", or a number of updates."""
    return None if text is None else parse_size(text)


def parse_start(text: str | None) -> str | dict[str, dict[str, float]] | None:
    """Return random starts such as "normal:1:20" as they are, else one start by the names of the parameters.

    Raises
    ------
    ValueError
        As from `parse_assignments`.
    """
    if text is None or ":" in text:
        return text
    return {"given": parse_assignments(text) or {}}


def parse_assignments(text: str | None) -> dict[str, float] | None:
    """Return names and values, such as "a=1,b=-2.5".

    Raises
    ------
    ValueError
        If a part is not name=number, or a name is there twice; and as from `split_list`.
    """
    if text is None:
        return None
    values: dict[str, float] = {}
    for part in split_list(text) or []:
        name, equals, value = part.partition("=")
        if not equals or not name.strip() or name.strip() in values:
            raise ValueError(f'init must be distinct names with their values, such as "a=1,b=2", not {text!r}')
        values[name.strip()] = _number(f"init {name.strip()}", value)
    return values


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number such as 0.5 or 1e-3, not {text.strip()!r}") from None
