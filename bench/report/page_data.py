"""The data of a run embedded in its page: columns as packed numbers, curves with two bytes per loss."""

from typing import Any

import numpy as np
import pandas as pd

from bench.charts.chart import to_data
from bench.charts.rate_map import SHARE
from bench.report.charts import (
    effect_chart,
    fit_chart,
    losses_by_start,
    maps_by_start,
    rates_by_measure,
    ratio_chart,
    time_of_runs,
)
from bench.report.packing import encode_setting, pack, pack_counts, pool_lists
from bench.report.play_data import play_data
from bench.report.run_data import RunData
from bench.report.start_text import start_texts
from bench.tables.costs import choice_columns
from bench.tables.formatting import label, text
from bench.tables.outcomes import ALL_STARTS, start_families
from kernels.data.checkpoints import thin_checkpoints
from kernels.model.param_columns import array_columns, param_columns

# The bytes for the rows and for the curves; as base64 they take a third more. The more runs there are, the fewer points
# each curve has.
ROW_BYTES = 700_000
CURVE_BYTES = 750_000
MAX_CHECKPOINTS = 101

COUNTED = ("samples", "updates")
NUMBERS = ["samples_seen", "samples_to_target", "updates_to_target"]
# Losses are stored as steps on a logarithmic scale. The two lowest codes stand for losses without a logarithm.
LOST, ZERO, LOWEST, HIGHEST = 0, 1, 2, 65535


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
    held_out = [name for name in ("validation_loss",) if name in frame]
    numbers = [*NUMBERS, *held_out, "final_loss", "seconds", *params]
    # Eight bytes for each number, the id and the start, and about two for each setting.
    written = 0 if texts else len(model.params)
    room = ROW_BYTES // (8 * (len(numbers) + 1 + written) + 2 * len(settings))
    every = -(-len(frame) // room) or 1
    rows = frame.iloc[::every]
    encoded = {name: encode_setting(rows[name], run_data.samples) for name in settings}
    codes = {name: {value: code for code, value in enumerate(one["values"])} for name, one in encoded.items()}
    measures = _measures(run_data)
    compared, effects = ratio_chart(run_data, encoded["optimizer"]["values"]), effect_chart(run_data)
    starts, start_of = np.unique(run_data.result.starts[::every, :written], axis=0, return_inverse=True)
    sizes = encoded["batch_size"]["values"]
    there = _outcomes_on_page(run_data.outcomes, codes)
    of_maps = [*measures, *([(SHARE, "runs that reach the target")] if run_data.target is not None else [])]
    reached = run_data.target is not None and np.isfinite(there["samples_median"].iloc[0])
    first = "samples" if reached else measures[-1][0]
    pooled = {
        "maps": maps_by_start(run_data, there, [name for name, _ in of_maps]),
        "losses": losses_by_start(run_data),
        "rates": rates_by_measure(run_data, [name for name, _ in measures], sizes),
        "fit": fit_chart(run_data, with_words=True),
    }
    return {
        "total": len(frame),
        "count": len(rows),
        "every": every,
        "target": run_data.target,
        "loss": run_data.criterion.label,
        "lowest": run_data.lowest_loss,
        "timed": bool(frame["seconds"].notna().any()),
        "settings": encoded,
        "status": encode_setting(rows["status"], run_data.samples),
        "measures": measures,
        "families": _encode_families(run_data, encoded["init"]["values"]),
        "chosen": {name: codes[name][there[name].iloc[0]] for name in choice_columns(there)},
        "map_measures": of_maps,
        "first_measure": first,
        "loss_title": run_data.loss_axis.name().replace("\n", " "),
        **dict(zip(("pooled", "lists"), pool_lists(to_data(pooled)), strict=True)),
        "numbers": {name: pack(rows[name].astype("Float64").to_numpy(float, na_value=np.nan)) for name in numbers},
        "labels": {name: label(name) for name in [*settings, "status", *numbers]},
        "params": params,
        "ids": pack(np.frombuffer(bytes.fromhex("".join(rows["config_id"])), np.uint8)),
        "starts": {"values": pack(starts), "codes": pack_counts(start_of.ravel()), "size": written},
        "start_texts": [texts[name]._asdict() for name in encoded["init"]["values"]] if texts else None,
        "listed": bool(model.vectors),
        "curves": _encode_curves(run_data, rows),
        "charts": to_data({"compared": compared, "effects": effects, "time": time_of_runs(run_data, rows)}),
        "play": play_data(run_data, codes),
    }


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


def _encode_families(run_data: RunData, starts: list[str]) -> dict[str, Any]:
    """Return the starts of outcomes and loss curves, of which the first is all of them, and which one each start is."""
    names = run_data.outcomes["start"].unique().tolist()
    families = start_families(pd.Series(starts, dtype=object)) if len(names) > 1 else [ALL_STARTS] * len(starts)
    return {"names": [text(name) for name in names], "of": [names.index(family) for family in families]}


def _outcomes_on_page(outcomes: pd.DataFrame, codes: dict[str, dict[Any, int]]) -> pd.DataFrame:
    """Return the outcomes of the choices that are on the page, in the order of the ranking."""
    there = [outcomes[name].astype(object).map(codes[name]).notna() for name in choice_columns(outcomes)]
    return outcomes[np.all(there, axis=0)]


def _encode_curves(run_data: RunData, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the losses of all rows less the lowest, one row after the other, as steps of `unit` decades above `low`.

    Where there are held-out samples, `held_out` are those on them, at the same checkpoints.

    `checkpoints` holds, for each batch size in order, the samples seen where a loss is stored; the last checkpoint of
    each run, of which the numbers of the row speak, is stored as well.
    """
    curves = run_data.result.curves
    row_of_id = pd.Series(np.arange(len(rows)), index=rows["config_id"])
    places = row_of_id.reindex(curves["config_id"].cat.categories).fillna(-1).to_numpy(np.int64)
    row = places[curves["config_id"].cat.codes.to_numpy()]
    is_last = np.append(row[1:] != row[:-1], True)[: row.size]
    sizes, size_of_row = np.unique(rows["batch_size"].to_numpy(np.int64), return_inverse=True)
    names = {"loss": "losses", "validation_loss": "held_out"}
    columns = {names[name]: curves[name].to_numpy() for name in names if name in curves}
    most = min(MAX_CHECKPOINTS, max(4, CURVE_BYTES // (2 * len(columns)) // max(1, len(rows))))
    samples, is_stored, checkpoints = curves["samples"].to_numpy(), np.zeros(row.size, bool), []
    for code in range(sizes.size):
        own = (row >= 0) & (size_of_row[row] == code)
        seen = np.unique(samples[own])
        seen = seen[thin_checkpoints(seen, most)]
        checkpoints.append(seen.tolist())
        is_stored |= own & (is_last | np.isin(samples, seen))
    order = np.argsort(row[is_stored], kind="stable")
    stored = np.array([column[is_stored][order] for column in columns.values()])
    if run_data.lowest_loss:
        stored = np.maximum(stored - run_data.lowest_loss, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(stored)
    finite = np.isfinite(decades)
    low, high = (decades[finite].min(), decades[finite].max()) if finite.any() else (0.0, 1.0)
    unit = max(high - low, 1e-3) / (HIGHEST - LOWEST)
    steps = np.where(stored == 0, ZERO, LOST)
    steps[finite] = LOWEST + np.rint((decades[finite] - low) / unit)
    return {
        "checkpoints": checkpoints,
        "counts": pack_counts(np.bincount(row[is_stored], minlength=len(rows))),
        "low": low,
        "unit": unit,
        **{name: pack(own) for name, own in zip(columns, steps.astype(np.uint16), strict=True)},
    }
