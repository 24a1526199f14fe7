"""How good the fit of a table is, in the table's units."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.data.fit_table import TableFit, finite_or_none
from bench.data.stream import Table
from kernels.fit_quality import Uncertainty, estimate_uncertainty, least_squares, unknown
from kernels.run import Floats


@dataclass(frozen=True, eq=False)
class TableQuality:
    """What the data say of a fit.

    Attributes
    ----------
    rmse : float
        Root of the mean squared residual, in the units of y; nan where no residual was trained.
    r2 : float
        The share of the variance of y that the model explains; nan where y does not vary, or no residual was trained.
    uncertainty : Uncertainty
        Standard errors of the parameters, in the units of the parameters that are shown.
    optimum : array, shape (P,), or None
        The parameters of the least squares in the same units, for a residual of a model linear in its parameters.
    least_rmse, highest_r2 : float or None
        The RMSE and the R² there.
    """

    rmse: float
    r2: float
    uncertainty: Uncertainty
    optimum: Floats | None
    least_rmse: float | None
    highest_r2: float | None

    def summary(self, fitted: TableFit) -> dict[str, Any]:
        """Return the numbers that scripts read; None for what is not known."""
        if not fitted.result.criterion.of_residual:
            return {"stderr": self._named_stderr(fitted)}
        return {"rmse": finite_or_none(self.rmse), "r2": finite_or_none(self.r2), "stderr": self._named_stderr(fitted)}

    def _named_stderr(self, fitted: TableFit) -> dict[str, float | None]:
        return dict(zip(fitted.params, map(finite_or_none, self.uncertainty.stderr.tolist()), strict=True))


def unknown_quality(fitted: TableFit, reason: str) -> TableQuality:
    """Return what is known of a fit without its data."""
    return TableQuality(_rmse(fitted), math.nan, unknown(fitted.result.params.size, reason), None, None, None)


def _rmse(fitted: TableFit) -> float:
    return math.sqrt(fitted.loss) if fitted.result.criterion.of_residual and fitted.loss >= 0 else math.nan


def table_quality(fitted: TableFit, table: Table) -> TableQuality:
    """Return how good a fit is.

    Parameters
    ----------
    fitted : TableFit
    table : Dataset or TableStream
        What was fitted, before it was standardized.
    """
    result, model = fitted.result, fitted.result.model
    of_residual = result.criterion.of_residual
    uncertainty, optimum, least_rmse, highest_r2 = result.uncertainty, None, None, None
    # The parameters were carried back: the Jacobian of the same curve in the table's units has their standard errors.
    in_table_units = fitted.scaling is not None and fitted.note is None and not uncertainty.reason
    if in_table_units:
        params = np.array([fitted.params[name] for name in model.params])
        uncertainty = estimate_uncertainty(model, params, table.as_stream())
    if of_residual and model.is_linear:
        best = least_squares(model, table.as_stream())
        variance = result.target_variance * (fitted.scaling.y_scale**2 if fitted.scaling is not None else 1.0)
        least_rmse, highest_r2 = math.sqrt(best.loss), 1 - best.loss / variance if variance else math.nan
        optimum = result.optimum if fitted.scaling is not None and fitted.note else best.params
    return TableQuality(_rmse(fitted), result.r2, uncertainty, optimum, least_rmse, highest_r2)
