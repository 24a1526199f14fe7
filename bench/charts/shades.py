"""A few shades for numbers of any size, few enough to tell apart in a map."""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.ticks import Says, format_log_tick
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.formatting import text

MAX_SHADES = 8
LEAST_STEP = 1.1
WHITE = 4 / 3  # the tone at which shades, continued beyond the lightest one of a legend, end


class Shades(NamedTuple):
    """Classes of numbers, each up to and including its limit, and their names in a legend."""

    limits: Sequence[float]
    names: Sequence[str]

    @property
    def tones(self) -> list[float]:
        """The shade of each class, from 0 for the smallest numbers to 1 for the largest ones."""
        return [place / max(1, len(self.limits) - 1) for place in range(len(self.limits))]

    def tones_of(self, values: Floats) -> Floats:
        """Return the shade of each value; NaN for values that are not finite, which have no class."""
        classes = np.searchsorted(np.array(self.limits) * (1 + 1e-9), values)
        return np.where(np.isfinite(values), np.array(self.tones)[classes.clip(max=len(self.limits) - 1)], np.nan)


def make_shades(panels: Sequence[ArrayLike], says: Says | None = None) -> Shades:
    """Return shades for positive numbers that tell the numbers of each panel apart, narrow as their range may be.

    Limits are quantiles of each panel to two digits, all in all at most eight. They are at least a tenth apart: smaller
    differences do not deserve a color. Values that are not finite or not positive are ignored; the latter are in the
    first class. `says` writes a limit.
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
    return Shades(limits, [f"\N{LESS-THAN OR EQUAL TO} {(says or _format_limit)(limit)}" for limit in limits])


def _format_limit(limit: float) -> str:
    return text(int(limit)) if limit == int(limit) < 1e6 else format_log_tick(limit)


def _round_up(value: float) -> float:
    """Return the next number of two digits."""
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{ceil(value / step * (1 - 1e-9)) * step:.2g}")
