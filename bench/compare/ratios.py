"""Ratios of B, the new measurement, to A, the base: times, epochs to the target, or losses, with intervals."""

from collections.abc import Mapping
from functools import cache as once
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels.base.run import Floats
from sgdbench.tables.costs import CHOICES, MORE_CHOICES, losses_of, ranking_loss
from sgdbench.tables.formatting import text
from sgdbench.tables.intervals import Pairs, count_independent, effects_on_medians, scale_rank
from sgdbench.timing.paired import CONFIDENCE, MIN_ROUNDS, Ratio, ratio_of

# With fewer pairs, a median has no interval at this confidence.
MIN_PAIRS = 6
RATIO_COLUMNS = ["row", "A_seconds", "B_seconds", "ratio", "low", "high", "note"]
_CHOICE_COLUMNS, _RUN_COLUMNS = [*CHOICES, *MORE_CHOICES], ["init", "seed", "start"]


class Cost(NamedTuple):
    """The quantity by which runs are compared.

    `prefix` begins the names of rows; `counted` and `median` end the names of columns with the number of runs with a
    finite cost and their median; `few` is the note if there are too few.
    """

    prefix: str
    counted: str
    median: str
    few: str

    @property
    def best(self) -> str:
        """The name of the row of the best choices."""
        return f"{self.prefix}best of each"

    @property
    def columns(self) -> list[str]:
        """The columns of a table of ratios."""
        of_each = [f"{who}_{what}" for what in (self.counted, self.median) for who in "AB"]
        return ["row", "pairs", *of_each, "ratio", "low", "high", "note"]


EPOCHS_COST = Cost("epochs: ", "converged", "epochs", "too few reached the target")
LOSS_COST = Cost("loss: ", "finite", "loss", "too few ended at a finite loss")


class Sample(NamedTuple):
    """The times of one row in seconds: the median of its rounds and, if stored, the rounds in order of measurement."""

    median: float
    seconds: Floats

    @classmethod
    def of(cls, seconds: Floats) -> "Sample":
        """Return the sample of these rounds."""
        return cls(float(np.median(seconds)), seconds)


def times(base: Mapping[str, Sample], new: Mapping[str, Sample]) -> pd.DataFrame:
    """Return the ratios of times of the rows that both have, measured at different times.

    Columns are `row`, the medians `A_seconds` and `B_seconds`, the `ratio` B / A with its 95 % interval from `low` to
    `high`, and a `note` with the reason if there is no interval.

    Medians and quartiles alone give no valid interval. The standard error 1.25 IQR / (1.35 sqrt(n)) of a median (R.
    McGill, J. W. Tukey, W. A. Larsen, The American Statistician 32, 1978) assumes that rounds are independent: for
    benchmarks of some microseconds it was 20 to 100 times as narrow as the medians of consecutive tenths of the rounds
    showed.
    """
    rows = [_time(row, base[row], new[row]) for row in base if row in new]
    return pd.DataFrame(rows, columns=RATIO_COLUMNS)


def _time(row: str, base: Sample, new: Sample) -> dict[str, Any]:
    fewest = min(base.seconds.size, new.seconds.size)
    if fewest >= MIN_ROUNDS:
        ratio, note = ratio_of(new.seconds, base.seconds, paired=False), ""
    else:
        ratio = Ratio(np.nan, new.median / base.median, np.nan)
        note = f"fewer than {MIN_ROUNDS} rounds"
    return dict(
        zip(RATIO_COLUMNS, (row, base.median, new.median, ratio.ratio, ratio.low, ratio.high, note), strict=True)
    )


def compare_runs(
    cost: Cost,
    base: pd.DataFrame,
    new: pd.DataFrame,
    best: tuple[pd.DataFrame, pd.DataFrame],
    floor: float,
) -> pd.DataFrame:
    """Return the ratios of the costs of the same choice of settings, run by run.

    `EPOCHS_COST` are those to the target. `LOSS_COST` are final losses, on held-out samples if there are any, and
    nonnegative. Runs are paired by start and seed; the column `start` is equal for equal initial values. A run that
    missed the target, or diverged, is infinitely expensive; pairs in which both did are ignored. The ratio is the
    median over the pairs, with the interval of the sign test, which assumes nothing about the distribution of
    ratios but needs six pairs (W. J. Conover, Practical Nonparametric Statistics, 1999, section 3.2). Pairs of one seed
    from several starts that differ alike count as fewer (`sgdbench.tables.intervals`).

    There is a row for the two best choices, and one for each choice that both have with a finite cost of some run:
    `row`, the number of `pairs`, of these `A_converged` and `B_converged` (or `A_finite` and `B_finite`), the
    medians `A_epochs` and `B_epochs` (or `A_loss` and `B_loss`; missing if most are infinite), `ratio`, `low`, `high`
    and `note`. `best` has the runs of the best choices. Losses below `floor` are equal.
    """
    tops_a, tops_b, base, new = (_comparable(frame, cost) for frame in (*best, base, new))
    tops = tops_a.merge(tops_b, on=_RUN_COLUMNS, suffixes=("_A", "_B"))
    both = base.merge(new, on=[*_CHOICE_COLUMNS, *_RUN_COLUMNS], suffixes=("_A", "_B"))
    named = [(f"{cost.prefix}{_name(pairs.iloc[0])}", pairs) for _, pairs in both.groupby(_CHOICE_COLUMNS)]
    floor = 0.0 if cost is EPOCHS_COST else floor
    rows = [_compare(cost, row, pairs, floor) for row, pairs in [(cost.best, tops), *named]]
    table = pd.DataFrame(rows, columns=cost.columns)
    return table[table[cost.columns[2]] + table[cost.columns[3]] > 0].reset_index(drop=True)


def _name(row: pd.Series) -> str:
    """Return the name of a choice, by which gates refer to it; it does not depend on the other choices."""
    order = "shuffled" if row["shuffle"] else "unshuffled"
    words = f"lr={text(row['lr'])} batch={text(row['batch_size'])} {row['schedule']} {order}"
    return f"{row['optimizer']} {words}{'' if row['dtype'] == 'float64' else ' ' + row['dtype']}"


def _comparable(frame: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    """Return the columns to compare, with texts in place of categories, which differ between runs."""
    frame = frame if "dtype" in frame else frame.assign(dtype="float64")
    texts = {name: frame[name].astype(str) for name in ("optimizer", "schedule", "init", "dtype")}
    epochs = frame["epochs_to_target"].to_numpy(float, na_value=np.inf)
    return frame[[*_CHOICE_COLUMNS, *_RUN_COLUMNS]].assign(
        **texts, cost=epochs if cost is EPOCHS_COST else losses_of(frame, ranking_loss(frame))
    )


def _compare(cost: Cost, row: str, pairs: pd.DataFrame, floor: float) -> dict[str, Any]:
    costs = pairs["cost_A"].to_numpy(), pairs["cost_B"].to_numpy()
    base, new = (np.maximum(own, floor) for own in costs)
    either = np.isfinite(base) | np.isfinite(new)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A run may be at the target from the start.
        ratios = np.where(either, np.where(new == base, 1.0, new / base), np.nan)
    effect = effects_on_medians(ratios[np.newaxis], Pairs.of(pairs))[0] if ratios.size else 1.0
    ratios = np.sort(ratios[either])
    independent = int(count_independent(ratios.size, effect))
    low, high = ratios[_places(ratios.size, independent)] if independent >= MIN_PAIRS else (np.nan, np.nan)
    counts = (int(np.isfinite(own).sum()) for own in costs)
    note = _explain_no_interval(cost, base.size, ratios.size, independent)
    middle = float(np.median(ratios)) if ratios.size else np.nan
    values = row, base.size, *counts, *map(_median, costs), middle, float(low), float(high), note
    return dict(zip(cost.columns, values, strict=True))


def _explain_no_interval(cost: Cost, pairs: int, reached: int, independent: int) -> str:
    """Return why there is no interval for this number of pairs and of those with a finite cost; else empty."""
    if independent >= MIN_PAIRS:
        return ""
    if reached >= MIN_PAIRS:
        return f"fewer than {MIN_PAIRS} independent seeds"
    return f"fewer than {MIN_PAIRS} pairs of start and seed" if pairs < MIN_PAIRS else cost.few


@once
def _places(count: int, independent: int) -> NDArray[np.intp]:
    """Return the indices, among `count` sorted values, of the ends of the interval of their median.

    They are at the quantiles that the interval would have for `independent` values.
    """
    from scipy.special import bdtr  # noqa: PLC0415 (heavy)

    rank = int(np.searchsorted(bdtr(np.arange(independent), independent, 0.5), (1 - CONFIDENCE) / 2)) - 1
    low = scale_rank(rank, independent, count)
    return np.array([low, count - 1 - low])


def _median(costs: Floats) -> float:
    median = float(np.median(costs)) if costs.size else np.nan
    return median if np.isfinite(median) else np.nan
