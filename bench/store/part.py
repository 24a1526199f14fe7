"""A part of a run's results: one Parquet file that is complete, or known to be damaged.

Stored are the losses of a curve at multiples of `losses_every` checkpoints, and the last loss. `losses_after` is the
checkpoint before the first of them: -1 if the curve is complete, otherwise the last checkpoint of another part.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sgdbench.store.seal import write_table
from sgdbench.system.atomic import sync_folder

FROM_THE_START = -1
CURVE_COLUMNS = ("losses", "validation_losses")
HISTORY_COLUMNS = ("losses_after", "losses_every", *CURVE_COLUMNS)
_PART_NAME = re.compile(r"(\d{6,})\.parquet")

Integers = NDArray[np.int32]
Flags = NDArray[np.bool_]


def stored_checkpoints(after: Integers, checkpoints: Integers, every: Integers, counts: Integers) -> Integers:
    """Return the checkpoints of stored losses, curve by curve: `counts` of them above `after`, up to `checkpoints`."""
    starts = np.cumsum(counts, dtype=np.int32) - counts
    ordinals = np.arange(counts.sum(), dtype=np.int32) - np.repeat(starts, counts)
    multiples = (np.repeat(after // every + 1, counts) + ordinals) * np.repeat(every, counts)
    stored: Integers = np.minimum(multiples, np.repeat(checkpoints, counts))
    return stored


def make_table(rows: pd.DataFrame, every: int) -> pa.Table:
    """Arrange results for storage; see `OpenRun.append`."""
    if (again := rows["config_id"].duplicated()).any():
        raise ValueError(f"rows must hold each configuration once, not {rows['config_id'][again].iloc[0]!r} twice")
    checkpoints = rows["marks"].to_numpy(np.int32)
    lengths = np.array([losses.size for losses in rows["losses"]], np.int32)
    first, ends = checkpoints + 1 - lengths, np.cumsum(lengths)
    starts = ends - lengths
    # A continuation without any checkpoints would be the newest row and yet have no last loss.
    if (wrong := (first < 0) | (first >= checkpoints) & (first != 0)).any():
        i = wrong.argmax()
        name, complete = rows["config_id"].iloc[i], checkpoints[i] + 1
        raise ValueError(
            f"losses of configuration {name!r} must be {min(2, complete)} to {complete}, "
            f"as it stands at checkpoint {checkpoints[i]}, not {lengths[i]}"
        )
    # The first loss of a continuation is already stored.
    after = np.where(first == 0, np.int32(FROM_THE_START), first)
    checkpoint = np.arange(ends[-1]) - np.repeat(ends - 1 - checkpoints, lengths)
    stored = checkpoint & (every - 1) == 0
    stored[ends - 1] = True
    stored[starts[first > 0]] = False
    offsets = pa.array(np.append(0, np.cumsum(np.add.reduceat(stored, starts, dtype=np.int32))), pa.int32())
    names = [name for name in CURVE_COLUMNS if name in rows]

    others = rows.drop(columns=names)
    schema = pa.Schema.from_pandas(others, preserve_index=False)
    columns = {field.name: _to_arrow(others[field.name], field.type) for field in schema}
    columns |= {"losses_after": after, "losses_every": np.full_like(after, every)}
    columns |= {
        name: pa.ListArray.from_arrays(offsets, np.concatenate(rows[name].to_numpy())[stored]) for name in names
    }
    return pa.table(columns, metadata=schema.metadata)


def _to_arrow(column: "pd.Series[Any]", kind: pa.DataType) -> pa.Array:
    """Return a column in Arrow's form; NaN keeps its bits instead of becoming a missing value."""
    # Versions of pandas differ in which of the two string types they request.
    kind = pa.string() if pa.types.is_large_string(kind) else kind
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array
    return pa.array(values, kind, from_pandas=False)


def write_part(folder: Path, number: int, table: pa.Table, owner: bytes) -> Path:
    """Write a part: it is durable when this returns, and absent when this raises."""
    path = folder / f"{number:06}.parquet"
    write_table(
        path,
        table,
        owner,
        compression="zstd",
        # Values in results rarely repeat, and the bytes of floats compress better in eight streams.
        use_dictionary=False,
        use_byte_stream_split=[f"{name}.list.element" for name in CURVE_COLUMNS if name in table.column_names],
    )
    sync_folder(folder)
    return path


def part_number(path: Path) -> int:
    """Return the place of a part in the order of writing, or 0 if its name has none."""
    name = _PART_NAME.fullmatch(path.name)
    return int(name[1]) if name else 0


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read some columns of a part; by default all except those of the curve."""
    try:
        with pq.ParquetFile(path) as file:
            if columns is None:
                columns = [name for name in file.schema_arrow.names if name not in HISTORY_COLUMNS]
            # A name with dots also finds nested columns; select() takes names literally.
            return file.read(columns, use_threads=False).select(columns)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged: {' '.join(str(error).split())}") from error


def join_tables(tables: Sequence[pa.Table], folder: Path) -> pd.DataFrame:
    """Return the rows of parts, concatenated."""
    try:  # pandas' metadata in them may be damaged
        frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(use_threads=False)
    except (pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is damaged: {' '.join(str(error).split())}") from error
    return frame
