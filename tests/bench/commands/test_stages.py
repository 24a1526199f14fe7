import re
import sys

import pytest

from bench.commands import stages
from kernels.base.announcements import announce
from tests.support.terminal import Now, Terminal, make_terminal

SECONDS = {"training": 1.0, "drawing": 3.0}


def open_terminal(monkeypatch):
    """Standard output and error become one terminal, and the bar is shown at once."""
    make_terminal(monkeypatch)
    monkeypatch.setattr(stages, "Timer", Now)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_one_bar_names_each_stage_and_what_it_does(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with stages.show_stages(SECONDS) as shown:
        with shown.stage("training", 800) as advance:
            advance(0.25)
            with announce("compiling a kernel"):
                pass
        with shown.stage("drawing"), announce("a figure"):
            pass
    text = terminal.getvalue()
    places = [text.index(name) for name in ("training, 200 of 800: compiling a kernel", "drawing: a figure")]
    assert places == sorted(places)
    assert text.count("\n") == 1  # one line, drawn over and removed in the end
    assert "time left 0:00:0" in text


@pytest.mark.parametrize("width", [80, 60])
def test_the_bar_of_stages_is_one_line_on_a_narrow_terminal(monkeypatch, width):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    with stages.show_stages({"configurations": 3.0}) as shown, shown.stage("configurations", 100_000) as advance:
        advance(0.25)
        with announce("compiling kernels"):
            pass
    text = terminal.getvalue()
    assert text.count("\n") == 1
    assert "configurations, 25,000 of 100,000" in text
    assert ("compiling kernels" in text) == (width == 80)
    assert text.count("time left 0:00:0") >= 2


def test_the_bar_is_as_far_as_the_time_that_has_gone_and_ends_when_the_stages_do_by_estimate(monkeypatch):
    open_terminal(monkeypatch)
    now = 100.0
    with stages.show_stages(SECONDS) as shown:
        monkeypatch.setattr(stages.time, "monotonic", lambda: now)
        shown._began, task = now, shown._bar.tasks[0]
        with shown.stage("training") as advance:
            assert (task.completed, task.total) == (0, 4)
            now = 102.0  # compiling comes once
            advance(0.0)
            assert (task.completed, task.total) == (2, 2 + 1 + 3)
            now = 106.0
            advance(0.5)  # in four seconds, so that the other half takes as long
            assert (task.completed, task.total) == (6, 6 + 4 + 3)
            now = 108.0
            advance(1.0)
            assert (task.completed, task.total) == (8, 8 + 3)
        now = 109.0
        with shown.stage("drawing") as advance:
            assert (task.completed, task.total) == (9, 9 + 3)
        monkeypatch.undo()


def test_what_is_printed_stands_by_itself_and_the_bar_goes_on_below(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with stages.show_stages(SECONDS) as shown:
        with shown.stage("training"), shown.hidden():
            print("Best choice: sgd")
        with shown.stage("drawing"):
            shown.describe_activity(None)
    before, after = terminal.getvalue().split("Best choice: sgd\n")
    assert before.endswith(("\x1b[2K", "\x1b[?25h"))  # the line of the bar is erased
    assert re.search("drawing", after)
