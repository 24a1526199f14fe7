"""The axes of losses, and of costs by learning rate: their quantities, names and limits."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Key, Rule
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.formatting import text

# Distances below a millionth of the lowest loss are mostly rounding.
SMALLEST_DISTANCE = 1e-6
# Losses above this many times the top of a view are drawn at that height, out of view.
OUT_OF_VIEW = 10.0


class LossAxis(NamedTuple):
    """The quantity on an axis of losses: the loss, or its distance to the `lowest` one.

    Noisy data have a lowest loss far above zero, near which all curves would be one line: where it is known, the axis
    shows the distance to it; it is 0 where it is unknown, or too low to matter. `called` is the name of the losses,
    which may be those of `standardized` data. Of losses that may be negative, the lowest may be the lowest `seen`.
    """

    lowest: float = 0.0
    standardized: bool = False
    called: str = "loss"
    seen: bool = False

    def name(self, prefix: str = "") -> str:
        """Return the name of the axis, with the units."""
        loss = f"{prefix}{self.called}"
        units = " (standardized)" if self.standardized else ""
        which = "seen" if self.seen else "possible"
        return f"{loss} above the lowest\n{which}, {text(self.lowest)}{units}" if self.lowest else f"{loss}{units}"

    @property
    def held_out(self) -> "LossAxis":
        """The axis of losses on held-out samples, whose lowest loss is known only if it was seen."""
        return self._replace(lowest=self.lowest if self.seen else 0.0, called=f"{self.called} on held-out samples")

    @property
    def quantity(self) -> str:
        """The quantity in the plural, to begin a sentence."""
        return "Distances" if self.lowest else "Losses"

    def place(self, losses: Floats) -> Floats:
        """Return the places of losses on the axis; rounding takes none of them below zero."""
        return np.maximum(losses - self.lowest, 0.0) if self.lowest else losses

    def place_bands(self, bands: pd.DataFrame) -> pd.DataFrame:
        """Return bands of losses as from `sgdbench.tables.loss_bands`, placed on the axis."""
        names = [name for name in ("low", "median", "high", "held_out") if name in bands]
        return bands.assign(**{name: self.place(bands[name].to_numpy()) for name in names})

    def limits(self, losses: Floats, highest: float, target: float | None) -> tuple[float, float]:
        """Return the limits of the axis, without zeros and without diverging losses.

        `losses` are places on the axis; places above `highest` are out of view. The target is always in view;
        losses far below it differ by rounding only, and are cut off. Limits are powers of ten, unless the losses span
        less than three decades.
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
        """Return the place of the target on the axis; None if there is no target, or none above the lowest loss."""
        return target - self.lowest if target is not None and target > self.lowest else None


PLAIN = LossAxis()


def band_limits(bands: pd.DataFrame, shown: LossAxis, target: float | None) -> tuple[float, float]:
    """Return the limits of an axis for bands placed on it: those of the medians, but not far above the start."""
    start = bands.loc[bands["samples"] == 0, "median"].max()
    medians = bands[[name for name in ("median", "held_out") if name in bands]].to_numpy()
    return shown.limits(medians, 1000 * start, target)


def clock_range(bands: pd.DataFrame, clock: str, target: float | None) -> tuple[float, float]:
    """Return where a logarithmic clock begins and ends.

    It begins half as far as the first checkpoint: the start, which has no place on it, is drawn there. It ends soon
    after the last median has arrived at the target; a band may go on. An optimizer without a place on the clock, as its
    updates were not timed, does not count.
    """
    bands = bands[bands[clock].notna()]
    times = bands[clock].to_numpy(float)
    edge = 0.5 * times[times > 0].min(initial=2.0 * max(times.max(initial=0.0), 1.0))
    arrived = 0.0
    for _, line in bands.groupby(["start", "optimizer"], observed=True):
        there = line.loc[line["median"] <= target, clock] if target is not None else line[clock].head(0)
        arrived = max(arrived, there.iloc[0] if len(there) else line[clock].iloc[-1])
    return edge, max(min(times.max(initial=0.0), 1.25 * arrived), 2 * edge)


def target_layers(shown: LossAxis, target: float | None, limits: tuple[float, float]) -> list[Rule]:
    """Return the line of the target across a panel; none without a target, or out of view."""
    level = shown.place_target(target)
    return [Rule(level)] if level is not None and limits[0] <= level <= limits[1] else []


def target_keys(shown: LossAxis, target: float | None, bottom: float) -> list[Key]:
    """Return the entry of the target in a legend, which says if it lies below the view; none without a target."""
    if target is None:
        return []
    level = shown.place_target(target)
    below = "" if level is not None and level >= bottom else ", below"
    return [Key(f"target {text(target)}{below}", "target", "dashes")]
