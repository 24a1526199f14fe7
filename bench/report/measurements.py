"""The measurements of a run with their titles and captions, for the page, the Markdown and the files of tables."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.report.run_data import RunData
from bench.tables.formatting import duration, text
from bench.tables.readable import TITLES, caption
from bench.tables.seconds import KERNEL


class Measurement(NamedTuple):
    """A measurement for readers; the check against the reference has no table before it was made."""

    name: str
    title: str
    caption: str
    table: pd.DataFrame | None


def titles_of(run_data: RunData) -> dict[str, str]:
    """Return the titles of tables and measurements; without a target there is no time to it."""
    return {name: title for name, title in TITLES.items() if name != "times" or run_data.target is not None}


def measurements_of(run_data: RunData) -> list[Measurement]:
    """Return the measurements that there are, and the check."""
    found = []
    for name, title in titles_of(run_data).items():
        table = run_data.evidence.get(name)
        if name in run_data.tables or (name != "check" and (table is None or table.empty)):
            continue
        words = describe_check(run_data) if name == "check" or table is None else caption(name, table)
        found.append(Measurement(name, title, words, None if table is None else run_data.readable(name, table)))
    return found


def describe_check(run_data: RunData) -> str:
    """Return a sentence on how closely the kernels agree with the reference."""
    checked = run_data.evidence.get("check")
    if checked is None:
        return "Not checked yet: the check follows when all configurations are trained."
    exact = checked["bound"].max() == 0
    agreement = "is the same to the last bit" if exact else f"differs by at most {text(checked['error'].max())}"
    if not exact and "loss_error" in checked:
        agreement += f", and by {text(checked['loss_error'].max())} relative to it where it is not close to 0"
    told = (
        f"{text(len(checked))} of {text(len(run_data.frame))} configurations, drawn at random, were trained again "
        f"with the plain NumPy reference. Every loss {agreement}."
    )
    return f"{told} {_describe_speedup(run_data.evidence.get('costs'))}".rstrip()


def _describe_speedup(costs: pd.DataFrame | None) -> str:
    """Return a sentence on the time of a sample-update with the reference and with `fused`; empty if it is unknown."""
    if costs is None:
        return ""
    per_sample = costs["seconds_per_update"] / costs["batch_size"]
    reference, fused = (per_sample[costs["variant"] == name].median() for name in ("reference", KERNEL))
    if not np.isfinite(reference / fused):
        return ""
    speedup = text(float(f"{reference / fused:.2g}"))
    return (
        f"The median time of a sample-update is {duration(reference)} with the reference and {duration(fused)} with "
        f"the kernel {KERNEL}, which trains one run at a time: a speedup of {speedup}."
    )
