"""The figures of a report: their order, and from which stage of a run on each of them can be drawn."""

from typing import Literal, get_args

Stage = Literal["timed", "analyzed", "confirmed", "measured"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""After updates are timed; after theory and repeated runs; after the fresh seeds; after the speed of the variants."""

# In the order of the report.
FIGURES: dict[str, Stage] = {
    "rate_map": "analyzed",
    "loss_by_optimizer": "timed",
    "held_out": "confirmed",
    "optimizer_ratios": "confirmed",
    "setting_importance": "timed",
    "fitted_curve": "analyzed",
    "fitted_path": "analyzed",
    "contours": "analyzed",
    "parameter_path": "analyzed",
    "sensitivity": "timed",
    "loss_by_lr": "timed",
    "basin": "analyzed",
    "ecdf": "timed",
    "loss_by_batch_size": "timed",
    "pareto": "timed",
    "speed": "measured",
}
