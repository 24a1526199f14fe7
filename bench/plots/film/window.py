"""A window that shows a fit while it trains and replays it afterwards at a speed that the eye can follow.

This is the only module that uses pyplot, which finds a toolkit that can open a window.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from sgdbench.data.fit_table import thin_rows
from sgdbench.data.table import Dataset
from sgdbench.data.units import curve_in_table_units
from sgdbench.kernels import FitResult
from sgdbench.plots.film.animate import FilmAnimation
from sgdbench.plots.film.film import Film, build_film
from sgdbench.plots.film.frame import HEIGHT, WIDTH, FrameRenderer
from sgdbench.plots.film.moments import recorded_moments
from sgdbench.plots.style import STYLE
from sgdbench.tables.formatting import text

REFRESH_SECONDS = 0.25  # between two pictures of a fit that is still training
EVENT_SECONDS = 0.001  # in which the window draws itself and handles events, such as being closed


class Window:
    """A window, open from its construction on.

    Parameters
    ----------
    title : str

    Raises
    ------
    ValueError
        If there is no display, or no toolkit to open a window with.
    """

    def __init__(self, title: str) -> None:
        self._figure = _open_figure(text(title))
        self._drawn = -REFRESH_SECONDS

    @property
    def is_open(self) -> bool:
        """Whether the window is still open."""
        return plt.fignum_exists(self._figure.number)

    @rc_context(STYLE)
    def __call__(self, result: FitResult, data: Dataset) -> None:
        """Show the present state of a fit in the units of training, at most once in `REFRESH_SECONDS`."""
        if not self.is_open or time.monotonic() < self._drawn + REFRESH_SECONDS or not np.isfinite(result.loss[0]):
            return
        shown, names = thin_rows(data), (data.x_names[0], data.y_name)
        predict = curve_in_table_units(result.model, result.criterion, None)
        film = build_film(result, recorded_moments(result), predict, shown.x, shown.y, names=names)
        FrameRenderer(self._figure, film).draw(-1)
        # Not plt.pause, which also raises the window above all others each time.
        self._figure.canvas.draw_idle()
        self._figure.canvas.start_event_loop(EVENT_SECONDS)
        self._drawn = time.monotonic()

    @rc_context(STYLE)
    def replay(self, film: Film) -> None:
        """Play a film, and keep its last frame until the user closes the window."""
        if self.is_open:
            self._animation = FilmAnimation(film, self._figure)
            self._figure.canvas.draw()  # which starts it, so that a window that is closed at once is no error
            plt.show()


def _open_figure(title: str) -> Figure:
    problem = "--watch needs a display and a toolkit to open a window, such as tkinter or PyQt6: use --animate instead"
    try:
        figure = plt.figure(figsize=(WIDTH, HEIGHT), dpi=150)
    except Exception:  # each toolkit raises an error of its own
        raise ValueError(problem) from None
    if figure.canvas.required_interactive_framework is None:
        plt.close(figure)
        raise ValueError(problem)
    if figure.canvas.manager:
        figure.canvas.manager.set_window_title(title)
    plt.show(block=False)
    return figure
