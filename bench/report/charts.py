"""The charts of a run that the figures and the page draw alike."""

from bench.plots.choices import best_optimizers
from bench.plots.row_charts import RowChart, optimizer_ratios, setting_importance
from bench.report.run_data import RunData


def ratio_chart(run_data: RunData) -> RowChart | None:
    """Return the optimizers compared, each at its own best choice; None where there is nothing to compare."""
    if run_data.compared is None:
        return None
    return optimizer_ratios(
        run_data.compared,
        cost=run_data.compared_cost,
        seeds=run_data.compared_on,
        named=best_optimizers(run_data.frame),
        samples=run_data.samples,
    )


def effect_chart(run_data: RunData) -> RowChart:
    """Return how much each setting matters."""
    return setting_importance(run_data.effects, cost=run_data.effects_on, samples=run_data.samples)
