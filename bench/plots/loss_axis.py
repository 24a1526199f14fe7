"""The axis of losses: what is drawn on it, its name and its limits."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from bench.plots.style import DASHES, INK, log_scale
from bench.tables.formatting import text
from kernels.base.run import Floats

# Distances below a millionth of the lowest loss are mostly rounding.
SMALLEST_DISTANCE = 1e-6


class LossAxis(NamedTuple):
    """What an axis of losses shows.

    Noisy data have a lowest loss far above zero, near which all curves would be one line: where it is known, the axis
    shows the distance to it.

    Attributes
    ----------
    lowest : float
        The lowest loss that any parameters reach; 0 where it is unknown, or too low to matter.
    standardized : bool
        Whether the losses are those of standardized data.
    called : str
        What the losses are called.
    """

    lowest: float = 0.0
    standardized: bool = False
    called: str = "loss"

    def name(self, prefix: str = "") -> str:
        """Return the name of the axis, with the units."""
        loss = f"{prefix}{self.called}"
        units = " (standardized)" if self.standardized else ""
        return f"{loss} above the lowest\npossible, {text(self.lowest)}{units}" if self.lowest else f"{loss}{units}"

    @property
    def quantity(self) -> str:
        """What the axis shows, in the plural, as the beginning of a sentence."""
        return "Distances" if self.lowest else "Losses"

    def place(self, losses: Floats) -> Floats:
        """Return where losses are on the axis; the lowest is not below zero, whatever rounding says."""
        return np.maximum(losses - self.lowest, 0.0) if self.lowest else losses

    def limits(self, losses: Floats, highest: float, target: float | None) -> tuple[float, float]:
        """Return the limits of the axis, without zeros and without diverging losses.

        Parameters
        ----------
        losses : array
            Places on the axis.
        highest : float
            What is higher is out of view.
        target : float or None
            The target loss, always in view. What is far below it differs by rounding only and is cut off.

        Returns
        -------
        bottom, top : float
            Powers of ten, unless the losses span less than three decades.
        """
        losses = losses[(losses > 0) & np.isfinite(losses)]
        if not losses.size:
            return 1e-16, 1e-15
        target = self.place_target(target)
        least = max(target / 100 if target else 0, SMALLEST_DISTANCE * abs(self.lowest), 1e-300)
        low = max(losses.min(), least)
        if target and low / 10 < target < low:
            low = target  # so near that it can be in view
        high = max(min(losses.max(), highest), target or 0, low)
        if 1 < high / low < 1000:
            return low * (low / high) ** 0.05, high * (high / low) ** 0.05
        bottom, top = np.floor(np.log10(low)), np.ceil(np.log10(high))
        return 10.0**bottom, 10.0 ** max(top, bottom + 1)

    def place_target(self, target: float | None) -> float | None:
        """Return where the target is on the axis, or None without one that can be there."""
        return target - self.lowest if target is not None and target > self.lowest else None

    def set_up(self, axis: Axes, bottom: float, top: float) -> None:
        """Make the vertical axis a logarithmic one with these limits."""
        log_scale(axis)
        axis.set_ylim(bottom, top)

    def draw_target(self, axis: Axes, target: float | None) -> None:
        """Draw the target as a horizontal line; the legend says so if it lies below the view."""
        if target is not None:
            place, bottom = self.place_target(target) or 0.0, axis.get_ylim()[0]
            below = ", below" if place < bottom else ""
            height = max(place, bottom / 10)
            axis.axhline(height, color=INK, linewidth=1, linestyle=DASHES, label=f"target {text(target)}{below}")


PLAIN = LossAxis()
