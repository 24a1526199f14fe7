"""Small figures of each kind, and what they are made of."""

import numpy as np
import pandas as pd

from sgdbench.charts.basins import basin_chart
from sgdbench.charts.contours import contour_chart
from sgdbench.charts.fit import fit_chart
from sgdbench.charts.losses import loss_charts
from sgdbench.charts.rate_map import rate_map_figure
from sgdbench.charts.rates import rate_chart, rate_choices
from sgdbench.charts.row_charts import optimizer_ratios, setting_importance
from sgdbench.charts.speed import speed_chart
from sgdbench.plots.draw import draw_chart
from sgdbench.tables.loss_bands import loss_bands
from sgdbench.tables.outcomes import choice_outcomes
from sgdbench.tables.rank import ranking
from tests.support.frames import make_curves, plane
from tests.support.speeds import speeds

X = np.linspace(-1, 1, 50)
Y = X**2 - 2


def quadratic(params, x):
    """A model, which at 1, 0 and -2 goes through X and Y."""
    a, b, c = params
    return a * x**2 + b * x + c


def decay(rates, epochs=10, start=100.0):
    """Losses by config_id that fall by a factor from epoch to epoch, in one run for each rate."""
    return {f"run{i}": start * np.exp(-rate * np.arange(epochs + 1)) for i, rate in enumerate(rates)}


def loss_chart_of(frame, curves, **options):
    """The chart of loss curves from each start, from the runs and their curves."""
    bands = loss_bands(frame, curves)
    starts = bands["start"].unique().tolist()
    return loss_charts(bands[bands["start"].isin(starts[1:] or starts)], runs=frame, **options)["samples"]


def loss_curves(frame, curves, **options):
    """The figure of loss curves, from the runs and their curves."""
    return draw_chart(loss_chart_of(frame, curves, **options))


def fitted_curve(predict, x, y, **options):
    """The figure of fits, from the data and the parameters."""
    return draw_chart(fit_chart(predict, x, y, **options))


def gallery(frame):
    """A small figure of each kind, for what has to hold for all of them."""
    name = frame["init"].iloc[0]
    yield loss_curves(frame, make_curves(decay(range(1, len(frame) + 1))))
    yield fitted_curve(quadratic, X, Y, params_by_name={name: [1, 0, -2]}, start=[0, 0, 0], names=(name, name))
    paths = {name: np.eye(3)}
    yield draw_chart(contour_chart(lambda params: (params**2).sum(axis=1), paths, names=("b", name, "c")))
    solved = frame.assign(optimizer=name, status="converged", samples_to_target=3, lr=[0.1, 0.2])
    outcomes = choice_outcomes(solved, ranking(solved))
    yield draw_chart(rate_map_figure(outcomes, "samples"))
    yield draw_chart(rate_chart(rate_choices(outcomes), "samples"))
    yield draw_chart(basin_chart(plane(name), end=[0, 0], starts={name: [0.5, 0.5], "b": [9, 9]}))
    yield draw_chart(speed_chart(speeds(name)))
    yield draw_ratios(comparison(name, "sgd"))
    effects = {"setting": ["learning rate", "start"], "share": [0.5, 0.1], "factor": 3.0, "best": name, "worst": "x"}
    yield draw_chart(setting_importance(pd.DataFrame(effects), cost="samples to the target"))


def draw_ratios(table):
    """The figure of optimizers compared."""
    names = table["optimizer"].tolist()
    return draw_chart(optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds", named=names))


def comparison(*names):
    """Optimizers compared, of which the first is best."""
    plain = {"lr": 0.1, "batch_size": 8, "tried": 12, "runs": 20, "converged": 20, "verdict": "worse"}
    ratio = 1.0 + np.arange(len(names))
    interval = {"cost": "samples", "ratio": ratio, "ratio_low": 0.8 * ratio, "ratio_high": 1.5 * ratio}
    return pd.DataFrame({"optimizer": list(names)} | interval | plain)
