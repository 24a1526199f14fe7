"""Facts about the runs of a folder besides their ranking: outcomes, comparisons, predictions of the best choice."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from sgdbench.charts.loss_axis import LossAxis
from sgdbench.data.scaling import Scaling
from sgdbench.data.table import Dataset
from sgdbench.kernels.base.run import Floats
from sgdbench.kernels.base.spec import parse_spec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import Label, takes_classes
from sgdbench.kernels.losses.loss import Loss
from sgdbench.kernels.model.param_columns import params_of_row
from sgdbench.study.schema import Study
from sgdbench.tables.confirm import RankedRuns, are_same
from sgdbench.tables.confusion import confusion_table
from sgdbench.tables.costs import COST_NAMES, LOSS_FLOOR, LOSSES, choice_columns, loss_floor
from sgdbench.tables.facts import Seeds
from sgdbench.tables.loss_bands import loss_bands
from sgdbench.tables.main_effects import cost_of_effects, main_effects
from sgdbench.tables.optimizer_comparison import compare_optimizers
from sgdbench.tables.outcomes import choice_outcomes, lowest_run
from sgdbench.tables.rank import constant_settings, cost_of, leaders, recommended_choice, runs_of, varies
from sgdbench.tables.render import standard_tables
from sgdbench.tables.words import describe_seeds


@dataclass(frozen=True, eq=False)
class RunFacts(RankedRuns):
    """The contents of a run's folder.

    `study` is None for a sweep without one, and `scaling` where the data were not standardized. `data` is the
    training data, or None if it cannot be read or has changed since the run; `missing_data` is the reason.
    """

    study: Study | None
    data: Dataset | None
    scaling: Scaling | None
    missing_data: str | None

    @cached_property
    def floor(self) -> float:
        """The loss below which differences are rounding, as it is stored; folders of version 0.2 lack it."""
        return self.result.optimum.rounding or (loss_floor(self.data.y) if self.data else LOSS_FLOOR)

    @cached_property
    def lowest_loss(self) -> float:
        """The lowest loss, from which the axes of losses begin: 0 where that is unknown, or too low to matter.

        It does not matter below 1 % of the loss of the best constant, unless losses may be negative; nor where losses
        on held-out samples are drawn too, which may be lower. Negative losses without it begin at the lowest seen.
        """
        if self.lowest_is_seen:
            curves = self.result.curves
            losses = curves[[name for name in ("loss", "validation_loss") if name in curves]].to_numpy(float)
            return float(np.min(losses, where=np.isfinite(losses), initial=0.0))
        if self.result.run.identity["validation"] != "none":
            return 0.0
        lowest, constant = self.result.optimum.loss, self.result.optimum.constant_loss
        if not np.isfinite(lowest) or (self.criterion.nonnegative and not lowest > 0.01 * constant):
            return 0.0
        return lowest

    @property
    def lowest_is_seen(self) -> bool:
        """Whether axes begin at the lowest loss of the runs: losses may be negative, and no lowest one is known."""
        held_out = self.result.run.identity["validation"] != "none"
        return not self.criterion.nonnegative and (held_out or not np.isfinite(self.result.optimum.loss))

    @cached_property
    def criterion(self) -> Loss:
        """The loss that was trained; of one of a plug-in that is not loaded, the name and the options alone."""
        trained = self.result.run.identity["loss"]
        try:
            return make_loss(trained)
        except ValueError:
            name, _, options = parse_spec(trained, "loss")
            return Loss(name, _no_values, _no_values, cast(dict[str, float], options))

    @property
    def recorded(self) -> "pd.Series[Any]":
        """The settings that are on record besides those of each run, by name; empty where none are."""
        settings = self.evidence.get("settings")
        return pd.Series(dtype=object) if settings is None or settings.empty else settings.iloc[0]

    @property
    def is_standardized(self) -> bool:
        """Whether parameters are those of standardized data."""
        return self.scaling is not None or bool(self.study and self.study.data.standardize)

    @property
    def has_standardized_losses(self) -> bool:
        """Whether losses are those of standardized data."""
        return self.is_standardized and self.criterion.scales_targets

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """The outcome of each choice of settings, as from `sgdbench.tables.outcomes.choice_outcomes`."""
        return choice_outcomes(self.frame, self.ranked)

    @cached_property
    def best_runs(self) -> pd.DataFrame:
        """The runs of each optimizer at its best choice."""
        settings = choice_columns(self.frame)
        return self.frame.merge(leaders(self.ranked)[settings], on=settings)

    @cached_property
    def own_runs(self) -> pd.DataFrame:
        """The runs of the best choice."""
        return runs_of(self.frame, recommended_choice(self.ranked))

    @cached_property
    def loss_bands(self) -> pd.DataFrame:
        """Their loss curves, as from `sgdbench.tables.loss_bands.loss_bands`, with the `seconds` of each checkpoint."""
        best = self.best_runs
        bands = loss_bands(best, self.result.read_curves(best["config_id"].tolist()))
        per_update = best.drop_duplicates("optimizer").set_index("optimizer")["seconds_per_update"]
        return bands.assign(seconds=bands["updates"] * bands["optimizer"].map(per_update).astype(float))

    @cached_property
    def loss_axis(self) -> LossAxis:
        """How losses are shown in charts."""
        return LossAxis(self.lowest_loss, self.has_standardized_losses, self.criterion.label, self.lowest_is_seen)

    @cached_property
    def compared(self) -> pd.DataFrame | None:
        """The optimizers compared, each at its own best choice, on fresh seeds where there are any.

        Schedule, order and precision are left out where they do not vary in the run. None if there is one optimizer, or
        if no run of any choice succeeded.
        """
        if self.frame.empty or not varies(self.frame, "optimizer") or not self.ranked["tied"].any():
            return None
        runs = self.frame if self.fresh is None else self.fresh
        compared = compare_optimizers(runs, self.ranked, floor=self.floor)
        return compared.drop(columns=constant_settings(self.frame), errors="ignore")

    def seeds_are_same(self, choice: pd.Series) -> bool:
        """Return whether a choice gives the same with all seeds by which it is judged."""
        frame = self.frame_of(choice)
        result = self.result if frame is self.frame else self.result.confirmation
        assert result  # noqa: S101 (whose frame the fresh one is)
        own = runs_of(frame, choice)
        return are_same(own, result.starts[frame.index.get_indexer(own.index)], self.samples)

    @property
    def compared_seeds(self) -> Seeds:
        """The seeds on which optimizers are compared."""
        if all(self.seeds_are_same(choice) for _, choice in leaders(self.ranked).iterrows()):
            return Seeds("same")
        if self.fresh is None:
            return Seeds("selected", self.frame["seed"].nunique())
        return Seeds("fresh", self.fresh["seed"].nunique())

    @property
    def compared_on(self) -> str:
        """The seeds on which optimizers are compared, in words."""
        return describe_seeds(self.compared_seeds)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """How much each setting matters, as from `sgdbench.tables.main_effects.main_effects`."""
        return main_effects(self.frame, floor=self.floor)

    @property
    def cost(self) -> str:
        """The cost by which choices are ranked, in words."""
        return COST_NAMES[cost_of(self.ranked, "samples")]

    @property
    def cost_of_effects(self) -> str:
        """The cost on which settings have the `effects`, in words."""
        cost = cost_of(self.ranked, "samples")
        return COST_NAMES[cost_of_effects(self.frame)[1] if cost in LOSSES else cost]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of `sgdbench.tables.render.standard_tables`."""
        return standard_tables(self.frame, self.ranked[self.choices.columns])

    @property
    def all_diverged(self) -> bool:
        """Whether every run diverged, so that no choice is the best; with patience they have losses all the same."""
        return bool((self.ranked["diverged"] == self.ranked["runs"]).all())

    @cached_property
    def best_params(self) -> Floats | None:
        """The parameters of the best run of the best choice, shape (P,); None if no run of it ended."""
        run = lowest_run(self.own_runs)
        return None if run is None else params_of_row(self.result.model, run)

    @cached_property
    def predictions(self) -> dict[str, tuple[Floats, Floats]]:
        """The values of the model with `best_params`, and the targets: on training samples, and on held-out ones.

        Empty without the data.
        """
        if self.data is None or self.best_params is None:
            return {}
        samples = {"the training samples": (self.data.x, self.data.y)}
        samples |= {} if self.data.validation is None else {"the held-out samples": self.data.validation}
        return {name: (self.result.model.predict(self.best_params, x), y) for name, (x, y) in samples.items()}

    @property
    def class_labels(self) -> list[Label]:
        """The labels of the classes; an empty list for losses without classes."""
        if not takes_classes(self.criterion):
            return []
        classes = self.result.classes
        return list(classes.labels if classes else range(max(2, self.result.model.classes)))

    @cached_property
    def confusions(self) -> dict[str, pd.DataFrame]:
        """The confusion tables of the best run of the best choice, by the samples; empty for losses without classes."""
        labels = self.class_labels
        if not labels:
            return {}
        return {
            name.removeprefix("the ").capitalize(): confusion_table(y, scores, self.criterion, labels)
            for name, (scores, y) in self.predictions.items()
        }

    @property
    def target(self) -> float | None:
        """The loss at which the runs stopped."""
        target = self.result.run.identity["target"]
        return None if target == "none" else float(target)


def _no_values(*arguments: Any) -> Any:
    """Stand for the functions of a loss that is not known: nothing is computed by it."""
    raise ValueError("the loss is not known")
