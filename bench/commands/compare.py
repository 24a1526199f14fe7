"""Is B slower than A? Ratios held against gates, and said in words; what `sgdbench compare` does."""

import json
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.commands.console import print_sentence, print_table
from bench.compare.gates import Gates
from bench.compare.ratios import BEST
from bench.compare.sources import Measurement, compare_sources, join_names
from bench.tables.formatting import escape_markdown, text, to_markdown
from bench.timing.verify import NotVerifiedError

PAST, SLOWER, FASTER, SAME, UNSURE = "past the gate", "slower", "faster", "no difference", "no interval"
TITLES = {"times": "Time of B / time of A", "epochs": "Epochs of B to the target / epochs of A"}
RATIO = (
    "of B to A: above 1, B takes longer. A row is past its gate where its whole interval is above it: B is then slower "
    "by more than the gate allows, beyond chance. Intervals are of 95 %: of many, one in twenty misses by chance."
)
# Of the choices of settings that two runs have in common, so many are shown.
SHOWN = 10

COMMON = ["row", "ratio", "low", "high", "note", "gate", "verdict"]
Notes = Sequence[tuple[str, str]]


def run_compare(base: str, new: str, gates: Gates, *, job: Measurement, seconds: float, style: str) -> bool:
    """Compare and print.

    Parameters
    ----------
    base, new, job, seconds
        As in `bench.compare.sources.compare_sources`.
    gates : Gates
    style : {"text", "markdown", "json"}

    Returns
    -------
    bool
        Whether what was timed is verified, and no row is past its gate.

    Raises
    ------
    ValueError
        For bad input, and if there are gates but no interval to be held against them: they could never fail.
    """
    try:
        found = compare_sources(base, new, job, seconds=seconds)
    except NotVerifiedError as reason:
        print(f"sgdbench: {reason}; nothing is compared", file=sys.stderr)
        return False
    # More epochs may be what was wanted: a row of epochs has a gate only where its name asks for one.
    tables = {
        "times": judge(found.times, [gates.of(row) for row in found.times["row"]]),
        "epochs": judge(found.epochs, [gates.named(row) for row in found.epochs["row"]]),
    }
    rows = pd.concat([table[COMMON] for table in tables.values() if len(table)], ignore_index=True)
    _refuse_idle(gates, rows)
    notes = [("A", base), ("B", new), ("Ratio", RATIO), *found.notes]
    if unused := gates.unused(rows["row"]):
        notes.append(("Tolerances", f"no row is called {join_names(unused)}."))
    for name, about in (("times", "Rows"), ("epochs", "Choices")):
        if len(tables[name]) > 1:
            notes.append((about, summary(tables[name])))
    print_as = {"text": _print_text, "markdown": _print_markdown, "json": _print_json}
    print_as[style](verdict(rows), tables, notes)
    return not rows["verdict"].eq(PAST).any()


def _refuse_idle(gates: Gates, rows: pd.DataFrame) -> None:
    gated = rows[rows["gate"].notna()]
    if (gates.default is None and not gates.patterns) or gated["verdict"].ne(UNSURE).any():
        return
    why = join_names(sorted(set(gated["note"]))) if len(gated) else f"rows are called {join_names(list(rows['row']))}"
    raise ValueError(f"no row that has a gate has an interval, so that none could ever fail: {why}")


def judge(table: pd.DataFrame, gates: Sequence[float | None]) -> pd.DataFrame:
    """Hold each row against its gate.

    Parameters
    ----------
    table : DataFrame
        With the columns `row`, `ratio`, `low`, `high`.
    gates : sequence of float or None
        One for each row.

    Returns
    -------
    DataFrame
        The table with `gate` and `verdict`: "past the gate" where the whole interval is above it, else "slower" or
        "faster" where 1 is not in the interval, "no difference" where it is, and "no interval".
    """
    gate = np.array([np.nan if gate is None else gate for gate in gates], dtype=float)
    low, high = table["low"].to_numpy(dtype=float), table["high"].to_numpy(dtype=float)
    cases = [np.isnan(low), low > gate, low > 1, high < 1]
    words = np.select(cases, [UNSURE, PAST, SLOWER, FASTER], SAME)
    return table.assign(gate=gate, verdict=words.astype(object))


def verdict(rows: pd.DataFrame) -> str:
    """Say in a sentence which rows are past their gates."""
    gated = rows[rows["gate"].notna()]
    if gated.empty:
        return "No gate was set."
    different = set(gated["gate"])
    one = len(different) == 1
    gate = f"the gate {text(max(different))}" if one else "their gates"
    past = gated[gated["verdict"] == PAST]
    unsure = int(gated["verdict"].eq(UNSURE).sum())
    unheld = f" {_rows(unsure)} without an interval could not be held against it." if unsure else ""
    if past.empty:
        none = "The row is not" if len(gated) == 1 else f"None of {_rows(len(gated))} is"
        return f"{none} slower than {gate} beyond chance.{unheld}"
    named = []
    for row, *numbers in past[["row", "ratio", "low", "high", "gate"]].itertuples(index=False):
        ratio, low, high, own = map(text, numbers)
        named.append(f"{row} ({ratio}, interval {low} to {high}{'' if one else f', gate {own}'})")
    verb = "is" if len(past) == 1 else "are"
    return f"{text(len(past))} of {_rows(len(gated))} {verb} slower than {gate}: {join_names(named)}.{unheld}"


def summary(table: pd.DataFrame) -> str:
    """Say in a sentence how many rows differ."""
    slower, faster, unsure = table["low"] > 1, table["high"] < 1, table["low"].isna()
    counts = {
        "slower": int(slower.sum()),
        "faster": int(faster.sum()),
        "with 1 in the interval": int((~(slower | faster | unsure)).sum()),
        "without an interval": int(unsure.sum()),
    }
    return ", ".join(f"{text(count)} {words}" for words, count in counts.items() if count) + "."


def _rows(count: int) -> str:
    return f"{text(count)} row{'' if count == 1 else 's'}"


def readable_ratios(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """What people read: of choices the best, those past a gate and those that differ most; no empty columns."""
    if name == "epochs":
        first = table["row"].eq(BEST) | table["verdict"].eq(PAST)
        with np.errstate(divide="ignore"):
            change = np.log(table["ratio"]).abs()[~first & table["ratio"].ne(1)]
        furthest = change.sort_values(ascending=False, kind="stable").index[: max(0, SHOWN - int(first.sum()))]
        table = table[first | table.index.isin(furthest)]
        of = "/" + table["pairs"].astype(str)
        reached = {f"{who}_converged": table[f"{who}_converged"].astype(str) + of for who in "AB"}
        table = table.assign(**reached).drop(columns="pairs")
    left_out = [name for name, empty in (("gate", table["gate"].isna()), ("note", table["note"].eq(""))) if empty.all()]
    noted = table[[*table.columns.drop("note"), "note"]]  # a sentence comes last
    return noted.drop(columns=left_out)


def _print_text(conclusion: str, tables: dict[str, pd.DataFrame], notes: Notes) -> None:
    for name, table in tables.items():
        if len(table):
            print_table(readable_ratios(name, table), TITLES[name])
    for about, sentence in notes:
        print_sentence(about, sentence)
    print_sentence("Verdict", conclusion)


def _print_markdown(conclusion: str, tables: dict[str, pd.DataFrame], notes: Notes) -> None:
    parts = [
        f"**{escape_markdown(text(conclusion))}**\n",
        *(
            f"{TITLES[name]}:\n\n{to_markdown(readable_ratios(name, table))}"
            for name, table in tables.items()
            if len(table)
        ),
        "".join(f"- **{about}:** {escape_markdown(text(sentence))}\n" for about, sentence in notes),
    ]
    print("\n".join(parts), end="")


def _print_json(conclusion: str, tables: dict[str, pd.DataFrame], notes: Notes) -> None:
    records = {
        name: [{key: _plain(value) for key, value in row.items()} for row in table.to_dict("records")]
        for name, table in tables.items()
    }
    told = [{"about": about, "says": sentence} for about, sentence in notes]
    print(json.dumps({"verdict": conclusion} | records | {"notes": told}))


def _plain(value: Any) -> Any:
    """JSON has no number for what is missing or infinite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
