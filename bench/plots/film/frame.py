"""One picture of a run that goes on: the curve on its data, the loss beside it, the numbers above."""

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.plots.film.film import Film, enclosing_decades
from bench.plots.style import DASHES, DOT, FAINT, INK, PALETTE, STYLE, TARGET, log_scale, shorten
from bench.tables.formatting import text

WIDTH, HEIGHT = 6.4, 3.6  # inches
HEAD = 0.86  # what the panels may fill from below; the numbers stand above
LETTERS = 82  # in a line of numbers
TRAIL = 5  # curves before the present one
MODEL = PALETTE[0]


class Scene:
    """A figure with the curve and the loss of one frame of a film after the other.

    Parameters
    ----------
    figure : Figure
        To be drawn in; what is in it goes.
    film : Film
    """

    @rc_context(STYLE)
    def __init__(self, figure: Figure, film: Film) -> None:
        self.figure, self.film = figure, film
        figure.clear()
        figure.set_layout_engine("constrained", rect=(0, 0, 1, HEAD))
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for axis in (left, right):
            axis.tick_params(colors=INK, labelsize=8, length=3)
            axis.grid(color="#ececec", linewidth=0.8)
            axis.set_axisbelow(True)
        self._trail = self._draw_curves(left)
        self._way, self._tip = self._draw_loss(right)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        look: Any = {"family": "monospace", "size": 8.5, "va": "top", "x": 0.015}
        self._head = [figure.text(y=0.985, s="", **look), figure.text(y=0.925, s="", **look)]
        self._digits = _digits(film.params)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # or the panels would be measured again for every frame, and tremble

    def show(self, frame: int) -> None:
        """Draw a frame, counted from 0."""
        film = self.film
        for age, line in enumerate(self._trail):
            line.set_visible(age <= frame)
            line.set_ydata(self._visible(film.curves[max(frame - age, 0)]))
        low, high = self._way.axes.get_ylim()
        loss = film.loss[: frame + 1].clip(low, 10 * high)
        self._way.set_data(film.epoch[: frame + 1], loss)
        self._tip.set_data(film.epoch[[frame]], loss[[-1]].clip(max=high))
        first, second = self._head
        first.set_text(self._state(frame))
        second.set_text(self._parameters(frame))

    def _draw_curves(self, axis: Axes) -> list[Any]:
        film, view = self.film, self.film.view
        if film.several:
            axis.axline((view.xlim[0],) * 2, slope=1, color=FAINT, linewidth=1, label="exact")
        else:
            axis.plot(film.x, film.y, **DOT, color=FAINT, label="data")
        if view.target:
            axis.plot(film.at, view.target(film.at), color=TARGET, linewidth=6, alpha=0.45, label="target")
        start = self._visible(film.curves[0])
        look: Any = DOT | {"alpha": 0.3} if film.several else {"linestyle": DASHES, "linewidth": 1}
        axis.plot(film.at, start, **look, color=INK, label="start")
        trail = []
        for age in range(1 if film.several else TRAIL + 1):
            look = DOT if film.several else {"alpha": 0.4 * (1 - age / (TRAIL + 1)) if age else 1}
            name = None if age else "model"
            trail += axis.plot(film.at, start, color=MODEL, zorder=3 - 0.1 * age, label=name, **look)
        axis.set(xlim=view.xlim, ylim=view.ylim)
        x, y = map(shorten, film.names)
        axis.set(xlabel=f"{y}, observed" if film.several else x, ylabel=f"{y}, predicted" if film.several else y)
        return trail

    def _draw_loss(self, axis: Axes) -> tuple[Any, Any]:
        film = self.film
        log_scale(axis)
        axis.set_ylim(*enclosing_decades(film.loss))
        last = max(film.epoch[-1], 1)
        # The first epoch has as much room as a whole power of ten later on: that is where the loss falls.
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, last * 1.08)
        axis.xaxis.set_major_locator(FixedLocator(_ticks(last)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: text(int(epoch))))
        axis.set(xlabel="epoch", ylabel="loss")
        (way,) = axis.plot([], [], color=MODEL, linewidth=1.5)
        (tip,) = axis.plot([], [], "o", color=MODEL, markersize=5, clip_on=False, in_layout=False)
        return way, tip

    def _visible(self, curve: Any) -> Any:
        """The curve without values so far outside that drawing them overflows."""
        low, high = self.film.view.ylim
        return curve.clip(low - 100 * (high - low), high + 100 * (high - low))

    def _state(self, frame: int) -> str:
        film = self.film
        whole = (film.epoch == film.epoch.round()).all()
        said = f"epoch {film.epoch[frame]:{'6,.0f' if whole else '6.2f'}}   rate {text(film.rate[frame]):<9}   "
        said += f"loss {film.loss[frame]:.2e}"
        if frame == len(film.epoch) - 1 and film.result.status != "max_epochs":
            ended = "no longer finite" if film.result.status == "diverged" else "converged"
            said += f"   {ended} in epoch {film.result.epochs:,}"
        return said

    def _parameters(self, frame: int) -> str:
        film, said = self.film, ""
        for name, value in zip(film.result.model.params, film.params[frame], strict=True):
            one = f"{shorten(name, 12)} {value:{self._digits}}   "
            if len(said + one + film.remark) > LETTERS:
                said += "… "
                break
            said += one
        return said + film.remark


def _digits(params: Any) -> str:
    """The format in which all values of some parameters are equally wide."""
    largest = np.abs(params).max()
    return "9.3f" if 0.01 <= largest < 1e5 else "11.3e"


def _ticks(last: float) -> list[float]:
    """0, 1 and powers of ten, few enough to be read, and the last epoch where there is room for it."""
    powers = [10.0**power for power in range(int(np.log10(last)) + 1)]
    powers = powers[:: -(-len(powers) // 3)]
    return [0, *powers, *([last] if last >= 3 * powers[-1] else [])]
