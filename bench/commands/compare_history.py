"""The command `sgdbench compare --history`: find steps in the speed of benchmarks, and hold the last against gates."""

from pathlib import Path

import pandas as pd

from bench.commands.console import print_place
from bench.commands.findings import Style, print_findings
from bench.compare.gates import Gates
from bench.compare.history import History, read_runs, trace_history
from bench.compare.judge import PAST, describe_verdict, judge, write_ratios
from bench.compare.sources import Measurement, join_names
from bench.plots.failures import skip_failed_figure
from bench.system.atomic import explain_unwritable
from bench.tables.formatting import write_csv

BENCHMARKS_TITLE = "Benchmarks: the newest median and the first level"
STEPS_TITLE = "Steps: the level after each / the level before"


def compare_history(folder: Path, measurement: Measurement, gates: Gates, *, out: Path | None, style: Style) -> bool:
    """Find steps in what pytest-benchmark has saved in a folder, hold the last ones against gates, and print them.

    With `out`, tables and a figure are written to that folder. Return whether no benchmark's last step is a slowdown
    past its gate.
    """
    measurement.refuse(f"what {folder} has was timed before")
    found = trace_history(read_runs(folder))
    # Earlier steps have no gate, nor has what was not measured at the newest commit.
    own = [gates.of(row) if gated else None for row, gated in found.steps[["row", "gated"]].itertuples(index=False)]
    steps = judge(found.steps, own)
    notes = list(found.notes)
    if unused := gates.unused(found.benchmarks["row"]):
        notes.append(("Tolerances", f"no benchmark is called {join_names(unused)}."))
    tables = {"benchmarks": found.benchmarks, "steps": steps}
    shown = _by_machine(found.benchmarks, BENCHMARKS_TITLE) | _by_machine(write_ratios(steps), STEPS_TITLE)
    print_findings(style, found.summary, _verdict(found, steps, gates), tables, shown, notes)
    if out:
        with explain_unwritable(out):
            _write(found, steps, out)
        if style == "text":
            print_place("Tables and figure", out)
    return not steps["verdict"].eq(PAST).any()


def _verdict(found: History, steps: pd.DataFrame, gates: Gates) -> str:
    if gates.default is None and not gates.patterns:
        return "No gate was set."
    if found.benchmarks["commits"].lt(found.needed).all():
        return f"No benchmark has a step yet, which takes {found.needed} commits."
    if steps["gate"].isna().all():
        return "No benchmark that was measured at the newest commit has a step that a gate is for."
    named = steps["row"] + ", " + steps["step"]
    alone = len(set(found.benchmarks["machine"])) == 1
    return describe_verdict(steps.assign(row=named if alone else named + ", on " + steps["machine"]), "last step")


def _by_machine(table: pd.DataFrame, title: str) -> dict[str, pd.DataFrame]:
    """Return the rows of a table that are shown, for each machine, by title."""
    machines = table.groupby("machine", sort=False)
    alone = len(machines) == 1
    return {title if alone else f"{title}, on {machine}": _readable(part) for machine, part in machines}


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without empty columns and without those that fit no terminal; a note comes last."""
    empty = {name for name in ("gate", "note") if name in table and table[name].replace("", None).isna().all()}
    shown = [name for name in table if name not in {"machine", "place", "date", "gated"} | empty]
    return table[sorted(shown, key="note".__eq__)]


def _write(found: History, steps: pd.DataFrame, out: Path) -> None:
    from bench.plots.speed_history import speed_history  # noqa: PLC0415 (matplotlib)
    from bench.plots.style import save  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)
    for name, table in {"history": found.points, "benchmarks": found.benchmarks, "steps": steps}.items():
        write_csv(table, out / f"{name}.csv")
    with skip_failed_figure("the figure history"):
        save(speed_history(found.points, steps), out, "history")
