"""From the parts of a run to its frames: the stored rows that count, and the curves they make.

A configuration may come again: from the start, or continued to later marks from where it stood. A continuation counts
only on top of the row that it continues. So where a part in the middle is lost, the configuration stands as before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from bench.store import part as parts
from bench.store.part import FROM_THE_START, Flags, Integers
from kernels.base.run import Floats

NOWHERE = -1
_COLUMNS = {"losses": "loss", "validation_losses": "validation_loss"}


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
        return pd.DataFrame({"config_id": pd.Categorical([]), "mark": np.empty(0, np.int32), "loss": np.empty(0)})
    rows = _read_rows(paths)
    every = int(rows.every.max())
    configs = _stored_configurations(rows, config_ids)
    place = np.full(len(rows.ids), NOWHERE, np.int32)
    place[configs] = np.arange(configs.size)
    included = rows.counts & (place[rows.config] != NOWHERE)
    sizes = np.where(included, parts.count_losses(rows.after, rows.marks, every, rows.newest), 0)
    order = np.argsort(place[rows.config], kind="stable")
    starts = np.empty(sizes.size, np.intp)
    starts[order] = np.cumsum(sizes[order]) - sizes[order]

    # Filled part by part, so that no more than one of them is in memory together with the result.
    config, mark = np.empty((2, sizes.sum()), np.int32)
    known = parts.read_schema(paths[0]).names
    losses = {stored: np.empty(sizes.sum()) for stored in parts.CURVES if stored in known}
    for path, part in zip(paths, rows.parts, strict=True):
        chosen = part.start + np.flatnonzero(included[part])
        if not chosen.size:
            continue
        after, counts = rows.after[chosen], sizes[chosen]
        target = np.repeat(starts[chosen], counts) + parts.ordinals(counts)
        config[target] = np.repeat(place[rows.config[chosen]], counts)
        mark[target] = wanted = parts.stored_marks(after, rows.marks[chosen], every, counts)
        for stored, found in losses.items():
            found[target] = _read_losses(path, stored, chosen - part.start, after, rows.every[chosen], wanted, counts)
    ids = pd.Categorical.from_codes(config, rows.ids[configs])
    named = {_COLUMNS[stored]: found for stored, found in losses.items()}
    return pd.DataFrame({"config_id": ids, "mark": mark} | named, copy=False)


def _stored_configurations(rows: "_Rows", config_ids: Sequence[str] | None) -> NDArray[np.intp]:
    """Return the numbers of the configurations that are wanted and stored, in the order wanted."""
    stored = rows.config[rows.newest]
    if config_ids is None:
        return stored
    wanted = rows.ids.get_indexer(pd.Index(config_ids))
    return wanted[np.isin(wanted, stored)]


def _read_losses(
    path: Path,
    name: str,
    rows: NDArray[np.intp],
    after: Integers,
    every: Integers,
    marks: Integers,
    counts: Integers,
) -> Floats:
    """Return losses of some rows of a part at `marks`, of which each row has as many as `counts` says.

    The losses of a row are stored after the mark `after`, at multiples of the stride `every`, and at the last mark.
    """
    stored = parts.read_part(path, [name])[name].combine_chunks()
    first = stored.offsets.to_numpy()[rows] - (after // every + 1)
    # -(-mark // stride) rounds up: the last loss is stored behind the last multiple.
    places = np.repeat(first, counts) - -marks // np.repeat(every, counts)
    losses: Floats = stored.flatten().to_numpy()[places]
    return losses


@dataclass(frozen=True, eq=False)
class _Rows:
    """All rows of all parts, in the order of writing.

    `parts` has the rows of each part, `ids` the configurations, and `config` the number of that of each row. A row
    counts if it is a piece of its configuration's history, and the newest is the last piece.
    """

    parts: list[slice]
    ids: pd.Index
    config: NDArray[np.intp]
    marks: Integers
    after: Integers
    every: Integers
    counts: Flags
    newest: Flags


def _read_rows(paths: Sequence[Path]) -> _Rows:
    """Return the places of all rows in the histories of their configurations."""
    tables = [parts.read_part(path, ("config_id", "marks", "losses_after", "losses_every")) for path in paths]
    ends = np.cumsum([table.num_rows for table in tables]).tolist()
    slices = [slice(end - table.num_rows, end) for table, end in zip(tables, ends, strict=True)]
    frame = parts.join_tables(tables, paths[0].parent)
    config, ids = pd.factorize(frame["config_id"])
    marks, after, every = (frame[name].to_numpy(np.int32) for name in ("marks", "losses_after", "losses_every"))
    return _Rows(slices, ids, config, marks, after, every, *_find_newest(config, marks, after, slices))


def _find_newest(
    config: NDArray[np.intp], marks: Integers, after: Integers, slices: Sequence[slice]
) -> tuple[Flags, Flags]:
    """Return `counts` and `newest` of `_Rows`, by following configurations from part to part."""
    known = config.max(initial=-1) + 1
    reached = np.full(known, FROM_THE_START, np.int32)
    begun, last = np.zeros((2, known), np.intp)
    counts = np.zeros(config.size, np.bool_)
    for part in slices:
        here = config[part]
        complete = after[part] == FROM_THE_START
        counts[part] = complete | (after[part] == reached[here])
        begun[here[complete]] = part.start
        taken = part.start + np.flatnonzero(counts[part])
        reached[config[taken]] = marks[taken]
        last[config[taken]] = taken
    counts &= np.arange(config.size) >= begun[config]
    newest = np.zeros_like(counts)
    newest[last[reached != FROM_THE_START]] = True
    return counts, newest
