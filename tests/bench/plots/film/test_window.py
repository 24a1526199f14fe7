"""The window, with a toolkit that shows nothing."""

from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import FigureManagerBase, TimerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from sgdbench import Model, fit, models
from sgdbench.data.table import builtin
from sgdbench.plots.film.film import fit_film
from sgdbench.plots.film.window import Window

SETTINGS = {"batch_size": 16, "kernel": "reference", "epochs": 5, "init": [-1, 10, 26], "lr": 0.5}
QUADRATIC = ["fit", "quadratic", "--model", "quadratic", "--epochs", "3", "--batch-size", "16", "--kernel", "reference"]
LESSON = builtin("quadratic")
NO_WINDOW = "--watch needs a display and a toolkit to open a window, such as tkinter or PyQt6: use --animate instead"


class FigureManager(FigureManagerBase):
    """A window of the toolkit that is this module: its main loop fires its timer until that stops."""

    @classmethod
    def start_main_loop(cls):
        for number in plt.get_fignums():
            canvas = plt.figure(number).canvas
            canvas.draw()
            while canvas.timer and canvas.timer.running and plt.fignum_exists(number):
                for function, args, kwargs in canvas.timer.callbacks:
                    function(*args, **kwargs)
                canvas.look()


class Timer(TimerBase):
    running = False

    def _timer_start(self):
        self.running = True

    def _timer_stop(self):
        self.running = False


class FigureCanvas(FigureCanvasAgg):
    """Notes what is to be seen at each turn, and is closed before the turn that a test says.

    The first turns are drawn, which takes a hundred times as long as the rest.
    """

    required_interactive_framework = "headless"
    manager_class = FigureManager
    seen: ClassVar[list[str]] = []
    closed_at = None
    timer = None

    def new_timer(self, interval=None, callbacks=None):
        self.timer = Timer(interval, callbacks)
        return self.timer

    def draw(self):
        if len(self.seen) < 3:
            super().draw()

    def start_event_loop(self, timeout=0):
        self.look()

    def look(self):
        self.seen.append(self.figure.texts[0].get_text())
        if len(self.seen) == self.closed_at:
            plt.close(self.figure)


@pytest.fixture
def seen(monkeypatch):
    """What is to be seen in windows, turn by turn."""
    plt.switch_backend(f"module://{__name__}")
    monkeypatch.setattr(FigureCanvas, "seen", [])
    yield FigureCanvas.seen
    plt.close("all")
    plt.switch_backend("agg")


def trained(callback=None, **settings):
    return fit(models.quadratic, LESSON.x, LESSON.y, callback=callback, **SETTINGS | settings)


def epochs(lines):
    return [float(line.split()[1]) for line in lines]


def test_a_training_is_shown_where_it_stands(seen):
    window, results = Window("lesson"), []

    def look(so_far):
        window(so_far, LESSON)
        results.append(so_far.epochs)

    trained(look, epochs=40)
    assert seen, "the first result is shown at once"
    assert set(epochs(seen)) <= set(results)
    assert len(seen) <= len(results)


def test_a_loss_that_is_not_finite_at_the_start_is_not_shown(seen):
    lost = fit(Model("a*exp(b*x)"), LESSON.x, LESSON.y, init=[1, 1000], epochs=1, kernel="reference")
    Window("lost")(lost, LESSON)
    assert seen == []


def test_the_film_is_shown_frame_by_frame(seen):
    film = fit_film(trained(), LESSON.x, LESSON.y, settings=SETTINGS)
    Window("lesson").replay(film)
    np.testing.assert_allclose(epochs(seen[: len(film.frames)]), film.epoch[film.frames].round(2))
    assert set(epochs(seen[len(film.frames) :])) <= {5.0}, "it ends with the last frame"


def test_a_window_that_is_closed_shows_nothing_more(seen, monkeypatch):
    monkeypatch.setattr(FigureCanvas, "closed_at", 2)
    result = trained()
    film = fit_film(result, LESSON.x, LESSON.y, settings=SETTINGS)
    window = Window("lesson")
    window.replay(film)
    assert len(seen) == 2
    assert not window.is_open
    window(result, LESSON)
    window.replay(film)
    assert len(seen) == 2


def test_a_fit_is_watched_and_its_result_printed(seen, ran):
    out = ran(*QUADRATIC, "--watch", "--every", "1")
    assert [line.split()[0] for line in out.splitlines()[:5]] == ["epoch", "0", "1", "2", "3"]
    assert "How good it is" in out
    assert epochs(seen)[-1] == 3
    assert len(set(epochs(seen))) > 4


def test_ctrl_c_shows_no_film(seen, sgdbench, monkeypatch):
    def impatient(*args, callback, **settings):
        fit(*args, callback=callback, **settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("sgdbench.data.fit_table.kernels_fit", impatient)
    code, out, err = sgdbench(*QUADRATIC, "--watch")
    assert code == 130
    assert "interrupted" in out
    assert len(seen) == 1
    assert err == "sgdbench: interrupted after epoch 3\n"


def test_without_a_display_it_is_said_before_training(refused, monkeypatch):
    """Where matplotlib takes a canvas without a window, and where a toolkit that was asked for fails as it likes."""
    assert plt.get_backend() == "agg"
    assert refused(*QUADRATIC, "--watch") == f"sgdbench: {NO_WINDOW}\n"
    monkeypatch.setattr(FigureCanvas, "__init__", None)
    plt.switch_backend(f"module://{__name__}")
    assert refused(*QUADRATIC, "--watch") == f"sgdbench: {NO_WINDOW}\n"
    plt.switch_backend("agg")
