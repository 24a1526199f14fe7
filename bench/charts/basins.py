"""The chart of the outcome by starting point."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sgdbench.charts.chart import Axis, Cells, Chart, Key, Layer, Panel, Points, Texts, panel_columns
from sgdbench.charts.shades import Shades, make_shades
from sgdbench.charts.ticks import linear_ticks
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import caption_basins, join_sentences, say_starts
from sgdbench.tables.costs import CHOICES, MORE_CHOICES
from sgdbench.tables.formatting import label, shorten, text
from sgdbench.tables.rank import varies

MAX_CROSSES = 12  # along a side; one in each cell would blacken the panel
LETTERS = 16  # of a name
# The width of a letter and the height of a name, and their distance from a start, as shares of all panels of a row.
LETTER, HEIGHT, DISTANCE = 0.014, 0.07, (0.015, 0.03)
AT_BORDER = 0.47  # the distance of an arrow from the middle, as a share of the panel
PANEL_SETTINGS = ["config_id", *CHOICES, *MORE_CHOICES]


def basin_chart(
    basin: pd.DataFrame,
    *,
    end: ArrayLike | None = None,
    starts: Mapping[str, ArrayLike] | None = None,
    standardized: bool = False,
) -> Chart:
    """Return the chart of the outcome of runs by their start in a plane of two parameters, a panel for each choice.

    Shades are samples to the target, or final losses where no run reached one, in classes between quantiles of the
    panels, so that what differs within each can be seen. Crosses are runs that diverged.

    `basin` is a frame as from `sgdbench.analysis.basin.basin`. The `end` of the best run, shape (P,), is a plus. The
    `starts` of the sweep stand with their names; an arrow points to a start outside the plane.
    """
    names = [name for name in basin.columns if name.startswith("param_")]
    varied = [name for name in names if varies(basin, name)]
    lost = basin["status"] == "diverged"
    reached = basin["samples_to_target"].notna().any()
    measure = "samples_to_target" if reached else "final_loss"
    values = basin[measure].astype("Float64").fillna(np.inf).astype(float)
    table = basin.assign(value=values, lost=lost).sort_values(varied[::-1], kind="stable")
    x, y = (np.unique(basin[name]) for name in varied)
    titles = [f"{shorten(label(name), LETTERS)}{' (standardized)' * standardized}" for name in varied]
    across, along = (_make_axis(side, title) for side, title in zip((x, y), titles, strict=True))
    settings = basin.columns.intersection(PANEL_SETTINGS).tolist()
    chosen = [own for _, own in table.groupby(settings, sort=False, observed=True)]
    shades = make_shades([own.loc[~own["lost"], "value"] for own in chosen])
    place = [names.index(name) for name in varied]
    ended = None if end is None else np.asarray(end, float)[place]
    points = {name: np.asarray(start, float)[place] for name, start in (starts or {}).items()}
    panels: list[Panel] = []
    for own in chosen:
        layers = list(_draw_cells(own, x, y, shades))
        if not panels:
            layers += _name_starts(points, (across, along), panel_columns(len(chosen)))
        layers += _mark_starts(points, (across, along))
        if ended is not None:
            layers.append(Points(ended[:1], ended[1:], size=12.0, marker="plus"))
        panels.append(Panel(across, along, layers, _title(own.iloc[0]) if len(chosen) > 1 else ""))
    keys = [Key(name, tone, "box") for name, tone in zip(shades.names, shades.tones, strict=True)]
    keys += [Key("diverged", "ink", "cross")] if lost.any() else []
    keys += [Key("target missed", "missed", "box")] if reached and (np.isinf(values) & ~lost).any() else []
    keys += [Key("end of the best run", "ink", "plus")] if ended is not None else []
    fixed = [f"{shorten(label(name), LETTERS)} = {text(basin[name].iloc[0])}" for name in names if name not in varied]
    return Chart(
        panels,
        keys,
        legend=label(measure),
        caption=caption_basins(has_target=bool(reached)),
        notes=join_sentences(*say_starts(x.size * y.size, len(panels), fixed)),
        columns=panel_columns(len(panels)),
    )


def _make_axis(places: Floats, title: str) -> Axis:
    """Return an axis on which all cells, the centers of which are given, are whole."""
    half = (places[1] - places[0]) / 2
    limits = float(places[0] - half), float(places[-1] + half)
    return Axis(limits, title, ticks=linear_ticks(*limits), grid=False)


def _draw_cells(own: pd.DataFrame, x: Floats, y: Floats, shades: Shades) -> Iterator[Layer]:
    """Yield the cells of a panel, row by row, and crosses on the diverged ones."""
    lost = own["lost"].to_numpy()
    tones: list[float | str] = list(shades.tones_of(own["value"].to_numpy(float)).tolist())
    for place in np.flatnonzero(lost | ~np.isfinite(own["value"])):
        tones[place] = "lost" if lost[place] else "missed"
    size = float(x[1] - x[0]), float(y[1] - y[0])
    yield Cells(np.tile(x, y.size), np.repeat(y, x.size), tones, size=size)
    every = max(1, x.size // MAX_CROSSES)
    marked = slice(every // 2, None, every)
    row, column = np.nonzero(lost.reshape(y.size, x.size)[marked, marked])
    if row.size:
        yield Points(x[marked][column], y[marked][row], marker="cross", size=5.0)


def _title(row: pd.Series) -> str:
    settings = f"rate {row['lr']:.3g}, batch size {text(row['batch_size'])}"
    return f"{shorten(str(row['optimizer']), LETTERS)}\n{settings}"


def _locate_starts(starts: Mapping[str, Floats], axes: tuple[Axis, Axis]) -> Iterator[tuple[str, Floats, str]]:
    """Yield the name of each start, where it is drawn, as shares of the panel, and its marker."""
    low, high = np.transpose([axis.range for axis in axes])
    for name, start in starts.items():
        at, marker = (start - low) / (high - low), "circle"
        if not ((at >= 0) & (at <= 1)).all():
            farthest = int(np.argmax(np.abs(at - 0.5)))
            marker = (("left", "right"), ("down", "up"))[farthest][int(at[farthest] > 0)]
            at = 0.5 + (at - 0.5) * AT_BORDER / abs(at[farthest] - 0.5)
        yield name, at, marker


def _mark_starts(starts: Mapping[str, Floats], axes: tuple[Axis, Axis]) -> Iterator[Points]:
    """Yield the starts, or arrowheads towards them at the border."""
    located = [(_place(at, axes), marker) for _, at, marker in _locate_starts(starts, axes)]
    for marker in dict.fromkeys(marker for _, marker in located):
        x, y = np.transpose([at for at, own in located if own == marker])
        yield Points(x, y, marker=marker)


def _name_starts(starts: Mapping[str, Floats], axes: tuple[Axis, Axis], columns: int) -> list[Texts]:
    """Return the names of starts, without names that would overlap an earlier one."""
    placed: list[tuple[Floats, Floats]] = []
    shown: list[tuple[Floats, str]] = []
    for name, at, _ in _locate_starts(starts, axes):
        label_text = shorten(name, LETTERS if columns == 1 else 10)
        size = np.array([LETTER * columns * len(label_text), HEIGHT])
        # A name stands towards the middle, as seen from its start.
        middle = at + np.where(at > 0.5, -1, 1) * (size / 2 + np.multiply(DISTANCE, (columns, 1)))
        if all((np.abs(middle - other) > (size + its_size) / 2).any() for other, its_size in placed):
            placed.append((middle, size))
            shown.append((_place(at, axes), label_text))
    if not shown:
        return []
    x, y = np.transpose([at for at, _ in shown])
    return [Texts(x, y, [label_text for _, label_text in shown])]


def _place(at: Floats, axes: tuple[Axis, Axis]) -> Floats:
    """Return the place of a point that is given as shares of the panel."""
    low, high = np.transpose([axis.range for axis in axes])
    place: Floats = low + at * (high - low)
    return place
