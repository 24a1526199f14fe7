"""A run as a film: the curve and the loss of its moments, and the moment that each frame shows."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.fit import Predict, pad_range
from sgdbench.data.fit_table import TableFit, thin_rows
from sgdbench.data.table import Dataset, builtin
from sgdbench.data.units import curve_in_table_units, original_loss
from sgdbench.kernels import FitResult
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.losses.classes import encode_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.plots.film.moments import Moments, recorded_moments, update_moments
from sgdbench.tables.words import describe_film

FRAMES_PER_SECOND = 20
MAX_FRAMES = 110  # besides those in which the start and the end stay
START_FRAMES, END_FRAMES = 16, 50
# A moment has at most about so much of the film, as a share, however far the curve leaps to it.
MAX_LEAP = 0.03
# A start whose curve needs a view that is higher than that of the end by this factor is zoomed in from, by at most this
# factor from each moment that is shown to the next.
FAR, ZOOM = 1.5, 0.8
CURVE_POINTS = 481
MAX_SAMPLES = 1000

Range = tuple[float, float]


@dataclass(frozen=True)
class View:
    """The part of the plane in which the film ends: that of the data, or `QUADRATIC_VIEW`.

    Attributes
    ----------
    xlim, ylim : pair of float
        The limits of the axes.
    curve_range : pair of float
        The first and the last x at which curves are evaluated.
    target : callable, optional
        x -> y, the curve behind the data where it is known.
    """

    xlim: Range
    ylim: Range
    curve_range: Range
    target: Callable[[Floats], Floats] | None = None


QUADRATIC_VIEW = View(xlim=(-50, 50), ylim=(-500, 500), curve_range=(-80, 80), target=lambda x: 2 * x**2 - 4 * x + 3)
"""The view of the classic quadratic from its far start, whose curve it holds, with the data as a dot in the middle."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Film:
    """The moments of a run, and the frames that show some of them.

    Attributes
    ----------
    result : FitResult
    view : View
    x, y : array, shape (k,)
        The data points to draw. For several inputs both are the observed values.
    grid : array, shape (points,)
        The x at which the curves are evaluated; for several inputs the observed values.
    several_inputs : bool
        Whether the model has several inputs. Predicted values are then plotted against observed ones.
    names : pair of str
        The names of x and y.
    epoch : array, shape (m,)
    params : array, shape (m, P)
        In the units of training.
    curves : array, shape (m, points)
    ylims : array, shape (m, 2)
        The limits of the vertical axis at each moment. They hold the data and, at first, the curve of the start.
    loss : array, shape (m,)
        The loss that the run records, over the whole data set.
    frames : array, shape (frames,)
        The moment that each frame shows. All frames last equally long, so the film stays where a moment is repeated.
    remark : str
        A note on the parameters.
    """

    result: FitResult
    view: View
    x: Floats
    y: Floats
    grid: Floats
    several_inputs: bool
    names: tuple[str, str]
    epoch: Floats
    params: Floats
    curves: Floats
    ylims: Floats
    loss: Floats
    frames: NDArray[np.int64]
    remark: str

    @property
    def shown(self) -> NDArray[np.int64]:
        """The moments that are shown, each once."""
        return np.unique(self.frames)

    @property
    def zooms(self) -> bool:
        """Whether the limits of the vertical axis change."""
        return bool((self.ylims != self.ylims[0]).any())

    @property
    def last_epoch(self) -> int:
        """The epoch in which the run ended, counted from 1; 0 where it ended at the start."""
        return -(-int(self.result.samples_seen[-1]) // self.result.samples_per_epoch)

    @property
    def caption(self) -> str:
        """A text alternative of the film."""
        diverged = self.last_epoch if self.result.status == "diverged" else None
        return describe_film(self.result.model.expression, self.loss, float(self.epoch[-1]), diverged)

    @property
    def rate(self) -> Floats:
        """The learning rate of each moment's epoch, shape (m,); nan for a run without epochs."""
        rates: Floats = np.append(self.result.rates, np.nan)[np.ceil(self.epoch).astype(int).clip(min=1) - 1]
        return rates


def fit_film(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    settings: Mapping[str, Any] | None = None,
    names: tuple[str, str] | None = None,
) -> Film:
    """Return the film of a fit; arguments and errors are those of `sgdbench.plots.film.animate.animate`."""
    if not result.model.inputs:
        raise ValueError("result must be that of a fit to data: a function of parameters alone has no curve to bend")
    if result.model.classes > 1:
        scores = f"{result.model.expression} has scores of {result.model.classes} classes"
        raise ValueError(f"result must be that of a fit with one curve, and {scores}")
    y = encode_classes(result.classes, y)
    check_samples(result.model, x, y)
    moments = recorded_moments(result) if settings is None else update_moments(result, x, y, dict(settings))
    names = names or (result.model.inputs[0], "y")
    return build_film(result, moments, curve_in_table_units(result.model, result.criterion, None), x, y, names=names)


def table_film(fitted: TableFit, table: Dataset, settings: Mapping[str, Any]) -> Film:
    """Return the film of the fit of a table, in the table's units; see `fit_film`."""
    result, scaling, data, shown = fitted.result, fitted.scaling, fitted.data, thin_rows(table)
    moments = update_moments(result, data.x, data.y, dict(settings))
    moments = moments._replace(loss=original_loss(moments.loss, scaling, result.criterion))
    predict = curve_in_table_units(result.model, result.criterion, scaling)
    names, remark = (table.x_names[0], table.y_name), "(standardized)" if scaling else ""
    return build_film(result, moments, predict, shown.x, shown.y, names=names, remark=remark)


@np.errstate(all="ignore")  # a curve may overflow, and is then not seen
def build_film(
    result: FitResult,
    moments: Moments,
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    names: tuple[str, str],
    remark: str = "",
) -> Film:
    """Return a film of the moments of a run, whose losses are in the units of the plot, as x and y are.

    From each frame to the next the curve sweeps about the same area of the view, or the loss moves by about twice that
    share of its axis. So there are many frames where much changes, which is mostly within the first epochs, and a leap
    of the curve stays in sight for several frames. The view holds the data and the curve of the start, and closes in on
    the data as the curve does. `predict` is (params, x) -> (n,), for parameters in the units of training.
    """
    if not moments.epoch.size:
        raise ValueError("there is nothing to be seen of this fit: its loss is not finite at the start")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    view = QUADRATIC_VIEW if _starts_far(x, y, predict, moments.params[0]) else None
    several_inputs = x.ndim == 2 and x.shape[1] > 1
    sample = spread_evenly(range(len(y)), MAX_SAMPLES)
    if several_inputs:
        inputs, grid = x[sample], y[sample]
    else:
        grid = np.linspace(*(view.curve_range if view else _value_range(x)), num=CURVE_POINTS)
        inputs = grid.reshape(-1, *x.shape[1:])
    curves = np.array([predict(params, inputs) for params in moments.params])
    if view is None:
        view = _default_view(grid, y, curves[-1])
        ylims = _find_limits(curves, view)
    else:
        ylims = np.tile(view.ylim, (len(curves), 1))
    frames = _choose_frames(_changes(moments, curves, grid, view, ylims, result.criterion))
    return Film(
        result=result,
        view=view,
        x=grid if several_inputs else x[sample].ravel(),
        y=y[sample],
        grid=grid,
        several_inputs=several_inputs,
        names=names,
        remark=remark,
        curves=curves,
        ylims=_smooth_limits(ylims, np.unique(frames)),
        frames=frames,
        **moments._asdict(),
    )


def _starts_far(x: Floats, y: Floats, predict: Predict, start: Floats) -> bool:
    """Return whether a fit of the built-in quadratic begins with the curve of the lesson's far start."""
    quadratic = builtin("quadratic")
    if not (np.array_equal(x.ravel(), quadratic.x.ravel()) and np.array_equal(y, quadratic.y)):
        return False
    some = np.linspace(*QUADRATIC_VIEW.curve_range, 9)
    return np.allclose(predict(start, some.reshape(-1, *x.shape[1:])), -(11 * some**2 + 790 * some + 14400) / 6)


def _default_view(grid: Floats, y: Floats, curve: Floats) -> View:
    """Return a view that holds the data and a curve, but at most the height of the data above and below them."""
    low, high = pad_range(y, 1)
    visible = np.concatenate([y, curve[np.isfinite(curve)].clip(low, high)])
    # With room for the whole of the outermost points.
    across = pad_range(grid, 0.03 if np.ptp(grid) else 0.5)
    return View(across, pad_range(visible, 0.06), _value_range(grid))


def _find_limits(curves: Floats, view: View) -> Floats:
    """Return vertical limits for each moment, shape (m, 2), that hold the view and this and all later curves.

    They hold no more than the view and the curve of the start, so that they never widen.
    """
    start = curves[0][np.isfinite(curves[0])]
    widest = pad_range(np.append(start, view.ylim), 0.03)
    if np.ptp(widest) <= FAR * np.ptp(view.ylim) or not np.isfinite(widest).all():
        limits = widest if np.isfinite(widest).all() else view.ylim
        return np.tile(limits, (len(curves), 1))
    in_view = np.nan_to_num(curves, nan=widest[1]).clip(*widest)
    low = np.minimum(in_view.min(axis=1), view.ylim[0])
    high = np.maximum(in_view.max(axis=1), view.ylim[1])
    low[0], high[0] = widest
    later = np.minimum.accumulate(low[::-1])[::-1], np.maximum.accumulate(high[::-1])[::-1]
    return np.stack(later, axis=1)


def _smooth_limits(ylims: Floats, shown: NDArray[np.int64]) -> Floats:
    """Return the limits with moments that are `shown` closing in on the last ones in small steps."""
    smooth, last = ylims.copy(), ylims[-1]
    for before, moment in itertools.pairwise(shown[:-1].tolist()):
        low, high = last + ZOOM * (smooth[before] - last)
        smooth[moment] = min(ylims[moment, 0], low), max(ylims[moment, 1], high)
    return smooth


def _value_range(values: Floats) -> Range:
    """Return the lowest and the highest value, or a range around the only one."""
    return pad_range(values, 0 if np.ptp(values) else 0.5)


def _changes(moments: Moments, curves: Floats, grid: Floats, view: View, ylims: Floats, loss: Loss) -> Floats:
    """Return how far the picture of each moment is from the one before, shape (m,).

    That is the share of the view that the curve sweeps, and half the share of its axis that the loss moves by. Updates
    may move both back and forth. The updates of one epoch together therefore count for as much as the epoch as a whole:
    how the curve gets to the data matters more than how it trembles there.
    """
    left, right = view.xlim
    in_view = curves[:, (left <= grid) & (grid <= right)]
    low, high = loss_limits(moments.loss, loss)
    losses = moments.loss.clip(low, high)
    heights = np.log10(losses) / np.log10(high / low) if low > 0 else losses / (high - low)

    def change(start: Any, end: Any) -> Floats:
        bottom, top = ylims[start].T[..., np.newaxis]
        first, last = (np.nan_to_num(((in_view[one] - bottom) / (top - bottom)).clip(0, 1)) for one in (start, end))
        swept = np.abs(last - first).mean(axis=-1)
        both: Floats = swept + np.abs(heights[end] - heights[start]) / 2
        return both

    places = np.arange(len(curves))
    changes = change(places[:-1], places[1:])
    ends = np.flatnonzero(moments.epoch == moments.epoch.round())
    for start, end in itertools.pairwise(ends.tolist()):
        changes[start:end] *= change(start, end) / max(changes[start:end].sum(), np.finfo(float).tiny)
    return np.concatenate([[0.0], changes])


def loss_limits(losses: Floats, loss: Loss) -> Range:
    """Return the ends of an axis of losses: powers of ten, or where some are negative those of a linear axis."""
    if loss.nonnegative or losses.min() >= 0:
        return enclosing_decades(losses)
    return pad_range(losses[np.isfinite(losses)], 0.05)


def enclosing_decades(losses: Floats) -> Range:
    """Return the powers of ten that enclose the losses, ignoring zeros and losses that diverge."""
    positive = losses[losses > 0]
    if not positive.size:
        return 1e-16, 1e-15
    bottom = max(np.floor(np.log10(positive.min())), -300)
    top = np.ceil(np.log10(min(positive.max(), 1000 * positive[0])))
    return float(10.0**bottom), float(10.0 ** max(top, bottom + 1))


def _choose_frames(changes: Floats) -> NDArray[np.int64]:
    """Return the moments of frames that are spread evenly over the changes; the start and the end stay longer."""
    distance = np.cumsum(changes.clip(max=MAX_LEAP * changes.sum()))
    between = np.searchsorted(distance, np.linspace(0, distance[-1], MAX_FRAMES))
    return np.concatenate([[0] * START_FRAMES, between, [len(changes) - 1] * END_FRAMES])
