"""The speed of benchmarks from commit to commit: series of medians, each on one machine, and the steps in them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.compare.pytest_benchmark import Run, read_run
from bench.compare.sources import join_names
from bench.compare.steps import SHORTEST, Drift, fewest_commits, find_drift, find_steps
from bench.tables.formatting import text
from bench.tables.phrases import format_count
from bench.timing.paired import ratio_of

ACCEPTED = "accepted is a folder in which pytest --benchmark-autosave has saved, such as .benchmarks"
STEP = (
    "The level after it divided by the one before, with a 95 % interval; above 1, the benchmark takes longer. "
    "`git log A..B` lists the commits that may be the reason. In at most 5 of 100 histories in which nothing has "
    "changed there is a step."
)
DRIFT = "from the first commit to the last, where a line fits better than steps; gates are for steps"
ANOTHER_EACH = (
    "Each run was on another machine, so there are no series. Where host names change from job to job, as in "
    "containers, a conftest.py can name the machine: see bench/README.md, Speed over time."
)
POINTS = ["row", "machine", "place", "commit", "date", "seconds", "relative", "level"]
BENCHMARKS = ["row", "machine", "commits", "baseline_seconds", "newest_seconds", "ratio", "steps", "note"]
STEPS = ["row", "machine", "place", "step", "date", "ratio", "low", "high", "gated", "note"]
# Facts about a machine that say the same as others do, or change by themselves.
_LEFT_OUT = ("cpu", "python_build", "python_compiler", "python_implementation_version")


class History(NamedTuple):
    """What was measured from commit to commit.

    Attributes
    ----------
    points : DataFrame
        One row for each benchmark, machine and commit: `row` (the benchmark), `machine`, `place` (of the commit among
        all), `commit`, `date`, `seconds`, `relative` (to the baseline, the benchmark's first level) and `level` (where
        it is at that commit without the noise, relative too).
    benchmarks : DataFrame
        One row for each benchmark and machine, with a `note`.
    steps : DataFrame
        One row for each step: the `place`, the `step` ("last commit before..first after"), `date`, `ratio` with its 95
        % interval from `low` to `high`, `gated` (whether it is its series' last, and that was measured at the newest
        commit), and a `note` on what else has changed.
    needed : int
        The number of commits without which no step can be found.
    summary, notes : str, list of (str, str)
        What there is to be said: in one sentence, and besides, by its subject.
    """

    points: pd.DataFrame
    benchmarks: pd.DataFrame
    steps: pd.DataFrame
    needed: int
    summary: str
    notes: list[tuple[str, str]]


def read_runs(folder: Path) -> list[Run]:
    """Return the runs in a folder and in the folders in it, in the order of commits.

    That is by the date of the commit, and by that of the run where there is none. A folder without any, or with a .json
    file that is not of pytest-benchmark, raises a ValueError.
    """
    if not folder.is_dir():
        raise ValueError(f"--history: {folder} is not a folder; {ACCEPTED}")
    paths = sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
    runs = sorted((read_run(path) for path in paths), key=lambda run: (run.committed, run.measured))
    if not any(run.samples for run in runs):
        found = f"no benchmark in {format_count(len(runs), '.json file')}" if runs else "no .json file"
        raise ValueError(f"--history: {folder} has {found}; {ACCEPTED}")
    return runs


def trace_history(runs: list[Run]) -> History:
    """Return the series of each benchmark on each machine, with the steps in them.

    A commit that was measured several times is one point, the median of its medians; so is each run with changes that
    had not been committed, and each without a commit.
    """
    measured = _tabulate(runs)
    newest = measured["place"].max()
    series = [(row, machine, part) for (row, machine), part in measured.groupby(["row", "machine"], sort=False)]
    tests = sum(len(part) >= SHORTEST for _, _, part in series)
    needed = fewest_commits(max(tests, 1))
    traced = [_trace(str(row), str(machine), part, tests, needed, newest) for row, machine, part in series]
    points = pd.concat([found.points for found in traced], ignore_index=True)
    benchmarks = pd.DataFrame([found.benchmark for found in traced], columns=BENCHMARKS)
    steps = pd.DataFrame([step for found in traced for step in found.steps], columns=STEPS)
    drifts = sum(found.drift is not None for found in traced)
    summary = _summarize(benchmarks, steps, drifts, needed, int(measured["place"].nunique()))
    notes = [*_describe_runs(runs, measured), *([("Step", STEP)] if len(steps) else []), *_describe_drifts(traced)]
    return History(points[POINTS], benchmarks, steps, needed, summary, notes)


class _Traced(NamedTuple):
    """One series, as rows of tables."""

    points: pd.DataFrame
    benchmark: dict[str, Any]
    steps: list[dict[str, Any]]
    drift: Drift | None


def _tabulate(runs: list[Run]) -> pd.DataFrame:
    """Return one row for each benchmark, machine and commit, in the order of commits."""
    places: dict[object, int] = {}
    rows = []
    for run in runs:
        facts = {
            "machine": _machine_name(run.machine),
            "place": places.setdefault(_state_of_code(run), len(places)),
            "commit": _commit_name(run),
            "date": f"{run.committed:%Y-%m-%d %H:%M}",
            "facts": _flatten(run.machine),
        }
        rows += [{"row": name, "seconds": sample.median} | facts for name, sample in run.samples.items()]
    keys = ["row", "machine", "place"]
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)
    return grouped.agg({"commit": "first", "date": "first", "facts": "first", "seconds": "median"}).reset_index()


def _state_of_code(run: Run) -> tuple[str | None, datetime | None]:
    """Return a key that is the same for runs of the same state of the code."""
    return run.commit, None if run.commit and not run.dirty else run.measured


def _machine_name(info: Mapping[str, Any]) -> str:
    """Return the name of a machine, under which times are compared; of Python it has the minor version."""
    cpu = info.get("cpu")
    cpu = cpu if isinstance(cpu, dict) else {"brand_raw": cpu}
    count_of = f" ({cpu['count']} processors)" if cpu.get("count") else ""
    python = ".".join(str(info.get("python_version") or "").split(".")[:2])
    parts = [
        info.get("node"),
        f"{cpu.get('brand_raw') or info.get('machine') or ''}{count_of}",
        info.get("system"),
        f"{info.get('python_implementation') or 'Python'} {python}" if python else None,
    ]
    return ", ".join(str(part) for part in parts if part) or "an unknown machine"


def _commit_name(run: Run) -> str:
    if run.commit is None:
        return f"{run.measured:%Y-%m-%d %H:%M:%S}"
    return f"{run.commit[:7]}{'+' if run.dirty else ''}"


def _flatten(info: Mapping[str, Any]) -> dict[str, str]:
    """Return facts about a machine by name, such as "sgdbench numpy" for what a conftest.py has added."""
    facts: dict[str, str] = {}
    for name, value in info.items():
        inner = {f"{name} {key}": fact for key, fact in value.items()} if isinstance(value, dict) else {name: value}
        if name not in _LEFT_OUT:
            facts |= {key: str(fact) for key, fact in inner.items() if isinstance(fact, str | int | float)}
    return facts


def _trace(row: str, machine: str, part: pd.DataFrame, tests: int, needed: int, newest: int) -> _Traced:
    part = part.sort_values("place").reset_index(drop=True)
    seconds = part["seconds"].to_numpy(float)
    cuts = find_steps(seconds, tests=tests) if seconds.size >= SHORTEST else []
    drift = find_drift(seconds, cuts) if cuts else None
    cuts = [] if drift else cuts
    levels = np.concatenate([np.full(level.size, np.median(level)) for level in np.split(seconds, cuts)])
    levels = drift.times if drift else levels
    current = bool(part["place"].iloc[-1] == newest)
    notes = {
        "drifts": drift is not None,
        "too short for steps": len(part) < needed,
        f"not measured since {part['commit'].iloc[-1]}": not current,
    }
    benchmark = {
        "row": row,
        "machine": machine,
        "commits": seconds.size,
        "baseline_seconds": levels[0],
        "newest_seconds": seconds[-1],
        "ratio": seconds[-1] / levels[0],
        "steps": len(cuts),
        "note": "; ".join(note for note, applies in notes.items() if applies),
    }
    ends = [0, *cuts, seconds.size]
    steps = []
    for first, cut, last in zip(ends, ends[1:], ends[2:], strict=False):
        before, after = part.iloc[cut - 1], part.iloc[cut]
        low, middle, high = ratio_of(seconds[cut:last], seconds[first:cut], paired=False)
        step = {"place": after["place"], "step": f"{before['commit']}..{after['commit']}", "date": after["date"]}
        ratio = {"ratio": middle, "low": low, "high": high, "gated": current and cut == cuts[-1]}
        facts, later = before["facts"], after["facts"]
        changed = [f"{name} {fact} to {later[name]}" for name, fact in facts.items() if later.get(name, fact) != fact]
        steps.append({"row": row, "machine": machine} | step | ratio | {"note": join_names(changed)})
    points = part.assign(relative=seconds / levels[0], level=levels / levels[0])
    return _Traced(points, benchmark, steps, drift)


def _summarize(benchmarks: pd.DataFrame, steps: pd.DataFrame, drifts: int, needed: int, commits: int) -> str:
    last = steps.drop_duplicates(["row", "machine"], keep="last")
    short = int(benchmarks["commits"].lt(needed).sum())
    numbers = {
        "with a last step that is a slowdown": int(last["ratio"].gt(1).sum()),
        "with a last step that is a speedup": int(last["ratio"].le(1).sum()),
        "with a drift": drifts,
        "without a step": len(benchmarks) - len(last) - drifts - short,
        f"with fewer than the {text(needed)} commits that a step needs": short,
    }
    found = ", ".join(f"{text(number)} {which}" for which, number in numbers.items() if number)
    one = len(set(benchmarks["machine"])) == 1
    series = format_count(len(benchmarks), "benchmark") if one else f"{text(len(benchmarks))} series"
    return f"{series} at {format_count(commits, 'commit')}: {found}."


def _describe_drifts(traced: list[_Traced]) -> list[tuple[str, str]]:
    sizes = [
        f"{found.benchmark['row']} ({text(ratio)}, interval {text(low)} to {text(high)})"
        for found in traced
        if found.drift
        for low, ratio, high in [found.drift.ratio]
    ]
    return [("Drift", f"{DRIFT}: {join_names(sizes)}.")] if sizes else []


def _describe_runs(runs: list[Run], measured: pd.DataFrame) -> Iterator[tuple[str, str]]:
    machines = list(measured["machine"].unique())
    if len(machines) == 1:
        yield "Machine", f"{machines[0]}."
    else:
        yield f"{text(len(machines))} machines", f"never mixed in one series: {join_names(machines)}."
    if len(runs) > 2 and len(machines) == len(runs):
        yield "Careful", ANOTHER_EACH
    measured_once = {(_machine_name(run.machine), _state_of_code(run)) for run in runs}
    dirty = sum(run.dirty and run.commit is not None for run in runs)
    notes = {
        "Repeated": (len(runs) - len(measured_once), "of a commit measured before: the median of its medians counts."),
        "Uncommitted": (dirty, "with changes that had not been committed, marked +."),
        "No commit": (sum(run.commit is None for run in runs), "outside of a repository, in order of date."),
    }
    yield from ((about, f"{format_count(number, 'run')} {what}") for about, (number, what) in notes.items() if number)
