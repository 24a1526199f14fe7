"""Scales on which losses are compared: their distance to the lowest loss, or their improvement over a constant."""

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from kernels.base.run import Floats
from kernels.train.yardstick import Yardstick

NEGLIGIBLE = 0.01
"""Distances to the lowest loss below this share of the improvement over a constant, and of that loss, are equal."""
EXCESS = "excess_loss"
"""The column of the distances of final losses to the lowest loss."""
EXACT = "exact_excess_loss"
"""The column of the same distances, of which none is negligible, by which it is told whether runs differ at all."""
ROUNDED = 1e-9
"""Losses that differ by less than this share of the lowest one differ by rounding."""
# The columns of a frame by which losses are compared: the loss, and the scale by its name in `run_costs.COST_NAMES`.
_SCALES = {
    EXCESS: ("final_loss", "distance"),
    "inverse_improvement": ("final_loss", "improvement"),
    "inverse_improvement_on_median": ("final_loss", "improvement on median"),
    "inverse_held_out_improvement": ("validation_loss", "improvement"),
    "inverse_held_out_improvement_on_median": ("validation_loss", "improvement on median"),
}


def scales_of(frame: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield the scales of the losses that a frame has: its column, the loss, and the name of the scale."""
    for column, (loss, scale) in _SCALES.items():
        if column in frame:
            yield column, loss, scale


def ranking_loss(frame: pd.DataFrame) -> str:
    """Return the column of the losses that rank runs without a target: on held-out samples, if any."""
    return "validation_loss" if "validation_loss" in frame else "final_loss"


def add_excess(
    frame: pd.DataFrame, yardstick: Yardstick, floor: float, sweep: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add the columns by which losses are compared; lower is better in each of them, and ratios have a meaning.

    A loss of 0.63 is 1.05 times one of 0.60, and leaves a third of the improvement where a constant has 0.69. So final
    losses are compared by `excess_loss`, their distance to the lowest loss that the model can reach. Distances below
    `floor`, or negligible, are equal (see `bench.tables.run_costs.loss_floor`); in `exact_excess_loss` none is
    negligible.

    On held-out samples the lowest loss that training can reach is not known. These losses, and final losses where the
    lowest one was not found, are compared by their improvement over the best constant: the columns have the largest
    improvement of the `sweep`, the frame itself by default, divided by that of each run. Improvements below 1 % of the
    largest are equal, and so are losses on held-out samples that these do not resolve. Where no run improves on the
    constant, or its loss is not known, the median run of the sweep takes its place.
    """
    added, sweep = {}, frame if sweep is None else sweep
    if math.isfinite(yardstick.loss):
        gain = yardstick.improvement
        scales = [abs(yardstick.loss), *([gain] if math.isfinite(gain) else [])]
        least = max(floor, yardstick.floor, NEGLIGIBLE * min(scales))
        distance = frame["final_loss"] - yardstick.loss
        added[EXCESS] = distance.clip(lower=least)
        added[EXACT] = distance.clip(lower=max(floor, yardstick.floor, ROUNDED * abs(yardstick.loss)))
    else:
        added |= _inverse_improvement(frame, sweep, "final_loss", yardstick.constant_loss, -math.inf)
    if "validation_loss" in frame:
        least = yardstick.held_out_floor or -math.inf
        added |= _inverse_improvement(frame, sweep, "validation_loss", yardstick.held_out_constant, least)
    return frame.assign(**added)


def _inverse_improvement(
    frame: pd.DataFrame, sweep: pd.DataFrame, name: str, constant: float, least: float
) -> dict[str, "pd.Series[float]"]:
    """Return the largest improvement of the sweep divided by that of each run, by the name of its column."""
    seen = np.maximum(_finite_losses(sweep, name), least)
    lowest = float(seen.min(initial=np.inf))
    over_constant = lowest < constant < math.inf
    baseline = constant if over_constant or not seen.size else float(np.median(seen))
    largest = baseline - lowest
    scale = "improvement" if over_constant else "improvement on median"
    column = next(column for column, of in _SCALES.items() if of == (name, scale))
    if not largest > 0:  # all losses are alike
        return {column: frame[name] * 0 + 1.0}
    improvement = baseline - frame[name].clip(lower=least)
    return {column: largest / improvement.clip(lower=NEGLIGIBLE * largest)}


def _finite_losses(frame: pd.DataFrame, name: str) -> Floats:
    """Return the losses of the runs of a frame that did not diverge."""
    losses: Floats = frame.loc[frame["status"] != "diverged", name].to_numpy(float)
    return losses[np.isfinite(losses)]
