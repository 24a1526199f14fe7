"""A run as a film: the moments at which the picture changes, with the curve and the loss of each."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench.data.fit_table import TableFit
from bench.data.table import Dataset, builtin
from bench.data.units import curve_in_table_units, original_loss
from bench.plots.choices import spread_evenly
from bench.plots.film.moments import Moments, recorded_moments, update_moments
from bench.plots.style import pad_range
from kernels import FitResult
from kernels.run import Floats
from kernels.samples import check_samples

MAX_FRAMES = 110
CURVE_POINTS = 481
MAX_SAMPLES = 1000

# How long frames stay, in ticks.
TICK_SECONDS = 0.05
FIRST_TICKS, MAX_TICKS, LAST_TICKS = 16, 6, 50

Range = tuple[float, float]
Predict = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class View:
    """The part of the plane in which curves are drawn.

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
"""The view of the classic quadratic: it holds the curves of both starts, with the data as a dot in the middle."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Background:
    """What all frames of a film have in common.

    Attributes
    ----------
    view : View
    x, y : array, shape (k,)
        The data points to draw. For several inputs both are the observed values.
    grid : array, shape (points,)
        The x at which the curves are evaluated; for several inputs the observed values.
    several_inputs : bool
        Whether the model has several inputs. Predicted values are then plotted against observed ones.
    names : pair of str
        The names of x and y.
    """

    view: View
    x: Floats
    y: Floats
    grid: Floats
    several_inputs: bool
    names: tuple[str, str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Film:
    """The frames of a film.

    Attributes
    ----------
    result : FitResult
    background : Background
    epoch : array, shape (frames,)
    params : array, shape (frames, P)
        In the units of training.
    curves : array, shape (frames, points)
    loss : array, shape (frames,)
        What the run records, over the whole data set.
    ticks : list of int
        The duration of each frame, in units of `TICK_SECONDS`: the more the curve changes, the longer.
    remark : str
        A note on the parameters.
    """

    result: FitResult
    background: Background
    epoch: Floats
    params: Floats
    curves: Floats
    loss: Floats
    ticks: list[int]
    remark: str = ""

    @property
    def rate(self) -> Floats:
        """The learning rate of each frame's epoch, shape (frames,); nan for a run without epochs."""
        rates: Floats = np.append(self.result.rates, np.nan)[np.ceil(self.epoch).astype(int).clip(min=1) - 1]
        return rates


def fit_film(
    result: FitResult,
    x: ArrayLike,
    y: ArrayLike,
    *,
    settings: Mapping[str, Any] | None = None,
    view: View | None = None,
    names: tuple[str, str] = ("x", "y"),
    all_moments: bool = False,
) -> Film:
    """Return the film of a fit.

    Parameters
    ----------
    result : FitResult
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The training data.
    settings : mapping, optional
        The settings given to `kernels.fit`. With them (``{}`` if all were left at their defaults) the film shows the
        first epochs update by update; without them, it goes from epoch to epoch.
    view : View, optional
        By default the view follows the data; for a parabola fitted to the built-in quadratic it is `QUADRATIC_VIEW`.
    names : pair of str, optional
        The names of x and y.
    all_moments : bool, optional
        Make a frame of every moment.

    Raises
    ------
    ValueError
        If the data do not fit the model, `settings` has a name that `kernels.fit` does not know, the data and settings
        do not reproduce the run, or the loss is not finite at the start.
    """
    check_samples(result.model, x, y)
    moments = recorded_moments(result) if settings is None else update_moments(result, x, y, **settings)
    about: dict[str, Any] = {"view": view, "names": names, "all_moments": all_moments}
    return build_film(result, moments, predict_expected(result), result.loss_at, x, y, **about)


def table_film(fitted: TableFit, table: Dataset, settings: Mapping[str, Any] | None) -> Film:
    """Return the film of the fit of a table, in the table's units; see `fit_film`."""
    result, scaling, data = fitted.result, fitted.scaling, fitted.rows
    moments = recorded_moments(result) if settings is None else update_moments(result, data.x, data.y, **settings)
    moments = moments._replace(loss=original_loss(moments.loss, scaling, result.criterion))
    predict = curve_in_table_units(result.model, result.criterion, scaling)

    def loss_at(params: Floats) -> float:
        """Return the loss in the table's units, where it has such."""
        return float(original_loss(result.loss_at(params), scaling, result.criterion))

    film = build_film(result, moments, predict, loss_at, table.x, table.y, names=(table.x_names[0], table.y_name))
    return replace(film, remark="(standardized)") if scaling else film


def predict_expected(result: FitResult) -> Predict:
    """Return the curve of a result's parameters: the expected targets where they are known, else the model."""
    return curve_in_table_units(result.model, result.criterion, None)


@np.errstate(all="ignore")  # a curve may overflow, and is then not seen
def build_film(
    result: FitResult,
    moments: Moments,
    predict: Predict,
    loss_at: Callable[[Floats], float],
    x: ArrayLike,
    y: ArrayLike,
    *,
    view: View | None = None,
    names: tuple[str, str] = ("x", "y"),
    all_moments: bool = False,
) -> Film:
    """Return a film of about a hundred frames, chosen from the moments of a run.

    From each frame to the next the curve sweeps about the same area of the view, or the loss moves by about twice that
    share of its axis. So there are many frames where much changes, which is mostly within the first epochs.

    Parameters
    ----------
    result : FitResult
    moments : Moments
        Of this run, with mean squared residuals in the square of the unit of y.
    predict : callable
        (params, x) -> (n,), the curve for parameters in the units of training.
    loss_at : callable
        The loss at such parameters, as those of the moments.
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The data in the units of the plot.
    view, names, all_moments
        As for `fit_film`.

    Raises
    ------
    ValueError
        If there is no moment.
    """
    if not moments.epoch.size:
        raise ValueError("there is nothing to be seen of this fit: its loss is not finite at the start")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if view is None and _is_quadratic_fit(x, y, predict, moments.params[0]):
        view = QUADRATIC_VIEW
    background, curves = _evaluate_curves(moments, predict, x, y, view, names)
    distance = np.cumsum(_curve_changes(curves, background, moments.epoch) + _loss_changes(moments) / 2)
    frames = list(range(len(distance))) if all_moments else _choose_frames(distance)
    epoch, params, loss = (values[frames] for values in moments)
    for k in np.flatnonzero(np.isnan(loss)):
        loss[k] = loss_at(params[k])
    return Film(
        result=result,
        background=background,
        epoch=epoch,
        params=params,
        curves=curves[frames],
        loss=loss,
        ticks=_frame_ticks(distance, frames),
    )


def _evaluate_curves(
    moments: Moments, predict: Predict, x: Floats, y: Floats, view: View | None, names: tuple[str, str]
) -> tuple[Background, Floats]:
    """Return the background of a film, and the curve of each moment on its grid, shape (m, points)."""
    several_inputs = x.ndim == 2 and x.shape[1] > 1
    sample = spread_evenly(range(len(y)), MAX_SAMPLES)
    if several_inputs:
        inputs, grid = x[sample], y[sample]
    else:
        grid = np.linspace(*(view.curve_range if view else _value_range(x)), num=CURVE_POINTS)
        inputs = grid.reshape(-1, *x.shape[1:])
    curves = np.array([predict(params, inputs) for params in moments.params])
    background = Background(
        view=view or _default_view(grid, y, curves[moments.epoch >= 1]),
        x=grid if several_inputs else x[sample].ravel(),
        y=y[sample],
        grid=grid,
        several_inputs=several_inputs,
        names=names,
    )
    return background, curves


def _is_quadratic_fit(x: Floats, y: Floats, predict: Predict, start: Floats) -> bool:
    """Return whether a parabola is fitted to the built-in quadratic.

    Other models of these data have curves of their own scale, -1 to 1.
    """
    quadratic = builtin("quadratic")
    if not (np.array_equal(x.ravel(), quadratic.x.ravel()) and np.array_equal(y, quadratic.y)):
        return False
    curve = predict(start, np.linspace(*QUADRATIC_VIEW.curve_range, 9).reshape(-1, *x.shape[1:]))
    return bool(np.abs(np.diff(curve, 3)).max() <= 1e-9 * np.abs(curve).max())


def _default_view(grid: Floats, y: Floats, curves: Floats) -> View:
    """Return a view that holds the data and the curves, but at most the height of the data above and below them."""
    low, high = pad_range(y, 1)
    visible = np.concatenate([y, curves[np.isfinite(curves)].clip(low, high)])
    return View(_value_range(grid), pad_range(visible, 0.06), _value_range(grid))


def _value_range(values: Floats) -> Range:
    """Return the lowest and the highest value, or a range around the only one."""
    return pad_range(values, 0 if np.ptp(values) else 0.5)


def _curve_changes(curves: Floats, background: Background, epoch: Floats) -> Floats:
    """Return the share of the view that each curve sweeps on its way from the one before, shape (m,).

    Updates may move the curve back and forth. The updates of one epoch together therefore count for as much as the
    epoch as a whole: how the curve gets to the data matters more than how it trembles there.
    """
    grid, (left, right), (low, high) = background.grid, background.view.xlim, background.view.ylim
    in_view = np.nan_to_num(((curves[:, (left <= grid) & (grid <= right)] - low) / (high - low)).clip(0, 1))
    changes = np.abs(np.diff(in_view, axis=0)).mean(axis=1)
    ends = np.flatnonzero(epoch == epoch.round())
    for start, end in itertools.pairwise(ends):
        net_change = np.abs(in_view[end] - in_view[start]).mean()
        changes[start:end] *= net_change / max(changes[start:end].sum(), np.finfo(float).tiny)
    return np.concatenate([[0.0], changes])


def _loss_changes(moments: Moments) -> Floats:
    """Return the share of its logarithmic axis that the loss moves by, interpolated where it is unknown, shape (m,)."""
    known = np.isfinite(moments.loss)
    low, high = enclosing_decades(moments.loss[known])
    powers = np.interp(moments.epoch, moments.epoch[known], np.log10(moments.loss[known].clip(low, high)))
    return np.concatenate([[0.0], np.abs(np.diff(powers)) / np.log10(high / low)])


def enclosing_decades(losses: Floats) -> Range:
    """Return the powers of ten that enclose the losses, ignoring zeros and losses that diverge."""
    positive = losses[losses > 0]
    if not positive.size:
        return 1e-16, 1e-15
    bottom = max(np.floor(np.log10(positive.min())), -300)
    top = np.ceil(np.log10(min(positive.max(), 1000 * positive[0])))
    return float(10.0**bottom), float(10.0 ** max(top, bottom + 1))


def _choose_frames(distance: Floats) -> list[int]:
    """Return moments spread evenly over the distance covered so far; the first and the last are among them."""
    chosen: list[int] = []
    # Where one step covers a long distance, many of the places belong to the same moment: then try more places.
    for places in np.geomspace(MAX_FRAMES, 100 * MAX_FRAMES, 50).astype(int):
        more = np.unique(np.searchsorted(distance, np.linspace(0, distance[-1], places)))
        if more.size >= MAX_FRAMES and chosen:
            break
        chosen = more.tolist()
    return sorted({0, *chosen, len(distance) - 1})


def _frame_ticks(distance: Floats, frames: list[int]) -> list[int]:
    """Return how long each frame stays: the longer, the greater its distance from the frame before."""
    leaps = np.diff(distance[frames[:-1]]) / (distance[-1] or 1)
    between = (MAX_FRAMES * leaps).round().astype(int).clip(1, MAX_TICKS).tolist()
    return [FIRST_TICKS, *between, LAST_TICKS][-len(frames) :]
