"""Settings, counts, ranges and estimates in words."""

from collections.abc import Callable

import pandas as pd

from bench.tables.estimates import format_estimate
from bench.tables.formatting import text
from bench.tables.ranking import TOLERANCE
from bench.tables.run_costs import LOSSES

# How a run may end, by its status.
ENDINGS = {
    "converged": "reached the target",
    "max_epochs": "ran all epochs",
    "stopped": "stopped early",
    "diverged": "diverged",
}


def describe_endings(statuses: "pd.Series[str]") -> str:
    """Return how many runs ended how: "14 reached the target, 2 diverged"; empty if there are none."""
    counts = statuses.value_counts()
    return ", ".join(f"{text(int(counts[status]))} {how}" for status, how in ENDINGS.items() if counts.get(status))


def describe_choice(row: pd.Series) -> str:
    """Describe the settings of a row: "sgd, learning rate 0.8, batch size 1, schedule halve(10), shuffled"."""
    rate, size, order = text(row["lr"]), text(row["batch_size"]), describe_order(row["shuffle"])
    dtype = f", {row['dtype']}" if "dtype" in row else ""
    return f"{row['optimizer']}, learning rate {rate}, batch size {size}, schedule {row['schedule']}, {order}{dtype}"


def describe_order(shuffled: bool) -> str:
    """Return the order of samples in a word."""
    return "shuffled" if shuffled else "not shuffled"


def format_count(number: float, noun: str) -> str:
    """Return a number with its noun: "1 epoch", "2.5 epochs"."""
    number = int(number) if number == int(number) else number
    return f"{text(number)} {noun}{'' if number == 1 else 's'}"


def format_share(part: int, total: int) -> str:
    """Return a share in words: "all 25", "both", "3 of 25", "1 of 1"."""
    if part == total > 1:
        return "both" if total == 2 else f"all {text(int(total))}"
    return f"{text(int(part))} of {text(int(total))}"


def describe_range(low: float, high: float) -> str:
    """Return a range as text: "0.1 to 2", or "0.1" for a single value."""
    return text(low) if low == high else f"{text(low)} to {text(high)}"


def describe_estimate(row: pd.Series, name: str, as_text: Callable[[float], str]) -> str:
    """Return a value with the interval that the columns `_low` and `_high` hold: "100 [100, 125]", "12 ± 1"."""
    return format_estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], as_text)


def describe_ratio(row: pd.Series) -> str:
    """Return a ratio with its interval to three digits: "2.5 [2.1, 2.9]"."""
    return describe_estimate(row, "ratio", lambda value: text(float(f"{value:.3g}")))


def describe_ties(others: int) -> str:
    """Return how many choices are tied with the best one: "3 other choices are statistically indistinguishable ..."."""
    verb = "is" if others == 1 else "are"
    return f"{format_count(others, 'other choice')} {verb} statistically indistinguishable from it"


# What is added to the ratio of a rival, by its verdict.
_REMARKS = {
    "worse": "",
    "better": " (less than 5 % apart)",
    "no interval": " (too few runs for an interval)",
    "no difference found": " (statistically indistinguishable)",
}


def describe_rival(row: pd.Series, cost: str) -> str:
    """Return how a rival compares with the best choice: "needs 2.5 [2.1, 2.9] times the samples".

    Parameters
    ----------
    row : Series
        Of a table as from `bench.tables.optimizer_comparison.compare_optimizers`.
    cost : str
        What is compared, a key of `bench.tables.run_costs.COSTS`.
    """
    is_loss = cost in LOSSES
    if row["verdict"] == "fails":
        succeeded = format_share(round(row["success"] * row["runs"]), int(row["runs"]))
        return f"{'ends at a finite loss' if is_loss else 'reaches the target'} in {succeeded} runs"
    verb, what = ("ends at", "times the loss") if is_loss else ("needs", "times the samples")
    if is_loss and row.get("by_distance"):
        verb, what = "ends", "times as far above the lowest loss"
    remark = _REMARKS[row["verdict"]]
    if row["verdict"] == "better" and row["ratio"] * (1 + TOLERANCE) < 1:  # and yet it is not the best
        remark = " (but needs more than another)"
    return f"{verb} {describe_ratio(row)} {what}{remark}"
