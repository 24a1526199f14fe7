"""The answer of a run: the recommended choice, its cost, the certainty of both, and the code to use it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.report.choice import find_choice
from sgdbench.report.reproduce import changed_settings
from sgdbench.report.run_data import RunData
from sgdbench.store.choice import Choice
from sgdbench.tables.conclusions import no_choice
from sgdbench.tables.confirm import is_confirmed
from sgdbench.tables.costs import KERNEL
from sgdbench.tables.facts import Seeds
from sgdbench.tables.formatting import duration, percentage, text
from sgdbench.tables.rank import cost_of
from sgdbench.tables.words import (
    NO_BEST_CHOICE,
    NOT_ARRIVED,
    describe_batch_size,
    describe_no_choice,
    describe_order,
    describe_sample,
    format_share,
    say_medians,
    title_missed_target,
)

# The sentences of the verdict that the answer says in its own way.
SAID_BY_ANSWER = ("Not arrived", "Best choice", "Ties")


class Copy(NamedTuple):
    """A text to be copied: the button's name, the anchor of the text, and the text."""

    name: str
    anchor: str
    content: str


class Tile(NamedTuple):
    """A number in large type, the interval in small type below it, which may be empty, and its meaning."""

    value: str
    interval: str
    meaning: str


class Answer(NamedTuple):
    """The best choice, setting by setting, and its results; `notes` are sentences on how sure they are."""

    heading: str
    settings: list[tuple[str, str]]
    tiles: list[Tile]
    notes: list[str]
    copies: list[Copy]


def find_answer(run_data: RunData) -> Answer:
    """Return the answer of a run that has trained something."""
    frame, target = run_data.frame, run_data.target
    diverged = int((frame["status"] == "diverged").sum())
    if diverged == len(frame):
        tiles = [Tile(f"{text(diverged)} of {text(len(frame))}", "", "runs diverged")]
        notes = [describe_no_choice(no_choice("run", frame["samples_seen"]))]
        return Answer(NO_BEST_CHOICE, [], tiles, notes, [])
    choice = find_choice(run_data, "samples", None)
    best = choice.row
    settings = [
        ("optimizer", str(best["optimizer"])),
        ("learning rate", text(best["lr"])),
        ("batch size", describe_batch_size(best["batch_size"], run_data.samples)),
        ("schedule", str(best["schedule"])),
        ("order", describe_order(choice.settings["shuffle"])),
        *([("precision", str(best["dtype"]))] if "dtype" in best else []),
    ]
    heading = run_data.heading
    if target is not None and not best["converged"] and not (is_confirmed(best) and best["confirmed_converged"]):
        heading = title_missed_target(target)
    elif run_data.shortfall:
        heading = NOT_ARRIVED
    has_interval = pd.notna(best[f"{'confirmed_' if is_confirmed(best) else ''}final_loss_low"])
    medians = say_medians(sample_of(run_data, best), with_intervals=bool(has_interval))
    notes = [run_data.verdict.get("Not arrived", ""), medians, run_data.verdict.get("Ties", ""), str(best["reason"])]
    tiles = _make_tiles(best, run_data)
    if run_data.judged is not None:
        meaning = f"median {run_data.criterion.label} on test rows"
        tiles = [_estimate_tile(run_data.judged, "loss", text, meaning), *tiles]
    folder, here = run_data.result.run.folder.absolute(), Path.cwd()
    folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
    copies = _copies(choice, run_data.plugins, folder, changed_settings(run_data))
    return Answer(heading, settings, tiles, [note for note in notes if note], copies)


def _make_tiles(best: pd.Series, run_data: RunData) -> list[Tile]:
    """Return the costs of a choice and its success, on fresh seeds where there are any."""
    prefix, target = "confirmed_" if is_confirmed(best) else "", run_data.target
    runs, converged = (best[f"{prefix}{name}"] for name in ("runs", "converged"))
    noun = "run" if runs == 1 else "runs"
    if target is None or not best["converged"]:
        diverged = best[f"{prefix}diverged"]
        share, noun = (format_share(diverged, runs), noun) if diverged else ("no", "run")
        name = cost_of(run_data.ranked, "samples")
        median = _estimate_tile(best, f"{prefix}{name}", text, f"median {run_data.cost}")
        return [median, Tile(share, "", f"{noun} of the best choice diverged")]
    tiles = []
    if np.isfinite(best[f"{prefix}samples"]):  # else half of the runs or more failed, and there is no median
        tiles.append(_estimate_tile(best, f"{prefix}samples", text, f"samples to the target loss {text(target)}"))
        tiles.append(_estimate_tile(best, f"{prefix}updates", text, "updates"))
    if np.isfinite(best[f"{prefix}seconds"]):
        tiles.append(_estimate_tile(best, f"{prefix}seconds", duration, f"with the kernel {KERNEL}"))
    low, high = best[f"{prefix}success_low"], best[f"{prefix}success_high"]
    return [
        *tiles,
        Tile(
            format_share(converged, runs),
            f"[{percentage(low)}, {percentage(high)}]",
            f"{noun} of the best choice reached the target",
        ),
    ]


def _estimate_tile(best: pd.Series, name: str, as_text: Callable[[float], str], meaning: str) -> Tile:
    missing = pd.isna(best[f"{name}_low"])
    value, *ends = (as_text(float(best[column])) for column in (name, f"{name}_low", f"{name}_high"))
    return Tile(value, "" if missing or {*ends} == {value} else f"[{', '.join(ends)}]", meaning)


def sample_of(run_data: RunData, best: pd.Series) -> str:
    """Return the starts and seeds that the figures of a choice are from."""
    runs = run_data.frame_of(best)
    kind = "same" if run_data.seeds_are_same(best) else "fresh" if is_confirmed(best) else "selected"
    return describe_sample(runs["init"].nunique(), Seeds(kind, runs["seed"].nunique()))


def _copies(choice: Choice, files: Sequence[str], folder: Path, changed: Mapping[str, Any]) -> list[Copy]:
    """Return the choice as Python, as a study, and as a command that runs it by the study of this run.

    The command names the study of the run by its place from the working directory, with `changed` settings of [run].
    """
    settings = choice.settings
    options = {
        "--optimizer": settings["optimizer"],
        "--lr": repr(settings["lr"]),
        "--batch-size": str(settings["batch_size"]),
        "--schedule": settings["schedule"],
        **({"--dtype": settings["dtype"]} if "dtype" in settings else {}),
        **{f"--{name}": str(value) for name, value in changed.items()},
    }
    order = "--shuffle" if settings["shuffle"] else "--no-shuffle"
    plugins = [word for file in files for word in ("--plugin", file)]
    words = ["sgdbench", "run", str(folder / "run.toml"), *chain.from_iterable(options.items()), order]
    return [
        Copy("Copy as Python", "answer-python", choice.code()),
        Copy("Copy as study (TOML)", "answer-toml", choice.to_study()),
        Copy("Copy as command", "answer-command", shlex.join([*words, *plugins, "--out", f"{folder}-best"])),
    ]
