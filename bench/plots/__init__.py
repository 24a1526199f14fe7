"""Figures from the frame of results. Each function is pure: it takes a frame and returns a matplotlib Figure.

`frame` is described in `bench.tables.ranking`. `curves` is long: `config_id`, `epoch`, `samples`, `updates`, `loss`.
`trajectory` is long, too: `config_id`, `samples` and a column `param_<name>` per parameter. `predict(params, x)` is the
model's curve. A figure that has nothing to show says so.
"""

from bench.plots.basins import basin_map
from bench.plots.contours import contours
from bench.plots.curves import fitted_curve, fitted_path
from bench.plots.ecdf import ecdf
from bench.plots.losses import loss_curves
from bench.plots.optimizer_ratios import optimizer_ratios
from bench.plots.pareto import pareto
from bench.plots.paths import parameter_path
from bench.plots.rates import rate_map
from bench.plots.sensitivity import sensitivity
from bench.plots.setting_importance import setting_importance
from bench.plots.speed import speed_bars

__all__ = [
    "basin_map",
    "contours",
    "ecdf",
    "fitted_curve",
    "fitted_path",
    "loss_curves",
    "optimizer_ratios",
    "parameter_path",
    "pareto",
    "rate_map",
    "sensitivity",
    "setting_importance",
    "speed_bars",
]
