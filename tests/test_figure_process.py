"""The process that draws the figures of a run: what it draws, and that nothing of it is left, whatever happens."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench.commands.figure_process
from bench.commands.figure_process import _RANKINGS, FigureProcess, figure_process
from bench.report.figure_list import FIGURES, STAGES
from bench.report.report import write_report
from tests.conftest import HANG, ROOT


def names_of(stages, where):
    return {name: where for name, stage in reversed(FIGURES.items()) if stage in stages}


def run_with(rules):
    return SimpleNamespace(result=SimpleNamespace(run=SimpleNamespace(rules=rules)))


class Pool:
    """Stands for the other process: what it is to do fails, or is answered by the captions of a stage."""

    def __init__(self, failing):
        self.failing = failing

    def submit(self, work, run_data=None, stage=None, *, svg=None):
        future = Future()
        if stage in self.failing:
            future.set_exception(SystemExit())
        else:
            future.set_result(names_of([stage], "there"))
        return future


@pytest.mark.parametrize("failing", [(), ("analyzed",), STAGES])
def test_what_the_process_has_not_drawn_is_drawn_here(monkeypatch, failing):
    monkeypatch.setattr(
        "bench.report.drawing.write_figures", lambda run_data, *, svg, stages: names_of(stages, run_data)
    )
    monkeypatch.setattr(bench.commands.figure_process, "_RANKINGS", dict.fromkeys(STAGES, ()))
    figures = FigureProcess(Pool(failing), svg=False)
    for stage in STAGES[:-1]:
        figures.draw(stage, run_with(rules={}))
    found = figures.captions("here")
    assert list(found) == list(FIGURES)
    here = {*failing, STAGES[-1]}  # which it was never asked for
    assert {FIGURES[name] for name, where in found.items() if where == "here"} == here


def test_where_there_are_rules_of_the_users_own_all_is_drawn_here(monkeypatch):
    monkeypatch.setattr("bench.report.drawing.write_figures", lambda *_, stages, **__: names_of(stages, "here"))
    figures = FigureProcess(Pool(()), svg=False)
    for stage in STAGES:
        figures.draw(stage, run_with(rules={"loss fair": {}}))
    assert set(figures.captions(None).values()) == {"here"}


def test_every_stage_says_which_rankings_go_with_it():
    assert set(_RANKINGS) == set(STAGES) == set(FIGURES.values())


@pytest.mark.parametrize("why", ["one processor", "matplotlib is there"])
def test_there_is_no_process_where_nothing_would_be_gained(monkeypatch, why):
    monkeypatch.setattr(bench.commands.figure_process, "processors", lambda: 1 if why == "one processor" else 2)
    monkeypatch.setattr(bench.commands.figure_process, "ProcessPoolExecutor", None)
    if why == "one processor":
        monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with figure_process(svg=False) as figures:
        assert figures is None


# Two processors are assumed, as there may be one; nobody asks how fast anything is.
COMMAND = """
import atexit, sys
from bench import cli
from bench.commands import figure_process, run
figure_process.processors = lambda: 2
run.SPEED_SECONDS = run.UPDATE_SECONDS = 0.01
atexit.register(lambda: print("drawn", "here" if "matplotlib.figure" in sys.modules else "elsewhere"))
cli.main()
"""
SMALL = [
    "--lr",
    "0.1,0.5",
    "--optimizer",
    "sgd",
    "--seed",
    "0,1",
    "--batch-size",
    "1",
    "--epochs",
    "3",
    "--confirm",
    "2",
]


def test_a_run_draws_elsewhere_what_a_report_draws_here(tmp_path):
    folder = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", "quadratic", *SMALL, "--out", str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\ndrawn elsewhere\n")
    names = [*folder.glob("figures/*"), folder / "report.md", folder / "report.html"]
    assert len(names) > 8
    before = {path: path.read_bytes() for path in names}
    write_report(folder)
    assert {*folder.glob("figures/*"), *folder.glob("report.*")} == set(before)
    assert [path.name for path, content in before.items() if path.read_bytes() != content] == []


HELD = """
import os, signal, sys
from multiprocessing import active_children
from bench.commands import figure_process
from bench.commands.interrupts import interruptible
figure_process.processors = lambda: 2
with interruptible(), figure_process.figure_process(svg=False):
    (child,) = active_children()
    print(child.pid, flush=True)
    {strike}
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX's signals")
@pytest.mark.parametrize(
    ("strike", "code"),
    [
        ("os.kill(0, signal.SIGINT)", -2),  # by which a terminal strikes both
        ("raise ValueError('bad input')", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    ],
)
def test_the_process_ends_with_the_one_that_started_it(strike, code):
    process = subprocess.Popen(
        [sys.executable, "-c", HELD.format(strike=strike)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    out, err = process.communicate(timeout=HANG)  # which waits for all that have the pipe
    assert process.returncode == code
    assert err.count("Traceback") == (code != -9)
    child = int(out)
    deadline = time.monotonic() + HANG
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # Ended, and forgotten by the one that is to look after orphans here.
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")
