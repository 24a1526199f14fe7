"""The ticks of axes: where they stand, and how they are written."""

import re
from collections.abc import Callable, Sequence
from math import ceil, floor, log10

import numpy as np

from sgdbench.charts.chart import Axis, Ticks
from sgdbench.tables.formatting import duration, text

ROUND = (1, 2, 5, 10)
MAX_TICKS = 16

Says = Callable[[float], str]


def even_steps(low: float, high: float, most: int) -> list[float]:
    """Return the values in a view that are 1, 2 or 5 times a power of ten apart, in at most that many intervals."""
    least = (high - low) / most
    base = 10.0 ** floor(log10(least))
    step = next(digit * base for digit in ROUND if digit * base >= least * (1 - 1e-9))
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [float(f"{place * step:.12g}") for place in range(first, last + 1)]


def linear_ticks(low: float, high: float, says: Says | None = None) -> tuple[Ticks, ...]:
    """Return the choices of ticks of a linear axis, in at most ten intervals, six, four, or two."""
    low, high = min(low, high), max(low, high)
    choices = {tuple(even_steps(low, high, most)): None for most in (10, 6, 4, 2)}
    return tuple(Ticks(values, [(says or format_tick)(value) for value in values]) for values in choices)


def log_ticks(low: float, high: float, says: Says | None = None) -> tuple[Ticks, ...]:
    """Return the choices of ticks of a logarithmic axis: at 1, 2, 5, at 1 and 3, and at some powers of ten.

    An axis that has less than three of these has round numbers at even distances.
    """
    choices = [values for values in _log_choices(low, high) if len(values) > 2]
    choices = choices or [even_steps(low, high, most) for most in (6, 4)]
    return tuple(
        Ticks(values, [says(value) for value in values] if says else format_log_ticks(values)) for values in choices
    )


def _log_choices(low: float, high: float) -> list[list[float]]:
    decades = 10.0 ** np.arange(floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9) + 1)
    choices = []
    for digits in ([1, 2, 5], [1, 3], [1]):
        values = np.outer(decades, digits).ravel()
        inside = values[(values >= low * (1 - 1e-9)) & (values <= high * (1 + 1e-9))]
        choices.append([float(f"{value:.3g}") for value in inside])
    powers = choices.pop()
    every = range(1, max(2, ceil(len(powers) / 2)))
    thinned = {len(powers[::step]): powers[::step] for step in every}
    return [one for one in [*choices, *thinned.values()] if len(one) <= MAX_TICKS]


def format_log_ticks(values: Sequence[float]) -> list[str]:
    """Write the ticks of a logarithmic axis, all in one style: 10,000, or 10⁷ for powers of ten, or 3e7.

    Powers of ten from 0.0001 to 100,000 are written out.
    """
    plain = [text(value, 6) for value in values]
    if not any("e" in label for label in plain):
        return plain
    if all(_is_power_of_ten(value) for value in values):
        return [format_power_of_ten(value) for value in values]
    return [re.sub(r"\.?0*e([+-])0*(\d)", r"e\1\2", f"{value:.5e}").replace("e+", "e") for value in values]


def format_tick(value: float) -> str:
    """Write a value of a linear axis, with all of its digits but those of rounding."""
    digits = f"{value + 0.0:.10g}" if abs(value) < 10000 else f"{value:,.10g}"
    return digits.replace("e+", "e").replace("-", "\N{MINUS SIGN}")


def format_log_tick(value: float) -> str:
    """Write a value of a logarithmic axis: far from one as a power of ten, if it is one."""
    far = not -3 <= np.log10(value) <= 3
    return format_power_of_ten(value) if far and _is_power_of_ten(value) else text(value, 6)


def _is_power_of_ten(value: float) -> bool:
    exponent = np.log10(value)
    return bool(abs(exponent - round(exponent)) < 1e-6)


def format_limit(value: float) -> str:
    """Write where a view ends, for a caption: to two digits."""
    return format_log_tick(float(f"{value:.2g}"))


def format_power_of_ten(value: float) -> str:
    """Write a power of ten with a raised exponent."""
    return "10" + f"{np.log10(value):.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def log_axis(limits: tuple[float, float], title: str, end: float, says: Says | None = None) -> Axis:
    """Return a logarithmic axis and, for a reader who prefers it, a linear one from 0 to an end."""
    linear = Axis((0.0, end), title, ticks=linear_ticks(0.0, end, says))
    return Axis(limits, title, log=True, ticks=log_ticks(*limits, says), linear=linear)


def format_time(seconds: float) -> str:
    """Write a time as a tick: its unit follows from its size, and 0 has none."""
    return duration(seconds) if seconds else "0"


def places(names: Sequence[str]) -> tuple[Ticks, ...]:
    """Return the choices of ticks of an axis of names, which stand at 0, 1, ...: all, every second one, ..."""
    steps = [2**power for power in range(8) if power == 0 or 2**power < len(names)]
    return tuple(Ticks(list(range(len(names)))[::step], list(names)[::step]) for step in steps)
