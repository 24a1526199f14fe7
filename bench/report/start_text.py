"""Where runs of models with many parameters start, as Python and TOML: by rules instead of numbers."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sgdbench.kernels import Model
from sgdbench.report.run_data import RunData
from sgdbench.study.grid import RandomStarts

# The most numbers that are written out.
MOST_NUMBERS = 30
SEED = "{seed}"
DRAWN = "np.random.default_rng"
_DRAWS = {
    "normal": f"{{0!r}} * {DRAWN}({{seed}}).standard_normal({{shape}})[{{place}}]",
    "uniform": f"{{0!r}} + {{width!r}} * {DRAWN}({{seed}}).random({{shape}})[{{place}}]",
}


class StartText(NamedTuple):
    """A start as the value of `init` in Python, with `{seed}` for the seed, and in a study; empty where it is left out.

    Both are None for numbers that are given by no rule; `reason` says so.
    """

    python: str | None
    toml: str | None
    reason: str = ""


def start_texts(run_data: RunData) -> dict[str, StartText]:
    """Return the starts of a run by their names; of a model of few parameters, whose numbers are written out, none."""
    model, frame = run_data.result.model, run_data.frame
    if len(model.params) <= MOST_NUMBERS or frame.empty:
        return {}
    grid = run_data.study.make_grid() if run_data.study else None
    rows = pd.Series(np.arange(len(frame))).groupby(frame["init"].astype(str).to_numpy(), sort=False)
    texts = {}
    for name, places in rows:
        entry, number = _entry(str(name), {} if grid is None else grid.init)
        if isinstance(entry, RandomStarts) and entry.kind in _DRAWS:
            texts[str(name)] = _describe_draws(entry, number, len(model.params))
        else:
            texts[str(name)] = _describe_numbers(run_data, str(name), places.to_numpy())
    return texts


def write_start(model: Model, start: list[float]) -> StartText:
    """Return the numbers of a start; those of vectors have no names."""
    numbers = f"[{', '.join(map(repr, start))}]"
    named = ", ".join(f"{name} = {value!r}" for name, value in zip(model.params, start, strict=True))
    return StartText(numbers, f"{{ start = {numbers if model.vectors else f'{{ {named} }}'} }}")


def _entry(name: str, init: dict[str, object]) -> tuple[object, int]:
    """Return the entry of a grid that a start is of, and its number there."""
    numbered = re.fullmatch(r"(.*)\[(\d+)\]", name)
    if numbered and numbered[1] in init:
        return init[numbered[1]], int(numbered[2])
    return init.get(name), 0


def _describe_draws(entry: RandomStarts, place: int, params: int) -> StartText:
    """Return draws of the run's seed; those before them do not depend on how many follow."""
    first = entry.numbers[0]
    width = entry.numbers[-1] - first
    shape = (place + 1, params)
    python = _DRAWS[entry.kind].format(first, width=width, seed=SEED, shape=shape, place=place)
    spec = ":".join([entry.kind, *map(repr, entry.numbers), str(place + 1)])
    return StartText(python, f'"{spec}"')


def _describe_numbers(run_data: RunData, name: str, rows: NDArray[np.int64]) -> StartText:
    """Return the start that `fit` has by itself, or zeros."""
    model = run_data.result.model
    seeds, first = np.unique(run_data.frame["seed"].to_numpy()[rows], return_index=True)
    starts = run_data.result.starts[rows[first]]
    if all(np.array_equal(start, model.draw_start(int(seed))) for seed, start in zip(seeds, starts, strict=True)):
        return StartText("", "")
    if not starts.any():
        return StartText(repr(dict.fromkeys(model.vectors, 0.0)), '"zero"')
    return StartText(None, None, f"The start {name} is {len(model.params):,} numbers, which this page does not hold.")
