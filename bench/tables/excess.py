"""The distance of final losses to the lowest that the model can reach, by which choices are compared."""

import math

import numpy as np
import pandas as pd

from kernels.train.yardstick import Yardstick

EXCESS = "excess_loss"
NEGLIGIBLE = 0.01
"""Losses that differ by less than this share of the improvement over a constant, and of the lowest loss, are equal."""


def add_excess(frame: pd.DataFrame, yardstick: Yardstick | None, floor: float) -> pd.DataFrame:
    """Add `excess_loss`, the final loss less the lowest; without a yardstick the frame stays as it is.

    A loss of 0.63 is 1.05 times one of 0.60, and leaves a third of the improvement where a constant has 0.69. So
    distances to the lowest loss are compared, by ratios. Those below `floor`, or negligible, are equal (see
    `bench.tables.run_costs.loss_floor`).
    """
    if yardstick is None or not math.isfinite(yardstick.loss):
        return frame
    gain = yardstick.improvement
    scales = [abs(yardstick.loss), *([gain] if math.isfinite(gain) else [])]
    least = max(floor, NEGLIGIBLE * min(scales))
    return frame.assign(**{EXCESS: np.maximum(frame["final_loss"] - yardstick.loss, least)})
