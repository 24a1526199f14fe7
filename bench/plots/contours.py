"""The way of the parameters over the surface of the loss."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bench.plots.style import (
    INK,
    PALETTE,
    STYLE,
    add_caption,
    empty_figure,
    panels,
    round_ticks,
    shorten,
    spread_evenly,
    title_length,
)
from kernels.run import Floats

GRID_SIZE = 51
# From level to level the distance to the lowest loss changes by this factor, which halves the width of a parabola.
FACTOR, LEVELS = 4.0, 9
# A level around fewer points of the grid has corners.
MIN_POINTS_INSIDE = 40
MAX_EPOCHS = 200


@rc_context(STYLE)
def contours(loss: Callable[[Floats], Floats], paths: Mapping[str, ArrayLike], *, names: Sequence[str]) -> Figure:
    """Draw paths of the parameters over contours of the loss, one panel per path.

    Of more than two parameters the two that move most are shown. The contours are those of the plane through the end
    of the path: the other parameters are held where they ended, so that early on, while these are elsewhere, a path
    may seem to climb.

    Parameters
    ----------
    loss : callable
        Parameters, shape (k, P), to losses, shape (k,).
    paths : mapping of str to array, shape (epochs + 1, P)
        The parameters of a run at each epoch, by the run's name. What is not finite is left out.
    names : sequence of str
        What the parameters are called.
    """
    finite = {name: path[np.isfinite(path).all(axis=1)] for name, path in _to_arrays(paths).items()}
    moving = {name: path for name, path in finite.items() if len(path) > 1 and np.ptp(path, axis=0).any()}
    if not moving or len(names) < 2:
        return empty_figure("No path over the loss to show: that takes two parameters, and a run of two epochs.")
    moved = np.max([np.ptp(path, axis=0) for path in moving.values()], axis=0)
    first, second = sorted(np.argsort(-moved, kind="stable")[:2])
    figure, axes = panels(len(moving), share=False)
    for axis, (name, path) in zip(axes, moving.items(), strict=True):
        x, y = (_panel_grid(path[:, k]) for k in (first, second))
        points = np.tile(path[-1], (GRID_SIZE * GRID_SIZE, 1))
        points[:, first], points[:, second] = (side.ravel() for side in np.meshgrid(x, y))
        height = loss(points).reshape(GRID_SIZE, GRID_SIZE)
        axis.grid(visible=False)
        levels = _contour_levels(height)
        if levels.size:
            grays = np.linspace(0.62, 1.0, levels.size + 1)
            axis.contourf(x, y, height, levels, colors=[str(gray) for gray in grays], extend="both")
            axis.contour(x, y, height, levels, colors="#8a8a8a", linewidths=0.5)
        shown = path[spread_evenly(range(len(path)), MAX_EPOCHS)]
        axis.plot(shown[:, first], shown[:, second], ".-", color=PALETTE[0], linewidth=1.5, markersize=5)
        axis.plot(*path[0, [first, second]], "o", color=PALETTE[0], markerfacecolor="white")
        axis.plot(*path[-1, [first, second]], "+", color=INK, markersize=12, markeredgewidth=2)
        axis.set(title=shorten(name, title_length(len(moving))), xlim=x[[0, -1]], ylim=y[[0, -1]])
        round_ticks(axis.xaxis, 4)
        round_ticks(axis.yaxis, 5)
    figure.supxlabel(shorten(names[first], 16))
    figure.supylabel(shorten(names[second], 16))
    held = [shorten(name, 16) for k, name in enumerate(names) if k not in (first, second)]
    add_caption(
        figure,
        f"The darker, the lower the loss; each line is {FACTOR:g} times as far above the lowest as the next.",
        bool(held) and f"Held where the run ended: {', '.join(held[:6])}.",
        len(moving) < len(paths) and f"{len(moving)} of {len(paths)} runs: the others do not move.",
    )
    return figure


def _to_arrays(paths: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    return {name: np.asarray(path, dtype=float) for name, path in paths.items()}


def _panel_grid(path: Floats) -> Floats:
    """Where a panel is evaluated along one parameter: as far as the path, but not much farther than its start."""
    end = path[-1]
    reach = 3 * (abs(path[0] - end) or np.abs(path - end).max() or abs(end) or 1.0)
    low, high = max(path.min(), end - reach), min(path.max(), end + reach)
    margin = 0.15 * (high - low) or reach / 3
    return np.linspace(low - margin, high + margin, GRID_SIZE)


def _contour_levels(height: Floats) -> Floats:
    """Levels between the lowest and the highest loss, as far as they are round lines in a panel."""
    found = np.sort(height[np.isfinite(height)])
    if found.size <= MIN_POINTS_INSIDE or found[0] == found[-1]:
        return np.empty(0)
    powers = np.arange(LEVELS, 0, -1)
    levels: Floats = found[0] + (found[-1] - found[0]) / FACTOR ** powers.astype(float)
    least: float = found[MIN_POINTS_INSIDE]
    return np.array([level for level in levels if level > least])
