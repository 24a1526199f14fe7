"""The charts of a run that the figures and the page draw alike."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.charts import fit
from sgdbench.charts.cell import cell_charts, thin_curves
from sgdbench.charts.chart import Chart
from sgdbench.charts.choices import best_optimizers, spread_evenly
from sgdbench.charts.losses import CLOCKS, loss_charts, with_words
from sgdbench.charts.rate_map import map_settings, name_map, rate_map_figure, rate_maps
from sgdbench.charts.rates import RateChoices, rate_chart, rate_choices
from sgdbench.charts.row_charts import optimizer_ratios, setting_importance
from sgdbench.charts.times import time_chart
from sgdbench.data.fit_table import thin_rows
from sgdbench.data.units import curve_in_table_units
from sgdbench.kernels.model.param_columns import params_from_columns
from sgdbench.report.run_data import RunData
from sgdbench.tables.chart_words import (
    BEST_OPTIMIZERS,
    TIME_OF_A_RUN,
    caption_fits,
    caption_of_map,
    describe_fitted,
    join_sentences,
    say_part,
)
from sgdbench.tables.confusion import name_classes
from sgdbench.tables.costs import COST_NAMES, settle_cost
from sgdbench.tables.formatting import text
from sgdbench.tables.outcomes import best_runs
from sgdbench.tables.rank import constant_settings, leaders, varies
from sgdbench.tables.words import describe_batch_size, describe_choice

LEAST_CHECKPOINTS, MOST_CHECKPOINTS = 4, 101  # of a curve in a cell
MOST_MARKERS = 6000  # in the charts of learning rates of a page


def fit_caption(run_data: RunData) -> str:
    """Return the caption of the chart of data and fits."""
    model = run_data.result.model
    several, starts = len(model.inputs) > 1 or bool(model.vectors), varies(run_data.frame, "init")
    return caption_fits(several_inputs=several, several_starts=starts, has_classes=bool(run_data.class_labels))


def loss_figure(run_data: RunData) -> Chart:
    """Return the loss curves from each start, of the best optimizers where there are many."""
    few, count = best_optimizers(run_data.ranked), run_data.frame["optimizer"].nunique()
    bands, runs = run_data.loss_bands, run_data.best_runs
    starts = bands["start"].unique().tolist()
    own = bands[bands["start"].isin(starts[1:] or starts) & bands["optimizer"].isin(few)]
    chart = loss_charts(own, runs=runs[runs["optimizer"].isin(few)], **_about_losses(run_data))["samples"]
    return replace(chart, caption=join_sentences(chart.caption, say_part(BEST_OPTIMIZERS, len(few), count)))


def losses_by_start(run_data: RunData) -> list[dict[str, Chart]]:
    """Return the loss curves over all starts and from each of them, on each clock."""
    bands, frame = with_words(run_data.loss_bands), run_data.frame
    best = leaders(run_data.ranked).drop(columns=constant_settings(frame), errors="ignore")
    choices = "; ".join(text(describe_choice(row, run_data.samples)) for _, row in best.iterrows())
    clocks = [clock for clock in CLOCKS if bands[clock].notna().any()]
    notes = {clock: f"The choices: {choices}.{f' {TIME_OF_A_RUN}' if clock == 'seconds' else ''}" for clock in clocks}
    return [
        {
            clock: replace(chart, notes=notes[clock])
            for clock, chart in loss_charts(own, clocks, **_about_losses(run_data)).items()
        }
        for _, own in bands.groupby("start", sort=False)
    ]


def _about_losses(run_data: RunData) -> dict[str, Any]:
    return {"shown": run_data.loss_axis, "target": run_data.target}


def ratio_chart(run_data: RunData, named: Sequence[str]) -> Chart | None:
    """Return the optimizers compared, each at its own best choice; None where there is nothing to compare.

    Those that are `named` have the colors that they have in other charts of these optimizers.
    """
    if run_data.compared is None:
        return None
    return optimizer_ratios(
        run_data.compared,
        cost=COST_NAMES[run_data.compared["cost"].iloc[0]],
        seeds=run_data.compared_on,
        named=named,
        samples=run_data.samples,
    )


def effect_chart(run_data: RunData) -> Chart | None:
    """Return how much each setting matters; None where no setting varies, or all runs cost the same."""
    if run_data.effects.empty:
        return None
    return setting_importance(run_data.effects, cost=run_data.cost_of_effects, samples=run_data.samples)


def rates_by_measure(run_data: RunData, measures: Sequence[str], sizes: Sequence[int]) -> dict[str, dict[str, Chart]]:
    """Return the charts of each measure against the learning rate: the best batch size, then each by its name.

    Of many batch sizes some have charts, as a page has room for.
    """
    outcomes = run_data.outcomes
    drawn = len(measures) * len(outcomes.drop_duplicates(["optimizer", "lr"]))
    few = spread_evenly(sizes, max(0, min(len(sizes), MOST_MARKERS // max(1, drawn) - 1))) if len(sizes) > 1 else []
    chosen = {"": outcomes} | {
        describe_batch_size(size, run_data.samples): outcomes[outcomes["batch_size"] == size] for size in few
    }
    choices = {size: _choices_by_rate(run_data, own) for size, own in chosen.items()}
    shown = run_data.loss_axis
    return {
        measure: {size: rate_chart(own, measure, shown=shown) for size, own in choices.items()} for measure in measures
    }


def rate_figure(run_data: RunData) -> Chart:
    """Return the chart of what choices are ranked by against the rate, of the best optimizers where there are many."""
    few = run_data.outcomes["optimizer"].isin(best_optimizers(run_data.ranked))
    choices = _choices_by_rate(run_data, run_data.outcomes[few])
    return rate_chart(choices, ranked_measure(run_data), shown=run_data.loss_axis)


def _choices_by_rate(run_data: RunData, outcomes: pd.DataFrame) -> RateChoices:
    return rate_choices(outcomes, target=run_data.target, samples=run_data.samples)


def time_of_runs(run_data: RunData, rows: pd.DataFrame) -> Chart | None:
    """Return the time and the final loss of the rows of a page; None where no time was measured."""
    if not rows["seconds"].notna().any():
        return None
    curves = run_data.result.curves
    first = curves.loc[(curves["samples"] == 0) & np.isfinite(curves["loss"]), "loss"].max()
    chart = time_chart(rows, first=first, samples=run_data.samples, **_about_losses(run_data))
    return replace(chart, notes=f"{chart.notes} {TIME_OF_A_RUN}")


def map_figure(run_data: RunData) -> Chart:
    """Return the maps of what choices are ranked by, for each optimizer and start."""
    return rate_map_figure(run_data.outcomes, ranked_measure(run_data), **_about_maps(run_data))


def maps_by_start(run_data: RunData, outcomes: pd.DataFrame, measures: Sequence[str]) -> list[dict[str, Any]]:
    """Return the maps of outcomes from each start: the `charts` of the measures, and the `captions` of the maps."""
    target, by = run_data.target, map_settings(outcomes)
    maps = rate_maps(outcomes, measures, target=target, **_about_maps(run_data))
    captions = [
        {
            name_map(cells.iloc[0], by): caption_of_map(cells, target=target)
            for _, cells in own.groupby(by, observed=True, sort=False)
        }
        for _, own in outcomes.groupby("start", sort=False)
    ]
    return [{"charts": charts, "captions": own} for charts, own in zip(maps, captions, strict=True)]


def cells_by_map(run_data: RunData, rows: pd.DataFrame, most: int) -> dict[str, list[Chart | None]]:
    """Return the loss curves of each cell of the maps, thinned to about `most` points in all."""
    curves, by = run_data.result.curves, map_settings(run_data.outcomes)
    kinds = 1 + ("validation_loss" in curves)
    most = min(MOST_CHECKPOINTS, max(LEAST_CHECKPOINTS, most // kinds // max(1, len(rows))))
    return cell_charts(rows, thin_curves(rows, curves, most), by, **_about_losses(run_data))


def _about_maps(run_data: RunData) -> dict[str, Any]:
    edges = run_data.evidence.get("theory")
    return {"shown": run_data.loss_axis, "edges": edges, "samples": run_data.samples}


def ranked_measure(run_data: RunData) -> str:
    """Return the measure by which choices are ranked: samples, or a loss where no run reached a target."""
    frame = run_data.frame
    reached = bool(frame["samples_to_target"].notna().any())
    return settle_cost("samples", reached=reached, held_out="validation_loss" in frame)


def fit_chart(run_data: RunData, *, with_words: bool = False) -> Chart | None:
    """Return the data and the curves of the best choice from each start, in the table's units; None if there are none.

    Of more than two classes there is none: `RunData.confusions` counts them. The page has room for words about each
    run, and for the caption above the others.
    """
    data, model, best = run_data.data, run_data.result.model, best_runs(run_data.own_runs)
    if data is None or best.empty or not model.inputs or model.classes > 1:
        return None
    ends, rows, scaling = params_from_columns(model, best), thin_rows(data), run_data.scaling
    x, y = rows.x, rows.y
    if scaling is not None:
        x, y = scaling.x_mean + scaling.x_scale * x, scaling.y_mean + scaling.y_scale * y
    names, caption = best["init"].astype(str), fit_caption(run_data)
    chart = fit.fit_chart(
        curve_in_table_units(model, run_data.criterion, scaling),
        x,
        y,
        params_by_name=dict(zip(names, ends, strict=True)),
        names=(data.x_names[0], data.y_name),
        samples=data.y.size,
        classes=name_classes(run_data.class_labels),
        differences=run_data.criterion.has_mean,
        words=dict(zip(names, _describe_fits(run_data, best), strict=True)) if with_words else None,
    )
    return replace(chart, caption=caption, notes=f"{caption} {chart.notes}".strip() if with_words else chart.notes)


def _describe_fits(run_data: RunData, best: pd.DataFrame) -> list[str]:
    """Return the start of each run, the samples that it has seen and its loss."""
    # The parameters that a run keeps are those after these samples.
    samples_seen = best["best_samples" if run_data.result.run.identity["patience"] != "none" else "samples_seen"]
    units = " (standardized)" if run_data.has_standardized_losses else ""
    return [
        describe_fitted(name, int(samples), f"{text(loss)}{units}")
        for name, samples, loss in zip(best["init"], samples_seen, best["final_loss"], strict=True)
    ]
