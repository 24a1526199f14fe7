"""The measurements of a run with their titles and captions, for the page, the Markdown and the files of tables."""

from typing import NamedTuple

import pandas as pd

from bench.report.run_data import RunData
from bench.tables.formatting import text
from bench.tables.render import TITLES, caption
from bench.tables.words import format_count


class Measurement(NamedTuple):
    """A measurement for readers; the check against the reference has no table before it was made."""

    name: str
    title: str
    caption: str
    table: pd.DataFrame | None


def measurements_of(run_data: RunData) -> list[Measurement]:
    """Return the measurements that there are, and the check."""
    found = []
    for name, title in TITLES.items():
        table = run_data.evidence.get(name)
        if name in run_data.tables or (name != "check" and (table is None or table.empty)):
            continue
        words = describe_check(run_data) if name == "check" or table is None else caption(name, table)
        found.append(Measurement(name, title, words, None if table is None else run_data.readable(name, table)))
    return found


def describe_check(run_data: RunData) -> str:
    """Return a sentence on how closely the kernels agree with the reference."""
    checked = run_data.evidence.get("check")
    if checked is None and run_data.result.run.study == "":
        return "Not checked: `sgdbench run` trains some runs again with the reference, and a sweep in Python does not."
    if checked is None:
        return "Not checked yet: the check follows when all configurations are trained."
    exact = checked["bound"].max() == 0
    agreement = "is the same to the last bit" if exact else f"differs by at most {text(checked['error'].max())}"
    if not exact and "loss_error" in checked:
        agreement += f", and by {text(checked['loss_error'].max())} relative to it where it is not close to 0"
    some = f"{text(len(checked))} of {format_count(len(run_data.frame), 'configuration')}"
    seen = run_data.frame.set_index("config_id")["samples_seen"].reindex(checked["config_id"])
    per_epoch = checked["batch_size"].map(run_data.result.clock.samples_per_epoch)
    whole = (checked["epochs"] * per_epoch > seen.to_numpy() - 0.5).all()
    until = "" if whole else f" up to epoch {text(checked['epochs'].max())}"
    return (
        f"{some}, drawn at random, {'was' if len(checked) == 1 else 'were'} trained again with the plain NumPy "
        f"reference. Every loss{until} {agreement}."
    )
