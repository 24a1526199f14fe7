"""A window to watch a fit in: while it trains, and then once more at a speed that the eye can follow.

The one place that uses pyplot, because a window takes a toolkit, and pyplot finds one that works.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.data.table import Dataset
from bench.plots.film.film import TICK, Film, film
from bench.plots.film.frame import HEIGHT, WIDTH, Scene
from bench.plots.film.moments import by_epochs
from bench.plots.style import STYLE
from bench.tables.formatting import text
from kernels import FitResult

PATIENCE = 0.25  # seconds between two pictures of a training that goes on
SHORT = 0.001  # what a window needs to draw itself and to hear that it is closed


class Window:
    """A window that opens at once.

    Parameters
    ----------
    title : str

    Raises
    ------
    ValueError
        If there is no display, or no toolkit to open a window with.
    """

    def __init__(self, title: str) -> None:
        self._figure = _open(text(title))
        self._drawn = -PATIENCE

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return plt.fignum_exists(self._figure.number)

    @rc_context(STYLE)
    def __call__(self, result: FitResult, data: Dataset) -> None:
        """Show where a training stands, in the units that are trained; as long as there is not much time to lose."""
        if not self.is_open or time.monotonic() < self._drawn + PATIENCE or not np.isfinite(result.loss[0]):
            return
        names = (data.x_names[0], data.y_name)
        now = film(result, by_epochs(result), result.model.predict, data.x, data.y, names=names)
        Scene(self._figure, now).show(len(now.ticks) - 1)
        self._wait(SHORT)
        self._drawn = time.monotonic()

    @rc_context(STYLE)
    def replay(self, told: Film) -> None:
        """Show a film, and leave its last picture there until somebody closes the window."""
        scene = Scene(self._figure, told) if self.is_open else None
        for frame, ticks in enumerate(told.ticks):
            if scene is None or not self.is_open:
                return
            due = time.monotonic() + ticks * TICK
            scene.show(frame)
            self._figure.canvas.draw()
            self._wait(max(SHORT, due - time.monotonic()))
        plt.show()

    def _wait(self, seconds: float) -> None:
        # As plt.pause does, which besides raises the window above all others each time.
        self._figure.canvas.draw_idle()
        self._figure.canvas.start_event_loop(seconds)


def _open(title: str) -> Figure:
    problem = "--watch needs a display and a toolkit to open a window, such as tkinter or PyQt6: use --animate instead"
    try:
        figure = plt.figure(figsize=(WIDTH, HEIGHT), dpi=150)
    except Exception:  # every toolkit has one of its own for that
        raise ValueError(problem) from None
    if figure.canvas.required_interactive_framework is None:
        plt.close(figure)
        raise ValueError(problem)
    if figure.canvas.manager:
        figure.canvas.manager.set_window_title(title)
    plt.show(block=False)
    return figure
