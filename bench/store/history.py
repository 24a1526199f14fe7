"""The history of a run: which stored rows of its parts count, and the curves that they form.

A configuration may occur repeatedly: from the start, or continued to later checkpoints. A continuation counts only with
the row that it continues. If a part in the middle is lost, the configuration is therefore in the state before that
part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sgdbench.store import part as parts
from sgdbench.store.part import FROM_THE_START, Flags, Integers

NOT_STORED = -1
_LOSS_COLUMNS = {"losses": "loss", "validation_losses": "validation_loss"}


def newest_rows(paths: Sequence[Path], columns: Sequence[str] | None) -> pd.DataFrame:
    """Return the newest row of each configuration, as `Run.configurations` does."""
    if not paths:
        return pd.DataFrame(columns=list(columns or ("config_id", "marks")))
    rows = _read_rows(paths)
    tables = [
        parts.read_part(path, columns).filter(pa.array(rows.newest[part]))
        for path, part in zip(paths, rows.parts, strict=True)
    ]
    return parts.join_tables(tables, paths[0].parent)


def join_curves(paths: Sequence[Path], config_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the losses of configurations, as `Run.curves` does."""
    if not paths:
        return pd.DataFrame({"config_id": pd.Categorical([]), "checkpoint": np.empty(0, np.int32), "loss": np.empty(0)})
    rows = _read_rows(paths)
    configs = _stored_configurations(rows, config_ids)
    place = np.full(len(rows.ids), NOT_STORED, np.int32)
    place[configs] = np.arange(configs.size)
    stored_names = pq.read_schema(paths[0]).names
    names = [name for name in parts.CURVE_COLUMNS if name in stored_names]
    requested = rows.counts & (place[rows.config] != NOT_STORED)
    # Parts without any of the curves are not read, except one for the types of the columns.
    used = [(path, part) for path, part in zip(paths, rows.parts, strict=True) if requested[part].any()]
    pieces = [_read_losses(path, names, part, rows, place) for path, part in used or [(paths[0], rows.parts[0])]]
    config = np.concatenate([piece.pop("config_id") for piece in pieces])
    # Runs that were trained in one go are in order.
    in_order = bool((config[1:] >= config[:-1]).all())
    order = slice(None) if in_order else np.argsort(config, kind="stable")
    # Column by column, so that only one of them is in memory together with the result.
    columns = {name: np.concatenate([piece.pop(name) for piece in pieces])[order] for name in tuple(pieces[0])}
    ids = pd.Categorical.from_codes(config[order], rows.ids[configs])
    return pd.DataFrame({"config_id": ids} | columns, copy=False)


def _stored_configurations(rows: "_Rows", config_ids: Sequence[str] | None) -> NDArray[np.intp]:
    """Return the numbers of the requested configurations that are stored, in the requested order."""
    stored = rows.config[rows.newest]
    if config_ids is None:
        return stored
    requested = rows.ids.get_indexer(pd.Index(config_ids))
    return requested[np.isin(requested, stored)]


def _read_losses(
    path: Path, names: Sequence[str], part: slice, rows: "_Rows", place: NDArray[np.int32]
) -> dict[str, NDArray[Any]]:
    """Return the losses of a part that belong to the requested curves, with the curves' numbers as `config_id`."""
    table = parts.read_part(path, names)
    stored = {_LOSS_COLUMNS[name]: table[name].combine_chunks() for name in names}
    counts = stored["loss"].value_lengths().to_numpy()
    checkpoint = parts.stored_checkpoints(rows.after[part], rows.checkpoints[part], rows.every[part], counts)
    config = place[rows.config[part]]
    requested = checkpoint & (rows.every.max() - 1) == 0
    requested[np.cumsum(counts) - 1] |= rows.newest[part]
    requested &= np.repeat(rows.counts[part] & (config != NOT_STORED), counts)
    losses = {name: found.flatten().to_numpy()[requested] for name, found in stored.items()}
    return {"config_id": np.repeat(config, counts)[requested], "checkpoint": checkpoint[requested]} | losses


@dataclass(frozen=True, eq=False)
class _Rows:
    """All rows of all parts, in the order of writing.

    `parts` has the rows of each part, `ids` the configurations, and `config` each row's configuration number. A row
    counts if it is a piece of its configuration's history, and the newest row is the last piece.
    """

    parts: list[slice]
    ids: pd.Index
    config: NDArray[np.intp]
    checkpoints: Integers
    after: Integers
    every: Integers
    counts: Flags
    newest: Flags


def _read_rows(paths: Sequence[Path]) -> _Rows:
    """Return all rows, and which of them are in the histories of their configurations."""
    tables = [parts.read_part(path, ("config_id", "marks", "losses_after", "losses_every")) for path in paths]
    ends = np.cumsum([table.num_rows for table in tables]).tolist()
    slices = [slice(end - table.num_rows, end) for table, end in zip(tables, ends, strict=True)]
    frame = parts.join_tables(tables, paths[0].parent)
    config, ids = pd.factorize(frame["config_id"])
    checkpoints, after, every = (frame[name].to_numpy(np.int32) for name in ("marks", "losses_after", "losses_every"))
    return _Rows(slices, ids, config, checkpoints, after, every, *_find_newest(config, checkpoints, after, slices))


def _find_newest(
    config: NDArray[np.intp], checkpoints: Integers, after: Integers, slices: Sequence[slice]
) -> tuple[Flags, Flags]:
    """Return `counts` and `newest` of `_Rows`, by following configurations from part to part."""
    size = config.max(initial=-1) + 1
    reached = np.full(size, FROM_THE_START, np.int32)
    begun, last = np.zeros((2, size), np.intp)
    counts = np.zeros(config.size, np.bool_)
    for part in slices:
        here = config[part]
        complete = after[part] == FROM_THE_START
        counts[part] = complete | (after[part] == reached[here])
        begun[here[complete]] = part.start
        places = part.start + np.flatnonzero(counts[part])
        reached[config[places]] = checkpoints[places]
        last[config[places]] = places
    counts &= np.arange(config.size) >= begun[config]
    newest = np.zeros_like(counts)
    newest[last[reached != FROM_THE_START]] = True
    return counts, newest
