"""What choices are compared by in place of losses: distances to the lowest, and what held-out samples tell apart."""

import math

import numpy as np
import pandas as pd

from kernels.train.yardstick import Yardstick

EXCESS, RESOLVED = "excess_loss", "resolved_validation_loss"
NEGLIGIBLE = 0.01
"""Losses that differ by less than this share of the improvement over a constant, and of the lowest loss, are equal."""


def compared_loss(frame: pd.DataFrame) -> str:
    """Return the column of the losses by which runs are compared that have no target: on held-out samples, if any."""
    return next(name for name in (RESOLVED, "validation_loss", "final_loss") if name in frame)


def add_excess(frame: pd.DataFrame, yardstick: Yardstick | None, floor: float) -> pd.DataFrame:
    """Add `excess_loss`, the final loss less the lowest, and `resolved_validation_loss`, where a yardstick has these.

    A loss of 0.63 is 1.05 times one of 0.60, and leaves a third of the improvement where a constant has 0.69. So
    distances to the lowest loss are compared, by ratios. Those below `floor`, or negligible, are equal (see
    `bench.tables.run_costs.loss_floor`). So are losses on held-out samples that these do not tell apart.
    """
    if yardstick is None:
        return frame
    if yardstick.held_out_floor and "validation_loss" in frame:
        frame = frame.assign(**{RESOLVED: frame["validation_loss"].clip(lower=yardstick.held_out_floor)})
    if not math.isfinite(yardstick.loss):
        return frame
    gain = yardstick.improvement
    scales = [abs(yardstick.loss), *([gain] if math.isfinite(gain) else [])]
    least = max(floor, yardstick.floor, NEGLIGIBLE * min(scales))
    return frame.assign(**{EXCESS: np.maximum(frame["final_loss"] - yardstick.loss, least)})
