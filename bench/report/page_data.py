"""The data of a run embedded in its page: columns as packed numbers, curves with two bytes per loss."""

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from bench.data.units import curve_in_table_units
from bench.plots.style import colors_of, spread_evenly
from bench.report.run_data import RunData
from bench.tables.formatting import label, text
from bench.tables.phrases import describe_order
from bench.tables.readable import describe_batch_size
from bench.tables.run_costs import CHOICES, COST_SETTINGS, find_choices
from bench.tables.seconds import KERNEL
from kernels.run import Floats

# The bytes for the rows and for the curves; as base64 they take a third more. The more runs there are, the fewer points
# each curve has.
ROW_BYTES = 700_000
CURVE_BYTES = 1_020_000
MAX_MARKS = 101
MAX_SAMPLES = 1000
CURVE_POINTS = 161
MAX_CURVES = 24

SETTINGS = [*CHOICES, "init", "seed"]
NUMBERS = ["samples_seen", "updates", "samples_to_target", "updates_to_target", "final_loss", "seconds"]
# Losses are stored as steps on a logarithmic scale. The two lowest codes stand for losses without a logarithm.
LOST, ZERO, LOWEST, HIGHEST = 0, 1, 2, 65535


def pack(values: Any) -> dict[str, str]:
    """Return an array as base64 in little-endian order, with its type in NumPy's notation."""
    array = np.ascontiguousarray(values)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"type": little.dtype.str[1:], "data": b64encode(little.tobytes()).decode()}


def page_data(run_data: RunData) -> dict[str, Any]:
    """Return the data of the page's charts and of its table of configurations.

    Of more configurations than a page can hold only every second, third, ... is included, and the page says so.
    """
    frame = run_data.frame
    params = [f"param_{name}" for name in run_data.result.model.params]
    held_out = [name for name in ("best_validation_loss",) if name in frame]
    numbers = [*NUMBERS, *held_out, *params]
    # Eight bytes for each number, the id and the start, and about two for each setting.
    room = ROW_BYTES // (8 * (len(numbers) + 1 + len(params)) + 2 * len(SETTINGS))
    every = -(-len(frame) // room) or 1
    rows = frame.iloc[::every]
    starts, start_of = np.unique(run_data.result.starts[::every], axis=0, return_inverse=True)
    return {
        "total": len(frame),
        "count": len(rows),
        "every": every,
        "target": run_data.target,
        "kernel": KERNEL,
        "timed": bool(frame["seconds"].notna().any()),
        "settings": {name: _encode_setting(rows[name], run_data.samples) for name in SETTINGS},
        "status": _encode_setting(rows["status"], run_data.samples),
        "edges": _encode_edges(run_data, rows),
        "ranks": pack(_shrink_codes(_ranks(run_data.ranked, rows))),
        "numbers": {name: pack(rows[name].astype("Float64").to_numpy(float, na_value=np.nan)) for name in numbers},
        "labels": {name: label(name) for name in [*SETTINGS, "status", *numbers]} | {"shuffle": "order"},
        "params": params,
        "ids": pack(np.frombuffer(bytes.fromhex("".join(rows["config_id"])), np.uint8)),
        "starts": {"values": pack(starts), "codes": pack(_shrink_codes(start_of.ravel())), "size": len(params)},
        "curves": _encode_curves(run_data, rows),
        "cost": run_data.cost,
        "effects_on": run_data.effects_on,
        "compared": _encode_compared(run_data),
        "effects": run_data.effects.to_dict("records"),
        "fit": _encode_fit(run_data),
    }


def _ranks(ranked: pd.DataFrame, rows: pd.DataFrame) -> NDArray[np.int64]:
    """Return the place of each row's choice in the ranking, the recommended one in front of all."""
    order = ranked.sort_values("recommended", ascending=False, kind="stable")
    ranks: NDArray[np.int64] = find_choices(rows, order, CHOICES).to_numpy(np.int64)
    return ranks


def _encode_setting(column: pd.Series, samples: int) -> dict[str, Any]:
    """Return the sorted distinct values of a column, raw and as text, and the index of each row's value among them.

    A batch of all `samples` is called full.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        codes, values = column.cat.codes.to_numpy(), column.cat.categories.tolist()
    else:
        distinct, codes = np.unique(column.to_numpy(), return_inverse=True)
        values = distinct.tolist()
    if column.dtype == bool:
        words = [describe_order(value) for value in values]
    elif column.name == "batch_size":
        words = [describe_batch_size(value, samples) for value in values]
    else:
        words = [text(value) for value in values]
    # JavaScript has no integers as large as a seed may be.
    plain = [str(value) for value in values] if column.name == "seed" else values
    colors = {value: to_hex(color) for value, color in colors_of(values).items()} if column.name != "seed" else {}
    return {
        "values": plain,
        "shown": words,
        "colors": [colors.get(value) for value in values],
        "codes": pack(_shrink_codes(codes)),
    }


def _shrink_codes(codes: NDArray[Any]) -> NDArray[Any]:
    return codes.astype(np.min_scalar_type(int(codes.max(initial=0))))


def _encode_compared(run_data: RunData) -> list[dict[str, Any]]:
    """Return the optimizers as they are compared, best first; None in place of a number that is not finite."""
    if run_data.compared is None:
        return []
    return [
        {name: row[name] if np.isfinite(row[name]) else None for name in ("ratio", "ratio_low", "ratio_high")}
        | {"optimizer": text(str(row["optimizer"])), "verdict": row["verdict"]}
        for row in run_data.compared.to_dict("records")
    ]


def _encode_edges(run_data: RunData, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the predicted largest stable rates, with the codes of the settings that each of them is for."""
    theory = run_data.evidence.get("theory")
    if theory is None:
        return []
    codes = {name: _codes_by_value(rows[name]) for name in COST_SETTINGS}
    return [
        {name: codes[name][row[name]] for name in COST_SETTINGS} | {"edge": row["predicted_edge"]}
        for row in theory.to_dict("records")
        if row["predicted_edge"] > 0 and all(row[name] in codes[name] for name in COST_SETTINGS)
    ]


def _codes_by_value(column: pd.Series) -> dict[Any, int]:
    """Return the code of each value, as `_encode_setting` numbers them."""
    return {value: code for code, value in enumerate(_encode_setting(column, 0)["values"])}


def _encode_curves(run_data: RunData, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the losses of all rows, one row after the other, as steps of `unit` decades above `low`.

    `marks` holds, for each batch size in order, the samples seen and the updates made where a loss is stored; the
    last mark of each run, of which the numbers of the row speak, is stored as well.
    """
    curves = run_data.result.curves
    row_of_id = pd.Series(np.arange(len(rows)), index=rows["config_id"])
    places = row_of_id.reindex(curves["config_id"].cat.categories).fillna(-1).to_numpy(np.int64)
    row = places[curves["config_id"].cat.codes.to_numpy()]
    is_last = np.append(row[1:] != row[:-1], True)[: row.size]
    sizes, size_of_row = np.unique(rows["batch_size"].to_numpy(np.int64), return_inverse=True)
    most = min(MAX_MARKS, max(4, CURVE_BYTES // 2 // max(1, len(rows))))
    samples, updates, losses = (curves[name].to_numpy() for name in ("samples", "updates", "loss"))
    is_stored, marks = np.zeros(row.size, bool), []
    for code in range(sizes.size):
        own = (row >= 0) & (size_of_row[row] == code)
        seen, first = np.unique(samples[own], return_index=True)
        kept = thin_marks(seen, most)
        marks.append({"samples": seen[kept].tolist(), "updates": updates[own][first][kept].tolist()})
        is_stored |= own & (is_last | np.isin(samples, seen[kept]))
    order = np.argsort(row[is_stored], kind="stable")
    stored = losses[is_stored][order]
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(stored)
    finite = np.isfinite(decades)
    low, high = (decades[finite].min(), decades[finite].max()) if finite.any() else (0.0, 1.0)
    unit = max(high - low, 1e-3) / (HIGHEST - LOWEST)
    steps = np.where(stored == 0, ZERO, LOST)
    steps[finite] = LOWEST + np.rint((decades[finite] - low) / unit)
    return {
        "marks": marks,
        "counts": pack(_shrink_codes(np.bincount(row[is_stored], minlength=len(rows)))),
        "low": low,
        "unit": unit,
        "losses": pack(steps.astype(np.uint16)),
    }


def thin_marks(samples: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Return the places of at most so many marks, which are denser at the start; the first, second and last are kept.

    Parameters
    ----------
    samples : array
        The samples seen at the marks, increasing from 0.
    most : int
        At least 3.
    """
    if samples.size <= most:
        return np.arange(samples.size)
    # For logarithmic axes, with some for linear ones.
    logarithms = np.log(samples[1:] / samples[1])
    scale = 2 * logarithms / logarithms[-1] + samples[1:] / samples[-1]
    kept = np.array([0, 1, samples.size - 1])
    # Where the marks are coarser than the places asked for, several lead to one mark, so that more can be asked for.
    for count in np.geomspace(most - 1, 20 * samples.size, 60).astype(int):
        asked = np.linspace(scale[0], scale[-1], count)
        places = np.union1d(0, 1 + np.searchsorted(scale, asked - 1e-12))
        if places.size > most:
            break
        kept = places
    return kept


def _encode_fit(run_data: RunData) -> dict[str, Any] | None:
    """Return the data and the fitted curves of the trajectories, in the table's units; None if there are none.

    For several inputs the curves are predicted values against observed ones.
    """
    trajectories = run_data.evidence.get("trajectories")
    if run_data.data is None or trajectories is None or trajectories.empty:
        return None
    x, y = run_data.data_in_table_units()
    sample = spread_evenly(range(len(y)), MAX_SAMPLES)
    x, y = x.reshape(len(x), -1)[sample], y[sample]
    several = x.shape[1] > 1
    at = x if several else np.linspace(x.min(), x.max(), CURVE_POINTS)[:, np.newaxis]
    predict = curve_in_table_units(run_data.result.model, run_data.scaling)
    encode = partial(_encode_trajectories, trajectories, predict, at)

    return {
        "several": several,
        "names": [text(run_data.data.x_names[0]), text(run_data.data.y_name)],
        "samples": len(run_data.data.y),
        "x": pack(_to_float32(y if several else x[:, 0])),
        "y": pack(_to_float32(y)),
        "at": pack(_to_float32(y if several else at[:, 0])),
        "best": encode("best", 1),
        "typical": encode("typical", 8 if several else MAX_CURVES),
    }


def _encode_trajectories(
    trajectories: pd.DataFrame, predict: Callable[[Floats, Floats], Floats], at: Floats, role: str, max_curves: int
) -> list[dict[str, Any]]:
    """Return the curves of the runs in one role; if there is to be one curve per run, the last."""
    columns = [name for name in trajectories.columns if name.startswith("param_")]
    colors = colors_of(trajectories["init"])
    encoded = []
    for start, path in trajectories[trajectories["role"] == role].groupby("init", sort=False):
        steps = thin_marks(path["samples"].to_numpy(), max_curves) if max_curves > 1 else [len(path) - 1]
        chosen = path.iloc[steps]
        with np.errstate(all="ignore"):
            curves = np.array([predict(params, at) for params in chosen[columns].to_numpy(float)])
        encoded.append(
            {
                "start": text(str(start)),
                "color": to_hex(colors[start]),
                "samples": chosen["samples"].tolist(),
                "losses": [value if np.isfinite(value) else None for value in chosen["loss"].tolist()],
                "curves": pack(_to_float32(curves)),
            }
        )
    return encoded


def _to_float32(values: Floats) -> NDArray[np.float32]:
    """Return the values in half the bytes, which is precise enough for drawing."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
