"""The command `sgdbench compare`: compare two sources or two trees, check the ratios against gates, and print them."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import pandas as pd

from sgdbench.commands.findings import Style, print_findings
from sgdbench.commands.stages import show_stages
from sgdbench.commands.trees import BRIEF_OPTIONS, check_imports, open_trees, run_benchmarks
from sgdbench.compare.gates import Gates
from sgdbench.compare.judge import (
    HIGHER,
    LOWER,
    NO_INTERVAL,
    PAST_GATE,
    describe_verdict,
    judge,
    readable_ratios,
    summarize_rows,
)
from sgdbench.compare.sources import (
    VARIANT,
    Comparison,
    Measurement,
    compare_sources,
    kind_of_source,
    only_in_one,
)
from sgdbench.compare.turns import compare_turns, measure_turns
from sgdbench.kernels.base.checks import list_names
from sgdbench.tables.words import describe_ratio_of_times, format_count
from sgdbench.timing.verify import NotVerifiedError

TABLE_TITLES = {
    "times": "Time of B / time of A",
    "epochs": "Epochs of B to the target / epochs of A",
    "losses": "Loss of B / loss of A",
}
RATIO_CAPTION = (
    "B divided by A; above 1, B takes longer, or ends at a higher loss. A row is past its gate if its whole interval "
    "is above the gate: B is then worse by more than the gate allows, beyond chance."
)
SINGLE_INTERVALS_CAPTION = " Of 95 % intervals, one in twenty misses the truth."
JOINT_INTERVALS_CAPTION = " With 95 % confidence the intervals of all rows hold the truth."

COMMON_COLUMNS = ["row", "ratio", "low", "high", "note", "gate", "verdict"]


class Between(NamedTuple):
    """The names of A and B; `row` names them in a sentence on the only row, `together` is a sentence on intervals."""

    a: str
    b: str
    row: tuple[str, str] = ("A", "B")
    together: bool = False


def run_compare(base: str, new: str, gates: Gates, *, measurement: Measurement, style: Style) -> bool:
    """Compare two sources, check the ratios against gates, and print them as "text", "markdown" or "json".

    Return whether the timed variants are verified, and no row exceeds its gate.
    """
    try:
        comparison = compare_sources(base, new, measurement)
    except NotVerifiedError as reason:
        print(f"sgdbench: {reason}; nothing was compared", file=sys.stderr)
        return False
    # For sources with one row each, the name of the row is more informative than the names of two files.
    names = (base, new) if kind_of_source(base) == VARIANT else ("A", "B")
    return _print_comparison(comparison, Between(base, new, names), gates, style)


def run_compare_against(
    revision: str, arguments: Sequence[str], gates: Gates, *, setup: str | None, seconds: float, style: Style
) -> bool:
    """Measure the benchmarks of a revision, A, and of the working tree, B, in turns, and print their ratios.

    `arguments` are pytest's. Return whether no row exceeds its gate. Trees without a common benchmark, a failing
    benchmark, and benchmarks that import code from outside the tree raise a ValueError.
    """
    with show_stages() as stages, ExitStack() as opened:
        with stages.stage("preparing both trees"):
            a, b = opened.enter_context(open_trees(revision, setup))
        with stages.stage("running each benchmark once"):
            # Compilation and caching on first use are not measured either.
            both = [run_benchmarks(tree, [*arguments, *BRIEF_OPTIONS]) for tree in (a, b)]
            for tree, other, once in zip((a, b), (b, a), both, strict=True):
                if not once.times:
                    raise ValueError(f"no benchmarks were found in {tree.about}; arguments for pytest come after --")
                check_imports(tree, other, once.imported)
            if both[0].times.keys().isdisjoint(both[1].times):
                raise ValueError(f"{a.about} and {b.about} have no benchmark in common")
        with stages.stage("measuring in turns") as advance:
            trees = {"A": a, "B": b}
            turns = measure_turns(
                lambda name: run_benchmarks(trees[name], arguments)[0], gates, seconds=seconds, advance=advance
            )
    counted = f"the shortest round of a process; those of A and of B are medians of {len(turns.a)} processes each."
    comparison = Comparison(
        compare_turns(turns), [("Times", counted), *only_in_one(list(turns.a.columns), list(turns.b.columns))]
    )
    return _print_comparison(comparison, Between(a.about, b.about, together=True), gates, style)


def _print_comparison(comparison: Comparison, between: Between, gates: Gates, style: Style) -> bool:
    """Check ratios against gates, and print them; return whether no row exceeds its gate."""
    # More epochs may be intended: a row of epochs or losses is gated only if a gate names it.
    tables = {
        "times": judge(comparison.times, [gates.of(row) for row in comparison.times["row"]]),
        "epochs": judge(comparison.epochs, [gates.named(row) for row in comparison.epochs["row"]]),
        "losses": judge(comparison.losses, [gates.named(row) for row in comparison.losses["row"]], (HIGHER, LOWER)),
    }
    rows = pd.concat([table[COMMON_COLUMNS] for table in tables.values() if len(table)], ignore_index=True)
    _refuse_idle(gates, rows)
    ratio = RATIO_CAPTION + (JOINT_INTERVALS_CAPTION if between.together else SINGLE_INTERVALS_CAPTION)
    notes = [("A", between.a), ("B", between.b), ("Ratio", ratio), *comparison.notes]
    summary = _summarize(between.row, tables)
    if unused := gates.unused(rows["row"]):
        notes.append(("Tolerances", f"no row is called {list_names(unused, '; ')}."))
    shown = {TABLE_TITLES[name]: readable_ratios(name, table) for name, table in tables.items()}
    if left_out := sum(map(len, tables.values())) - sum(map(len, shown.values())):
        omitted = f"{format_count(left_out, 'row')} of choices that differ less, or not at all; --json has all."
        notes += [] if style == "json" else [("Not shown", omitted)]
    print_findings(style, summary, describe_verdict(rows), tables, shown, notes)
    return not rows["verdict"].eq(PAST_GATE).any()


def _refuse_idle(gates: Gates, rows: pd.DataFrame) -> None:
    """Refuse gates that can never fail."""
    gated = rows[rows["gate"].notna()]
    if not gates.given or gated["verdict"].ne(NO_INTERVAL).any():
        return
    if gated.empty:
        raise ValueError(
            "no row has a gate: --gate is for times, and --tolerances for rows by name, which are "
            f"{list_names(rows['row'], '; ')}"
        )
    why = list_names(sorted(set(gated["note"])), "; ")
    raise ValueError(f"no row with a gate has an interval, so none can fail: {why}")


def _summarize(names: tuple[str, str], tables: dict[str, pd.DataFrame]) -> str:
    """Return the result in a sentence: the speedup for a single ratio, or how many of several rows differ."""
    times = tables["times"]
    if len(times) == 1 and tables["epochs"].empty and tables["losses"].empty:
        row = times.iloc[0]
        return describe_ratio_of_times(*names, *(float(row[name]) for name in ("ratio", "low", "high")))
    return " ".join(
        f"{what} of B against A: {summarize_rows(tables[name])}."
        for name, what in (("times", "Times"), ("epochs", "Epochs to the target"), ("losses", "Losses"))
        if len(tables[name])
    )
