"""Paths of the parameters over the loss surface."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bench.charts.choices import spread_evenly
from bench.charts.colors import PALETTE
from bench.plots.style import INK, STYLE, add_caption, empty_figure, panels, round_ticks, title_length
from bench.tables.formatting import shorten
from kernels.base.run import Floats

GRID_SIZE = 51
# The factor of the distance to the lowest loss from level to level: it halves the width of a parabola.
FACTOR, LEVELS = 4.0, 9
# A level around fewer points of the grid would have corners.
MIN_POINTS_INSIDE = 40
MAX_EPOCHS = 200


@rc_context(STYLE)
def contours(
    loss: Callable[[Floats], Floats],
    paths: Mapping[str, ArrayLike],
    *,
    names: Sequence[str],
    standardized: bool = False,
) -> Figure:
    """Draw paths of the parameters over contours of the loss, one panel per path.

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
        return empty_figure("No path over the loss to show: it requires two parameters and a run of two epochs.")
    moved = np.max([np.ptp(path, axis=0) for path in moving.values()], axis=0)
    first, second = sorted(np.argsort(-moved, kind="stable")[:2])
    longest = max(map(len, moving.values()))
    cut = []
    figure, axes = panels(len(moving), sharex=False, sharey=False)
    for axis, (name, path) in zip(axes, moving.items(), strict=True):
        x, y = (_panel_grid(path[:, k]) for k in (first, second))
        points = np.tile(path[-1], (GRID_SIZE * GRID_SIZE, 1))
        points[:, first], points[:, second] = (side.ravel() for side in np.meshgrid(x, y))
        height = loss(points).reshape(GRID_SIZE, GRID_SIZE)
        axis.grid(visible=False)
        levels = _contour_levels(height)
        if levels.size:
            grays = np.linspace(0.62, 1.0, levels.size + 1)
            # Up to the highest loss: to be filled, a single level needs another one above it.
            filled = [*levels, np.max(height, where=np.isfinite(height), initial=-np.inf)]
            axis.contourf(x, y, height, filled, colors=[str(gray) for gray in grays], extend="min")
            axis.contour(x, y, height, levels, colors="#8a8a8a", linewidths=0.5)
        points = path[spread_evenly(range(len(path)), MAX_EPOCHS)]
        axis.plot(points[:, first], points[:, second], ".-", color=PALETTE[0], linewidth=1.5, markersize=5)
        axis.plot(*path[0, [first, second]], "o", color=PALETTE[0], markerfacecolor="white")
        axis.plot(*path[-1, [first, second]], "+", color=INK, markersize=12, markeredgewidth=2)
        axis.set(title=shorten(name, title_length(len(moving))), xlim=x[[0, -1]], ylim=y[[0, -1]])
        cut.append(
            any(path[:, k].min() < side[0] or path[:, k].max() > side[-1] for k, side in ((first, x), (second, y)))
        )
        round_ticks(axis.xaxis, 4)
        round_ticks(axis.yaxis, 5)
    units = " (standardized)" if standardized else ""
    figure.supxlabel(shorten(names[first], 16) + units)
    figure.supylabel(shorten(names[second], 16) + units)
    fixed = [shorten(name, 16) for k, name in enumerate(names) if k not in (first, second)]
    add_caption(
        figure,
        f"Darker is lower. Each line is {FACTOR:g} times as far above the lowest loss as the next.",
        bool(fixed) and f"Surface at the final value of {', '.join(fixed[:6])}.",
        longest > MAX_EPOCHS and f"{MAX_EPOCHS} of up to {longest:,} checkpoints of a path are drawn.",
        any(cut) and "Where a path leaves a panel it goes far beyond.",
        len(moving) < len(paths) and f"{len(moving)} of {len(paths)} runs: the others do not move.",
    )
    return figure


def _panel_grid(path: Floats) -> Floats:
    """Return the grid along one parameter: the range of the path, cut off far beyond its start and most of it."""
    end = path[-1]
    distances = np.abs(path - end)
    usual = max(distances[0], np.quantile(distances, 0.8, method="lower"))
    reach = 3 * (usual or distances.max() or abs(end) or 1.0)
    low, high = max(path.min(), end - reach), min(path.max(), end + reach)
    margin = 0.15 * (high - low) or reach / 3
    return np.linspace(low - margin, high + margin, GRID_SIZE)


def _contour_levels(height: Floats) -> Floats:
    """Return the levels between the lowest and the highest loss that enclose enough points to be smooth lines."""
    heights = np.sort(height[np.isfinite(height)])
    if heights.size <= MIN_POINTS_INSIDE or heights[0] == heights[-1]:
        return np.empty(0)
    powers = np.arange(LEVELS, 0, -1)
    levels: Floats = heights[0] + (heights[-1] - heights[0]) / FACTOR ** powers.astype(float)
    # Where losses differ by little more than rounding, levels may be the same.
    return np.unique(levels[(levels > heights[MIN_POINTS_INSIDE]) & (levels < heights[-1])])
