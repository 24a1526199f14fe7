"""A few shades for numbers of any size, few enough to tell apart in a map."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bench.plots.style import INK, colors_of, format_log_tick
from bench.tables.formatting import text
from kernels.run import Floats

MAX_SHADES = 8

# Marks of cells without a color.
DIVERGED_COLOR = "#ebebeb"
DIVERGED_MARK: Any = {"marker": "x", "color": INK, "markersize": 5, "linestyle": ""}
SOME_DIVERGED_MARK: Any = {"marker": "^", "color": INK, "markeredgecolor": "white", "markersize": 5, "linestyle": ""}
MISSED_MARK: Any = {"marker": "s", "markerfacecolor": "white", "markeredgecolor": "#999999", "linestyle": ""}


class Shades(NamedTuple):
    """Colors for classes of numbers, each up to and including its limit: dark for small numbers.

    Values that are not finite have no class and are white.
    """

    limits: list[float]
    colors: list[Any]

    def of(self, values: Floats) -> Floats:
        """Return the color of each value as red, green, blue and opacity, shape (..., 4)."""
        classes = np.searchsorted(np.array(self.limits) * (1 + 1e-9), values)
        table = np.array([*self.colors, (1, 1, 1, 1)], dtype=float)
        colors: Floats = table[np.where(np.isfinite(values), classes.clip(max=len(self.colors) - 1), -1)]
        return colors

    @property
    def names(self) -> list[str]:
        """The names of the classes in a legend."""
        at_most = "\N{LESS-THAN OR EQUAL TO} "
        return [
            at_most + (text(int(limit)) if limit == int(limit) < 1e6 else format_log_tick(limit))
            for limit in self.limits
        ]


def make_shades(values: ArrayLike, bases: tuple[float, ...] = (2, 4, 10, 100, 1e3, 1e6, 1e20, 1e100)) -> Shades:
    """Return shades for positive numbers, limited by powers of the smallest base that needs at most eight of them.

    Parameters
    ----------
    values : array
        Values that are not finite do not count; values that are not positive are in the first class.
    """
    numbers = np.asarray(values, dtype=float)
    positive = numbers[np.isfinite(numbers) & (numbers > 0)].clip(1e-300, 1e300)
    if not positive.size:
        positive = np.ones(1)
    for base in bases:
        low, high = (ceil(np.log(value) / np.log(base) - 1e-9) for value in (positive.min(), positive.max()))
        if high - low < MAX_SHADES:
            break
    limits = [float(base**power) for power in range(low, high + 1)]
    return Shades(limits, list(colors_of(range(len(limits))).values())[::-1])
