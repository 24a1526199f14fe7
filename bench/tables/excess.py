"""What choices are compared by in place of losses: distances to the lowest, and what held-out samples tell apart."""

import math

import numpy as np
import pandas as pd

from kernels.base.run import Floats
from kernels.train.yardstick import Yardstick

EXCESS, HELD_OUT_EXCESS, RESOLVED = "excess_loss", "excess_validation_loss", "resolved_validation_loss"
DISTANCES = {"final_loss": EXCESS, "validation_loss": HELD_OUT_EXCESS}
"""The columns of the distances of losses to the lowest, where runs are compared by these."""
NEGLIGIBLE = 0.01
"""Losses that differ by less than this share of the improvement over a constant, and of the lowest loss, are equal."""


def compared_loss(frame: pd.DataFrame) -> str:
    """Return the column of the losses by which runs are compared that have no target: on held-out samples, if any."""
    return next(name for name in (RESOLVED, "validation_loss", "final_loss") if name in frame)


def add_excess(
    frame: pd.DataFrame, yardstick: Yardstick, floor: float, sweep: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add `excess_loss`, the final loss less the lowest, and `resolved_validation_loss`, where a yardstick has these.

    A loss of 0.63 is 1.05 times one of 0.60, and leaves a third of the improvement where a constant has 0.69. So
    distances to the lowest loss are compared, by ratios. Those below `floor`, or negligible, are equal (see
    `bench.tables.run_costs.loss_floor`). So are losses on held-out samples that these do not tell apart.

    Negative losses have no ratios: without a lowest one that is known, their distances are those to the lowest of the
    `sweep`, the frame itself by default, also on held-out samples, as `excess_validation_loss`. Where there is no
    improvement over a constant, or it is not known, the median of the sweep takes the place of the constant.
    """
    added = {}
    if yardstick.held_out_floor and "validation_loss" in frame:
        added[RESOLVED] = frame["validation_loss"].clip(lower=yardstick.held_out_floor)
    if math.isfinite(yardstick.loss):
        gain = yardstick.improvement
        scales = [abs(yardstick.loss), *([gain] if math.isfinite(gain) else [])]
        least = max(floor, yardstick.floor, NEGLIGIBLE * min(scales))
        added[EXCESS] = (frame["final_loss"] - yardstick.loss).clip(lower=least)
    constants = {"final_loss": yardstick.constant_loss, "validation_loss": yardstick.held_out_constant}
    for name, constant in constants.items():
        seen = _finite_losses(frame if sweep is None else sweep, name)
        lowest = float(seen.min(initial=np.inf))
        if lowest < 0 and DISTANCES[name] not in added:
            gain = constant - lowest
            scale = gain if 0 < gain < np.inf else float(np.median(seen)) - lowest
            least = max(NEGLIGIBLE * min(scale, -lowest), np.finfo(float).tiny)
            added[DISTANCES[name]] = (frame[name] - lowest).clip(lower=least)
    return frame.assign(**added) if added else frame


def _finite_losses(frame: pd.DataFrame, name: str) -> Floats:
    """Return the losses of the runs of a frame that did not diverge; none where it lacks the column."""
    losses = frame.loc[frame["status"] != "diverged", name].to_numpy(float) if name in frame else np.empty(0)
    return losses[np.isfinite(losses)]
