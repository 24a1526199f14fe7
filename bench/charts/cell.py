"""The loss curves of single runs: of those in a cell of the map of rates and batch sizes, and of one that is played."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.charts.chart import Axis, Chart, Key, Line, Panel
from sgdbench.charts.choices import in_grid_order
from sgdbench.charts.colors import colors_of
from sgdbench.charts.loss_axis import OUT_OF_VIEW, PLAIN, LossAxis, target_keys, target_layers
from sgdbench.charts.losses import CLOCKS, clock_axis
from sgdbench.charts.rate_map import name_map
from sgdbench.charts.ticks import log_axis
from sgdbench.kernels.base.run import Floats, Integers
from sgdbench.kernels.data.checkpoints import thin_checkpoints
from sgdbench.tables.chart_words import caption_run
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.formatting import text
from sgdbench.tables.outcomes import start_families
from sgdbench.tables.words import describe_run

WIDTH = 1.4
OPAQUE_LINES = 8  # with more, the lines below are seen through others
LOSSES = ("loss", "validation_loss")


class RunCurves(NamedTuple):
    """Loss curves of runs, one after the other: run i has the points from `first[i]` to `first[i + 1]`.

    `losses` has shape (kinds, points): those on the training samples and, if there are any, those on held-out samples.
    """

    first: Integers
    samples: Integers
    losses: Floats

    def of(self, run: int) -> slice:
        """Return the points of a run."""
        return slice(self.first[run], self.first[run + 1])


def thin_curves(rows: pd.DataFrame, curves: pd.DataFrame, most: int) -> RunCurves:
    """Return the curves of the runs in some rows, at the same checkpoints for all runs of a batch size.

    There are at most that many checkpoints, and the last one of each run, to which the numbers of its row refer.
    """
    row_of_id = pd.Series(np.arange(len(rows)), index=rows["config_id"])
    ids = pd.Categorical(curves["config_id"])
    row = row_of_id.reindex(ids.categories).fillna(-1).to_numpy(np.int64)[ids.codes]
    is_last = np.append(row[1:] != row[:-1], True)[: row.size]
    sizes, size_of_row = np.unique(rows["batch_size"].to_numpy(np.int64), return_inverse=True)
    samples, is_kept = curves["samples"].to_numpy(), np.zeros(row.size, bool)
    for code in range(sizes.size):
        own = (row >= 0) & (size_of_row[row] == code)
        checkpoints = np.unique(samples[own])
        is_kept |= own & (is_last | np.isin(samples, checkpoints[thin_checkpoints(checkpoints, most)]))
    rows_kept = np.flatnonzero(is_kept)[np.argsort(row[is_kept], kind="stable")]
    counts = np.bincount(row[rows_kept], minlength=len(rows))
    losses = np.array([curves[name].to_numpy(float)[rows_kept] for name in LOSSES if name in curves])
    return RunCurves(np.append(0, np.cumsum(counts)), samples[rows_kept], losses)


def cell_charts(
    rows: pd.DataFrame,
    curves: RunCurves,
    by: Sequence[str],
    *,
    shown: LossAxis = PLAIN,
    target: float | None = None,
) -> dict[str, list[Chart | None]]:
    """Return, for each map that the settings `by` tell apart, the chart of each of its cells, by batch size and rate.

    A cell has a line for each of its runs, and a dashed one for its losses on held-out samples; lines have the colors
    of their starts, and those of a family of starts are a group. A cell without a run is None.
    """
    rates, sizes = np.unique(rows["lr"]), np.unique(rows["batch_size"])
    starts = rows["init"].astype(str).to_numpy()
    colors = colors_of(starts)
    families, words = start_families(rows["init"]).map(text).to_numpy(), _describe_runs(rows)
    columns: dict[bytes, list[int]] = {}  # of samples seen, which many runs share
    charts: dict[str, list[Chart | None]] = {}
    for own in rows.groupby(choice_columns(rows), observed=True, sort=False).indices.values():
        choice = rows.iloc[own[0]]
        spans = [curves.of(run) for run in own]
        samples = np.concatenate([curves.samples[span] for span in spans])
        losses = shown.place(np.concatenate([curves.losses[:, span] for span in spans], axis=1))
        panel = _make_panel(samples, losses, shown, target)
        lines = []
        for kind, column in enumerate(_hold_in_view(losses, panel.y)):
            look: Any = {
                "dashed": kind > 0,
                "width": WIDTH,
                "opacity": 0.75 if len(own) > OPAQUE_LINES else 1.0,
            }
            ends = np.cumsum([span.stop - span.start for span in spans])
            for run, span, y in zip(own, spans, np.split(column, ends[:-1]), strict=True):
                x = columns.setdefault(curves.samples[span].tobytes(), curves.samples[span].tolist())
                lines.append(Line(x, y, colors[starts[run]], group=families[run], words=words[run], **look))
        there = dict(zip(starts[own], families[own], strict=True))
        legend = [Key(text(name), colors[name], group=there[name]) for name in in_grid_order(there, rows["init"])]
        if len(losses) > 1:
            legend.append(Key("on held-out samples", "ink", "dashes"))
        legend += target_keys(shown, target, panel.y.range[0])
        place = np.searchsorted(sizes, choice["batch_size"]) * len(rates) + np.searchsorted(rates, choice["lr"])
        cells = charts.setdefault(name_map(choice, by), [None] * (len(rates) * len(sizes)))
        cells[place] = Chart([Panel(panel.x, panel.y, [*panel.layers, *lines])], legend)
    return charts


def run_chart(
    samples: Integers,
    losses: Floats,
    color: str,
    *,
    shown: LossAxis = PLAIN,
    target: float | None = None,
    notes: str = "",
) -> Chart:
    """Return the loss chart of one run; the `notes` say how the run ended."""
    placed = shown.place(losses)
    panel = _make_panel(samples, placed[np.newaxis], shown, target)
    caption = caption_run(has_target=target is not None, in_view=bool(panel.layers))
    line = Line(samples.tolist(), _hold_in_view(placed, panel.y), color, width=1.2, opacity=0.4)
    return Chart([Panel(panel.x, panel.y, [*panel.layers, line])], caption=caption, notes=notes)


def _make_panel(samples: Integers, losses: Floats, shown: LossAxis, target: float | None) -> Panel:
    """Return the panel for curves whose losses are placed on the axis, with the line of the target."""
    starts = losses[:, samples == 0]
    limits = shown.limits(losses, 1000 * np.max(starts, where=np.isfinite(starts), initial=0.0) or np.inf, target)
    highest = np.max(losses, where=losses <= limits[1], initial=0.0) or limits[1]
    edge = 0.5 * float(samples.min(where=samples > 0, initial=2 * max(samples.max(initial=0), 1)))
    end = max(float(samples.max(initial=0)), 2 * edge)
    along = _loss_axis(limits, shown.name(), float(f"{1.04 * highest:.3g}"))
    return Panel(_samples_axis(edge, end), along, target_layers(shown, target, limits))


@lru_cache(maxsize=10_000)
def _samples_axis(edge: float, end: float) -> Axis:
    return clock_axis(CLOCKS["samples"], edge, end)


@lru_cache(maxsize=10_000)
def _loss_axis(limits: tuple[float, float], title: str, end: float) -> Axis:
    return log_axis(limits, title, end)


def _hold_in_view(losses: Floats, axis: Axis) -> Floats:
    """Return losses no lower than an axis and not far above it; a line ends before one that is not finite."""
    bottom, top = axis.range
    return np.where(np.isfinite(losses), losses.clip(bottom, OUT_OF_VIEW * top), np.nan)


def _describe_runs(rows: pd.DataFrame) -> list[str]:
    """Return the start and the seed of each run, and how it ended."""
    columns = rows[["init", "seed", "status", "samples_seen", "final_loss"]]
    about: list[Mapping[str, Any]] = columns.to_dict("records")  # type: ignore[assignment]
    return [f"{text(str(row['init']))}, seed {row['seed']}\n{describe_run(row)}" for row in about]
