"""The quality of the fit of a table, in the table's units."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdbench.data.fit_table import TableFit, finite_or_none
from sgdbench.data.table import Dataset
from sgdbench.data.units import original_units
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.train.attainable_loss import AttainableLoss, unknown_loss
from sgdbench.kernels.train.fit_quality import Uncertainty, estimate_uncertainty, unknown


@dataclass(frozen=True, eq=False)
class TableQuality:
    """The quality of a fit on its data.

    `rmse` is in the units of y; `r2` is the fraction of the variance of y that the model explains. Both are nan if no
    residual was trained, and `r2` also if y does not vary. The `uncertainty` and the `optimum`, the parameters of the
    lowest loss if known, are in the units of the displayed parameters; `attainable`, for this model and these rows, is
    in those of training.
    """

    rmse: float
    r2: float
    uncertainty: Uncertainty
    attainable: AttainableLoss
    optimum: Floats | None

    def summary(self, fitted: TableFit) -> dict[str, Any]:
        """Return the numbers for scripts; None where they are unknown."""
        # Too many parameters have no standard errors.
        stderrs = self.uncertainty.stderr if self.uncertainty.stderr.size else np.full(len(fitted.params), np.nan)
        stderr = dict(zip(fitted.params, map(finite_or_none, stderrs.tolist()), strict=True))
        if not fitted.result.criterion.of_residual:
            return {"stderr": stderr}
        return {"rmse": finite_or_none(self.rmse), "r2": finite_or_none(self.r2), "stderr": stderr}


def unknown_quality(fitted: TableFit, reason: str) -> TableQuality:
    """Return the quality of a fit as far as it is known without the data."""
    rmse = math.sqrt(fitted.loss) if fitted.result.criterion.is_squared and fitted.loss >= 0 else math.nan
    unsure = unknown(fitted.result.params.size, reason)
    return TableQuality(rmse, math.nan, unsure, unknown_loss(reason), None)


def table_quality(fitted: TableFit, table: Dataset) -> TableQuality:
    """Return the quality of the fit of a table, which is passed as it was before standardization."""
    result, model, scaling = fitted.result, fitted.result.model, fitted.scaling
    uncertainty, optimum = result.uncertainty, result.optimum.params
    # The parameters were carried back, so their standard errors come from the Jacobian of the curve in table units.
    if scaling is not None and fitted.note is None:
        if not uncertainty.reason:
            params = np.array([fitted.params[name] for name in model.params])
            uncertainty = estimate_uncertainty(model, params, table.samples)
        if optimum is not None:
            optimum = original_units(model, optimum, scaling).params
    scale = 1.0 if scaling is None else scaling.y_scale
    return TableQuality(scale * result.rmse, result.r2, uncertainty, result.optimum, optimum)
