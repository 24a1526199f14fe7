"""Main effects: how much each setting affects the logarithm of the cost, over the whole grid."""

import numpy as np
import pandas as pd

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import LOSS_FLOOR, choice_columns, losses_of, ranking_loss, scales_of
from sgdbench.tables.formatting import MISSING, label, text
from sgdbench.tables.rank import varies

# A failed run costs this multiple of the dearest one: the convention PAR10 of algorithm configuration. Losses grow
# without bounds before they are infinite, so for them it is a multiple of the median.
PENALTY = 10.0
COLUMNS = ["setting", "share", "factor", "best", "worst"]


def main_effects(frame: pd.DataFrame, *, floor: float = LOSS_FLOOR) -> pd.DataFrame:
    """Return how much of the differences between runs each setting explains by itself.

    The effect of a value is the mean of log10(cost) over all runs with it. The share is the variance of these means,
    each run counting once, relative to the variance of log10(cost) over all runs: the main effects of an analysis of
    variance. Settings that work only in certain combinations have small shares, however much depends on them, so the
    shares add up to less than 1.

    The cost is samples to the target, and ten times the longest run for runs that miss it; if no run reached a target
    it is the loss on held-out samples, or otherwise the final loss, on the scale on which losses are compared
    (`sgdbench.tables.costs`), and ten times the median for runs that diverged or ended above that.

    Each setting that varies, and the start, has a row, largest share first: `setting`, `share`, `factor`, the ratio of
    the means of the worst and the best value, and `best` and `worst`, these values as text, or `MISSING` if all values
    are equally good. There are no rows if no run was completed, or all cost the same.
    """
    logs = np.log10(_penalized_costs(frame, floor))
    total = float(np.var(logs)) if logs.size else 0.0
    rows = []
    for name in [*choice_columns(frame), "init"]:
        if total > 0 and varies(frame, name):
            values = frame[name].astype(object)
            means = pd.Series(logs).groupby(values.to_numpy(), sort=True).mean()
            share = float(np.var(values.map(means).to_numpy(float))) / total
            factor = 10 ** float(means.max() - means.min())
            ends = [text(means.index[int(place)]) for place in (means.argmin(), means.argmax())]
            if np.isclose(factor, 1):  # equal means differ by rounding
                ends = [MISSING] * 2
            rows.append([label(name), share, factor, *ends])
    return pd.DataFrame(rows, columns=COLUMNS).sort_values("share", ascending=False, kind="stable", ignore_index=True)


def cost_of_effects(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the column on which settings have an effect if no run reached a target, and the name of its scale."""
    loss = ranking_loss(frame)
    return next(((column, scale) for column, name, scale in scales_of(frame) if name == loss), (loss, loss))


def _penalized_costs(frame: pd.DataFrame, floor: float) -> Floats:
    samples = frame["samples_to_target"].to_numpy(float, na_value=np.nan)
    if np.isfinite(samples).any():
        return np.where(np.isfinite(samples), np.maximum(samples, 1.0), PENALTY * float(frame["samples_seen"].max()))
    losses = losses_of(frame, cost_of_effects(frame)[0])
    ended = np.isfinite(losses)
    if not ended.any() or losses.min() < 0:
        return np.empty(0)
    losses = np.maximum(losses, max(floor, np.finfo(float).tiny))
    highest = PENALTY * float(np.median(losses[ended]))
    penalized: Floats = np.where(ended, np.minimum(losses, highest), highest)
    return penalized
