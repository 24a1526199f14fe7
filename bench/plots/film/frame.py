"""One frame of a film: the curve on its data, the loss beside it, the numbers above."""

from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import FigureCanvasBase, RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from sgdbench.charts.colors import FAINT, PALETTE
from sgdbench.kernels.base.run import Floats
from sgdbench.plots.film.film import Film, loss_limits
from sgdbench.plots.style import DASHES, DOT, INK, STYLE, TARGET, log_scale
from sgdbench.tables.formatting import shorten, text

WIDTH, HEIGHT = 6.4, 3.6  # inches
PANEL_TOP = 0.86  # as a share of the height; the numbers stand above
LINE_LENGTH = 82  # characters in a line of numbers
TRAIL_LENGTH = 5  # earlier curves that are still drawn
MODEL_COLOR = PALETTE[0]
ENDINGS = {"converged": "converged", "diverged": "no longer finite", "stopped": "stopped early"}


class FrameRenderer:
    """A figure, cleared first, that shows one frame of a film at a time.

    Everything that stays is drawn once where the resolution `frozen_dpi` of the frames is given: a frame takes a
    quarter of the time.
    """

    @rc_context(STYLE)
    def __init__(self, figure: Figure, film: Film, *, frozen_dpi: float | None = None) -> None:
        self.figure, self.film = figure, film
        self._loss_limits = loss_limits(film.loss, film.result.criterion)
        figure.clear()
        figure.set_layout_engine("constrained", rect=(0, 0, 1, PANEL_TOP))
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for axis in (left, right):
            axis.tick_params(colors=INK, labelsize=8, length=3)
            axis.grid(color="#ececec", linewidth=0.8)
            axis.set_axisbelow(True)
        self._curve_axis = left
        self._draw_background(left)
        self._start_line, self._curve_lines = self._draw_curves(left)
        self._loss_line, self._loss_marker = self._draw_loss(right)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        look: Any = {"family": "monospace", "size": 8.5, "va": "top", "x": 0.015}
        self._status_line, self._parameter_line = (figure.text(y=y, s="", **look) for y in (0.985, 0.925))
        self._number_format = _number_format(film.params)
        self._fix_layout(left, right)
        if frozen_dpi:
            self._freeze_background(frozen_dpi)

    def draw(self, frame: int) -> None:
        """Draw a frame, counted from 0; -1 is the last."""
        film = self.film
        shown = np.unique(film.frames[: frame % len(film.frames) + 1])[::-1]
        moment = shown[0]
        if film.zooms:
            self._curve_axis.set_ylim(*film.ylims[moment])
            self._start_line.set_ydata(self._clip_curve(film.curves[0], moment))
        for age, line in enumerate(self._curve_lines):
            line.set_visible(age < len(shown))
            line.set_ydata(self._clip_curve(film.curves[shown[min(age, len(shown) - 1)]], moment))
        low, high = self._loss_limits
        loss = film.loss[: moment + 1].clip(low, max(high, 10 * high))
        self._loss_line.set_data(film.epoch[: moment + 1], loss)
        self._loss_marker.set_data(film.epoch[[moment]], loss[[-1]].clip(max=high))
        self._status_line.set_text(self._status_text(moment))
        self._parameter_line.set_text(self._parameter_text(moment))

    def _fix_layout(self, left: Axes, right: Axes) -> None:
        """Lay out the panels once, with room for the widest numbers: for every frame anew they would tremble."""
        layouts: list[list[Bbox]] = []
        shown = self.film.shown
        for moment in np.unique(shown[np.linspace(0, shown.size - 1, 5 if self.film.zooms else 1).astype(int)]):
            left.set_ylim(*self.film.ylims[moment])
            self.figure.draw_without_rendering()
            layouts.append([axis.get_position() for axis in (left, right)])
        self.figure.set_layout_engine(None)
        narrowest = int(np.argmax([places[0].x0 for places in layouts]))
        for axis, place in zip((left, right), layouts[narrowest], strict=True):
            axis.set_position(place)
        left.set_ylim(*self.film.ylims[0])

    def _freeze_background(self, dpi: float) -> None:
        """Put a picture in the place of everything that stays; the panel of the curve does not if the film zooms."""
        moving: list[Artist] = [self._loss_line, self._loss_marker, self._status_line, self._parameter_line]
        moving += [self._curve_axis] if self.film.zooms else self._curve_lines
        for artist in moving:
            artist.set_visible(False)
        canvas = FigureCanvasAgg(self.figure)
        self.figure.set_dpi(dpi)
        canvas.draw()
        for axis in self.figure.axes[self.film.zooms :]:
            hidden = [axis.patch, axis.xaxis, axis.yaxis, *(line for line in axis.lines if line not in moving)]
            for artist in [*hidden, *self.figure.legends]:
                artist.set_visible(False)
        self.figure.add_artist(_Picture(np.array(canvas.buffer_rgba())))
        for artist in moving:
            artist.set_visible(True)
        FigureCanvasBase(self.figure)  # else an animation draws each frame twice

    def _draw_background(self, axis: Axes) -> None:
        film, view = self.film, self.film.view
        if film.several_inputs:
            axis.axline((view.xlim[0],) * 2, slope=1, color=FAINT, linewidth=1, label="exact")
        else:
            axis.plot(film.x, film.y, **DOT, color=FAINT, label="data")
        if view.target:
            axis.plot(film.grid, view.target(film.grid), color=TARGET, linewidth=6, alpha=0.45, label="target")
        x, y = map(shorten, film.names)
        axis.set(xlim=view.xlim, ylim=film.ylims[0])
        axis.set_xlabel(f"{y}, observed" if film.several_inputs else x)
        axis.set_ylabel(f"{y}, predicted" if film.several_inputs else y)

    def _draw_curves(self, axis: Axes) -> tuple[Line2D, list[Line2D]]:
        """Draw the start, and return its line and those of the present curve and of the ones before it."""
        grid, several_inputs = self.film.grid, self.film.several_inputs
        start = self._clip_curve(self.film.curves[0], 0)
        look: Any = DOT | {"alpha": 0.3} if several_inputs else {"linestyle": DASHES, "linewidth": 1}
        (start_line,) = axis.plot(grid, start, **look, color=INK, label="start")
        lines: list[Line2D] = []
        for age in range(1 if several_inputs else TRAIL_LENGTH + 1):
            look = DOT if several_inputs else {"alpha": 0.4 * (1 - age / (TRAIL_LENGTH + 1)) if age else 1}
            name = None if age else "model"
            lines += axis.plot(grid, start, color=MODEL_COLOR, zorder=3 - 0.1 * age, label=name, **look)
        return start_line, lines

    def _draw_loss(self, axis: Axes) -> tuple[Line2D, Line2D]:
        """Draw the axes of the loss, and return its line and the marker at the end of it."""
        film = self.film
        if self._loss_limits[0] > 0:
            log_scale(axis)
        axis.set_ylim(*self._loss_limits)
        last = max(film.epoch[-1], 1)
        # The first epoch, in which the loss falls most, gets as much room as a whole decade later on.
        axis.set_xscale("symlog", linthresh=1)
        axis.set_xlim(0, last * 1.08)
        axis.xaxis.set_major_locator(FixedLocator(_epoch_ticks(last)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda epoch, _: text(int(epoch))))
        axis.set(xlabel="epoch", ylabel=film.result.criterion.label)
        (line,) = axis.plot([], [], color=MODEL_COLOR, linewidth=1.5)
        (marker,) = axis.plot([], [], "o", color=MODEL_COLOR, markersize=5, clip_on=False, in_layout=False)
        return line, marker

    def _clip_curve(self, curve: Floats, moment: int) -> Floats:
        """Return the curve without values so far outside the view of a moment that drawing them overflows."""
        low, high = self.film.ylims[moment]
        return curve.clip(low - 100 * (high - low), high + 100 * (high - low))

    def _status_text(self, moment: int) -> str:
        film = self.film
        decimals = 0 if (film.epoch == film.epoch.round()).all() else 2
        status = f"epoch {film.epoch[moment]:6,.{decimals}f}   rate {text(film.rate[moment]):<9}   "
        status += f"loss {text(film.loss[moment]):<9}"
        if moment == len(film.epoch) - 1 and film.result.status != "max_epochs":
            status += f"   {ENDINGS[film.result.status]} in epoch {film.last_epoch:,}"
        return status

    def _parameter_text(self, moment: int) -> str:
        film, line = self.film, ""
        for name, value in zip(film.result.model.params, film.params[moment], strict=True):
            parameter = f"{shorten(name, 12)} {value:{self._number_format}}   "
            if len(line + parameter + film.remark) > LINE_LENGTH:
                line += "… "
                break
            line += parameter
        return line + film.remark


class _Picture(Artist):
    """Pixels behind the panels of a figure; those of `Figure.figimage` are resampled each time."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        super().__init__()
        self.set_zorder(-1)
        self._pixels = pixels[::-1]

    def draw(self, renderer: RendererBase) -> None:
        """Copy the pixels."""
        renderer.draw_image(renderer.new_gc(), 0, 0, self._pixels)


def _number_format(params: Floats) -> str:
    """Return the format in which all values of the parameters are equally wide."""
    largest = np.abs(params).max()
    return "9.3f" if 0.01 <= largest < 1e5 else "11.3e"


def _epoch_ticks(last: float) -> list[float]:
    """Return 0, a few powers of ten from 1 on, and the last epoch where there is room for it."""
    powers = [10.0**power for power in range(int(np.log10(last)) + 1)]
    powers = powers[:: -(-len(powers) // 3)]
    return [0, *powers, *([last] if last >= 3 * powers[-1] else [])]
