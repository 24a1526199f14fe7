"""The contents of a run's folder, as far as the run has got."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from warnings import warn

import numpy as np
import pandas as pd

from bench.data.scaling import Scaling
from bench.data.table import Dataset
from bench.engine.fingerprint import fingerprint
from bench.store.evidence import read_tables
from bench.store.results import SweepResult, load_run
from bench.study.load import load_study
from bench.study.schema import Study
from bench.tables.choice_ranking import cost_of, ranking, recommended_choice, runs_of
from bench.tables.formatting import text
from bench.tables.main_effects import main_effects
from bench.tables.optimizer_comparison import compare_optimizers
from bench.tables.phrases import format_count
from bench.tables.ranking import standard_tables, varies
from bench.tables.run_costs import LOSS_FLOOR, choice_columns, find_choices, loss_floor
from bench.tables.seconds import add_seconds
from bench.tables.verdict import verdict
from bench.tables.winners import confirm
from kernels.fit_quality import least_squares
from kernels.loss import Loss
from kernels.losses import make_loss
from kernels.run import Floats

COST_NAMES = {
    "samples": "samples to the target",
    "final_loss": "final loss",
    "validation_loss": "loss on held-out samples",
}


@dataclass(frozen=True, eq=False)
class RunData:
    """The contents of a run's folder.

    Attributes
    ----------
    result : SweepResult
    evidence : mapping of str to DataFrame
        Measurements made along with the sweep, by name; see `bench.commands.run`. Any of them may be missing.
    study : Study or None
        None for a sweep without a study.
    data : Dataset or None
        The training data, or None if they can no longer be read, or are no longer those of the run.
    scaling : Scaling or None
        The scaling of the data if they were standardized.
    missing_data : str or None
        The reason why `data` is None.
    """

    result: SweepResult
    evidence: Mapping[str, pd.DataFrame]
    study: Study | None
    data: Dataset | None
    scaling: Scaling | None
    missing_data: str | None

    def with_evidence(self, evidence: Mapping[str, pd.DataFrame]) -> "RunData":
        """Return the same with other measurements besides, on which nothing rests that has been computed so far."""
        run_data = copy(self)
        object.__setattr__(run_data, "evidence", evidence)
        return run_data

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per configuration, as described in `bench.tables.ranking`."""
        return add_seconds(self.result.frame, self.evidence.get("costs"))

    @cached_property
    def floor(self) -> float:
        """The loss below which differences are rounding."""
        return loss_floor(self.data.y) if self.data else LOSS_FLOOR

    @cached_property
    def lowest_loss(self) -> float:
        """The lowest loss that any parameters reach: 0 where it is unknown, or less than 1 % of the variance of y.

        It is known for the squared loss of models linear in their parameters.
        """
        model = self.result.model
        if self.data is None or not model.is_linear or self.result.run.identity.get("loss") != "squared":
            return 0.0
        lowest = least_squares(model, self.data.as_stream()).loss
        return lowest if np.isfinite(lowest) and lowest > 0.01 * np.var(self.data.y) else 0.0

    @cached_property
    def criterion(self) -> Loss:
        """The loss that was trained; the squared one where it is one of a plug-in that is not loaded."""
        try:
            return make_loss(self.result.run.identity["loss"])
        except ValueError:
            return make_loss("squared")

    @property
    def is_standardized(self) -> bool:
        """Whether parameters are those of standardized data."""
        return self.scaling is not None or bool(self.study and self.study.data.standardize)

    @property
    def has_standardized_losses(self) -> bool:
        """Whether losses are those of standardized data."""
        return self.is_standardized and self.criterion.scales_targets

    @cached_property
    def fresh(self) -> pd.DataFrame | None:
        """The runs of the leading choices on fresh seeds, like `frame`; None where there are none.

        Nor where the sweep has gone on since, with more epochs or starts, the same seeds, or other choices that lead.
        """
        confirmation = self.result.confirmation
        if confirmation is None or not self._is_confirmed_by(confirmation):
            return None
        return add_seconds(confirmation.frame, self.evidence.get("costs"))

    def _is_confirmed_by(self, confirmation: SweepResult) -> bool:
        """Return whether runs on fresh seeds are all there, and are about this sweep as it stands."""
        runs, by = confirmation.frame, choice_columns(confirmation.frame)
        of_sweep, of_fresh = self.evidence.get("settings"), read_tables(confirmation.run.folder).get("settings")
        return (
            len(runs) == confirmation.planned
            and of_sweep is not None
            and of_fresh is not None
            and of_sweep.equals(of_fresh)
            and set(runs["init"]) == set(self.frame["init"])
            and set(runs["seed"]).isdisjoint(self.frame["seed"])
            and bool(find_choices(self._leading, runs[by].drop_duplicates(), by).notna().all())
        )

    @cached_property
    def _leading(self) -> pd.DataFrame:
        """The choices from which conclusions are drawn: the recommended one, and the best of each optimizer."""
        ranked = self._selected
        return ranked[ranked["recommended"] | ~ranked["optimizer"].duplicated()]

    @cached_property
    def _selected(self) -> pd.DataFrame:
        """The choices by samples to the target, by the runs of the sweep alone."""
        return self._select("samples")

    @cached_property
    def choices(self) -> pd.DataFrame:
        """The ranking of the runs of the sweep alone, by which figures choose the runs that they show."""
        return ranking(self.frame)

    @cached_property
    def choices_of_best_optimizer(self) -> pd.DataFrame:
        """The ranking of the runs of the best optimizer alone."""
        return ranking(self.frame[self.frame["optimizer"] == self.best_optimizer])

    @cached_property
    def best_optimizer(self) -> str:
        """The optimizer of the best choice of the sweep."""
        return str(self.choices["optimizer"].iloc[0])

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The choices of settings by samples to the target, with what the runs on fresh seeds say."""
        return self.ranked_by("samples")

    def ranked_by(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, as from `bench.tables.winners.confirm`."""
        ranked = self._selected if cost == "samples" else self._select(cost)
        return ranked if self.fresh is None else confirm(ranked, self.fresh, cost)

    def _select(self, cost: str) -> pd.DataFrame:
        """Return the choices by a cost, by the runs of the sweep alone."""
        return ranking(self.frame, cost, floor=self.floor)

    @cached_property
    def compared(self) -> pd.DataFrame | None:
        """The optimizers compared, each at its own best choice, on fresh seeds where there are any.

        None if there is one optimizer, or if no run of any choice succeeded.
        """
        if self.frame.empty or not varies(self.frame, "optimizer") or not self.ranked["tied"].any():
            return None
        runs = self.frame if self.fresh is None else self.fresh
        return compare_optimizers(runs, ranked=self.ranked, floor=self.floor)

    @property
    def compared_on(self) -> str:
        """The seeds on which optimizers are compared, in words."""
        if self.fresh is None:
            return f"the {format_count(self.frame['seed'].nunique(), 'seed')} by which the choices were selected"
        return format_count(self.fresh["seed"].nunique(), "fresh seed")

    @cached_property
    def effects(self) -> pd.DataFrame:
        """How much each setting matters, as from `bench.tables.main_effects.main_effects`."""
        return main_effects(self.frame, floor=self.floor)

    @property
    def cost(self) -> str:
        """What choices are ranked by, in words."""
        return COST_NAMES[cost_of(self.ranked, "samples")]

    @property
    def effects_on(self) -> str:
        """The cost that `effects` are about, in words."""
        return COST_NAMES["samples" if self.frame["samples_to_target"].notna().any() else "final_loss"]

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of `bench.tables.ranking.standard_tables`."""
        return standard_tables(self.frame, floor=self.floor)

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions of the run in sentences; empty if nothing has been trained yet."""
        if self.frame.empty:
            return {}
        about = self.frame, self.ranked, self.result.model, self.target, self.scaling
        # On the seeds by which they were selected, optimizers would look better than they are.
        fresh = () if self.fresh is None else (self.compared, self.compared_on)
        confirmation = self.result.confirmation
        finer = confirmation is not None and confirmation.clock != self.result.clock
        return verdict(*about, *fresh, finer=finer) | self._describe_loss() | self._describe_metric()

    def _describe_loss(self) -> dict[str, str]:
        """Say what was trained and what is reported, where they are not the squared loss and its mean."""
        trained, criterion = self.result.run.identity["loss"], self.criterion
        if trained == "squared":
            return {}
        if criterion.of_residual:
            return {"Loss": f"The runs minimize {trained}; the losses reported are mean squared residuals."}
        return {
            "Loss": f"The losses, by which runs stop and are ranked, are those trained: the mean {criterion.records}."
        }

    def _describe_metric(self) -> dict[str, str]:
        """Say how good the best run of the best choice is by the metric of the loss, such as the accuracy."""
        metric, data = self.criterion.metric, self.data
        own = runs_of(self.frame, recommended_choice(self.ranked))
        ended = own[np.isfinite(own["final_loss"])]
        if metric is None or data is None or ended.empty:
            return {}
        run = ended.loc[ended["final_loss"].idxmin()]
        params = run[[f"param_{name}" for name in self.result.model.params]].to_numpy(float)
        sentence = f"{text(metric.value(self.result.model.predict(params, data.x), data.y))} on the training samples"
        if data.validation is not None:
            x, y = data.validation
            sentence += f", {text(metric.value(self.result.model.predict(params, x), y))} on those held out"
        return {metric.name.capitalize(): f"{sentence}, of the best run of this choice at its end."}

    @property
    def samples(self) -> int:
        """The number of samples in the data: a batch of all of them is called full."""
        return self.result.clock.n

    @property
    def target(self) -> float | None:
        """The loss at which the runs stopped."""
        target = self.result.run.identity["target"]
        return None if target == "none" else float(target)

    @property
    def title(self) -> str:
        """The title of the run."""
        return (self.study.title or self.study.name) if self.study else self.result.run.folder.name

    @property
    def origin(self) -> str:
        """A sentence on what made a run that has no study to show."""
        if self.result.run.study is None:
            return "The study of this run, run.toml, is not what was written, and is left out."
        return "This run was made by a sweep in Python."

    @cached_property
    def rules(self) -> list[tuple[str, str, str]]:
        """The user's own rules with which it was trained: name, where it was and its hash, and source."""
        found = self.result.run.rules.items()
        return [
            (name, f"{place_without_folder(rule['place'])}, sha256 {rule['sha256'][:16]}", rule["source"])
            for name, rule in found
        ]

    @cached_property
    def plugins(self) -> list[str]:
        """The names of the files in which these rules were, where they were given as plug-ins."""
        return list(dict.fromkeys(rule["plugin"] for rule in self.result.run.rules.values() if rule["plugin"]))

    @property
    def source(self) -> str:
        """The source of the data, as the end of a sentence; empty if it is unknown or there are none."""
        if not self.data or not self.result.model.inputs:
            return ""
        return f" on {Path(self.data.source).name} ({len(self.data.y):,} samples)"

    def data_in_table_units(self) -> tuple[Floats, Floats]:
        """Return the data before standardization: x, shape (n, inputs), and y, shape (n,)."""
        assert self.data  # noqa: S101 (checked by the caller)
        x, y = self.data.x, self.data.y
        if self.scaling is None:
            return x, y
        return self.scaling.x_mean + self.scaling.x_scale * x, self.scaling.y_mean + self.scaling.y_scale * y


def read_run_data(folder: str | Path) -> RunData:
    """Read a run's folder.

    Parameters
    ----------
    folder : path

    Raises
    ------
    ValueError
        If it is not a run folder, or one of a newer version.
    """
    return run_data_of(load_run(folder))


def run_data_of(result: SweepResult) -> RunData:
    """Return what the folder of a sweep holds besides its results."""
    evidence = read_tables(result.run.folder)
    if not result.run.study:
        made = "was made without a study" if result.run.study == "" else "has a study that is damaged"
        return RunData(result, evidence, None, None, None, f"The sweep {made}.")
    study = load_study(result.run.folder / "run.toml", recorded=True)
    try:
        data, scaling = study.dataset()
        same = _are_data_of(result, data)
    except (OSError, ValueError) as error:
        return RunData(result, evidence, study, None, None, f"The data can no longer be read: {error}.{_units(study)}")
    if not same:
        changed = f"The data are no longer those of the run: {Path(data.source).name} has changed since."
        warn(f"{result.run.folder}: {changed}", RuntimeWarning, stacklevel=2)
        return RunData(result, evidence, study, None, None, changed + _units(study))
    return RunData(result, evidence, study, data, scaling, None)


def _are_data_of(result: SweepResult, data: Dataset) -> bool:
    """Return whether a run was trained on these data, with the same samples held out."""
    held_out = "none" if data.validation is None else fingerprint(result.model, *data.validation)
    found = {"data": fingerprint(result.model, data.x, data.y), "validation": held_out}
    return found == {name: result.run.identity[name] for name in found}


def place_without_folder(place: str) -> str:
    """Return the line and the name of a file, without the folders of the machine on which it was."""
    line, _, file = place.rpartition(" of ")
    return f"{line} of {Path(file).name}"


def _units(study: Study) -> str:
    """Return a sentence on the units in which the results are, where without the data there are no others."""
    return " Parameters are in standardized units, as are mean squared residuals." if study.data.standardize else ""
