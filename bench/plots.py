"""From the frame of results to figures, each by one pure function: frame in, matplotlib Figure out.

`frame` is described in `bench.tables`. `curves` is long: `config_id`, `epoch`, `loss`. `trajectory` is long,
too: `config_id`, `epoch` and one column `param_<name>` per parameter. `predict(params, x)` is the model's
curve. A figure that has nothing to show says so.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from bench.render import label, text
from bench.style import (
    FAINT,
    INK,
    STYLE,
    TARGET,
    caption,
    colors_of,
    key,
    log_scale,
    nothing,
    panels,
    power_of_ten,
    say,
    short,
    spread,
)
from bench.tables import CHOICES, loss_quantiles, varies

Array = NDArray[np.float64]
Predict = Callable[[Array, Array], Array]

DASHES = (0, (4, 3))
DOT: Any = {"marker": ".", "markersize": 4, "linestyle": ""}


@rc_context(STYLE)
def loss_curves(
    frame: pd.DataFrame,
    curves: pd.DataFrame,
    *,
    by: str = "lr",
    panel: str = "batch_size",
    target: float | None = None,
) -> Figure:
    """Draw loss against epoch: one color per value of `by`, one panel per value of `panel`.

    Where several runs share both values the line is their median and a band reaches from 10 to 90 %. The
    lines of runs that diverge leave the panel at the top.

    Parameters
    ----------
    frame, curves : DataFrame
        One row per configuration; their losses. Curves of other configurations are ignored.
    by, panel : str, optional
        Columns of `frame`. Of many panels six are shown, evenly spread.
    target : float, optional
        Drawn as a line across. The axis ends two decades below it.
    """
    bands = loss_quantiles(frame, curves, [panel, by])
    diverged = (frame["status"] == "diverged").sum()
    if bands.loc[np.isfinite(bands["low"]), "epoch"].nunique() < 2:
        return nothing(
            f"No loss curve to show: none of {len(frame):,} runs has a finite loss at two epochs. "
            f"{diverged:,} diverged."
        )
    bottom, top = _loss_range(bands, target)
    values = sorted(set(bands[panel]))
    shown = spread(values, 6)
    colors = colors_of(bands[by])
    figure, axes = panels(len(shown))
    for axis, value in zip(axes, shown, strict=True):
        log_scale(axis)
        for choice, band in bands[bands[panel] == value].groupby(by):
            low, median, high = band[["low", "median", "high"]].to_numpy().clip(bottom, 10 * top).T
            axis.fill_between(band["epoch"], low, high, color=colors[choice], alpha=0.2, linewidth=0)
            axis.plot(band["epoch"], median, color=colors[choice], marker="o" if len(band) == 1 else "")
        if target:
            axis.axhline(target, color=INK, linewidth=1, linestyle=DASHES, label=f"target {text(target)}")
        if len(values) > 1:
            axis.set_title(f"{label(panel)} {short(value, 16)}")
        axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes[0].set_ylim(bottom, top)
    figure.supxlabel("epoch")
    figure.supylabel("loss")
    key(figure, [short(choice) for choice in colors], list(colors.values()), label(by))
    few, many = bands["runs"].min(), bands["runs"].max()
    caption(
        figure,
        many > 1 and f"Median and 10\N{EN DASH}90 % of {many if few == many else f'{few} to {many}'} runs.",
        diverged > 0 and f"{diverged:,} of {len(frame):,} runs diverged.",
        len(shown) < len(values) and f"{len(shown)} of {len(values)} values of {label(panel)}.",
        (bands["low"] < bottom).any() and f"Losses below {power_of_ten(bottom)} are drawn at the bottom.",
    )
    return figure


def _loss_range(bands: pd.DataFrame, target: float | None) -> tuple[float, float]:
    """Find the powers of ten that enclose the losses, without zeros and without what diverges."""
    losses = bands[["low", "median", "high"]].to_numpy()
    losses = losses[(losses > 0) & np.isfinite(losses)]
    if not losses.size:
        return 1e-16, 1e-15
    start = bands.loc[bands["epoch"] == bands["epoch"].min(), "median"].max()
    # Far below a target, what is seen is rounding.
    bottom = max(np.floor(np.log10(max(losses.min(), target / 100 if target else 0))), -300)
    top = np.ceil(np.log10(max(min(losses.max(), 1000 * start), target or 0)))
    return 10.0**bottom, 10.0 ** max(top, bottom + 1)


@rc_context(STYLE)
def fitted_curve(
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    params_by_name: Mapping[str, ArrayLike],
    start: ArrayLike | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """Draw the data and the curves fitted to them; for several inputs, predicted against observed values.

    Parameters
    ----------
    predict : callable
        `predict(params, x)` -> (n,).
    x : array, shape (n,) or (n, inputs)
    y : array, shape (n,)
        Of more than a thousand samples a thousand are drawn.
    params_by_name : mapping of str to array, shape (P,)
        Fitted parameters; a fit that is not finite is only named, one far from the data leaves the view.
    start : array, shape (P,), optional
        Initial parameters, drawn dashed; the axes do not reach out for them.
    names : pair of str, optional
        What x and y are called.
    """
    x, y = _some(x, y)
    several = x.ndim == 2 and x.shape[1] > 1
    at = x if several else _along(x.min(), x.max()).reshape(-1, *x.shape[1:])
    across = y if several else at.ravel()
    figure, (axis,) = panels(1)
    if several:
        axis.axline((y.min(), y.min()), slope=1, color=FAINT, linewidth=1, label="exact")
    else:
        axis.plot(x.ravel(), y, **DOT, color=FAINT, label="data")
    if start is not None:
        look = DOT | {"alpha": 0.3} if several else {"linestyle": DASHES}
        axis.plot(across, _curve(predict, start, at), **look, color=INK, label="start")
    colors = colors_of(params_by_name)
    reach = [y]
    for name, params in params_by_name.items():
        fitted = _curve(predict, params, at)
        if np.isfinite(fitted).all():
            reach.append(fitted.clip(*_padded(y, 1)))
            axis.plot(across, fitted, **(DOT if several else {}), color=colors[name], label=short(name))
        else:
            axis.plot([], [], color=colors[name], label=f"{short(name)} (diverged)")
    axis.set_ylim(_padded(np.concatenate(reach), 0.06))
    axis.set_xlabel(short(names[0]) if not several else f"{short(names[1])}, observed")
    axis.set_ylabel(short(names[1]) if not several else f"{short(names[1])}, predicted")
    figure.legend(loc="outside right upper")
    return figure


@rc_context(STYLE)
def fitted_path(
    predict: Predict,
    x: ArrayLike,
    y: ArrayLike,
    *,
    paths: Mapping[str, ArrayLike],
    target: ArrayLike | None = None,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """Draw how a curve bends onto its data: the model at epochs 0, 1, 2, 4, 8, ..., one panel per path.

    Parameters
    ----------
    predict : callable
        `predict(params, x)` -> (n,).
    x, y : array, shape (n,)
        The data; of more than a thousand samples a thousand are drawn.
    paths : mapping of str to array, shape (epochs + 1, P)
        The parameters of a run at each epoch, by the run's name.
    target : array, shape (P,), optional
        Parameters of the curve behind the data, if they are known.
    xlim, ylim : pair of float, optional
        The view. Without them the data's range and what the curves from epoch 1 on reach, within as much again above
        and below the data.
    names : pair of str, optional
        What x and y are called.
    """
    x, y = _some(np.ravel(x), y)
    at = _along(*(xlim or (x.min(), x.max())))
    last = max(len(np.asarray(path)) for path in paths.values()) - 1
    epochs = sorted({0, last} | {2**k for k in range(last.bit_length())})
    colors = colors_of(epochs)
    figure, axes = panels(len(paths))
    reach = [y]
    for axis, (name, path) in zip(axes, paths.items(), strict=True):
        axis.plot(x, y, **DOT, color=FAINT, label="data")
        if target is not None:
            axis.plot(at, _curve(predict, target, at), color=TARGET, linewidth=6, alpha=0.45, label="target")
        params_at = np.asarray(path)
        finite = np.isfinite(params_at).all(axis=1)
        for epoch in epochs:
            if epoch < len(finite) and finite[epoch]:
                curve = _curve(predict, params_at[epoch], at)
                axis.plot(at, curve, color=colors[epoch], linestyle="-" if epoch else DASHES)
                reach += [curve] if epoch else []
        axis.set_title(short(name) if finite.all() else f"{short(name)} (diverged)")
    axes[0].set_xlim(at[0], at[-1])
    axes[0].set_ylim(ylim or _view(y, reach))
    figure.supxlabel(short(names[0]))
    figure.supylabel(short(names[1]))
    key(figure, [text(epoch) for epoch in epochs], list(colors.values()), "epoch")
    return figure


def _some(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Keep what can be told apart in a figure: a thousand samples, evenly taken."""
    x, y = np.asarray(x), np.asarray(y)
    some = spread(range(len(y)), 1000)
    return x[some], y[some]


def _curve(predict: Predict, params: ArrayLike, x: Array) -> Array:
    # What has diverged overflows, and is then not drawn.
    with np.errstate(all="ignore"):
        return predict(np.asarray(params, dtype=float), x)


def _along(first: float, last: float) -> Array:
    return np.linspace(first, last, 241)


def _view(y: Array, reach: Sequence[Array]) -> tuple[float, float]:
    low, high = _padded(y, 1)
    return _padded(np.clip(np.concatenate(reach), low, high), 0.06)


def _padded(values: Array, share: float) -> tuple[float, float]:
    margin = share * (np.ptp(values) or 1)
    return values.min() - margin, values.max() + margin


@rc_context(STYLE)
def parameter_path(trajectory: pd.DataFrame, frame: pd.DataFrame, *, reference: ArrayLike | None = None) -> Figure:
    """Draw the way of the parameters: how far each is from where it should end, and the path of each pair.

    Distances are on a logarithmic axis, where a far start and the last digits both have room. In the panels
    of pairs, drawn for two or three parameters, each run is scaled to its own largest distance, so that near
    and far starts compare: a circle is the start, the cross in the middle the end.

    Parameters
    ----------
    trajectory : DataFrame
        `config_id`, `epoch` and one column `param_<name>` per parameter, for a few runs; five are drawn.
    frame : DataFrame
        One row per configuration; runs are named by what differs between them.
    reference : array, shape (P,), optional
        Where the parameters should end. Without it, where the run of the lowest final loss did.
    """
    names = [name for name in trajectory.columns if name.startswith("param_")]
    finite = trajectory[np.isfinite(trajectory[names]).all(axis=1)]
    runs = frame[frame["config_id"].isin(finite["config_id"])]
    ended = runs[np.isfinite(runs["final_loss"])]
    if finite["epoch"].nunique() < 2 or ended.empty:
        return nothing("No path to show: that takes two epochs, and a run that does not diverge.")
    end = np.asarray(reference)
    if reference is None:
        best = ended["config_id"].iloc[ended["final_loss"].argmin()]
        end = finite.loc[finite["config_id"] == best, names].iloc[-1].to_numpy()
    shown = runs.iloc[spread(range(len(runs)), 5)]
    titles = _names_of_runs(shown)
    colors = colors_of(titles)
    pairs = list(combinations(range(len(names)), 2)) if len(names) <= 3 else []
    figure, axes = panels(len(names) + len(pairs), share=False)
    for title, config_id in zip(titles, shown["config_id"], strict=True):
        path = finite[finite["config_id"] == config_id]
        distance = path[names].to_numpy() - end
        for axis, one in zip(axes, np.abs(distance).T, strict=False):
            if one.any():
                axis.plot(path["epoch"], one, color=colors[title])
        _draw_pairs(axes[len(names) :], pairs, distance, colors[title])
    called = [short(label(name), 16) for name in names]
    for axis, name in zip(axes, called, strict=False):
        if not axis.lines:
            say(axis, f"{name} stays where it is")
            continue
        log_scale(axis)
        axis.set(title=f"distance of {name}", xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axis, (i, j) in zip(axes[len(names) :], pairs, strict=True):
        axis.plot(0, 0, "+", color=INK, markersize=12, zorder=0.9)
        limits, ticks = (-1.1, 1.1), (-1, 0, 1)
        axis.set(xlabel=called[i], ylabel=called[j], xlim=limits, ylim=limits, xticks=ticks, yticks=ticks)
    if len(titles) > 1:
        key(figure, list(colors), list(colors.values()), "run")
    caption(
        figure,
        "Distances from where the best run ended." if reference is None else "Distances from the reference.",
        bool(pairs) and "In pairs each run is scaled to its largest.",
        len(shown) < len(runs) and f"{len(shown)} of {len(runs)} runs.",
    )
    return figure


def _draw_pairs(axes: Sequence[Axes], pairs: Sequence[tuple[int, int]], distance: Array, color: str) -> None:
    largest = np.abs(distance).max(axis=0)
    scaled = distance / np.where(largest > 0, largest, 1)
    for axis, (i, j) in zip(axes, pairs, strict=True):
        axis.plot(scaled[:, i], scaled[:, j], ".-", color=color)
        axis.plot(scaled[0, i], scaled[0, j], "o", color=color, markerfacecolor="white")


def _names_of_runs(runs: pd.DataFrame) -> list[str]:
    """Name runs by what differs between them, one thing a line."""
    differing = [name for name in [*CHOICES, "init", "seed"] if varies(runs, name)] or ["config_id"]
    return [
        "\n".join(
            short(value) if isinstance(value, str) else f"{label(str(name))} {text(value)}"
            for name, value in run.items()
        )
        for run in runs[differing].to_dict("records")
    ]
