"""The speed of benchmarks over time: what is read, which steps are told, and what a gate does."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from bench.compare.history import read_runs, trace_history
from tests.support.benchmark_files import WOBBLE, commit_id, run_pytest, saved_run, saved_runs
from tests.support.documents import BLOCKS

SLOWER = np.where(np.arange(40) < 30, WOBBLE, 1.2 * WOBBLE)
FASTER = np.where(np.arange(40) < 12, WOBBLE, 0.8 * WOBBLE)
BUMP = np.where((np.arange(40) >= 15) & (np.arange(40) < 25), 1.3 * WOBBLE, WOBBLE)


def short(day):
    return commit_id(day)[:7]


def change_file(path, **changed):
    """Give keys of a file other values, or none."""
    content = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.fixture
def folder(tmp_path):
    """Forty commits: of four benchmarks one became slower, one faster, one slower and then faster, and one stayed."""
    rows = {"t.py::slower[1]": SLOWER, "t.py::faster": FASTER, "t.py::bump": BUMP, "t.py::same": WOBBLE}
    saved_runs(tmp_path / "h" / "Linux-CPython-3.11-64bit", rows)
    return tmp_path / "h"


@pytest.fixture
def told(sgdbench):
    """Compare a history: the exit code, what --json says, and its notes by what they are about."""

    def run(*args):
        code, out, err = sgdbench("compare", "--history", *args, "--json")
        assert err == ""
        found = json.loads(out)
        return code, found, {note["about"]: note["says"] for note in found["notes"]}

    return run


# Steps and gates


@pytest.mark.usefixtures("folder")
def test_steps_are_told_with_their_commits_and_intervals_and_the_last_decides_the_exit_code(told):
    code, found, _ = told("h", "--gate", "1.05")
    steps = {(step["row"], step["step"]): step for step in found["steps"]}
    assert code == 1
    assert set(steps) == {
        ("t.py::slower[1]", f"{short(29)}..{short(30)}"),
        ("t.py::faster", f"{short(11)}..{short(12)}"),
        ("t.py::bump", f"{short(14)}..{short(15)}"),
        ("t.py::bump", f"{short(24)}..{short(25)}"),
    }
    by_row = {row: step for (row, _), step in steps.items()}
    slower = by_row["t.py::slower[1]"]
    assert (slower["verdict"], slower["gate"], slower["date"]) == ("past the gate", 1.05, "2026-03-31 12:00")
    assert slower["low"] < 1.2 < slower["high"] < 1.25
    assert by_row["t.py::faster"]["verdict"] == "faster"
    first, last = (step for step in found["steps"] if step["row"] == "t.py::bump")
    # Mended long ago: its slowdown was another step.
    assert (first["verdict"], first["gate"]) == ("slower", None)
    assert (last["verdict"], last["gate"]) == ("faster", 1.05)
    assert found["verdict"].startswith(
        f"1 of 3 last steps is above the gate 1.05: t.py::slower[1], {short(29)}..{short(30)} (1.203, interval 1."
    )
    assert found["summary"] == (
        "4 benchmarks at 40 commits: 1 with a last step that is a slowdown, 2 with a last step that is a speedup, "
        "1 without a step."
    )
    rows = {row["row"]: row for row in found["benchmarks"]}
    assert rows["t.py::slower[1]"]["ratio"] == pytest.approx(1.2, rel=0.03)
    assert rows["t.py::slower[1]"]["baseline_seconds"] == pytest.approx(1, rel=0.01)
    assert [row["steps"] for row in found["benchmarks"]] == [1, 1, 2, 0]
    assert told("h")[0] == told("h", "--gate", "1.3")[0] == 0


@pytest.mark.usefixtures("folder")
def test_a_slowdown_that_was_meant_has_a_gate_of_its_own(told, tmp_path):
    (tmp_path / "gates.toml").write_text('[gates]\ndefault = 1.05\n"t.py::slower[1]" = 1.25\n"unknown" = 2.0\n')
    code, found, notes = told("h", "--tolerances", "gates.toml")
    assert code == 0
    assert notes["Tolerances"] == "no benchmark is called unknown."
    assert found["verdict"] == "None of the 3 last steps is above its gate beyond chance."


def test_what_is_no_longer_measured_has_no_gate(told, tmp_path):
    gone = np.append(np.where(np.arange(39) < 20, 1.0, 1.5) * WOBBLE[:39], None)
    late = np.append(np.full(33, None), WOBBLE[:7])
    saved_runs(tmp_path, {"gone": gone, "late": late, "same": WOBBLE})
    code, found, _ = told(tmp_path, "--gate", "1.05")
    assert code == 0
    assert {row["row"]: (row["commits"], row["note"]) for row in found["benchmarks"]} == {
        "gone": (39, f"not measured since {short(38)}"),
        "late": (7, "too short for steps"),
        "same": (40, ""),
    }
    assert found["steps"][0]["verdict"] == "slower"
    assert found["verdict"] == "No benchmark that was measured at the newest commit has a step that a gate is for."


def test_a_benchmark_may_be_left_out_at_some_commits(told, tmp_path):
    some = [one if day % 2 else None for day, one in enumerate(SLOWER)]
    saved_runs(tmp_path, {"some": some, "same": WOBBLE})
    _, found, _ = told(tmp_path)
    # The reason is one of the two commits since it was last measured.
    assert [step["step"] for step in found["steps"]] == [f"{short(29)}..{short(31)}"]


def test_a_drift_is_no_step(told, tmp_path):
    saved_runs(tmp_path, {"drifts": WOBBLE * np.linspace(1, 1.5, 40)})
    code, found, notes = told(tmp_path, "--gate", "1.05")
    assert code == 0
    assert found["steps"] == []
    assert found["benchmarks"][0]["note"] == "drifts"
    assert notes["Drift"].startswith("from the first commit to the last, where a line fits better than steps;")
    assert "drifts (1.498, interval 1." in notes["Drift"]
    assert "1 with a drift" in found["summary"]


# Machines and commits


def test_machines_are_never_mixed_and_are_named(told, ran, tmp_path):
    """Each other commit was measured on a machine that is twice as fast."""
    for day, seconds in enumerate(WOBBLE):
        which = {"node": "b", "cpu": "faster"} if day % 2 else {"node": "a"}
        folder = tmp_path / which["node"]
        folder.mkdir(exist_ok=True)
        saved_run(folder / f"{day}.json", {"row": seconds * (1 if day % 2 else 2)}, day=day, **which)
    code, found, notes = told(tmp_path, "--gate", "1.05")
    assert (code, found["steps"]) == (0, [])
    assert [row["machine"] for row in found["benchmarks"]] == ["a, fast, Python 3.11", "b, faster, Python 3.11"]
    assert notes["2 machines"] == "never mixed in one series: a, fast, Python 3.11; b, faster, Python 3.11."
    assert "the first level, on b, faster, Python 3.11\n" in ran("compare", "--history", tmp_path)


@pytest.mark.parametrize("other", [{"node": "there"}, {"cpu": "slow"}, {"python": "3.12.1"}])
def test_another_host_processor_python_or_system_is_another_machine(other, tmp_path):
    saved_run(tmp_path / "a.json", {"row": 1.0})
    saved_run(tmp_path / "b.json", {"row": 1.0}, day=1, **other)
    assert len(trace_history(read_runs(tmp_path)).benchmarks) == 2


def test_what_else_changed_with_a_step_is_named(told, tmp_path):
    for day, seconds in enumerate(SLOWER):
        new = day >= 30
        facts = {"python": "3.11.9" if new else "3.11.7", "sgdbench": {"numpy": "2.4" if new else "2.3", "numba": "1"}}
        saved_run(tmp_path / f"{day}.json", {"row": seconds}, day=day, **facts)
    _, found, _ = told(tmp_path)
    assert found["steps"][0]["note"] == "python_version 3.11.7 to 3.11.9; sgdbench numpy 2.3 to 2.4"


def test_runs_are_in_the_order_of_commits_whenever_they_were_measured(told, tmp_path):
    """Old commits were measured later, in no order."""
    order = np.random.default_rng(0).permutation(40)
    for file, day in enumerate(order):
        path = tmp_path / f"{file:04}.json"
        saved_run(path, {"row": SLOWER[day]}, day=int(day))
        change_file(path, datetime=f"2027-01-01T00:00:{file:02}")
    _, found, _ = told(tmp_path)
    assert [step["step"] for step in found["steps"]] == [f"{short(29)}..{short(30)}"]


def test_a_commit_that_was_measured_again_is_one_point(told, tmp_path):
    saved_runs(tmp_path, {"row": WOBBLE[:12]})
    for again, median in enumerate((5.0, 9.0)):
        saved_run(tmp_path / f"again{again}.json", {"row": median}, day=11)
    _, found, notes = told(tmp_path)
    (row,) = found["benchmarks"]
    assert (row["commits"], row["newest_seconds"]) == (12, 5.0)
    assert notes["Repeated"] == "2 runs of a commit measured before: the median of its medians counts."


def test_without_commits_runs_are_called_by_their_date(told, tmp_path):
    saved_runs(tmp_path, {"row": SLOWER}, commit={"id": "unversioned", "time": None})
    _, found, notes = told(tmp_path)
    assert [step["step"] for step in found["steps"]] == ["2026-03-30 12:07:00..2026-03-31 12:07:00"]
    assert notes["No commit"] == "40 runs outside of a repository, in order of date."


def test_files_without_anything_about_commit_and_machine_are_one_series(tmp_path):
    saved_runs(tmp_path, {"row": SLOWER})
    for path in tmp_path.glob("*.json"):
        change_file(path, commit_info=None, machine_info=None)
    found = trace_history(read_runs(tmp_path))
    assert set(found.points["machine"]) == {"an unknown machine"}
    assert len(found.steps) == 1


def test_changes_that_were_not_committed_are_points_of_their_own(told, tmp_path):
    saved_runs(tmp_path, {"row": WOBBLE[:9]})
    for again in range(3):
        path = tmp_path / f"dirty{again}.json"
        saved_run(path, {"row": 1.0}, day=8, commit={"dirty": True})
        change_file(path, datetime=f"2026-04-01T00:0{again}:00")
    _, found, notes = told(tmp_path)
    assert found["benchmarks"][0]["commits"] == 12
    assert notes["Uncommitted"] == "3 runs with changes that had not been committed, marked +."


def test_hosts_that_change_with_each_run_are_told_what_to_do(told, tmp_path):
    for day in range(5):
        saved_run(tmp_path / f"{day}.json", {"row": 1.0}, day=day, node=f"runner-{day}")
    _, _, notes = told(tmp_path)
    assert "conftest.py can name the machine" in notes["Careful"]


# What is written


@pytest.mark.usefixtures("folder")
def test_tables_and_a_figure_are_written_where_they_are_asked_for(sgdbench, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert sgdbench("compare", "--history", "h")[0] == 0
    assert sorted(tmp_path.rglob("*")) == before
    code, out, err = sgdbench("compare", "--history", "h", "--gate", "1.05", "--out", "new/speed")
    assert (code, err) == (1, "")
    assert out.endswith("\nTables and figure: new/speed\n")
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "new" / "speed").glob("*.csv")}
    assert set(tables) == {"history", "benchmarks", "steps"}
    points = tables["history"].query("row == 't.py::slower[1]'")
    np.testing.assert_allclose(points["seconds"], SLOWER)
    np.testing.assert_allclose(points["relative"], SLOWER / np.median(SLOWER[:30]))
    np.testing.assert_allclose(
        points["level"], np.repeat([1, np.median(SLOWER[30:]) / np.median(SLOWER[:30])], [30, 10])
    )
    assert points["commit"].tolist() == [short(day) for day in range(40)]
    assert list(tables["steps"].query("verdict == 'past the gate'")["row"]) == ["t.py::slower[1]"]
    with Image.open(tmp_path / "new" / "speed" / "history.png") as image:
        assert image.format == "PNG"
    code, _, err = sgdbench("compare", "--history", "h", "--out", "new/speed/steps.csv")
    told = "sgdbench: new/speed/steps.csv cannot be written: File exists; choose another one with --out\n"
    assert (code, err) == (2, told)


def test_hostile_names_are_shown_literally(sgdbench, tmp_path):
    hostile = "t|<b>`x`[1]\x1b[2J\n"
    rows = {f"{hostile}{k}": SLOWER for k in range(2)}
    saved_runs(tmp_path / "a", rows, node=hostile)
    saved_runs(tmp_path / "b", rows, node=f"{hostile}b", commit={"id": f"{hostile}"})
    code, out, _ = sgdbench("compare", "--history", tmp_path, "--gate", "1.05", "--out", "out", "--markdown")
    assert code == 1
    assert "\x1b" not in out
    tokens = MarkdownIt("commonmark").enable("table").parse(out)
    kinds = {child.type for token in tokens if token.type == "inline" for child in token.children}
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}


# A real history


def test_what_pytest_benchmark_really_saves(told, tmp_path):
    (tmp_path / "test_it.py").write_text("def test_sum(benchmark):\n    benchmark(sum, [1, 2])\n")
    (hook,) = [block.text for block in BLOCKS if "def pytest_benchmark_update_machine_info" in block.text]
    (tmp_path / "conftest.py").write_text(hook)
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@e", "-c", "init.defaultBranch=main"]
    for command in (["init", "-q"], ["add", "test_it.py"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    run_pytest("-q", "--benchmark-max-time=0.01", "--benchmark-autosave", "test_it.py", folder=tmp_path)
    said = subprocess.run([*git, "log", "--format=%H"], cwd=tmp_path, check=True, capture_output=True, text=True)
    runs = read_runs(tmp_path / ".benchmarks")
    assert [run.commit for run in runs] == said.stdout.split()
    assert not any(run.dirty for run in runs)
    code, found, notes = told(".benchmarks", "--gate", "1.05")
    (row,) = found["benchmarks"]
    assert (code, row["row"], row["commits"], row["note"]) == (0, "test_it.py::test_sum", 1, "too short for steps")
    assert found["verdict"] == "No benchmark has a step yet, which takes 10 commits."
    assert next(iter(notes)) == "Machine"
    assert notes["Machine"].startswith("speed, ")


# Bad input


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--history", "none"], "--history: none is not a folder; accepted is a folder in which pytest --bench"),
        (["--history", "empty"], "empty has no .json file"),
        (["--history", "without"], "without has no benchmark in 1 .json file"),
        (
            ["--history", "h", "--study", "quadratic"],
            "--study is for two variants, which are timed now; what h has was timed before",
        ),
        (["--history", "h", "--markdown", "--json"], "give one of them"),
        (["fused", "lanes", "--history", "h"], "--history takes the place of A and B: leave out fused"),
        (["fused"], "compare needs A and B, or --history FOLDER"),
        (["a.json", "a.json", "--out", "x"], "--out is for --history"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(args, words, refused, tmp_path):
    saved_runs(tmp_path / "h", {"row": WOBBLE[:3]})
    (tmp_path / "empty").mkdir()
    (tmp_path / "without").mkdir()
    saved_run(tmp_path / "without" / "0.json", {})
    saved_run(tmp_path / "a.json", {"row": 1.0})
    assert words in refused("compare", *args)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('{"benchmarks": [', "Invalid JSON"),
        ({"name": "package"}, "benchmarks Field required"),
        ({"benchmarks": [], "datetime": "yesterday"}, "datetime must be a valid datetime"),
        ({"benchmarks": [], "datetime": "0001-01-01T00:00:00+14:00"}, "must be a date of this era"),
        ({"benchmarks": [], "datetime": "2026-01-01", "commit_info": {"time": "?"}}, "commit_info.time must be"),
        ({"benchmarks": [{"name": "x", "stats": {"median": -1}}], "datetime": "2026-01-01"}, "stats.median must be"),
    ],
)
def test_a_file_of_something_else_is_named_and_not_left_out(change, words, refused, tmp_path):
    """A gate over what could not be read would hold for nothing."""
    saved_runs(tmp_path / "h", {"row": WOBBLE})
    (tmp_path / "h" / "other.json").write_text(change if isinstance(change, str) else json.dumps(change))
    err = refused("compare", "--history", "h", "--gate", "1.05")
    assert "h/other.json is not a file of pytest-benchmark: " in err
    assert words in err
