"""The command `sgdbench compare`: compare two sources, hold the ratios against gates, and print them."""

import sys

import pandas as pd

from bench.commands.findings import Style, print_findings
from bench.compare.gates import Gates
from bench.compare.judge import (
    HIGHER,
    LOWER,
    PAST,
    UNSURE,
    describe_verdict,
    judge,
    readable_ratios,
    summarize_rows,
)
from bench.compare.sources import VARIANT, Measurement, compare_sources, join_names, kind_of_source
from bench.tables.phrases import format_count
from bench.tables.speed_tables import describe_ratio_of_times
from bench.timing.verify import NotVerifiedError

TITLES = {
    "times": "Time of B / time of A",
    "epochs": "Epochs of B to the target / epochs of A",
    "losses": "Loss of B / loss of A",
}
RATIO = (
    "B divided by A; above 1, B takes longer, or ends at a higher loss. A row is past its gate if its whole interval "
    "is above the gate: B is then worse by more than the gate allows, beyond chance. Of 95 % intervals, one in twenty "
    "misses the truth."
)

COMMON = ["row", "ratio", "low", "high", "note", "gate", "verdict"]


def run_compare(base: str, new: str, gates: Gates, *, measurement: Measurement, style: Style) -> bool:
    """Compare two sources, hold the ratios against gates, and print them as "text", "markdown" or "json".

    Return whether the variants that were timed are verified, and no row is past its gate.
    """
    try:
        found = compare_sources(base, new, measurement)
    except NotVerifiedError as reason:
        print(f"sgdbench: {reason}; nothing is compared", file=sys.stderr)
        return False
    # More epochs may be intended: a row of epochs or losses has a gate only where its name asks for one.
    tables = {
        "times": judge(found.times, [gates.of(row) for row in found.times["row"]]),
        "epochs": judge(found.epochs, [gates.named(row) for row in found.epochs["row"]]),
        "losses": judge(found.losses, [gates.named(row) for row in found.losses["row"]], (HIGHER, LOWER)),
    }
    rows = pd.concat([table[COMMON] for table in tables.values() if len(table)], ignore_index=True)
    _refuse_idle(gates, rows)
    notes = [("A", base), ("B", new), ("Ratio", RATIO), *found.notes]
    summary = _summarize(base, new, tables)
    if unused := gates.unused(rows["row"]):
        notes.append(("Tolerances", f"no row is called {join_names(unused)}."))
    shown = {TITLES[name]: readable_ratios(name, table) for name, table in tables.items()}
    if left_out := sum(map(len, tables.values())) - sum(map(len, shown.values())):
        said = f"{format_count(left_out, 'row')} of choices that differ less, or not at all; --json has all."
        notes += [] if style == "json" else [("Left out", said)]
    print_findings(style, summary, describe_verdict(rows), tables, shown, notes)
    return not rows["verdict"].eq(PAST).any()


def _refuse_idle(gates: Gates, rows: pd.DataFrame) -> None:
    """Refuse gates that could never fail."""
    gated = rows[rows["gate"].notna()]
    if (gates.default is None and not gates.patterns) or gated["verdict"].ne(UNSURE).any():
        return
    if gated.empty:
        raise ValueError(
            "no row has a gate: --gate is for times, and --tolerances for rows by name, which are "
            f"{join_names(list(rows['row']))}"
        )
    why = join_names(sorted(set(gated["note"])))
    raise ValueError(f"no row that has a gate has an interval, so that none could ever fail: {why}")


def _summarize(base: str, new: str, tables: dict[str, pd.DataFrame]) -> str:
    """Return the result in a sentence: the speedup for a single ratio, the number of rows that differ for several."""
    times = tables["times"]
    if len(times) == 1 and tables["epochs"].empty and tables["losses"].empty:
        # Between rows of one name, that of the row says more than the names of two files.
        names = (base, new) if kind_of_source(base) == VARIANT else ("A", "B")
        row = times.iloc[0]
        return describe_ratio_of_times(*names, *(float(row[name]) for name in ("ratio", "low", "high")))
    return " ".join(
        f"{what} of B against A: {summarize_rows(tables[name])}."
        for name, what in (("times", "Times"), ("epochs", "Epochs to the target"), ("losses", "Losses"))
        if len(tables[name])
    )
