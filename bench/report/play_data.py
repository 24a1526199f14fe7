"""The data with which the page plays runs: their paths, the model as a program, and the samples."""

from typing import Any

import numpy as np
import pandas as pd

from sgdbench.charts.cell import run_chart
from sgdbench.charts.choices import spread_evenly
from sgdbench.charts.colors import colors_of
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.model.program import Program
from sgdbench.report.packing import pack, pack_counts
from sgdbench.report.run_data import RunData
from sgdbench.tables.chart_words import join_sentences
from sgdbench.tables.costs import choice_columns
from sgdbench.tables.formatting import shorten
from sgdbench.tables.words import describe_end, say_played

# The loss over a plane of parameters is their mean: more of them are not seen in its contours.
MAX_SAMPLES = 300
# The losses that the page can compute.
PLAYED = (
    *("squared", "huber", "logcosh", "absolute", "quantile", "cauchy", "epsilon_insensitive"),
    *("logistic", "hinge", "poisson", "objective"),
)


def play_data(run_data: RunData, codes: dict[str, dict[Any, int]]) -> dict[str, Any] | None:
    """Return the runs that the page plays; None if paths were not recorded, or there are no data for curves.

    The `codes` of settings are those of the page, by their values.
    """
    paths = run_data.evidence.get("paths")
    model = run_data.result.model
    if run_data.data is None or paths is None or paths.empty or not model.inputs or model.vectors:
        return None
    loss = run_data.criterion
    if loss.name not in PLAYED:
        return None
    scaling = run_data.scaling
    columns, y = check_samples(model, run_data.data.x, run_data.data.y)
    some = spread_evenly(range(y.size), MAX_SAMPLES)
    scales = ([[0.0, 1.0]] * len(columns), [0.0, 1.0])
    if scaling is not None:
        scales = np.column_stack([scaling.x_mean, scaling.x_scale]).tolist(), [scaling.y_mean, scaling.y_scale]
    return {
        "program": encode_program(model.formula),
        "loss": loss.name,
        "loss_label": loss.label,
        "options": list(loss.options.values()),
        "params": list(model.params),
        "names": [shorten(name) for name in (*run_data.data.x_names, run_data.data.y_name)],
        "inputs": [pack(column[some]) for column in columns],
        "y": pack(y[some]),
        "scales": {"inputs": scales[0], "y": scales[1]},
        **_encode_paths(run_data, paths, codes),
    }


def encode_program(program: Program) -> dict[str, Any]:
    """Return the instructions that compute the residual of a model, as data that the page interprets."""
    first = program.params + program.inputs + 1 + len(program.constants)
    return {
        "constants": list(program.constants),
        "steps": [[step.function, *step.operands] for step in program.instructions[: program.residual - first + 1]],
        "residual": program.residual,
    }


def _encode_paths(run_data: RunData, paths: pd.DataFrame, codes: dict[str, dict[Any, int]]) -> dict[str, Any]:
    """Return the paths, one after the other, with the settings of each run as codes and how it ended."""
    frame = run_data.frame
    settings = [*choice_columns(frame), "init"]
    ids = paths["config_id"].astype(str)
    runs = frame[frame["config_id"].isin(ids.unique())]
    for name in settings:
        runs = runs[runs[name].isin(list(codes[name]))]
    colors = colors_of(frame["optimizer"])
    target = run_data.target
    about: dict[str, Any] = {"shown": run_data.loss_axis, "target": target}
    has_patience = run_data.result.run.identity["patience"] != "none"
    place = pd.Series(np.arange(len(runs)), index=runs["config_id"])
    run_of_checkpoint = place.reindex(ids).fillna(-1).to_numpy(np.int64)
    order = np.argsort(run_of_checkpoint, kind="stable")[np.count_nonzero(run_of_checkpoint < 0) :]
    own = paths.iloc[order]
    counts = np.bincount(run_of_checkpoint[order], minlength=len(runs))
    ends = np.cumsum(counts)
    samples, losses = own["samples"].to_numpy(np.int64), own["loss"].to_numpy(float)
    spans = [slice(end - count, end) for count, end in zip(counts, ends, strict=True)]
    charts = [
        run_chart(
            samples[span],
            losses[span],
            colors[name],
            **about,
            notes=describe_end(status, samples_seen, target, has_patience=has_patience),
        )
        for span, name, status, samples_seen in zip(
            spans, runs["optimizer"], runs["status"], samples[ends - 1], strict=True
        )
    ]
    numbers = own[["loss", *(f"param_{name}" for name in run_data.result.model.params)]].to_numpy(np.float32)
    return {
        "codes": {
            name: pack_counts(runs[name].astype(object).map(codes[name]).to_numpy(np.int64)) for name in settings
        },
        "counts": pack_counts(counts),
        "charts": charts,
        "numbers": pack(numbers),
        "left_out": _describe_left_out(run_data, runs),
    }


def _describe_left_out(run_data: RunData, runs: pd.DataFrame) -> str:
    """Say which runs are played, where these are not all."""
    frame = run_data.frame
    seeds, starts = frame["seed"].nunique(), frame["init"].nunique()
    choices, chosen = (len(part[choice_columns(frame)].drop_duplicates()) for part in (frame, runs))
    played = runs["init"].nunique()
    return join_sentences(*say_played(int(runs["seed"].iloc[0]), seeds, (played, starts), (chosen, choices)))
