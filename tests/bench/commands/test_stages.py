import sys

import pytest

from sgdbench.commands.stages import show_progress, show_stages
from sgdbench.kernels.base.announcements import announce
from tests.support.terminal import Terminal, make_terminal


def open_terminal(monkeypatch):
    """Standard output and error become one terminal, which is returned."""
    make_terminal(monkeypatch)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_each_stage_has_a_bar_with_what_it_does(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with show_stages() as shown:
        with shown.stage("training", 800) as advance:
            advance(0.25)
            with announce("compiling a kernel"):
                pass
        with shown.stage("drawing"), announce("a figure"):
            pass
        assert shown.begun == {"training", "drawing"}
    text = terminal.getvalue()
    places = [text.index(name) for name in ("training: compiling a kernel", "drawing: a figure")]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [80, 40])
def test_a_bar_is_one_line_on_a_narrow_terminal(monkeypatch, width):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    with show_progress("configurations", 100_000) as advance:
        advance(25_000)
        with announce("compiling kernels"):
            pass
    text = terminal.getvalue()
    assert text.count("\n") == 1  # drawn over, and removed at the end
    assert "configurations" in text


def test_what_is_printed_stands_by_itself_and_the_bars_go_on_below(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with show_stages() as shown:
        with shown.stage("training"), shown.hidden():
            print("Best choice: sgd")
        with shown.stage("drawing"), announce("a figure"):
            pass
    before, after = terminal.getvalue().split("Best choice: sgd\n")
    assert before.endswith(("\x1b[2K", "\x1b[?25h"))  # the lines of the bars are erased
    assert "drawing" in after
