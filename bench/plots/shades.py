"""A few shades for numbers of any size, few enough to tell apart in a map."""

from collections.abc import Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import ArrayLike

from bench.charts.choices import spread_evenly
from bench.charts.ticks import format_log_tick
from bench.plots.style import INK
from bench.tables.formatting import text
from kernels.base.run import Floats

MAX_SHADES = 8
LEAST_STEP = 1.1

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


def make_shades(panels: Sequence[ArrayLike]) -> Shades:
    """Return shades for positive numbers that tell the numbers of each panel apart, narrow as their range may be.

    Limits are quantiles of each panel to two digits, all in all at most eight. They are at least a tenth apart: smaller
    differences are none worth a color. Values that are not finite do not count, nor do those that are not positive,
    which are in the first class.
    """
    positive = [numbers[np.isfinite(numbers) & (numbers > 0)] for numbers in (np.asarray(one, float) for one in panels)]
    positive = [np.sort(numbers.clip(1e-300, 1e300)) for numbers in positive if numbers.size] or [np.ones(1)]
    parts = max(4, MAX_SHADES // len(positive))
    places = np.arange(1, parts + 1) / parts
    quantiles = {float(numbers[int(place * (numbers.size - 1))]) for numbers in positive for place in places}
    limits: list[float] = []
    for limit in sorted(map(_round_up, quantiles), reverse=True):
        # From the highest down: that one has to be there, so that each number has a class.
        if not limits or LEAST_STEP * limit <= limits[-1]:
            limits.append(limit)
    limits = spread_evenly(limits[::-1], MAX_SHADES)
    # The blues of the page's map.
    return Shades(limits, list(colormaps["Blues_r"](np.linspace(0, 0.75, len(limits)))))


def _round_up(value: float) -> float:
    """Return the next number of two digits."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{ceil(value / step * (1 - 1e-9)) * step:.2g}")
