"""A run as a film: some of its moments, as far apart as they look, with the curve and the loss of each."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bench.data.fit_table import TableFit
from bench.data.table import Dataset, builtin
from bench.data.units import curve_in_table_units, original_loss
from bench.plots.film.moments import Moments, by_epochs, by_updates
from bench.plots.style import spread_evenly
from kernels import FitResult
from kernels.run import Floats
from kernels.samples import check_samples

FRAMES = 110
POINTS = 481  # of a curve
DOTS = 1000

# How long frames stay, in ticks.
TICK = 0.05  # seconds
FIRST, MOST, LAST = 16, 6, 50

Range = tuple[float, float]
Predict = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class View:
    """What is to be seen of a curve.

    Attributes
    ----------
    xlim, ylim : pair of float
        The axes.
    across : pair of float
        From where to where curves are drawn.
    target : callable, optional
        x -> y, the curve behind the data where it is known.
    """

    xlim: Range
    ylim: Range
    across: Range
    target: Callable[[Floats], Floats] | None = None


LESSON = View(xlim=(-50, 50), ylim=(-500, 500), across=(-80, 80), target=lambda x: 2 * x**2 - 4 * x + 3)
"""The view of the classic quadratic: its data are a dot in the middle, and both starts are in sight."""


@dataclass(frozen=True, eq=False)
class Film:
    """The frames of a film and what stands still behind them.

    Attributes
    ----------
    result : FitResult
    view : View
    x, y : array, shape (k,)
        Data to be drawn. For several inputs both are the observed values: a curve is then the predicted ones.
    several : bool
        Whether there are several inputs.
    names : pair of str
        What x and y are called.
    at : array, shape (points,)
        Where the curves are evaluated.
    epoch : array, shape (frames,)
    params : array, shape (frames, P)
        As they were trained.
    curves : array, shape (frames, points)
    loss : array, shape (frames,)
        Mean squared residual over the whole data set.
    ticks : list of int
        How long each frame stays, in twentieths of a second: the longer, the farther the curve leaps to get there.
    remark : str
        About the parameters.
    """

    result: FitResult
    view: View
    x: Floats
    y: Floats
    several: bool
    names: tuple[str, str]
    at: Floats
    epoch: Floats
    params: Floats
    curves: Floats
    loss: Floats
    ticks: list[int]
    remark: str = ""

    @property
    def rate(self) -> Floats:
        """The learning rate of each frame's epoch, shape (frames,); nan where no epoch was needed."""
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
    whole: bool = False,
) -> Film:
    """The film of a fit.

    Parameters
    ----------
    result : FitResult
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The data that were trained.
    settings : mapping, optional
        Those that were given to `kernels.fit`. With them, if only ``{}``, the film goes through the first epochs update
        by update; without, from epoch to epoch.
    view : View, optional
        Without it the view follows the data; that of the built-in quadratic is `LESSON`.
    names : pair of str, optional
        What x and y are called.
    whole : bool, optional
        Leave no moment out.

    Raises
    ------
    ValueError
        If the data do not fit the model, a fit has no such setting, these data and settings do not lead where the run
        went, or the loss is not finite at the start.
    """
    check_samples(result.model, x, y)
    moments = by_epochs(result) if settings is None else by_updates(result, x, y, **settings)
    return film(result, moments, result.model.predict, x, y, view=view, names=names, whole=whole)


def table_film(fitted: TableFit, table: Dataset, settings: Mapping[str, Any] | None) -> Film:
    """The film of the fit of a table, in the table's units; see `fit_film`."""
    result, scaling = fitted.result, fitted.scaling
    moments = by_epochs(result) if settings is None else by_updates(result, fitted.data.x, fitted.data.y, **settings)
    if scaling:
        moments = moments._replace(loss=original_loss(moments.loss, scaling))
    predict, names = curve_in_table_units(result.model, scaling), (table.x_names[0], table.y_name)
    made = film(result, moments, predict, table.x, table.y, names=names)
    return replace(made, remark="(standardized)") if scaling else made


@np.errstate(all="ignore")  # a curve may overflow, and is then not seen
def film(
    result: FitResult,
    moments: Moments,
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    view: View | None = None,
    names: tuple[str, str] = ("x", "y"),
    whole: bool = False,
) -> Film:
    """Choose the frames, at most a hundred or so.

    From each to the next the curve sweeps about the same area of the view, or the loss falls by about twice that share
    of its axis. So there are many of them where much is to be seen, most often within the first epochs.

    Parameters
    ----------
    result : FitResult
    moments : Moments
        Of this run, with losses in the square of the unit of y.
    predict : callable
        (params, x) -> (n,), the curve of parameters as they were trained.
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        The data in the units that are to be seen.
    view, names, whole
        As for `fit_film`.

    Raises
    ------
    ValueError
        If there is no moment.
    """
    if not moments.epoch.size:
        raise ValueError("there is nothing to be seen of this fit: its loss is not finite at the start")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    several = x.ndim == 2 and x.shape[1] > 1
    some = spread_evenly(range(len(y)), DOTS)
    if view is None and _is_lesson(x, y, predict, moments.params[0]):
        view = LESSON
    if several:
        inputs, at = x[some], y[some]
    else:
        at = np.linspace(*(view.across if view else _range(x)), num=POINTS)
        inputs = at.reshape(-1, *x.shape[1:])
    curves = np.array([predict(params, inputs) for params in moments.params])
    view = view or _following(at, y, curves[moments.epoch >= 1])
    way = np.cumsum(_moved(curves, at, view, moments.epoch) + _fallen(moments) / 2)
    chosen = list(range(len(way))) if whole else _chosen(way)
    epoch, params, loss = (values[chosen] for values in moments)
    for frame in np.flatnonzero(np.isnan(loss)):
        loss[frame] = np.mean((predict(params[frame], x) - y) ** 2)
    leaps = np.diff(way[chosen[:-1]]) / (way[-1] or 1)
    ticks = [FIRST, *(FRAMES * leaps).round().astype(int).clip(1, MOST).tolist(), LAST][-len(chosen) :]
    dots = at if several else x[some].ravel()
    return Film(result, view, dots, y[some], several, names, at, epoch, params, curves[chosen], loss, ticks)


def _is_lesson(x: Floats, y: Floats, predict: Predict, start: Floats) -> bool:
    """Whether a parabola is fitted to the built-in quadratic; what else may be fitted to it lives in -1..1."""
    lesson = builtin("quadratic")
    if not (np.array_equal(x.ravel(), lesson.x.ravel()) and np.array_equal(y, lesson.y)):
        return False
    curve = predict(start, np.linspace(*LESSON.across, 9).reshape(-1, *x.shape[1:]))
    return bool(np.abs(np.diff(curve, 3)).max() <= 1e-9 * np.abs(curve).max())


def _following(at: Floats, y: Floats, curves: Floats) -> View:
    """As far as the curves reach, but no more than the height of the data above and below them."""
    low, high = _padded(y, 1)
    reach = np.concatenate([y, curves[np.isfinite(curves)].clip(low, high)])
    return View(_range(at), _padded(reach, 0.06), _range(at))


def _range(values: Floats) -> Range:
    return _padded(values, 0 if np.ptp(values) else 0.5)


def _padded(values: Floats, share: float) -> Range:
    """The range of some values and a margin, a share of it, on both sides."""
    margin = share * (np.ptp(values) or 1)
    return float(values.min() - margin), float(values.max() + margin)


def _moved(curves: Floats, at: Floats, view: View, epoch: Floats) -> Floats:
    """The share of the view that each curve sweeps on its way from the one before, shape (m,).

    Where updates go to and fro, those of an epoch together count for as much as the epoch gets on: how a curve gets to
    the data is more of a story than how it trembles there.
    """
    (left, right), (low, high) = view.xlim, view.ylim
    seen = np.nan_to_num(((curves[:, (left <= at) & (at <= right)] - low) / (high - low)).clip(0, 1))
    steps = np.abs(np.diff(seen, axis=0)).mean(axis=1)
    ends = np.flatnonzero(epoch == epoch.round())
    for start, end in itertools.pairwise(ends):
        gained = np.abs(seen[end] - seen[start]).mean()
        steps[start:end] *= gained / max(steps[start:end].sum(), np.finfo(float).tiny)
    return np.concatenate([[0.0], steps])


def _fallen(moments: Moments) -> Floats:
    """The share of its logarithmic axis that the loss moves by, evenly where it is not known, shape (m,)."""
    known = np.isfinite(moments.loss)
    low, high = enclosing_decades(moments.loss[known])
    powers = np.interp(moments.epoch, moments.epoch[known], np.log10(moments.loss[known].clip(low, high)))
    return np.concatenate([[0.0], np.abs(np.diff(powers)) / np.log10(high / low)])


def enclosing_decades(losses: Floats) -> Range:
    """The powers of ten that enclose the losses, without zeros and without what runs away."""
    seen = losses[losses > 0]
    if not seen.size:
        return 1e-16, 1e-15
    bottom = max(np.floor(np.log10(seen.min())), -300)
    top = np.ceil(np.log10(min(seen.max(), 1000 * seen[0])))
    return float(10.0**bottom), float(10.0 ** max(top, bottom + 1))


def _chosen(way: Floats) -> list[int]:
    """Moments that are evenly spread over the way that is behind at each; the first and the last are among them."""
    chosen: list[int] = []
    # Where one step is a long way, many places on it are the same moment.
    for places in np.geomspace(FRAMES, 100 * FRAMES, 50).astype(int):
        more = np.unique(np.searchsorted(way, np.linspace(0, way[-1], places)))
        if more.size >= FRAMES and chosen:
            break
        chosen = more.tolist()
    return sorted({0, *chosen, len(way) - 1})
