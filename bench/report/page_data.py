"""What the page knows of a run, small enough to travel in it: columns as packed numbers, curves in two bytes a loss."""

from base64 import b64encode
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from bench.data.fit_table import curve_in_table_units
from bench.plots.style import colors_of, spread_evenly
from bench.report.run_data import RunData
from bench.tables.formatting import label, text
from bench.tables.ranking import CHOICES
from kernels.run import Floats

# The page is to stay under 8 MB, of which the charting library takes nearly 5. So many bytes are for the rows and for
# the curves, a third less than what they take as text. A run has as many points of its curve as there is room for.
ROW_BYTES = 700_000
CURVE_BYTES = 1_020_000
MAX_EPOCHS = 101
MAX_SAMPLES = 1000
CURVE_POINTS = 161
MAX_CURVES = 24

SETTINGS = [*CHOICES, "init", "seed"]
# A loss is a step on a logarithmic scale, which has room for so many; below them are what has no logarithm.
LOST, ZERO, LOWEST, HIGHEST = 0, 1, 2, 65535


def pack(values: Any) -> dict[str, str]:
    """An array as base64, with its type: of NumPy's kinds, little-endian."""
    array = np.ascontiguousarray(values)
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"type": little.dtype.str[1:], "data": b64encode(little.tobytes()).decode()}


def page_data(run_data: RunData) -> dict[str, Any]:
    """Everything that the page's charts and its table of configurations show.

    Where there are more configurations than a page can hold, every second, third, ... is left out, and the page says
    so.
    """
    frame = run_data.frame
    params = [f"param_{name}" for name in run_data.result.model.params]
    # Eight bytes for each number, the id and the start, and about two for each setting.
    room = ROW_BYTES // (8 * (5 + 2 * len(params)) + 2 * len(SETTINGS))
    every = -(-len(frame) // room) or 1
    rows = frame.iloc[::every]
    starts, start_of = np.unique(run_data.result.starts[::every], axis=0, return_inverse=True)
    numbers = ["epochs", "epochs_to_target", "final_loss", "seconds", *params]
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
    """A column's distinct values in their own order, for readers and as they are, each row's place among them."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        codes, values = column.cat.codes.to_numpy(), column.cat.categories.tolist()
    else:
        distinct, codes = np.unique(column.to_numpy(), return_inverse=True)
        values = distinct.tolist()
    shown = ["shuffled" if value else "the data's" for value in values] if column.dtype == bool else map(text, values)
    # A script has no whole numbers as large as a seed may be.
    plain = [str(value) for value in values] if column.name == "seed" else values
    colors = {value: to_hex(color) for value, color in colors_of(values).items()} if column.name != "seed" else {}
    return {
        "values": plain,
        "shown": list(shown),
        "colors": [colors.get(value) for value in values],
        "codes": pack(_shrink_codes(codes)),
    }


def _shrink_codes(codes: NDArray[Any]) -> NDArray[Any]:
    return codes.astype(np.min_scalar_type(int(codes.max(initial=0))))


def _encode_curves(run_data: RunData, rows: pd.DataFrame) -> dict[str, Any]:
    """The losses of all rows, one after the other: `grid` are the epochs that are there of every run, besides its last.

    A step of the scale is `unit` decades, from `low` on.
    """
    curves = run_data.result.curves
    epochs, losses = curves["epoch"].to_numpy(), curves["loss"].to_numpy()
    wanted = pd.Series(np.arange(len(rows)), index=rows["config_id"])
    places = wanted.reindex(curves["config_id"].cat.categories).fillna(-1).to_numpy(np.int64)
    row = places[curves["config_id"].cat.codes.to_numpy()]
    grid = thin_epochs(np.unique(epochs), max(4, CURVE_BYTES // 2 // max(1, len(rows))))
    last = np.append(row[1:] != row[:-1], True)[: row.size]
    kept = (np.isin(epochs, grid) | last) & (row >= 0)
    order = np.argsort(row[kept], kind="stable")
    found = losses[kept][order]
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = np.log10(found)
    finite = np.isfinite(decades)
    low, high = (decades[finite].min(), decades[finite].max()) if finite.any() else (0.0, 1.0)
    unit = max(high - low, 1e-3) / (HIGHEST - LOWEST)
    steps = np.where(found == 0, ZERO, LOST)
    steps[finite] = LOWEST + np.rint((decades[finite] - low) / unit)
    return {
        "grid": grid.tolist(),
        "counts": pack(_shrink_codes(np.bincount(row[kept], minlength=len(rows)))),
        "low": low,
        "unit": unit,
        "losses": pack(steps.astype(np.uint16)),
    }


def thin_epochs(epochs: NDArray[Any], most: int) -> NDArray[Any]:
    """At most so many of the epochs: half of them evenly spread, half close together at first, where much happens."""
    most = min(most, MAX_EPOCHS)
    if epochs.size <= most:
        return epochs
    even = np.linspace(0, epochs.size - 1, most - most // 2)
    early = np.geomspace(1, epochs.size - 1, most // 2)
    kept: NDArray[Any] = epochs[np.unique(np.rint([*even, *early]).astype(int))]
    return kept


def _encode_fit(run_data: RunData) -> dict[str, Any] | None:
    """The data and the curves of the trajectories over them, in the table's units; of several inputs, no curve.

    For several inputs a curve is what is predicted against what was observed.
    """
    trajectories = run_data.evidence.get("trajectories")
    if run_data.data is None or trajectories is None or trajectories.empty:
        return None
    x, y = run_data.data_in_table_units()
    some = spread_evenly(range(len(y)), MAX_SAMPLES)
    x, y = x.reshape(len(x), -1)[some], y[some]
    several = x.shape[1] > 1
    at = x if several else np.linspace(x.min(), x.max(), CURVE_POINTS)[:, np.newaxis]
    predict = curve_in_table_units(run_data.result.model, run_data.scaling)
    columns = [f"param_{name}" for name in run_data.result.model.params]

    def runs(role: str, most: int) -> list[dict[str, Any]]:
        of_role = trajectories[trajectories["role"] == role]
        colors = colors_of(trajectories["init"])
        found = []
        for start, path in of_role.groupby("init", sort=False):
            steps = np.unique(np.rint(np.geomspace(1, len(path), min(most, len(path)))).astype(int)) - 1
            steps = steps if most > 1 else np.array([len(path) - 1])
            chosen = path.iloc[steps]
            with np.errstate(all="ignore"):
                curves = np.array([predict(params, at) for params in chosen[columns].to_numpy(float)])
            found.append(
                {
                    "start": text(str(start)),
                    "color": to_hex(colors[start]),
                    "epochs": chosen["epoch"].tolist(),
                    "losses": [value if np.isfinite(value) else None for value in chosen["loss"].tolist()],
                    "curves": pack(_to_float32(curves)),
                }
            )
        return found

    return {
        "several": several,
        "names": [text(run_data.data.x_names[0]), text(run_data.data.y_name)],
        "samples": len(run_data.data.y),
        "x": pack(_to_float32(y if several else x[:, 0])),
        "y": pack(_to_float32(y)),
        "at": pack(_to_float32(y if several else at[:, 0])),
        "best": runs("best", 1),
        "typical": runs("typical", 8 if several else MAX_CURVES),
    }


def _to_float32(values: Floats) -> NDArray[np.float32]:
    """Half the bytes, for what is only drawn."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)
