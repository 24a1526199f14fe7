"""The chart of paths of the parameters over the loss surface."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sgdbench.charts.chart import Axis, Chart, Layer, Line, Panel, Points, Surface, panel_columns
from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.colors import PALETTE
from sgdbench.charts.ticks import linear_ticks
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import NO_PATHS, join_sentences, say_paths, say_surface
from sgdbench.tables.formatting import shorten

GRID_SIZE = 51
# The factor of the distance to the lowest loss from level to level: it halves the width of a parabola.
FACTOR, LEVELS = 4.0, 9
# A level around fewer points of the grid would have corners.
MIN_POINTS_INSIDE = 40
MAX_EPOCHS = 200
LETTERS = 16  # of the name of a parameter


def contour_chart(
    loss: Callable[[Floats], Floats],
    paths: Mapping[str, ArrayLike],
    *,
    names: Sequence[str],
    standardized: bool = False,
) -> Chart:
    """Return the chart of paths of the parameters over contours of the loss, one panel per path.

    Of more than two parameters the two that move most are drawn. The contours belong to the plane through the end of
    the path, in which the other parameters have their final values. While these are still elsewhere, a path may
    therefore seem to climb.

    `loss` takes parameters, shape (k, P), to losses, shape (k,). Each path has the parameters at some checkpoints,
    shape (checkpoints, P); values that are not finite are left out.
    """
    arrays = {name: np.asarray(path, dtype=float) for name, path in paths.items()}
    finite = {name: path[np.isfinite(path).all(axis=1)] for name, path in arrays.items()}
    moving = {name: path for name, path in finite.items() if len(path) > 1 and np.ptp(path, axis=0).any()}
    if not moving or len(names) < 2:
        return Chart((), notes=NO_PATHS)
    moved = np.max([np.ptp(path, axis=0) for path in moving.values()], axis=0)
    first, second = sorted(np.argsort(-moved, kind="stable")[:2].tolist())
    longest = max(map(len, moving.values()))
    columns = panel_columns(len(moving))
    titles = [shorten(names[place], LETTERS) + " (standardized)" * standardized for place in (first, second)]
    cut, panels = [], []
    for name, path in moving.items():
        surface = _make_surface(loss, path, first, second)
        across, along = (
            Axis((float(side[0]), float(side[-1])), title, ticks=linear_ticks(side[0], side[-1]), grid=False)
            for side, title in zip((surface.x, surface.y), titles, strict=True)
        )
        x, y = path[spread_evenly(range(len(path)), MAX_EPOCHS)][:, [first, second]].T
        layers: list[Layer] = [
            surface,
            Line(x, y, PALETTE[0], width=1.5),
            Points(x, y, PALETTE[0], size=4.0),
            Points(x[:1], y[:1], PALETTE[0], marker="circle"),
            Points(x[-1:], y[-1:], size=12.0, marker="plus"),
        ]
        panels.append(Panel(across, along, layers, shorten(name, 20 if columns == 3 else 32)))
        low, high = path[:, [first, second]].min(axis=0), path[:, [first, second]].max(axis=0)
        cut.append((low < (surface.x[0], surface.y[0])).any() or (high > (surface.x[-1], surface.y[-1])).any())
    fixed = [shorten(name, LETTERS) for place, name in enumerate(names) if place not in (first, second)]
    notes = join_sentences(
        *say_surface(FACTOR, fixed[:6]),
        *say_paths(MAX_EPOCHS, longest, len(moving), len(paths), is_cut=any(cut)),
    )
    return Chart(panels, notes=notes, columns=columns)


def _make_surface(loss: Callable[[Floats], Floats], path: Floats, first: int, second: int) -> Surface:
    """Return the loss around a path, in the plane of two parameters through its end."""
    x, y = (_panel_grid(path[:, place]) for place in (first, second))
    points = np.tile(path[-1], (GRID_SIZE * GRID_SIZE, 1))
    points[:, first], points[:, second] = (side.ravel() for side in np.meshgrid(x, y))
    heights = loss(points).reshape(GRID_SIZE, GRID_SIZE)
    return Surface(x, y, heights, _contour_levels(heights))


def _panel_grid(path: Floats) -> Floats:
    """Return the grid along one parameter: the range of the path, cut off far beyond its start and most of it."""
    end = path[-1]
    distances = np.abs(path - end)
    usual = max(distances[0], np.quantile(distances, 0.8, method="lower"))
    reach = 3 * (usual or distances.max() or abs(end) or 1.0)
    low, high = max(path.min(), end - reach), min(path.max(), end + reach)
    margin = 0.15 * (high - low) or reach / 3
    return np.linspace(low - margin, high + margin, GRID_SIZE)


def _contour_levels(heights: Floats) -> Floats:
    """Return the levels between the lowest and the highest loss that enclose enough points to be smooth lines."""
    ordered = np.sort(heights[np.isfinite(heights)])
    if ordered.size <= MIN_POINTS_INSIDE or ordered[0] == ordered[-1]:
        return np.empty(0)
    powers = np.arange(LEVELS, 0, -1)
    levels: Floats = ordered[0] + (ordered[-1] - ordered[0]) / FACTOR ** powers.astype(float)
    # Where losses differ by little more than rounding, levels may be the same.
    return np.unique(levels[(levels > ordered[MIN_POINTS_INSIDE]) & (levels < ordered[-1])])
