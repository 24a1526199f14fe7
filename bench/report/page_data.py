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
from bench.tables.run_costs import CHOICES
from kernels.run import Floats

# The page must stay under 8 MB, of which the charting library takes nearly 5. These are the bytes for the rows and for
# the curves; as base64 they take a third more. The more runs there are, the fewer points each curve has.
ROW_BYTES = 700_000
CURVE_BYTES = 1_020_000
MAX_EPOCHS = 101
MAX_SAMPLES = 1000
CURVE_POINTS = 161
MAX_CURVES = 24

SETTINGS = [*CHOICES, "init", "seed"]
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
    # Eight bytes for each number, the id and the start, and about two for each setting.
    room = ROW_BYTES // (8 * (5 + 2 * len(params)) + 2 * len(SETTINGS))
    every = -(-len(frame) // room) or 1
    rows = frame.iloc[::every]
    starts, start_of = np.unique(run_data.result.starts[::every], axis=0, return_inverse=True)
    numbers = ["samples_seen", "samples_to_target", "updates_to_target", "final_loss", "seconds", *params]
    return {
        "total": len(frame),
        "count": len(rows),
        "every": every,
        "target": run_data.target,
        "settings": {name: _encode_setting(rows[name]) for name in SETTINGS},
        "status": _encode_setting(rows["status"]),
        "numbers": {name: pack(rows[name].astype("Float64").to_numpy(float, na_value=np.nan)) for name in numbers},
        "labels": {name: label(name) for name in [*SETTINGS, "status", *numbers]} | {"shuffle": "order"},
        "params": params,
        "ids": pack(np.frombuffer(bytes.fromhex("".join(rows["config_id"])), np.uint8)),
        "starts": {"values": pack(starts), "codes": pack(_shrink_codes(start_of.ravel())), "size": len(params)},
        "curves": _encode_curves(run_data, rows),
        "fit": _encode_fit(run_data),
    }


def _encode_setting(column: pd.Series) -> dict[str, Any]:
    """Return the sorted distinct values of a column, raw and as text, and the index of each row's value among them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        codes, values = column.cat.codes.to_numpy(), column.cat.categories.tolist()
    else:
        distinct, codes = np.unique(column.to_numpy(), return_inverse=True)
        values = distinct.tolist()
    words = ["shuffled" if value else "not shuffled" for value in values] if column.dtype == bool else map(text, values)
    # JavaScript has no integers as large as a seed may be.
    plain = [str(value) for value in values] if column.name == "seed" else values
    colors = {value: to_hex(color) for value, color in colors_of(values).items()} if column.name != "seed" else {}
    return {
        "values": plain,
        "shown": list(words),
        "colors": [colors.get(value) for value in values],
        "codes": pack(_shrink_codes(codes)),
    }


def _shrink_codes(codes: NDArray[Any]) -> NDArray[Any]:
    return codes.astype(np.min_scalar_type(int(codes.max(initial=0))))


def _encode_curves(run_data: RunData, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the losses of all rows, one row after the other, as steps of `unit` decades above `low`.

    `grid` holds the epochs that are stored for every run; the last epoch of each run is stored as well.
    """
    curves = run_data.result.curves
    epochs, losses = curves["epoch"].to_numpy(), curves["loss"].to_numpy()
    row_of_id = pd.Series(np.arange(len(rows)), index=rows["config_id"])
    places = row_of_id.reindex(curves["config_id"].cat.categories).fillna(-1).to_numpy(np.int64)
    row = places[curves["config_id"].cat.codes.to_numpy()]
    grid = thin_epochs(np.unique(epochs), max(4, CURVE_BYTES // 2 // max(1, len(rows))))
    last = np.append(row[1:] != row[:-1], True)[: row.size]
    is_stored = (np.isin(epochs, grid) | last) & (row >= 0)
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
        "grid": grid.tolist(),
        "counts": pack(_shrink_codes(np.bincount(row[is_stored], minlength=len(rows)))),
        "low": low,
        "unit": unit,
        "losses": pack(steps.astype(np.uint16)),
    }


def thin_epochs(epochs: NDArray[Any], most: int) -> NDArray[Any]:
    """Return at most so many of the epochs: half of them evenly spaced, half geometrically, denser at the start."""
    most = min(most, MAX_EPOCHS)
    if epochs.size <= most:
        return epochs
    even = np.linspace(0, epochs.size - 1, most - most // 2)
    early = np.geomspace(1, epochs.size - 1, most // 2)
    kept_epochs: NDArray[Any] = epochs[np.unique(np.rint([*even, *early]).astype(int))]
    return kept_epochs


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
        steps = np.unique(np.rint(np.geomspace(1, len(path), min(max_curves, len(path)))).astype(int)) - 1
        steps = steps if max_curves > 1 else np.array([len(path) - 1])
        chosen = path.iloc[steps]
        with np.errstate(all="ignore"):
            curves = np.array([predict(params, at) for params in chosen[columns].to_numpy(float)])
        encoded.append(
            {
                "start": text(str(start)),
                "color": to_hex(colors[start]),
                "epochs": chosen["epoch"].tolist(),
                "losses": [value if np.isfinite(value) else None for value in chosen["loss"].tolist()],
                "curves": pack(_to_float32(curves)),
            }
        )
    return encoded


def _to_float32(values: Floats) -> NDArray[np.float32]:
    """Return the values in half the bytes, which is precise enough for drawing."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
