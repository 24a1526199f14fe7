"""Ratios of times, and of epochs to the target, with their intervals: of B, the new one, to A, the base."""

from collections.abc import Mapping
from functools import cache as once
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.tables.dependence import Pairs, count_independent, scale_rank
from bench.tables.formatting import text
from bench.tables.intervals import effects_on_medians
from bench.tables.ranking import ranking, recommended_choice, runs_of
from bench.tables.run_costs import CHOICES, MORE_CHOICES
from bench.timing.paired import CONFIDENCE, FEWEST, Ratio, ratio_of
from kernels.base.run import Floats

# With fewer there is no interval for a median at this confidence.
PAIRS = 6
# A row of epochs to the target, among those of times.
EPOCHS = "epochs: "
BEST = f"{EPOCHS}best of each"

TIMES = ["row", "A_seconds", "B_seconds", "ratio", "low", "high", "note"]
PAIRED = ["row", "pairs", "A_converged", "B_converged", "A_epochs", "B_epochs", "ratio", "low", "high", "note"]
_CHOICES, _RUN = [*CHOICES, *MORE_CHOICES], ["init", "seed", "start"]


class Sample(NamedTuple):
    """The times of one row in seconds: the median of its rounds and, if kept, the rounds in the order of measuring."""

    median: float
    seconds: Floats

    @classmethod
    def of(cls, seconds: Floats) -> "Sample":
        """Return the sample of these rounds."""
        return cls(float(np.median(seconds)), seconds)


def times(base: Mapping[str, Sample], new: Mapping[str, Sample]) -> pd.DataFrame:
    """Return the ratios of times of the rows that both have, measured at different times.

    Columns are `row`, the medians `A_seconds` and `B_seconds`, the `ratio` B / A with its 95 % interval from `low` to
    `high`, and a `note` that says why there is no interval.

    Where only medians and quartiles were kept there is none. The one that they would give, with 1.25 IQR / (1.35
    sqrt(n)) for the standard error of a median (R. McGill, J. W. Tukey, W. A. Larsen, The American Statistician 32,
    1978), takes the rounds for independent. They are not: for benchmarks of some microseconds it was 20 to 100 times as
    narrow as what the medians of consecutive tenths of the rounds showed.
    """
    rows = [_time(row, base[row], new[row]) for row in base if row in new]
    return pd.DataFrame(rows, columns=TIMES)


def _time(row: str, base: Sample, new: Sample) -> dict[str, Any]:
    fewest = min(base.seconds.size, new.seconds.size)
    if fewest >= FEWEST:
        ratio, note = ratio_of(new.seconds, base.seconds, paired=False), ""
    else:
        ratio = Ratio(np.nan, new.median / base.median, np.nan)
        note = f"fewer than {FEWEST} rounds" if fewest else "no rounds saved: --benchmark-save-data"
    return dict(zip(TIMES, (row, base.median, new.median, ratio.ratio, ratio.low, ratio.high, note), strict=True))


def epochs(
    base: pd.DataFrame, new: pd.DataFrame, best: tuple[pd.DataFrame, pd.DataFrame] | None = None
) -> pd.DataFrame:
    """Return the ratios of the epochs that the same choice of settings takes to the target, run by run.

    Runs are paired by start and seed; the column `start` is equal for equal values to start from. A run that missed the
    target counts as one that takes forever; pairs in which both missed it do not count. The ratio is the median over
    the pairs, and its interval that of the sign test, which assumes nothing about how ratios are distributed but needs
    six pairs (W. J. Conover, Practical Nonparametric Statistics, 1999, section 3.2). Pairs of a seed from several
    starts that differ alike count as fewer (`bench.tables.dependence`).

    There is a row for the best choice of each, and one for each choice that both have, without those that never reached
    the target: `row`, the number of `pairs`, of these `A_converged` and `B_converged`, the medians `A_epochs` and
    `B_epochs` (missing where most missed the target), `ratio`, `low`, `high` and `note`. The runs of the best choices
    are `best`, or else those of `best_choice`.
    """
    tops_a, tops_b = map(_without_categories, best or (best_choice(base), best_choice(new)))
    tops = tops_a.merge(tops_b, on=_RUN, suffixes=("_A", "_B"))
    both = _without_categories(base).merge(_without_categories(new), on=[*_CHOICES, *_RUN], suffixes=("_A", "_B"))
    groups = [(BEST, tops), *((_name(pairs.iloc[0]), pairs) for _, pairs in both.groupby(_CHOICES))]
    rows = [_epochs(row, one["epochs_A"].to_numpy(), one["epochs_B"].to_numpy(), Pairs.of(one)) for row, one in groups]
    table = pd.DataFrame(rows, columns=PAIRED)
    return table[table["A_converged"] + table["B_converged"] > 0].reset_index(drop=True)


def best_choice(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the best choice of settings; see `bench.tables.ranking.ranking`."""
    return runs_of(frame, recommended_choice(ranking(frame)))


def _name(row: pd.Series) -> str:
    """Return the name of a choice, by which gates name it; it does not depend on the other choices."""
    order = "shuffled" if row["shuffle"] else "unshuffled"
    words = f"lr={text(row['lr'])} batch={text(row['batch_size'])} {row['schedule']} {order}"
    return f"{EPOCHS}{row['optimizer']} {words}{'' if row['dtype'] == 'float64' else ' ' + row['dtype']}"


def _without_categories(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are compared, with texts in place of categories, which differ from run to run."""
    frame = frame if "dtype" in frame else frame.assign(dtype="float64")
    texts = {name: frame[name].astype(str) for name in ("optimizer", "schedule", "init", "dtype")}
    reached = frame["epochs_to_target"].astype("Float64").fillna(np.inf).astype(float)
    return frame[[*_CHOICES, *_RUN]].assign(**texts, epochs=reached)


def _epochs(row: str, base: Floats, new: Floats, pairs: Pairs) -> dict[str, Any]:
    either = np.isfinite(base) | np.isfinite(new)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A run may be at the target from the start.
        ratios = np.where(either, np.where(new == base, 1.0, new / base), np.nan)
    effect = effects_on_medians(ratios[np.newaxis], pairs)[0] if ratios.size else 1.0
    ratios = np.sort(ratios[either])
    independent = int(count_independent(ratios.size, effect))
    low, high = ratios[_places(ratios.size, independent)] if independent >= PAIRS else (np.nan, np.nan)
    return {
        "row": row,
        "pairs": base.size,
        "A_converged": int(np.isfinite(base).sum()),
        "B_converged": int(np.isfinite(new).sum()),
        "A_epochs": _median(base),
        "B_epochs": _median(new),
        "ratio": float(np.median(ratios)) if ratios.size else np.nan,
        "low": float(low),
        "high": float(high),
        "note": _explain_no_interval(base.size, ratios.size, independent),
    }


def _explain_no_interval(pairs: int, reached: int, independent: int) -> str:
    """Return why there is no interval for this number of pairs and of those that reached the target; else empty."""
    if independent >= PAIRS:
        return ""
    if reached >= PAIRS:
        return f"fewer than {PAIRS} seeds, from whose starts runs differ alike"
    return f"fewer than {PAIRS} pairs of start and seed" if pairs < PAIRS else "too few reached the target"


@once
def _places(count: int, independent: int) -> NDArray[np.intp]:
    """Return the places, among `count` sorted values, of the ends of the interval of their median.

    They are at the shares of the sample at which those of as many independent values would be.
    """
    from scipy.special import bdtr  # noqa: PLC0415 (heavy)

    rank = int(np.searchsorted(bdtr(np.arange(independent), independent, 0.5), (1 - CONFIDENCE) / 2)) - 1
    low = scale_rank(rank, independent, count)
    return np.array([low, count - 1 - low])


def _median(epochs: Floats) -> float:
    median = float(np.median(epochs)) if epochs.size else np.nan
    return median if np.isfinite(median) else np.nan
