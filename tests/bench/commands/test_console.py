import io
import os
import sys

import pandas as pd
import pytest

from sgdbench import fit
from sgdbench.commands import console, stages
from sgdbench.kernels.base.announcements import listen
from tests.support.anew import begin_anew
from tests.support.terminal import make_terminal

TABLE = pd.DataFrame({"lr": [0.5], "final_loss": [1e-9], "init": ["[red]x[/red]"]})


def test_a_table_in_a_pipe_is_aligned_text(capsys):
    console.print_table(TABLE, "Title\x1b[2J")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Title\ufffd[2J"
    assert lines[1].split() == ["learning", "rate", "final", "loss", "start"]
    assert lines[2].split() == ["0.5", "1e-9", "[red]x[/red]"]


def test_a_table_on_a_terminal_is_drawn_and_literal(monkeypatch):
    make_terminal(monkeypatch)
    console.print_table(TABLE, "Title")
    assert "───" in sys.stdout.getvalue()
    assert "[red]x[/red]" in sys.stdout.getvalue()


def test_sentences_break_between_words_on_a_terminal_and_not_in_a_pipe(monkeypatch, capsys):
    sentence = "word " * 30 + "[red]end\x1b[2J"
    console.print_sentence("Best", sentence)
    assert capsys.readouterr().out == f"Best: {'word ' * 30}[red]end\ufffd[2J\n"
    make_terminal(monkeypatch)
    console.print_sentence("Best", sentence)
    lines = sys.stdout.getvalue().splitlines()
    assert len(lines) == 2
    assert "[red]end\ufffd[2J" in lines[1]


def test_progress_is_seen_on_a_terminal(monkeypatch):
    make_terminal(monkeypatch)
    with stages.show_progress("epochs", 40) as advance:
        advance(17)
    assert "17 of 40" in sys.stderr.getvalue()
    assert sys.stdout.getvalue() == ""


@pytest.mark.parametrize("hidden", [False, True])
def test_no_progress_in_a_pipe_or_where_it_is_hidden(hidden, monkeypatch):
    make_terminal(monkeypatch)
    if not hidden:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
    with stages.show_progress("epochs", 40, hidden=hidden) as advance:
        advance(17)
    assert sys.stderr.getvalue() == ""


def test_a_kernel_announces_that_it_is_compiled(classic, monkeypatch):
    heard = []
    begin_anew(monkeypatch, os.environ["SGDBENCH_CACHE_DIR"])
    with listen(heard.append):
        fit("a*x**2 + b*x + c", *classic, epochs=1)
    assert heard == ["compiling a kernel", None]
