"""Maps of the outcome by learning rate and batch size."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.charts.chart import Axis, Cells, Chart, Key, Layer, Line, Panel, Points
from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.loss_axis import PLAIN, LossAxis
from sgdbench.charts.shades import Shades, make_shades
from sgdbench.charts.ticks import Says, places
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import (
    BEST_OPTIMIZERS,
    DRAWN_STARTS,
    caption_maps,
    describe_cell,
    describe_cell_runs,
    join_sentences,
    say_diverged,
    say_map_medians,
    say_part,
)
from sgdbench.tables.costs import COST_NAMES, choice_columns
from sgdbench.tables.formatting import duration, shorten, text
from sgdbench.tables.rank import varies
from sgdbench.tables.words import describe_batch_size, describe_order

MAX_MAPS = 3  # of optimizers, and of starts, in a figure: with more there is no room for numbers in the cells
SHARE = "share"
SHARES = Shades([0.0, 0.25, 0.5, 0.75, 1.0], ["all runs", "at least 75 %", "at least 50 %", "at least 25 %", "fewer"])
MARKS = {"cross": "most diverged", "triangle": "some diverged"}
UNTRAINED = Key("not trained", "data", "dot")
EDGE = Key("edge of stability", "edge")


class Grid(NamedTuple):
    """The learning rates and the batch sizes of maps, their axes, on which all are equally wide, and where cells are.

    Cells stand row by row of the batch sizes, at `x` and `y`.
    """

    rates: Floats
    sizes: Floats
    across: Axis
    along: Axis
    x: Floats
    y: Floats


class Map(NamedTuple):
    """The row of outcomes of each cell, -1 where nothing was trained, words about it, and the edge of stability.

    The edge is a line through the row of each batch size, shape (points, 2), NaN outside of the map.
    """

    rows: NDArray[np.intp]
    edge: Floats
    group: str = ""
    words: Sequence[str] = ()


class Measure(NamedTuple):
    """A measure of outcomes: of each its cost, which is infinite where it failed, and its text.

    `counts`, shape (3, outcomes), are the numbers of all, of diverged and of converged runs. `says` writes the
    limits of the shades.
    """

    title: str
    counts: NDArray[np.int64]
    costs: Floats
    texts: Sequence[str]
    failure: str = "most missed the target"
    says: Says | None = None
    shades: Shades = SHARES


def rate_maps(
    outcomes: pd.DataFrame,
    measures: Sequence[str],
    *,
    shown: LossAxis = PLAIN,
    target: float | None = None,
    edges: pd.DataFrame | None = None,
    samples: int | None = None,
) -> list[dict[str, Chart]]:
    """Return, for each start of outcomes, the chart of each measure, with a group of layers for each map.

    The charts of all starts have the same cells, also where one start lacks some: a cell for each learning rate and
    batch size. All cells of a map have the same other settings, which name the group (`name_map`). The tone of a cell
    is the median of its runs. A cross marks a cell most of whose runs diverged, and a triangle one where some did. The
    measure `SHARE` is the share of runs that reached the target.

    The largest stable rates, the `edges`, are drawn as a line (`sgdbench.analysis.convergence.theory_tables`). A batch
    of all `samples` is called full.
    """
    grid, by = _make_grid(outcomes, samples), map_settings(outcomes)
    height = 1.1 + min(5.5, max(0.31, 0.62 - 0.024 * len(grid.sizes)) * len(grid.sizes))
    by_start = []
    for _, cells in outcomes.groupby("start", sort=False):
        words, maps = [describe_cell_runs(row, target) for row in cells.to_dict("records")], []
        for rows, choice in _find_maps(cells, grid):
            name = name_map(choice, by)
            maps.append(Map(rows, _edge_line(edges, choice, grid), name, _describe_cells(name, rows, words, grid)))
        charts = {}
        for name in measures:
            measure = _measure(cells, name, shown)
            if name != SHARE:
                measure = measure._replace(shades=make_shades([measure.costs], measure.says))
            layers = [layer for own in maps for layer in _draw_map(own, measure, grid)]
            panel = Panel(grid.across, grid.along, layers)
            charts[name] = Chart([panel], _keys(layers, measure), legend=measure.title, height=height)
        by_start.append(charts)
    return by_start


def rate_map_figure(
    outcomes: pd.DataFrame,
    measure: str,
    *,
    shown: LossAxis = PLAIN,
    edges: pd.DataFrame | None = None,
    samples: int | None = None,
) -> Chart:
    """Return the chart of a measure with one map for each optimizer and start, side by side.

    Each optimizer has the schedule and the order of its best choice. Of more than three optimizers the best three are
    shown, and of more than three starts three that are evenly spread. See `rate_maps`.
    """
    shared = [name for name in ("optimizer", "schedule", "shuffle", "dtype") if name in outcomes]
    leading = outcomes.drop_duplicates("optimizer")
    optimizers, starts = leading["optimizer"].astype(str).tolist(), outcomes["start"].unique().tolist()
    starts = starts[1:] or starts
    rows, columns = optimizers[:MAX_MAPS], spread_evenly(starts, MAX_MAPS)
    cells = outcomes[outcomes["start"].isin(columns)].merge(leading[shared], on=shared)
    grid, drawn = _make_grid(cells, samples), _measure(cells, measure, shown)
    maps = {(str(own["optimizer"]), own["start"]): places for places, own in _find_maps(cells, grid)}
    untrained = np.full(grid.x.size, -1)
    chosen = {name: maps.get(name, untrained) for name in product(rows, columns)}
    drawn = drawn._replace(shades=make_shades([drawn.costs[own[own >= 0]] for own in chosen.values()], drawn.says))
    named = leading.set_index("optimizer", drop=False)
    stairs = {str(name): _edge_line(edges, own, grid) for name, own in named.iterrows()}
    panels = []
    for (optimizer, start), own in chosen.items():
        layers = _draw_map(Map(own, stairs[optimizer]), drawn, grid)
        title = _title(optimizer if len(optimizers) > 1 else "", start if len(starts) > 1 else "")
        panels.append(Panel(grid.across, grid.along, list(layers), title))
    over_starts = outcomes[outcomes["start"] == outcomes["start"].iloc[0]]
    few, most = cells["runs"].min(), cells["runs"].max()
    notes = join_sentences(
        most > 1 and say_map_medians(few, most),
        say_diverged(over_starts["diverged"].sum(), over_starts["runs"].sum()),
        say_part(BEST_OPTIMIZERS, len(rows), len(optimizers)),
        say_part(DRAWN_STARTS, len(columns), len(starts)),
    )
    tall = min(max(2.4 / len(rows), 0.23 * len(grid.sizes)), 3.0)
    return Chart(
        panels,
        _keys([layer for panel in panels for layer in panel.layers], drawn),
        legend=drawn.title,
        caption=caption_maps(measure),
        notes=notes,
        columns=len(columns),
        height=1.0 + (tall + 0.3) * len(rows),
    )


def _title(optimizer: str, start: str) -> str:
    """Return the title of a map, shortened to about as many characters as it has room for; empty names are left out."""
    title = shorten(optimizer, 14)
    return f"{title} from {shorten(start, max(4, 19 - len(title)))}".strip() if start else title


def map_settings(outcomes: pd.DataFrame) -> list[str]:
    """Return the settings that tell maps apart: the optimizer, and others that vary."""
    others = [name for name in choice_columns(outcomes) if name not in ("optimizer", "lr", "batch_size")]
    return ["optimizer", *(name for name in others if varies(outcomes, name))]


def name_map(settings: "pd.Series | Mapping[Any, Any]", by: Sequence[str]) -> str:
    """Return the name of the map of a choice, from the settings `by` which maps are told apart."""
    named = [settings[name] for name in by]
    return ", ".join(describe_order(bool(one)) if isinstance(one, bool | np.bool) else text(one) for one in named)


def _make_grid(outcomes: pd.DataFrame, samples: int | None) -> Grid:
    rates, sizes = np.unique(outcomes["lr"]), np.unique(outcomes["batch_size"])
    names = [[text(rate) for rate in rates], [describe_batch_size(size, samples) for size in sizes]]
    across, along = (
        Axis((-0.5, len(own) - 0.5), title, ticks=places(own), grid=False)
        for own, title in zip(names, ("learning rate", "batch size"), strict=True)
    )
    y, x = np.indices((len(sizes), len(rates))).reshape(2, -1).astype(float)
    return Grid(rates, sizes, across, along, x, y)


def _find_maps(outcomes: pd.DataFrame, grid: Grid) -> Iterator[tuple[NDArray[np.intp], pd.Series]]:
    """Yield the row of each cell of a map, -1 where nothing was trained, and one of the outcomes."""
    by = ["start", *(name for name in choice_columns(outcomes) if name not in ("lr", "batch_size"))]
    place = np.searchsorted(grid.sizes, outcomes["batch_size"]) * len(grid.rates)
    place += np.searchsorted(grid.rates, outcomes["lr"])
    for own in outcomes.groupby(by, observed=True, sort=False).indices.values():
        rows = np.full(grid.x.size, -1)
        rows[place[own]] = own
        yield rows, outcomes.iloc[own[0]]


def _measure(outcomes: pd.DataFrame, name: str, shown: LossAxis) -> Measure:
    runs, diverged, converged = counts = outcomes[["runs", "diverged", "converged"]].to_numpy().T
    if name == SHARE:
        texts = [f"{part}/{whole}" for part, whole in zip(converged, runs, strict=True)]
        failed = (converged == 0) & (2 * diverged >= runs)
        return Measure("runs that reach the target", counts, np.where(failed, np.inf, 1 - converged / runs), texts)
    costs = outcomes[f"{name}_median"].to_numpy(float)
    if name.endswith("loss"):
        axis = shown.held_out if name == "validation_loss" else shown
        costs = np.nan_to_num(axis.place(costs), nan=np.inf, posinf=np.inf)
        title = axis.name("final " if name == "final_loss" else "").replace("\n", " ")
        return Measure(title, counts, costs, [text(cost, 3) for cost in costs.tolist()], "no finite loss")
    costs = np.nan_to_num(costs, nan=np.inf, posinf=np.inf)
    is_time = name == "seconds"
    texts = [*map(duration if is_time else _format_count, costs.tolist())]
    return Measure(COST_NAMES[name], counts, costs, texts, says=duration if is_time else None)


def _format_count(count: float) -> str:
    """Write a count to three digits: 48, 1.65k or 2M."""
    if not 1000 <= (rounded := float(f"{count:.3g}")) < 1e9:
        return text(count, 3)
    return f"{rounded / 1e3:.3g}k" if rounded < 1e6 else f"{rounded / 1e6:.3g}M"


def _describe_cells(name: str, rows: NDArray[np.intp], words: Sequence[str], grid: Grid) -> list[str]:
    """Return the words about the cells of a map, from the `words` about each outcome."""
    rates, sizes = (axis.ticks[0].labels for axis in (grid.across, grid.along))
    return [
        describe_cell(name, rate, size, words[row] if row >= 0 else UNTRAINED.name)
        for (size, rate), row in zip(product(sizes, rates), rows.tolist(), strict=True)
    ]


def _draw_map(own: Map, measure: Measure, grid: Grid) -> Iterator[Layer]:
    """Yield the cells of a map, their marks and the edge of stability."""
    rows, group, trained = own.rows, own.group, own.rows >= 0
    runs, lost, reached = np.where(trained, measure.counts[:, rows], 0)
    costs = np.where(trained, measure.costs[rows], np.nan)
    failed = trained & ~np.isfinite(costs)
    most = failed & (2 * lost >= runs)
    missed = failed & ~most
    tones: list[float | str] = list(measure.shades.tones_of(costs).tolist())
    texts = [measure.texts[row] for row in rows]
    for place in np.flatnonzero(~trained | failed):
        tones[place] = "missed" if missed[place] else "lost" if most[place] else "paper"
        share = f"{reached[place]}/{runs[place]}" if reached[place] else "\N{EN DASH}"
        texts[place] = share if missed[place] else ""
    x, y = grid.x, grid.y
    yield Cells(x, y, tones, texts, own.words, group)
    corner = 0.28  # in which a mark leaves room for a number
    for marker, there, shift in (("cross", most, 0.0), ("triangle", (lost > 0) & ~most, corner)):
        if there.any():
            yield Points(x[there] + shift, y[there] + shift, marker=marker, size=5, group=group)
    if not trained.all():
        yield Points(x[~trained], y[~trained], "data", size=3, group=group)
    if np.isfinite(own.edge[:, 0]).any():
        yield Line(own.edge[:, 0], own.edge[:, 1], "edge", width=2.5, group=group)


def _edge_line(edges: pd.DataFrame | None, choice: pd.Series, grid: Grid) -> Floats:
    """Return the edge of an optimizer as a line through the row of each batch size, shape (points, 2), NaN outside."""
    if edges is None:
        return np.full((1, 2), np.nan)
    own = edges[(edges["optimizer"] == choice["optimizer"]) & (edges["shuffle"] == choice["shuffle"])]
    edge = own.groupby("batch_size")["predicted_edge"].median().reindex(grid.sizes).to_numpy(float)
    edge = np.where(edge > 0, edge, np.nan)
    places = np.interp(np.log(edge), np.log(grid.rates), np.arange(len(grid.rates)), left=np.nan, right=np.nan)
    rows = np.arange(len(grid.sizes))
    return np.column_stack([np.repeat(places, 2), np.column_stack([rows - 0.5, rows + 0.5]).ravel()])


def _keys(layers: Sequence[Layer], measure: Measure) -> list[Key]:
    """Return the legend of what is in some layers: the shades, then the marks."""
    marks = {layer.marker for layer in layers if isinstance(layer, Points)}
    missed = any("missed" in layer.tones for layer in layers if isinstance(layer, Cells))
    keys = [Key(name, tone, "box") for name, tone in zip(measure.shades.names, measure.shades.tones, strict=True)]
    keys += [Key(name, "ink", marker) for marker, name in MARKS.items() if marker in marks]
    keys += [Key(measure.failure, "missed", "box")] if missed else []
    keys += [UNTRAINED] if "dot" in marks else []
    return [*keys, EDGE] if any(isinstance(layer, Line) for layer in layers) else keys
