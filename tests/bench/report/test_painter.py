import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import pytest

from bench.report import figures, painter, report
from bench.report.painter import FIGURES, painting
from bench.report.report import write_run_report
from bench.report.run_data import read_run_data
from bench.system.environment import processors
from tests.support.constants import HANG
from tests.support.forked import FORKED
from tests.support.hostile import hostile_run

# For tests of something else than what is drawn.
FEW = {"loss_by_optimizer": "", "contours": "typical_paths"}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no other system forks as safely")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a small run, with figures that were drawn in this process."""
    return hostile_run(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def here(folder):
    return drawn(folder)


@pytest.fixture(scope="module")
def call_apart(tmp_path_factory):
    """A call in a process of its own, which forks wherever the tests run: this one may have imported JAX by now.

    It returns what was written to standard error.
    """
    told = tmp_path_factory.mktemp("apart") / "stderr"

    def call(function, *arguments):
        with ProcessPoolExecutor(1, FORKED, begin, (told,)) as pool:
            pool.submit(function, *arguments).result(HANG)
        return told.read_text("utf-8")

    return call


def begin(told):
    painter.processors = lambda: 2
    with told.open("w") as file:
        os.dup2(file.fileno(), 2)


def is_gone(pid):
    """Whether a process has ended, also if its exit code was never asked for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def drawn(folder):
    return {path.name: path.read_bytes() for path in (folder / "figures").glob("*.png")}


def draw_few():
    """Reports have few figures, in this process and in those that it forks."""
    painter.FIGURES = report.FIGURES = FEW


def start_over(folder):
    for path in (folder / "figures").iterdir():
        path.unlink()


def test_the_painter_knows_the_figures_in_their_order():
    assert list(FIGURES) == list(figures.DRAWN)


def test_another_process_draws_the_same_figures(folder, here, call_apart):
    report = (folder / "report.md").read_text("utf-8")
    call_apart(another_process_draws, folder)
    assert drawn(folder) == here
    assert (folder / "report.md").read_text("utf-8") == report


def another_process_draws(folder):
    start_over(folder)
    run_data = read_run_data(folder)
    with painting(run_data, svg=False) as other:
        figures.write_figure = None  # here, and not there
        other.draw("")
        other.draw("speed")
        other.draw("theory", "typical_paths", "basin")
        write_run_report(run_data, painter=other)
    assert list(other.captions) != list(FIGURES)
    assert not multiprocessing.active_children()


def test_nothing_is_drawn_while_the_painter_is_paused(folder, call_apart):
    call_apart(nothing_is_drawn_while_paused, folder)


def nothing_is_drawn_while_paused(folder):
    def draw(run_data, name, *, svg):
        time.sleep(0.2)
        (folder / "figures" / f"{name}.png").touch()
        return name

    start_over(folder)
    figures.write_figure = draw
    with painting(read_run_data(folder), svg=False) as other:
        with other.paused():
            other.draw("")
            time.sleep(0.6)
            assert not drawn(folder)
        with other.paused():
            time.sleep(0.1)
            some = drawn(folder)
            time.sleep(0.6)
            assert drawn(folder) == some
        other.wait(lambda count: None)
        assert len(drawn(folder)) == len(other.captions) > len(some)


def test_where_the_painter_is_killed_the_figures_are_drawn_here(folder, here, call_apart):
    call_apart(killed_painter, folder)
    assert drawn(folder) == {f"{name}.png": here[f"{name}.png"] for name in FEW}


def killed_painter(folder):
    start_over(folder)
    draw_few()
    run_data = read_run_data(folder)
    with painting(run_data, svg=False) as other:
        other.draw(*FEW.values())
        (process,) = multiprocessing.active_children()
        process.kill()
        with other.paused():
            pass
        write_run_report(run_data, painter=other)


def test_a_figure_that_fails_is_named_once(folder, call_apart):
    assert call_apart(failing_figure, folder) == (
        "sgdbench: the figure contours is left out, because it cannot be drawn: RuntimeError: no glyph\n"
    )
    assert "figures/contours.png" not in (folder / "report.md").read_text("utf-8")


def failing_figure(folder):
    def fails(run_data):
        raise RuntimeError("no glyph")

    draw_few()
    figures.DRAWN = {"loss_by_optimizer": lambda run_data: None, "contours": fails}
    run_data = read_run_data(folder)
    with painting(run_data, svg=False) as other:
        other.draw(*FEW.values())
        write_run_report(run_data, painter=other)


@pytest.mark.skipif(processors() < 2, reason="there is no painter")
def test_a_painter_whose_command_is_interrupted_at_once_says_nothing(call_apart):
    assert call_apart(interrupted_at_once) == ""


def interrupted_at_once():
    fork = get_context("fork")
    here, there = fork.Pipe()
    gone = fork.Event()

    class End:
        def close(self):
            here.close()
            gone.wait(HANG)

    process = fork.Process(target=painter._paint, args=(End(), there, None, False))
    process.start()
    here.close()
    there.close()
    gone.set()
    process.join(HANG)
    assert process.exitcode == 0


def test_a_stopped_painter_dies_with_the_process_it_draws_for():
    """Even where that one is killed, and cannot wake the others."""
    code = """
import os, signal
from bench.report.painter import painting
with painting(None, svg=False) as other, other.paused():
    print(other._pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=HANG, check=False)
    assert done.returncode == -signal.SIGKILL
    ends = time.monotonic() + HANG
    while not is_gone(int(done.stdout)):
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_without_room_for_a_process_the_figures_are_drawn_here_and_ctrl_c_works(folder, call_apart):
    call_apart(no_room, folder)


def no_room(folder):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    os.fork = refuse
    with painting(read_run_data(folder), svg=False) as other:
        other.draw(*FIGURES.values())
        other.wait(lambda count: None)
        assert not other.captions
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("jax", [False, True], ids=["of Python", "of JAX"])
def test_a_process_with_threads_is_not_forked(folder, monkeypatch, jax):
    monkeypatch.setattr(painter, "processors", lambda: 2)
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    if jax:
        monkeypatch.setitem(sys.modules, "jax", ModuleType("jax"))
        monkeypatch.setattr(painter, "_other_threads", list)
    thread.start()
    with painting(read_run_data(folder), svg=False) as other:
        other.draw(*FIGURES.values())
        with other.paused():
            assert not multiprocessing.active_children()
        other.wait(lambda count: None)
    assert not other.captions
    ended.set()
    thread.join()
