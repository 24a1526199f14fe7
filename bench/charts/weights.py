"""The chart of the weights of a model with vectors: bars by the names of the inputs."""

from math import ceil

import numpy as np

from sgdbench.charts.chart import Axis, Bars, Chart, Line, Panel
from sgdbench.charts.colors import NEUTRAL
from sgdbench.charts.fit import pad_range
from sgdbench.charts.ticks import linear_ticks, places
from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Floats
from sgdbench.tables.chart_words import (
    FIRST_CLASSES,
    FIRST_UNITS,
    LARGEST_WEIGHTS,
    UNITS_DIFFER,
    join_sentences,
    say_favored,
    say_part,
)
from sgdbench.tables.formatting import shorten

MOST_INPUTS, MOST_PANELS, IN_A_ROW = 30, 10, 5
LETTERS = 24


def has_weights(model: Model) -> bool:
    """Return whether a model has weights of inputs, such as w of ``w @ x``."""
    return any(vector.columns for vector in model.vectors.values())


def weight_chart(model: Model, params: Floats, *, labels: list[str], standardized: bool = False) -> Chart:
    """Return the chart of the weights of the inputs, largest first, with a panel for each class or hidden unit.

    `labels` are those of the classes, if there are any.
    """
    names = [name for name, vector in model.vectors.items() if vector.columns]
    blocks = [np.atleast_2d(model.coef(params, name)) for name in names]
    count = max(len(block) for block in blocks)
    weights = np.hstack([np.broadcast_to(block, (count, block.shape[1])) for block in blocks])
    several = len(names) > 1
    inputs = [f"{name}: {column}" if several else column for name in names for column in model.vectors[name].columns]
    size = np.abs(weights).max(axis=0)
    shown = min(count, MOST_PANELS)
    largest = np.argsort(-size, kind="stable")[: MOST_INPUTS if shown <= IN_A_ROW else MOST_INPUTS // 2]
    drawn = weights[:shown, largest]
    limits = pad_range(np.append(drawn, 0.0), 0.05)
    across = Axis(limits, "weight" + " of the standardized input" * standardized, ticks=linear_ticks(*limits))
    named = places([shorten(inputs[place], LETTERS) for place in largest])[:1]
    along = Axis((len(largest) - 0.5, -0.5), ticks=named)
    group = "class" if model.classes == count else "unit"
    titles = [f"{group} {labels[place] if group == 'class' else place}" if count > 1 else "" for place in range(shown)]
    zero = Line((0.0, 0.0), along.range, width=0.8)
    panels = [
        Panel(across, along, [Bars(range(len(own)), own, NEUTRAL), zero], shorten(title, LETTERS))
        for own, title in zip(drawn, titles, strict=True)
    ]
    rows = ceil(shown / IN_A_ROW)
    favored = shorten(labels[-1], LETTERS) if len(labels) == 2 and _add_up(model, names) else ""
    notes = join_sentences(
        say_part(LARGEST_WEIGHTS, len(largest), len(inputs)),
        say_part(FIRST_CLASSES if group == "class" else FIRST_UNITS, shown, count),
        bool(favored) and say_favored(favored),
        not standardized and UNITS_DIFFER,
    )
    return Chart(panels, notes=notes, columns=ceil(shown / rows), height=(1.0 + 0.19 * len(largest)) * rows)


def _add_up(model: Model, names: list[str]) -> bool:
    """Return whether inputs of positive weights raise the one score: not in ``b - w @ x``, nor in networks."""
    if not model.is_linear or model.classes > 1:
        return False
    (slopes,) = model.design_matrix(np.ones((1, len(model.inputs))))
    return all((model.coef(slopes, name) > 0).all() for name in names)
