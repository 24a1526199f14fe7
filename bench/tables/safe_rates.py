"""Learning rates at which every run reached the target, and settings at which runs diverged."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bench.tables.formatting import text
from bench.tables.phrases import describe_range, format_count, name_settings
from bench.tables.ranking import varies

_SETTINGS_BESIDES_RATE = ["optimizer", "schedule", "batch_size", "shuffle"]
# The most optimizers, and the most groups of diverged runs, that are listed one by one.
MAX_OPTIMIZERS, MAX_GROUPS = 8, 3


def safe_rates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return for each optimizer the widest range of learning rates at which every run reached the target.

    A run is one start with one seed; at no rate within the range did a run fail. The other settings are those that make
    the range widest.

    Optimizers have one row each, the widest range first: `optimizer`, `schedule`, `batch_size`, `shuffle`, the `lowest`
    and the `highest` rate, how many rates are `safe` and how many were `tried`. Where no rate is safe, `lowest` and
    `highest` are missing and `safe` is 0.
    """
    reached = frame.assign(reached=frame["status"].eq("converged"))
    rows = []
    for values, group in reached.groupby(_SETTINGS_BESIDES_RATE, observed=True):
        every = group.groupby("lr")["reached"].all()  # sorted by rate
        stretches = every.ne(every.shift()).cumsum()[every]
        settings = dict(zip(_SETTINGS_BESIDES_RATE, values, strict=True)) | {"tried": len(every)}
        ranges = [(part.index.min(), part.index.max(), len(part)) for _, part in stretches.groupby(stretches)]
        for lowest, highest, safe in ranges or [(np.nan, np.nan, 0)]:
            rows.append(settings | {"lowest": lowest, "highest": highest, "safe": safe})
    table = pd.DataFrame(rows, columns=[*_SETTINGS_BESIDES_RATE, "lowest", "highest", "safe", "tried"])
    table["width"] = (table["highest"] / table["lowest"]).fillna(0.0)
    table = table.sort_values(["width", "safe"], ascending=False, kind="stable").drop(columns="width")
    return table.drop_duplicates("optimizer", ignore_index=True)


def describe_safe_rates(frame: pd.DataFrame, samples: int | None = None) -> str:
    """Return the table of `safe_rates` in a sentence."""
    ranges = safe_rates(frame)
    safe = ranges[ranges["safe"] > 0]
    if safe.empty:
        return "At no learning rate did every start and seed reach the target."
    shown = ["batch_size", "shuffle", *(["schedule"] if varies(frame, "schedule") else [])]
    named = [
        f"{row['optimizer']} at {describe_range(row['lowest'], row['highest'])} "
        f"({text(row['safe'])} of {format_count(row['tried'], 'rate')}; {_describe_settings(row, shown, samples)})"
        for row in safe.to_dict("records")
    ]
    if (more := len(named) - MAX_OPTIMIZERS) > 1:
        named[MAX_OPTIMIZERS:] = [f"{text(more)} more"]
    never = [str(optimizer) for optimizer in ranges.loc[ranges["safe"] == 0, "optimizer"]]
    return f"Every start and seed reached the target with {'; '.join(named)}." + (
        f" There is no such learning rate for {', '.join(never)}." if never else ""
    )


def describe_divergence(frame: pd.DataFrame, samples: int | None = None) -> str:
    """Return a sentence on the settings at which runs diverged, and how many did."""
    diverged = frame[frame["status"] == "diverged"]
    if diverged.empty:
        return "No run diverged."
    by = ["optimizer", "batch_size", "shuffle", *(["schedule"] if varies(frame, "schedule") else [])]
    tried = frame.groupby(by, observed=True)["lr"].nunique().rename("tried")
    groups = diverged.groupby(by, observed=True)["lr"].agg(["min", "max", "nunique", "size"])
    groups = groups.sort_values("size", ascending=False, kind="stable").join(tried).reset_index()
    named = [
        f"{format_count(row['size'], 'run')} with {row['optimizer']} at {describe_range(row['min'], row['max'])} "
        f"({text(row['nunique'])} of {format_count(row['tried'], 'rate')}; {_describe_settings(row, by[1:], samples)})"
        for row in groups.to_dict("records")
    ]
    others = groups["size"][MAX_GROUPS:].sum()
    more = f"; {format_count(others, 'run')} with other settings" if others else ""
    return (
        f"{text(len(diverged))} of {format_count(len(frame), 'run')} diverged: {'; '.join(named[:MAX_GROUPS])}{more}."
    )


def _describe_settings(row: Mapping[Any, Any], names: list[str], samples: int | None) -> str:
    return ", ".join(name_settings({name: row[name] for name in names}, samples).values())
