"""Verdicts on whether B is slower than A, or its losses higher: ratios checked against gates, and sentences on them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sgdbench.compare.ratios import EPOCHS_COST, LOSS_COST
from sgdbench.kernels.base.checks import list_names
from sgdbench.tables.formatting import text
from sgdbench.tables.words import format_count

PAST_GATE, NO_DIFFERENCE, NO_INTERVAL = "past the gate", "no difference", "no interval"
SLOWER, FASTER, HIGHER, LOWER = "slower", "faster", "higher", "lower"
# At most this many of the choices of settings that two runs share are shown.
MAX_CHOICES_SHOWN = 10


def judge(
    table: pd.DataFrame, gates: Sequence[float | None], words: tuple[str, str] = (SLOWER, FASTER)
) -> pd.DataFrame:
    """Return a table of ratios with a `gate` and a `verdict` for each row.

    The verdict is "past the gate" if the whole interval is above the gate; otherwise one of the `words` if the interval
    is above or below 1, "no difference" if it contains 1, or "no interval".
    """
    gate = np.array([np.nan if gate is None else gate for gate in gates], dtype=float)
    low, high = table["low"].to_numpy(dtype=float), table["high"].to_numpy(dtype=float)
    cases = [np.isnan(low), low > gate, low > 1, high < 1]
    verdict = np.select(cases, [NO_INTERVAL, PAST_GATE, *words], NO_DIFFERENCE)
    return table.assign(gate=gate, verdict=verdict.astype(object))


def describe_verdict(rows: pd.DataFrame, what: str = "row") -> str:
    """Return a sentence that names the rows past their gates; `what` is the noun for a row."""
    gated = rows[rows["gate"].notna()]
    if gated.empty:
        return "No gate was set."
    different = set(gated["gate"])
    one = len(different) == 1
    past = gated[gated["verdict"] == PAST_GATE]
    gate = f"the gate {text(max(different))}" if one else "their gates" if len(past) > 1 else "its gate"
    unsure = int(gated["verdict"].eq(NO_INTERVAL).sum())
    held = len(gated) - unsure
    of = format_count(held, what)
    unheld = f" {format_count(unsure, what)} without an interval could not be compared with a gate." if unsure else ""
    if past.empty:
        none = f"None of the {of} is" if held > 1 else f"1 {what} is not" if unsure else f"The {what} is not"
        return f"{none} above {gate} beyond chance.{unheld}" if held else unheld.strip()
    named = []
    for row, *ratios, own in past[["row", "ratio", "low", "high", "gate"]].itertuples(index=False):
        ratio, low, high = (_write_ratio(number, own) for number in ratios)
        named.append(f"{row} ({ratio}, interval {low} to {high}{'' if one else f', gate {text(own)}'})")
    verb = "is" if len(past) == 1 else "are"
    return f"{text(len(past))} of {of} {verb} above {gate}: {list_names(named, '; ')}.{unheld}"


def write_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `judge` with ratios as text where four digits do not explain a row's verdict."""
    for name in ("ratio", "low", "high"):
        shown = [_write_ratio(*pair) for pair in zip(table[name], table["gate"], strict=True)]
        if shown != [text(ratio) for ratio in table[name]]:
            table = table.assign(**{name: shown})
    return table


def _write_ratio(ratio: float, gate: float) -> str:
    """Return a ratio with enough digits to distinguish it from 1 and from its gate."""
    if not np.isfinite(ratio) or ratio in (1, gate):
        return text(ratio)
    digits = 4
    while float(f"{ratio:.{digits}g}") in [float(f"{bound:.{digits}g}") for bound in (1, gate)]:
        digits += 1
    return text(ratio) if digits == 4 else f"{ratio:.{digits}g}"


def summarize_rows(table: pd.DataFrame) -> str:
    """Return the number of rows with each verdict: "2 slower, 1 faster, 5 without a difference"."""
    counts = table["verdict"].value_counts()
    words = {word: word for word in (PAST_GATE, SLOWER, FASTER, HIGHER, LOWER)}
    words |= {NO_DIFFERENCE: "without a difference", NO_INTERVAL: "without an interval"}
    return ", ".join(f"{text(int(counts[word]))} {said}" for word, said in words.items() if word in counts)


def readable_ratios(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows and columns to print: the best choices, rows past a gate, and the largest differences."""
    if name != "times":
        cost = {"epochs": EPOCHS_COST, "losses": LOSS_COST}[name]
        first = table["row"].eq(cost.best) | table["verdict"].eq(PAST_GATE)
        with np.errstate(divide="ignore"):
            change = np.log(table["ratio"]).abs()[~first & table["ratio"].ne(1)]
        furthest = change.sort_values(ascending=False, kind="stable").index[
            : max(0, MAX_CHOICES_SHOWN - int(first.sum()))
        ]
        table = table[first | table.index.isin(furthest)]
        of = "/" + table["pairs"].astype(str)
        counts = {column: table[column].astype(str) + of for column in cost.columns[2:4]}
        table = table.assign(**counts).drop(columns="pairs")
    left_out = [name for name, empty in (("gate", table["gate"].isna()), ("note", table["note"].eq(""))) if empty.all()]
    noted = write_ratios(table)[[*table.columns.drop("note"), "note"]]  # the sentence comes last
    return noted.drop(columns=left_out)
