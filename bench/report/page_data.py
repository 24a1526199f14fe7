"""The data of a run embedded in its page: charts, and the columns of the table of configurations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sgdbench.charts.chart import to_data
from sgdbench.charts.rate_map import SHARE
from sgdbench.kernels.model.param_columns import array_columns, param_columns
from sgdbench.report.charts import (
    cells_by_map,
    effect_chart,
    fit_chart,
    losses_by_start,
    maps_by_start,
    rates_by_measure,
    ratio_chart,
    time_of_runs,
)
from sgdbench.report.packing import encode_column, encode_setting, pack, pack_counts, pack_lines, pool
from sgdbench.report.play_data import play_data
from sgdbench.report.run_data import RunData
from sgdbench.report.start_text import StartText, start_texts, write_start
from sgdbench.tables.chart_words import join_sentences
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.formatting import label, text
from sgdbench.tables.rank import varies
from sgdbench.tables.words import say_constant_settings, say_rows_on_page, status_words

# The bytes for the rows and for the curves; as base64 they take a third more. The more runs there are, the fewer points
# each curve has.
ROW_BYTES = 700_000
CURVE_BYTES = 750_000
COUNTED = ("samples", "updates")


def page_data(run_data: RunData) -> dict[str, Any]:
    """Return the data of the page's charts and of its table of configurations.

    Of more configurations than a page can hold only every second, third, ... is included, and the page says so.
    """
    frame = run_data.frame
    model = run_data.result.model
    arrays = array_columns(model)
    params = [name for name in param_columns(model) if name not in arrays]
    texts = start_texts(run_data)
    settings = [*choice_columns(frame), "init", "seed"]
    numbers = [*_numbers(run_data), *params]
    # Eight bytes for each number and the id, twice as many for each number of a start, and about two for each setting.
    start_numbers = 0 if texts else len(model.params)
    room = ROW_BYTES // (8 * (len(numbers) + 1 + 2 * start_numbers) + 2 * len(settings))
    every = -(-len(frame) // room) or 1
    rows = frame.iloc[::every]
    values = {name: pd.factorize(rows[name], sort=True)[1].tolist() for name in settings}
    codes = {name: {value: code for code, value in enumerate(own)} for name, own in values.items()}
    measures = _measures(run_data)
    compared, effects = ratio_chart(run_data, values["optimizer"]), effect_chart(run_data)
    there = _outcomes_on_page(run_data.outcomes, codes)
    of_maps = [*measures, *([(SHARE, "runs that reach the target")] if run_data.target is not None else [])]
    reached = run_data.target is not None and np.isfinite(there["samples_median"].iloc[0])
    first = "samples" if reached else measures[-1][0]
    played = play_data(run_data, codes)
    cells = cells_by_map(run_data, rows, CURVE_BYTES // 2)
    of_cells = [chart for own in cells.values() for chart in own if chart]
    packed, lines = pack_lines([*of_cells, *(played or {}).pop("charts", [])])
    charts = iter(packed)
    pooled = {
        "maps": maps_by_start(run_data, there, [name for name, _ in of_maps]),
        "cells": {name: [chart and next(charts) for chart in own] for name, own in cells.items()},
        "played": [*charts],
        "losses": losses_by_start(run_data),
        "rates": rates_by_measure(run_data, [name for name, _ in measures], values["batch_size"]),
        "fit": fit_chart(run_data, with_words=True),
    }
    return {
        "count": len(rows),
        "settings": {name: encode_setting(rows[name], run_data.samples) for name in settings},
        "outcomes": {
            "status": encode_column(rows["status"], words=status_words(run_data.target)),
            **{name: encode_column(rows[name]) for name in numbers},
        },
        "sorted_by": measures[-1][0] if run_data.target is None else "samples_to_target",
        "constant": _describe_constant(run_data, rows, settings),
        "measures": measures,
        "starts": [text(name) for name in run_data.outcomes["start"].unique()],
        "chosen": {name: codes[name][there[name].iloc[0]] for name in choice_columns(there)},
        "map_measures": of_maps,
        "first_measure": first,
        **dict(zip(("pooled", "parts"), pool(to_data(pooled)), strict=True)),
        "lines": lines,
        "ids": pack(np.frombuffer(bytes.fromhex("".join(rows["config_id"])), np.uint8)),
        "start_texts": _encode_starts(run_data, texts, every),
        "charts": to_data({"compared": compared, "effects": effects, "time": time_of_runs(run_data, rows)}),
        "play": played,
    }


def _numbers(run_data: RunData) -> list[str]:
    """Return the columns of the table of configurations that are numbers, without those of the parameters.

    There is no time where none was measured, and without a target there is no way to it.
    """
    frame, needed = run_data.frame, ("samples_to_target", "updates_to_target")
    return [
        "samples_seen",
        *(needed if run_data.target is not None else ()),
        *(("validation_loss",) if "validation_loss" in frame else ()),
        "final_loss",
        *(("seconds",) if frame["seconds"].notna().any() else ()),
    ]


def _describe_constant(run_data: RunData, rows: pd.DataFrame, settings: list[str]) -> str:
    """Say which configurations are in the table, and the settings that all of them share."""
    same = [name for name in settings if not varies(rows, name)]
    words = [f"{label(name)} {encode_column(rows[name], samples=run_data.samples)['shown'][0]}" for name in same]
    return join_sentences(say_rows_on_page(len(rows), len(run_data.frame)), say_constant_settings(words))


def _encode_starts(run_data: RunData, texts: Mapping[str, StartText], every: int) -> dict[str, Any]:
    """Return the distinct starts as `StartText`, and which one each row has."""
    starts, rows = run_data.result.starts[::every], run_data.frame.iloc[::every]
    if texts:
        names, codes = np.unique(rows["init"].astype(str), return_inverse=True)
        start_texts = [texts[name] for name in names]
    else:
        distinct, codes = np.unique(starts, axis=0, return_inverse=True)
        start_texts = [write_start(run_data.result.model, start.tolist()) for start in distinct]
    return {"texts": [one._asdict() for one in start_texts], "codes": pack_counts(codes.ravel())}


def _measures(run_data: RunData) -> list[tuple[str, str]]:
    """Return the names of the measures of outcomes, and their titles."""
    frame, loss = run_data.frame, run_data.criterion.label
    measures = []
    if run_data.target is not None:
        measures += [(name, f"{name} to the target") for name in COUNTED]
        if frame["seconds_per_update"].notna().any():
            measures.append(("seconds", "time to the target"))
    measures.append(("final_loss", f"final {loss}"))
    if "validation_loss" in frame:
        measures.append(("validation_loss", f"{loss} on held-out samples"))
    return measures


def _outcomes_on_page(outcomes: pd.DataFrame, codes: dict[str, dict[Any, int]]) -> pd.DataFrame:
    """Return the outcomes of the choices that are on the page, in the order of the ranking."""
    there = [outcomes[name].astype(object).map(codes[name]).notna() for name in choice_columns(outcomes)]
    return outcomes[np.all(there, axis=0)]
