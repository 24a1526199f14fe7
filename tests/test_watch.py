"""The window: on a screen that is made for it where that can be had, else with a canvas that only keeps count."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import bench.plots.film.film
import bench.plots.film.window
from bench.cli import main
from bench.data.table import builtin
from bench.plots.film.film import TICK_SECONDS, fit_film
from bench.plots.film.window import Window
from kernels import Model, fit, models
from tests.conftest import HANG

SETTINGS = {"batch_size": 16, "kernel": "reference", "epochs": 5, "init": [-1, 10, 26], "lr": 0.5}
QUADRATIC = ["fit", "quadratic", "--model", "quadratic", "--epochs", "3", "--batch-size", "16", "--kernel", "reference"]
LESSON = builtin("quadratic")
NO_WINDOW = "--watch needs a display and a toolkit to open a window, such as tkinter or PyQt6: use --animate instead"


class Numbered(Figure):
    """As pyplot would have made it."""

    number = 1


class Canvas(FigureCanvasAgg):
    """Notes what is to be seen whenever the window waits, and for how long."""

    def __init__(self, figure):
        super().__init__(figure)
        self.seen, self.open = [], True

    def start_event_loop(self, timeout=0):
        self.seen.append((self.figure.texts[0].get_text(), timeout))


@pytest.fixture
def canvas(monkeypatch):
    """The canvas of the next window, which is no window."""
    figure = Numbered()
    canvas = Canvas(figure)
    monkeypatch.setattr(bench.plots.film.window, "_open_figure", lambda title: figure)
    monkeypatch.setattr(bench.plots.film.window.plt, "fignum_exists", lambda number: canvas.open)
    monkeypatch.setattr(bench.plots.film.window.plt, "show", lambda: canvas.seen.append(("until it is closed", None)))
    monkeypatch.setattr(bench.plots.film.film, "MAX_FRAMES", 6)
    return canvas


def trained(callback=None, **settings):
    return fit(models.quadratic, LESSON.x, LESSON.y, callback=callback, **SETTINGS | settings)


def test_a_training_is_shown_where_it_stands(canvas, monkeypatch):
    monkeypatch.setattr(bench.plots.film.window, "REFRESH_SECONDS", 0)
    window, epochs = Window("lesson"), []

    def look(so_far):
        window(so_far, LESSON)
        epochs.append(so_far.epochs)

    trained(look, epochs=40)
    assert len(epochs) > 1
    assert [int(said.split()[1]) for said, _ in canvas.seen] == epochs


def test_a_training_is_not_kept_waiting(canvas, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(bench.plots.film.window.time, "monotonic", lambda: now[0])
    window, result = Window("lesson"), trained()
    for now[0] in (10.0, 10.1, 10.2, 10.3, 10.4, 10.7):
        window(result, LESSON)
    assert len(canvas.seen) == 3


def test_what_is_not_finite_is_not_shown(canvas):
    x, y = LESSON.x, LESSON.y
    lost = fit(Model("a*exp(b*x)"), x, y, init=[1, 1000], epochs=1, kernel="reference")
    Window("lost")(lost, LESSON)
    assert canvas.seen == []


def test_the_film_is_shown_frame_by_frame_and_then_stays(canvas, monkeypatch):
    monkeypatch.setattr(bench.plots.film.window.time, "monotonic", lambda: 0.0)
    told = fit_film(trained(), LESSON.x, LESSON.y, settings=SETTINGS)
    Window("lesson").replay(told)
    *frames, last = canvas.seen
    assert [float(said.split()[1]) for said, _ in frames] == [round(epoch, 2) for epoch in told.epoch]
    np.testing.assert_allclose([seconds for _, seconds in frames], TICK_SECONDS * np.array(told.ticks))
    assert last == ("until it is closed", None)


def test_a_window_that_is_closed_shows_nothing_more(canvas):
    result = trained()
    told = fit_film(result, LESSON.x, LESSON.y, settings=SETTINGS)
    window = Window("lesson")
    wait = canvas.start_event_loop

    def closed(timeout=0):
        wait(timeout)
        canvas.open = len(canvas.seen) < 2

    canvas.start_event_loop = closed
    window.replay(told)
    assert len(canvas.seen) == 2
    window(result, LESSON)
    window.replay(told)
    assert len(canvas.seen) == 2


@pytest.fixture
def sgdbench(monkeypatch, capsys):
    """Run a command: (exit code, standard output, standard error)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["sgdbench", *args])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


def test_the_result_is_printed_before_the_film(canvas, sgdbench, monkeypatch, capsys):
    printed = []
    replay = Window.replay
    monkeypatch.setattr(Window, "replay", lambda *args: (printed.append(capsys.readouterr().out), replay(*args)))
    code, out, err = sgdbench(*QUADRATIC, "--watch", "--json")
    assert (code, out, err) == (0, "", "")
    assert json.loads(printed[0])["epochs"] == 3
    assert canvas.seen[-1] == ("until it is closed", None)


def test_lines_are_printed_while_it_is_watched(canvas, sgdbench):
    code, out, _ = sgdbench(*QUADRATIC, "--watch", "--every", "1")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:5]] == ["epoch", "0", "1", "2", "3"]
    assert len(canvas.seen) > 4


def test_ctrl_c_shows_no_film(canvas, sgdbench, monkeypatch):
    def impatient(*args, callback, **settings):
        fit(*args, callback=callback, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.data.fit_table.kernels_fit", impatient)
    code, out, err = sgdbench(*QUADRATIC, "--watch")
    assert code == 130
    assert "interrupted" in out
    assert len(canvas.seen) == 1
    assert err == "sgdbench: interrupted after epoch 3\n"


@pytest.mark.parametrize("backend", [None, "agg", "tkagg"])
def test_without_a_display_it_is_said_before_training(backend):
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment |= {"MPLBACKEND": backend} if backend else {}
    if sys.platform != "linux" and backend != "agg":
        pytest.skip("elsewhere there is always a display")
    code = "import bench.data.fit_table, bench.cli; bench.data.fit_table.kernels_fit = None; bench.cli.main()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *QUADRATIC, "--watch"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"sgdbench: {NO_WINDOW}\n")


ON_A_SCREEN = """
import matplotlib.pyplot as plt
import bench.plots.film.film, bench.plots.film.window
from bench.cli import main

bench.plots.film.film.MAX_FRAMES = bench.plots.film.film.FIRST_TICKS = 6
replay = bench.plots.film.window.Window.replay

def closed_in_the_end(window, told):
    manager = window._figure.canvas.manager
    manager.window.after({milliseconds}, lambda: manager.window.tk.call(manager.window.protocol("WM_DELETE_WINDOW")))
    print(manager.get_window_title())
    replay(window, told)
    print("closed" if not window.is_open else "open")

bench.plots.film.window.Window.replay = closed_in_the_end
main()
"""


@pytest.mark.parametrize("milliseconds", [100, 2500], ids=["during the film", "after it"])
def test_a_person_closes_the_window(milliseconds):
    if not shutil.which("xvfb-run"):
        pytest.skip("xvfb, which makes a display, is not installed")
    pytest.importorskip("tkinter", reason="this Python has no tkinter")
    code = ON_A_SCREEN.format(milliseconds=milliseconds)
    done = subprocess.run(
        ["xvfb-run", "-a", sys.executable, "-W", "error", "-c", code, *QUADRATIC, "--watch", "--json"],
        env=os.environ | {"MPLBACKEND": "tkagg"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    result, title, state = done.stdout.splitlines()
    assert json.loads(result)["epochs"] == 3
    assert title == "y = a*x**2 + b*x + c"
    assert state == "closed"
