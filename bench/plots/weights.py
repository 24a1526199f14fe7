"""The weights of a model with vectors, as bars by the names of the inputs."""

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from bench.charts.row_charts import BAR
from bench.plots.style import STYLE, add_caption, columns_of_panels
from bench.tables.formatting import shorten
from kernels import Model
from kernels.base.run import Floats

MOST_INPUTS, MOST_PANELS, IN_A_ROW = 30, 10, 5
LETTERS = 24


def has_weights(model: Model) -> bool:
    """Return whether a model has weights of inputs, such as w of ``w @ x``."""
    return any(vector.columns for vector in model.vectors.values())


@rc_context(STYLE)
def weight_bars(model: Model, params: Floats, *, labels: list[str], standardized: bool = False) -> Figure:
    """Draw the weights of the inputs, those of the largest size from top to bottom; of several groups all, one by one.

    `labels` are those of the classes, if there are any.
    """
    names = [name for name, vector in model.vectors.items() if vector.columns]
    blocks = [np.atleast_2d(model.coef(params, name)) for name in names]
    panels = max(len(block) for block in blocks)
    weights = np.hstack([np.broadcast_to(block, (panels, block.shape[1])) for block in blocks])
    several = len(names) > 1
    inputs = [f"{name}: {column}" if several else column for name in names for column in model.vectors[name].columns]
    size = np.abs(weights).max(axis=0)
    shown = min(panels, MOST_PANELS)
    largest = np.argsort(-size, kind="stable")[: MOST_INPUTS if shown <= IN_A_ROW else MOST_INPUTS // 2]
    figure, axes = columns_of_panels(shown, 1.0 + 0.19 * len(largest), IN_A_ROW)
    places = np.arange(len(largest))
    for panel, axis in enumerate(axes):
        values = weights[panel, largest]
        axis.barh(places, values, color=BAR, height=0.7)
        axis.axvline(0.0, color="#555555", linewidth=0.8)
        if panels > 1:
            title = f"class {labels[panel]}" if model.classes == panels else f"unit {panel}"
            axis.set_title(shorten(title, LETTERS), fontsize=9)
    axes[0].set_yticks(places, [shorten(inputs[place], LETTERS) for place in largest])
    axes[0].set_ylim(len(largest) - 0.5, -0.5)
    figure.supxlabel("weight" + (" of the standardized input" if standardized else ""))
    total = len(inputs)
    add_caption(
        figure,
        len(largest) < total and f"The {len(largest)} of {total:,} inputs with the largest weights.",
        shown < panels and f"The first {shown} of {panels:,} {'classes' if model.classes == panels else 'units'}.",
        len(labels) == 2 and _add_up(model, names) and f"Positive weights speak for {shorten(labels[-1], LETTERS)}.",
        not standardized and "Weights of inputs in different units do not compare.",
    )
    return figure


def _add_up(model: Model, names: list[str]) -> bool:
    """Return whether inputs of positive weights raise the one score: not in ``b - w @ x``, nor in networks."""
    if not model.is_linear or model.classes > 1:
        return False
    (slopes,) = model.design_matrix(np.ones((1, len(model.inputs))))
    return all((model.coef(slopes, name) > 0).all() for name in names)
