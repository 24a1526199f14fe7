"""Maps of the outcome by starting point."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bench.charts.shades import Shades, make_shades
from bench.plots.draw import COLORS, shade_of
from bench.plots.style import INK, STYLE, add_caption, add_legend, panels, round_ticks
from bench.tables.costs import CHOICES, MORE_CHOICES
from bench.tables.formatting import label, shorten, text
from bench.tables.rank import varies
from kernels.base.run import Floats

Extent = tuple[float, float, float, float]

MAX_CROSSES = 12  # along a side; one in each cell would blacken the panel
LETTER = 0.014  # of the width of all panels, in the font of names
DIVERGED_MARK: Any = {"marker": "x", "color": INK, "markersize": 5, "linestyle": ""}
MISSED_MARK: Any = {"marker": "s", "markerfacecolor": "white", "markeredgecolor": "#999999", "linestyle": ""}
ABOVE_NAMES = 4  # names are texts, which lie at 3
END_MARK: Any = {"marker": "+", "color": INK, "markersize": 9, "markeredgewidth": 2, "linestyle": ""}
PANEL_SETTINGS = ["config_id", *CHOICES, *MORE_CHOICES]


@rc_context(STYLE)
def basin_map(
    basin: pd.DataFrame,
    *,
    end: ArrayLike | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    standardized: bool = False,
) -> Figure:
    """Draw the outcome of runs by their start in a plane of two parameters, one panel per choice of settings.

    Colors are samples to the target, or final losses where no run reached one, in classes between quantiles of the
    panels, so that what differs within each can be seen. Crosses are runs that diverged.

    `basin` is a frame as from `bench.analysis.basin.basin`. The `end` of the best run, shape (P,), is a plus. The
    `starts` of the sweep stand with their names; an arrow points to a start outside the plane.
    """
    names = [name for name in basin.columns if name.startswith("param_")]
    across = [name for name in names if varies(basin, name)]
    lost = basin["status"] == "diverged"
    reached = basin["samples_to_target"].notna().any()
    measure = "samples_to_target" if reached else "final_loss"
    values = basin[measure].astype("Float64").fillna(np.inf).astype(float)
    table = basin.assign(value=values, lost=lost).sort_values(across[::-1], kind="stable")
    x, y = (np.unique(basin[name]) for name in across)
    chosen = list(table.groupby(basin.columns.intersection(PANEL_SETTINGS).tolist(), sort=False, observed=True))
    shade = make_shades([plane.loc[~plane["lost"], "value"] for _, plane in chosen])
    figure, axes = panels(len(chosen))
    place = [names.index(name) for name in across]
    for axis, (_, plane) in zip(axes, chosen, strict=True):
        extent = _draw_cells(axis, plane, x, y, shade)
        if end is not None:
            point = np.asarray(end, dtype=float)[place]
            axis.plot(*point, "+", color="white", markersize=13, markeredgewidth=4, zorder=ABOVE_NAMES)
            axis.plot(*point, "+", color=INK, markersize=12, markeredgewidth=2, zorder=ABOVE_NAMES)
        points = {name: np.asarray(start, dtype=float)[place] for name, start in (starts or {}).items()}
        letters = 0 if axis is not axes[0] else 16 if len(axes) == 1 else 10
        _draw_starts(axis, points, extent, letters=letters, columns=1 if len(axes) == 1 else 3)
        if len(chosen) > 1:
            row = plane.iloc[0]
            settings = f"rate {row['lr']:.3g}, batch size {text(row['batch_size'])}"
            axis.set_title(f"{shorten(str(row['optimizer']), 16)}\n{settings}", fontsize=9)
    units = " (standardized)" if standardized else ""
    called = [shorten(label(name), 16) + units for name in across]
    figure.supxlabel(called[0])
    figure.supylabel(called[1])
    for is_there, look, name in (
        (lost.any(), DIVERGED_MARK, "diverged"),
        (reached and (np.isinf(values) & ~lost).any(), MISSED_MARK, "target missed"),
        (end is not None, END_MARK, "end of the best run"),
    ):
        if is_there:
            axes[0].plot([], [], **look, label=name)
    add_legend(figure, shade.names, list(shade_of(shade.tones)), label(measure))
    fixed = ", ".join(
        f"{shorten(label(name), 16)} = {text(basin[name].iloc[0])}" for name in names if name not in across
    )
    add_caption(
        figure,
        f"{x.size * y.size:,} starts{' in each panel' if len(chosen) > 1 else ''}.",
        bool(fixed) and f"All start at {fixed}.",
    )
    return figure


def _draw_cells(axis: Axes, plane: pd.DataFrame, x: Floats, y: Floats, shade: Shades) -> Extent:
    """Draw the cells of a plane, and return their extent."""
    shape = (y.size, x.size)
    lost = plane["lost"].to_numpy().reshape(shape)
    colors = shade_of(shade.tones_of(plane["value"].to_numpy(float).reshape(shape)))
    colors[lost] = to_rgba(COLORS["lost"])
    half = [(side[1] - side[0]) / 2 for side in (x, y)]
    extent = (x[0] - half[0], x[-1] + half[0], y[0] - half[1], y[-1] + half[1])
    axis.grid(visible=False)
    axis.imshow(colors, origin="lower", extent=extent, aspect="auto", interpolation="nearest")
    every = max(1, x.size // MAX_CROSSES)
    marked = slice(every // 2, None, every)
    rows, columns = np.nonzero(lost[marked, marked])
    axis.plot(x[marked][columns], y[marked][rows], **DIVERGED_MARK)
    round_ticks(axis.xaxis, 5)
    round_ticks(axis.yaxis, 6)
    axis.set(xlim=extent[:2], ylim=extent[2:])
    return extent


def _draw_starts(axis: Axes, starts: Mapping[str, Floats], extent: Extent, *, letters: int, columns: int) -> None:
    """Draw the starts, or arrows to them at the border, with their names where these do not overlap."""
    low, high = np.array(extent[::2]), np.array(extent[1::2])
    taken: list[tuple[Floats, Floats]] = []
    for name, start in starts.items():
        at = (start - low) / (high - low)
        marker = "o"
        if not ((at >= 0) & (at <= 1)).all():
            farthest = int(np.argmax(np.abs(at - 0.5)))
            marker = (("<", ">"), ("v", "^"))[farthest][int(at[farthest] > 0)]
            at = 0.5 + (at - 0.5) * 0.47 / abs(at[farthest] - 0.5)
        look: Any = {"color": "white", "markeredgecolor": INK, "markersize": 6, "zorder": ABOVE_NAMES}
        axis.plot(*at, marker, **look, transform=axis.transAxes)
        written = shorten(name, letters or 1)
        size = np.array([LETTER * columns * len(written), 0.07])
        # A name stands towards the middle, as seen from its start.
        middle = at + np.where(at > 0.5, -1, 1) * (size / 2 + (0.015 * columns, 0.03))
        if letters and all((np.abs(middle - other) > (size + its_size) / 2).any() for other, its_size in taken):
            _annotate_start(axis, written, at)
            taken.append((middle, size))


def _annotate_start(axis: Axes, name: str, at: Floats) -> None:
    right, above = at > 0.5
    axis.annotate(
        name,
        tuple(at),
        xycoords="axes fraction",
        xytext=(-6 if right else 6, -6 if above else 6),
        textcoords="offset points",
        ha="right" if right else "left",
        va="top" if above else "bottom",
        fontsize=8,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
    )
