"""The measurements of a run with their titles and captions, for the page, the Markdown and the files of tables."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sgdbench.report.run_data import RunData
from sgdbench.tables.facts import NotChecked, ReferenceCheck
from sgdbench.tables.render import TITLES, caption
from sgdbench.tables.words import say_check


class Measurement(NamedTuple):
    """A measurement for readers; the check against the reference has no table before it was made."""

    name: str
    title: str
    caption: str
    table: pd.DataFrame | None


def measurements_of(run_data: RunData) -> list[Measurement]:
    """Return the measurements that there are, and the check."""
    measurements = []
    for name, title in TITLES.items():
        table = run_data.evidence.get(name)
        if name in run_data.tables or (name != "check" and (table is None or table.empty)):
            continue
        words = say_check(find_check(run_data)) if name == "check" or table is None else caption(name, table)
        measurements.append(Measurement(name, title, words, None if table is None else run_data.readable(name, table)))
    return measurements


def find_check(run_data: RunData) -> ReferenceCheck | NotChecked:
    """Return how closely the kernels agree with the reference."""
    checked = run_data.evidence.get("check")
    if checked is None:
        return NotChecked(yet=run_data.result.run.study != "")
    error = 0.0 if checked["bound"].max() == 0 else float(checked["error"].max())
    loss_error = float(checked["loss_error"].max()) if error and "loss_error" in checked else np.nan
    samples = run_data.frame.set_index("config_id")["samples_seen"].reindex(checked["config_id"])
    per_epoch = checked["batch_size"].map(run_data.result.clock.samples_per_epoch)
    whole = (checked["epochs"] * per_epoch > samples.to_numpy() - 0.5).all()
    epoch = None if whole else float(checked["epochs"].max())
    return ReferenceCheck(len(checked), len(run_data.frame), error, loss_error, epoch)
