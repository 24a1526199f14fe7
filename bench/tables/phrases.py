"""Settings, counts, shares, estimates and comparisons in words."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from bench.tables.formatting import text
from bench.tables.run_costs import COST_NAMES, settle_cost
from bench.tables.ties import BETTER, FAILS, INDISTINGUISHABLE, TOO_FEW_RUNS, WITHIN, WORSE

# How a run may end, by its status.
ENDINGS = {
    "converged": "reached the target",
    "max_epochs": "ran all epochs",
    "stopped": "stopped early",
    "diverged": "diverged",
}
# The remark behind the ratio of a rival, by its verdict.
_REMARKS = {
    INDISTINGUISHABLE: " (statistically indistinguishable)",
    WITHIN: f" ({WITHIN})",
    TOO_FEW_RUNS: " (too few runs for an interval)",
    WORSE: "",
}
_QUANTITY = re.compile(r"(-?[\d,]+(?:\.\d+)?)( \S+)?")
# A batch of all samples.
FULL = "full"


def describe_endings(statuses: "pd.Series[str]") -> str:
    """Return how many runs ended how: "14 reached the target, 2 diverged"; empty if there are none."""
    counts = statuses.value_counts()
    return ", ".join(f"{text(int(counts[status]))} {how}" for status, how in ENDINGS.items() if counts.get(status))


def describe_choice(row: pd.Series, samples: int | None = None) -> str:
    """Return the settings of a row: "sgd, learning rate 0.8, batch size 1, schedule halve(10), shuffled"."""
    return ", ".join(name_settings(row, samples).values())


def describe_batch_size(size: float, samples: int | None) -> str:
    """Return a batch size as text: "full" if it is all the samples."""
    return FULL if size == samples else text(size)


def name_settings(row: "pd.Series | Mapping[Any, Any]", samples: int | None = None) -> dict[str, str]:
    """Return those settings that a row has in words, by their columns; a batch of all `samples` is called full."""
    as_words: dict[str, Callable[[Any], str]] = {
        "optimizer": str,
        "lr": lambda lr: f"learning rate {text(lr)}",
        "batch_size": lambda size: f"batch size {describe_batch_size(size, samples)}",
        "schedule": lambda schedule: f"schedule {schedule}",
        "shuffle": describe_order,
        "dtype": str,
    }
    return {name: describe(row[name]) for name, describe in as_words.items() if name in row}


def describe_order(shuffled: bool | str) -> str:
    """Return the order of the samples in a word."""
    if isinstance(shuffled, str):
        return "shuffled in blocks"
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


def settling_schedule(epochs: int) -> str:
    """Return the schedule that is advised where noise keeps runs of this length from settling: ten halvings."""
    return f"halve({max(1, epochs // 10)})"


def describe_range(low: float, high: float) -> str:
    """Return a range as text: "0.1 to 2", or "0.1" for a single value."""
    return text(low) if low == high else f"{text(low)} to {text(high)}"


def format_estimate(value: float, low: float, high: float, as_text: Callable[[float], str]) -> str:
    """Return a value with its interval: "12.7 ± 0.4" where that is symmetric to the digits shown, else "100 [98, 125]".

    The value stands alone where it is infinite, an end is missing or the interval is a point, to the digits shown.
    """
    if pd.isna(low) or pd.isna(high) or np.isinf(value):
        return as_text(value)
    shown = [as_text(number) for number in (value, low, high)]
    if len(set(shown)) == 1:
        return shown[0]
    return _format_symmetric(*shown) or f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _format_symmetric(value: str, low: str, high: str) -> str | None:
    """Return a value and the half width of its interval; None where the interval is not symmetric or units differ."""
    found = [part for written in (value, low, high) if (part := _QUANTITY.fullmatch(written))]
    if len(found) < 3 or len({part[2] for part in found}) > 1:
        return None
    middle, lower, upper = (Decimal(part[1].replace(",", "")) for part in found)
    half = middle - lower
    if not half == upper - middle > 0:
        return None
    rounded = half.quantize(middle)  # the ends may show more decimals, such as 0.980 beside 1.01
    reach = f"{rounded if rounded == half else half:,}"
    number, unit = found[0].groups()
    return f"({number} ± {reach}){unit}" if unit else f"{number} ± {reach}"


def describe_estimate(row: pd.Series, name: str, as_text: Callable[[float], str] = text) -> str:
    """Return a value with the interval in the columns `_low` and `_high`: "100 [100, 125]", "12 ± 1"."""
    return format_estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], as_text)


def is_improvement(cost: str) -> bool:
    """Return whether choices are compared by their improvement over a constant, or over the median run."""
    return cost.startswith("improvement")


def shown_ratio(row: pd.Series) -> tuple[float, float, float]:
    """Return a ratio of costs, or of improvements, with the ends of its interval: costs are inverse improvements."""
    ratio, low, high = row[["ratio", "ratio_low", "ratio_high"]].to_numpy(float)
    if is_improvement(row["cost"]):
        with np.errstate(divide="ignore"):
            ratio, high, low = 1 / np.array([ratio, low, high])
    return float(ratio), float(low), float(high)


def describe_ratio(row: pd.Series) -> str:
    """Return a ratio of costs, or of improvements, with its interval to three digits: "2.5 [2.1, 2.9]"."""
    return format_estimate(*shown_ratio(row), lambda value: text(value, 3))


def describe_success(row: pd.Series, target: float | None, prefix: str = "") -> str:
    """Return how many runs of a choice reached the target and after how many samples, or else their median loss.

    The prefix "confirmed_" is for its runs on fresh seeds. Where half of the runs or more failed, there is no median.
    """
    name = success_cost(row, target, prefix)
    median, runs = row[f"{prefix}{name}"], int(row[f"{prefix}runs"])
    noun = "run" if runs == 1 else "runs"
    if name == "samples":
        reached = f"{format_share(row[f'{prefix}converged'], runs)} {noun} reached the target"
        if np.isinf(median):
            return f"{reached}, too few for a median of their samples"
        return f"{reached}, after {describe_estimate(row, f'{prefix}samples')} samples"
    missed = "" if target is None else "no run reached the target; "
    if np.isinf(median):
        return f"{missed}{format_share(row[f'{prefix}diverged'], runs)} {noun} diverged"
    return f"{missed}{COST_NAMES[name]} {describe_estimate(row, f'{prefix}{name}')}"


def success_cost(row: pd.Series, target: float | None, prefix: str = "") -> str:
    """Return the cost of `describe_success`: samples if a run reached the target, else the loss."""
    reached = target is not None and bool(row[f"{prefix}converged"])
    return settle_cost("samples", reached=reached, held_out=f"{prefix}validation_loss" in row)


def describe_rival(row: pd.Series, *, several: bool = True) -> str:
    """Return how a rival compares with the best choice: "needs 2.5 [2.1, 2.9] times the samples".

    At a ratio of 1 it "needs as many samples". The row is of a table as from
    `bench.tables.optimizer_comparison.compare_optimizers`, with `several` rivals or one.
    """
    cost, verdict = str(row["cost"]), row["verdict"]
    is_loss = cost != "samples"
    if verdict == FAILS:
        succeeded = format_share(round(row["success"] * row["runs"]), int(row["runs"]))
        return f"{'ends at a finite loss' if is_loss else 'reaches the target'} in {succeeded} runs"
    if is_improvement(cost):
        same, verb, what = f"the same {COST_NAMES[cost]}", "has", f"times the {COST_NAMES[cost]}"
    elif cost == "distance":
        same, verb, what = "as far above the lowest loss", "ends", "times as far above the lowest loss"
    elif is_loss:
        same, verb, what = "the same loss", "ends at", "times the loss"
    else:
        same, verb, what = "as many samples", "needs", "times the samples"
    if verdict == BETTER:  # and yet it is not the best
        short = "improves less" if is_improvement(cost) else "ends higher" if is_loss else "needs more"
        remark = f" (but {short} than another)" if several else ""
    else:
        remark = _REMARKS[verdict]
    ratio, same = describe_ratio(row), f"about {same}" if verdict == WITHIN else same
    if ratio == "1":
        return f"{verb} {same}{remark}"
    if ratio.startswith("1 "):
        return f"{verb} {same}, at a ratio of {ratio}{remark}"
    return f"{verb} {ratio} {what}{remark}"
