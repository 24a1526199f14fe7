"""Maps of the samples to the target, or of the loss, by learning rate and batch size."""

from itertools import product
from math import ceil
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from bench.charts.choices import spread_evenly
from bench.charts.colors import FAINT
from bench.charts.loss_axis import PLAIN, LossAxis
from bench.plots.shades import DIVERGED_COLOR, DIVERGED_MARK, MISSED_MARK, SOME_DIVERGED_MARK, Shades, make_shades
from bench.plots.style import EDGE, INK, STYLE, WIDTH, add_caption, add_legend, panels
from bench.tables.costs import settle_cost
from bench.tables.formatting import shorten, text
from bench.tables.words import describe_batch_size
from kernels.base.run import Floats

MAX_MAPS = 3  # optimizers, and starts: with more there is no room for numbers in the cells
# In inches. Width and height are those of all maps together; the gap is between neighbours.
MAPS_WIDTH, MAPS_HEIGHT, MAP_GAP = 5.9, 2.4, 0.12
TITLE_HEIGHT, DIGIT_WIDTH, LETTER_WIDTH = 0.3, 0.065, 0.075
SQUARE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5]])


@rc_context(STYLE)
def rate_map(
    frame: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    edges: pd.DataFrame | None = None,
    samples: int | None = None,
    shown: LossAxis = PLAIN,
) -> Figure:
    """Draw maps of samples to the target, learning rate by batch size: one for each optimizer and start.

    Where no run reached a target, losses are `shown` in their place: those by which choices are ranked. The color of a
    cell is the median over seeds and over random starts of one name; it is white where most runs miss the target, or
    have no finite loss. A cross marks a cell all of whose runs diverged, a triangle one where some did. Each optimizer
    has the schedule and the order of its best choice. Of more than three optimizers the best three are shown, and of
    more than three starts three that are evenly spread.

    `outcomes` are those of the choices of the frame (`bench.tables.outcomes`). The largest stable rates, the `edges`,
    are drawn as a line (`bench.analysis.convergence.theory_tables`). A batch of all `samples` is called full.
    """
    reached = bool(frame["samples_to_target"].notna().any())
    measure = settle_cost("samples", reached=reached, held_out="validation_loss" in frame)
    axis_of_losses = shown.held_out if measure == "validation_loss" else shown
    diverged = int((frame["status"] == "diverged").sum())
    shared = [name for name in ("schedule", "shuffle", "dtype") if name in outcomes]
    leading = outcomes.drop_duplicates("optimizer")
    cells = outcomes.merge(leading[["optimizer", *shared]], on=["optimizer", *shared])
    optimizers = leading["optimizer"].astype(str).tolist()
    starts = outcomes["start"].unique().tolist()
    starts = starts[1:] or starts
    rows, columns = optimizers[:MAX_MAPS], spread_evenly(starts, MAX_MAPS)
    rates, sizes = np.unique(cells["lr"]), np.unique(cells["batch_size"])
    # The medians, infinite where most runs miss the target or diverge, and the shares that diverged; nan: no runs.
    costs, lost = np.full((2, len(rows) * len(columns), len(sizes), len(rates)), np.nan)
    for number, (optimizer, start) in enumerate(product(rows, columns)):
        own = cells[(cells["optimizer"] == optimizer) & (cells["start"] == start)]
        at = number, np.searchsorted(sizes, own["batch_size"]), np.searchsorted(rates, own["lr"])
        medians = own[f"{measure}_median"].to_numpy(float)
        costs[at] = medians if reached else np.nan_to_num(axis_of_losses.place(medians), nan=np.inf, posinf=np.inf)
        lost[at] = own["diverged"] / own["runs"]

    # All maps share one pair of axes, which is drawn in half the time of a pair for each map.
    figure, (axis,) = panels(1)
    tall = min(max(MAPS_HEIGHT / len(rows), 0.23 * len(sizes)), 3.0)
    figure.set_size_inches(WIDTH, 1.0 + (tall + TITLE_HEIGHT) * len(rows))
    wide, high = MAPS_WIDTH / len(columns) / len(rates), tall / len(sizes)
    right = [number * (len(rates) + MAP_GAP / wide) for number in range(len(columns))]
    up = [-number * (len(sizes) + TITLE_HEIGHT / high) for number in range(len(rows))]
    origins = [(x, y) for y, x in product(up, right)]
    shade = make_shades(list(costs))
    digits, size = int(wide / DIGIT_WIDTH - 0.5) if high > 0.15 else 0, 9 if min(wide, high) > 0.4 else 7
    _draw_cells(axis, costs, lost, origins, shade, digits=digits, fontsize=size, counted=reached)
    if edges is not None:
        stairs = [_edge_line(edges, leading[leading["optimizer"] == optimizer], rates, sizes) for optimizer in rows]
        _draw_edges(axis, [edge for edge in stairs for _ in columns], origins)
    room = int(wide * len(rates) / LETTER_WIDTH)
    for (x, y), (optimizer, start) in zip(origins, product(rows, columns), strict=True):
        title = _map_title(optimizer if len(optimizers) > 1 else "", start if len(starts) > 1 else "", room)
        axis.text(x - 0.5, y + len(sizes) - 0.5 + 0.05 / high, title, fontsize=9, va="bottom")
    _label_axes(axis, rates, [describe_batch_size(size, samples) for size in sizes], right, up, wide=wide)
    title = "samples to target" if reached else axis_of_losses.name("final " if measure == "final_loss" else "")
    add_legend(figure, shade.names, shade.colors, fill(title, 24))
    seeds = frame["seed"].nunique()
    add_caption(
        figure,
        seeds > 1 and f"Medians over {seeds} seeds.",
        f"{diverged:,} of {len(frame):,} runs diverged.",
        len(rows) < len(optimizers) and f"The best {len(rows)} of {len(optimizers)} optimizers.",
        len(columns) < len(starts) and f"{len(columns)} of {len(starts)} starts.",
    )
    return figure


def _map_title(optimizer: str, start: str, room: int) -> str:
    """Return the title of a map, shortened to about that many characters; an empty name is left out."""
    title = shorten(optimizer, 14)
    if not start:
        return title
    return f"{title} from {shorten(start, max(4, room - len(title) - 6))}".strip()


def _draw_cells(
    axis: Axes,
    costs: Floats,
    lost: Floats,
    origins: list[tuple[float, float]],
    shade: Shades,
    *,
    digits: int,
    fontsize: int,
    counted: bool,
) -> None:
    """Draw the cells of all maps with their marks, and the numbers that have few enough digits."""
    rows, columns = (places.ravel() for places in np.indices(costs.shape[1:]))
    at = np.concatenate([np.column_stack([columns + x, rows + y]) for x, y in origins])
    costs, lost = costs.ravel(), lost.ravel()
    colors = shade.of(costs)
    colors[lost == 1] = to_rgba(DIVERGED_COLOR)
    for color in np.unique(colors, axis=0):
        # One patch for all cells of a color: a mesh is drawn cell by cell into an SVG.
        alike = at[(colors == color).all(axis=1)]
        path = Path.make_compound_path_from_polys(alike[:, np.newaxis] + SQUARE)
        # Not add_patch, which looks for the limits of the data, corner by corner.
        axis.add_artist(PathPatch(path, facecolor=tuple(color), edgecolor="#dddddd", linewidth=0.5))
    untrained: Any = {"marker": ".", "color": FAINT, "markersize": 3, "linestyle": ""}
    for where, look, name, shift in (
        (lost == 1, DIVERGED_MARK, "all diverged", 0.0),
        # Into a corner: there may be a number, too.
        ((lost > 0) & (lost < 1), SOME_DIVERGED_MARK, "some diverged", 0.28),
        (np.isnan(costs), untrained, "not trained", 0.0),
    ):
        if where.any():
            axis.plot(*(at[where] + shift).T, **look, label=name)
    if (np.isinf(costs) & ~(lost == 1)).any():
        axis.plot([], [], **MISSED_MARK, label="target missed" if counted else "most diverged")
    dark = colors[:, :3] @ [0.299, 0.587, 0.114] < 0.5
    finite = {place: costs[place] for place in np.flatnonzero(np.isfinite(costs) & (lost < 1))}
    if counted:
        numbers = {place: _write_count(ceil(cost)) for place, cost in finite.items()}
    else:
        numbers = {place: text(float(cost), 3) for place, cost in finite.items()}
    if sum(len(number) > digits for number in numbers.values()) > len(numbers) / 2:
        return  # a few numbers among many that do not fit would look as if they meant more
    for place, number in numbers.items():
        if len(number) <= digits:
            x, y = at[place]
            look = {"color": "white" if dark[place] else INK, "fontsize": fontsize, "in_layout": False}
            axis.text(x, y, number, ha="center", va="center_baseline", **look)


def _write_count(count: int) -> str:
    return str(count) if count < 1e6 else text(float(count), 2)


def _edge_line(edges: pd.DataFrame, leading: pd.DataFrame, rates: Floats, sizes: Floats) -> Floats:
    """Return the edge of an optimizer as a line through the row of each batch size, shape (points, 2), nan outside."""
    own = leading.iloc[0]
    edges = edges[(edges["optimizer"] == own["optimizer"]) & (edges["shuffle"] == own["shuffle"])]
    edge = edges.groupby("batch_size")["predicted_edge"].median().reindex(sizes).to_numpy(float)
    places = np.interp(np.log(edge), np.log(rates), np.arange(len(rates)), left=np.nan, right=np.nan)
    rows = np.arange(len(sizes))
    return np.column_stack([np.repeat(places, 2), np.column_stack([rows - 0.5, rows + 0.5]).ravel()])


def _draw_edges(axis: Axes, stairs: list[Floats], origins: list[tuple[float, float]]) -> None:
    gap = np.full((1, 2), np.nan)
    line = np.concatenate([np.concatenate([edge + origin, gap]) for edge, origin in zip(stairs, origins, strict=True)])
    if np.isfinite(line[:, 0]).any():
        axis.plot(*line.T, color=EDGE, linewidth=2.5, solid_capstyle="butt", label="edge of stability")


def _label_axes(
    axis: Axes, rates: Floats, sizes: list[str], right: list[float], up: list[float], *, wide: float
) -> None:
    """Label the learning rates below each column of maps, of cells so `wide`, and the batch sizes beside each row."""
    names = [f"{rate:.3g}" for rate in rates]
    step = ceil((max(map(len, names)) + 1) * DIGIT_WIDTH / wide)  # so that labels are apart
    across, along = range(0, len(rates), step), spread_evenly(range(len(sizes)), 8)
    named, sized = [names[place] for place in across], [sizes[place] for place in along]
    axis.set_xticks([place + x for x in right for place in across], named * len(right))
    axis.set_yticks([place + y for y in up for place in along], sized * len(up))
    axis.tick_params(labelsize=8)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set(
        xlim=(-0.5, right[-1] + len(rates) - 0.5),
        ylim=(up[-1] - 0.5, len(sizes) - 0.5),
        xlabel="learning rate",
        ylabel="batch size",
    )
