"""The contents of a run's folder, as far as the run has got."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast
from warnings import warn

import numpy as np
import pandas as pd

from bench.analysis.advice import sizes_differ
from bench.data.fit_table import thin_rows
from bench.data.scaling import Scaling
from bench.data.table import Dataset
from bench.engine.fingerprint import fingerprint
from bench.plots.choices import select_best_runs
from bench.plots.loss_axis import LossAxis
from bench.store.evidence import read_tables
from bench.store.results import SweepResult, load_run
from bench.study.load import load_study
from bench.study.schema import Study
from bench.tables.confusion import confusion_table
from bench.tables.dependence import Pairs
from bench.tables.excess import add_excess
from bench.tables.formatting import text
from bench.tables.loss_bands import loss_bands
from bench.tables.main_effects import main_effects
from bench.tables.on_test_rows import describe_judged, summarize_judged
from bench.tables.optimizer_comparison import compare_optimizers
from bench.tables.outcomes import choice_outcomes
from bench.tables.phrases import format_count
from bench.tables.ranking import cost_of, leaders, ranking, recommended_choice, runs_of, varies
from bench.tables.readable import readable_table
from bench.tables.run_costs import COST_NAMES, LOSS_FLOOR, choice_columns, find_choices, loss_floor
from bench.tables.seconds import add_seconds
from bench.tables.shortfall import describe_distance, describe_no_gain, describe_shortfall, falls_on_held_out
from bench.tables.standard_tables import standard_tables
from bench.tables.verdict import describe_solution, describe_units, headline, verdict
from bench.tables.winners import confirm, is_confirmed
from kernels.base.run import Floats
from kernels.base.spec import parse_spec
from kernels.losses import make_loss
from kernels.losses.classes import Label, takes_classes
from kernels.losses.loss import Loss
from kernels.model.param_columns import params_of_row
from kernels.train.yardstick import Yardstick, constant_loss


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
        The training data, or None if they can no longer be read, or are no longer those of the run: see `missing_data`.
    scaling : Scaling or None
        The scaling of the data if they were standardized.
    """

    result: SweepResult
    evidence: Mapping[str, pd.DataFrame]
    study: Study | None
    data: Dataset | None
    scaling: Scaling | None
    missing_data: str | None

    # The column of a ranking whose values are compared on fresh seeds, each at its best choice.
    rivals: ClassVar[str] = "optimizer"
    named: ClassVar[tuple[str, ...]] = ()

    def with_evidence(self, evidence: Mapping[str, pd.DataFrame]) -> "RunData":
        """Return the same with other measurements besides, on which nothing rests that has been computed so far."""
        run_data = copy(self)
        object.__setattr__(run_data, "evidence", evidence)
        return run_data

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row per configuration, as described in `bench.tables.ranking`."""
        return self._comparable(self.result.frame)

    def _comparable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return runs with the columns by which they are compared: seconds, and distances to the lowest loss."""
        return add_excess(add_seconds(frame, self.evidence.get("costs")), self.yardstick, self.floor)

    @cached_property
    def floor(self) -> float:
        """The loss below which differences are rounding."""
        return loss_floor(self.data.y) if self.data else LOSS_FLOOR

    @property
    def yardstick(self) -> Yardstick:
        """The lowest loss that the model can reach and that of the best constant."""
        return self.result.yardstick

    @cached_property
    def lowest_loss(self) -> float:
        """The lowest loss, from which the axes of losses begin: 0 where that is unknown, or too low to matter.

        It does not matter below 1 % of the loss of the best constant, unless losses may be negative; nor where losses
        on held-out samples are drawn too, which may be lower.
        """
        if self.result.run.identity["validation"] != "none":
            return 0.0
        lowest, constant = self.yardstick.loss, self.yardstick.constant_loss
        if not np.isfinite(lowest) or (self.criterion.nonnegative and not lowest > 0.01 * constant):
            return 0.0
        return lowest

    @cached_property
    def criterion(self) -> Loss:
        """The loss that was trained; of one of a plug-in that is not loaded, the name and the options alone."""
        trained = self.result.run.identity["loss"]
        try:
            return make_loss(trained)
        except ValueError:
            name, _, options = parse_spec(trained, "loss")
            return Loss(name, _no_values, _no_values, cast(dict[str, float], options), records=f"{name} loss")

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
        return self._comparable(confirmation.frame)

    def _is_confirmed_by(self, confirmation: SweepResult) -> bool:
        """Return whether runs on fresh seeds are all there, and are about this sweep as it stands."""
        runs, by = confirmation.frame, choice_columns(confirmation.frame)
        asked, confirmed = self.evidence.get("settings"), read_tables(confirmation.run.folder).get("settings")
        return (
            len(runs) == confirmation.planned
            and asked is not None
            and confirmed is not None
            and asked["epochs"].equals(confirmed["epochs"])
            and set(runs["init"]) == set(self.frame["init"])
            and set(runs["seed"]).isdisjoint(self.frame["seed"])
            and bool(find_choices(leaders(self.choices, self.rivals), runs[by].drop_duplicates(), by).notna().all())
        )

    @cached_property
    def choices(self) -> pd.DataFrame:
        """The ranking of the runs of the sweep alone."""
        return self.rank("samples")

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """The choices of settings by samples to the target, with what the runs on fresh seeds say."""
        return self.ranked_by("samples")

    def ranked_by(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, as from `bench.tables.winners.confirm`."""
        ranked = self.choices if cost == "samples" else self.rank(cost)
        if self.fresh is None:
            return ranked
        return confirm(ranked, self.fresh, cost, rivals=self.rivals, floor=self.floor, samples=self.samples)

    def rank(self, cost: str) -> pd.DataFrame:
        """Return the choices of settings by a cost, by the runs of the sweep alone."""
        return ranking(self.frame, cost, floor=self.floor)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """The outcome of each choice of settings, as from `bench.tables.outcomes.choice_outcomes`."""
        return choice_outcomes(self.frame, self.ranked)

    @cached_property
    def best_runs(self) -> pd.DataFrame:
        """The runs of each optimizer at its best choice."""
        return select_best_runs(self.frame, self.ranked)

    @cached_property
    def own_runs(self) -> pd.DataFrame:
        """The runs of the best choice."""
        return runs_of(self.frame, recommended_choice(self.ranked))

    @cached_property
    def loss_bands(self) -> pd.DataFrame:
        """Their loss curves, as from `bench.tables.loss_bands.loss_bands`, with the `seconds` of each mark."""
        best = self.best_runs
        curves = self.result.read_curves(best["config_id"].tolist())
        bands = loss_bands(best, curves, held_out="validation_loss" in curves)
        per_update = best.drop_duplicates("optimizer").set_index("optimizer")["seconds_per_update"]
        return bands.assign(seconds=bands["updates"] * bands["optimizer"].map(per_update).astype(float))

    @cached_property
    def loss_axis(self) -> LossAxis:
        """How losses are shown in charts."""
        return LossAxis(self.lowest_loss, self.has_standardized_losses, self.criterion.label)

    @cached_property
    def compared(self) -> pd.DataFrame | None:
        """The optimizers compared, each at its own best choice, on fresh seeds where there are any.

        Schedule, order and precision are left out where they do not vary in the run. None if there is one optimizer, or
        if no run of any choice succeeded.
        """
        if self.frame.empty or not varies(self.frame, "optimizer") or not self.ranked["tied"].any():
            return None
        runs = self.frame if self.fresh is None else self.fresh
        compared = compare_optimizers(runs, ranked=self.ranked, floor=self.floor)
        named = [name for name in ("schedule", "shuffle", "dtype") if name in compared]
        return compared.drop(columns=[name for name in named if not varies(self.frame, name)])

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
        """The cost by which choices are ranked, in words."""
        return COST_NAMES[cost_of(self.ranked, "samples")]

    @property
    def compared_cost(self) -> str:
        """The cost by which optimizers are compared, in words."""
        by_distance = self.compared is not None and self.compared["by_distance"].any()
        return "distance to the lowest loss" if by_distance else self.cost

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of `bench.tables.standard_tables.standard_tables`."""
        return standard_tables(self.frame, floor=self.floor, ranked=self.ranked[self.choices.columns])

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions of the run in sentences; empty if nothing has been trained yet."""
        if self.frame.empty:
            return {}
        best = recommended_choice(self.ranked)
        shortfall = {"Not arrived": self.shortfall} if self.shortfall else {}
        own, criterion = self.own_runs, self.criterion
        found = verdict(self.frame, self.ranked, self.target, self._short, self.samples)
        if self.best_params is not None:
            found["Solution"] = describe_solution(own, self.result.model, self.scaling, criterion)
        if self.scaling:
            found["Units"] = describe_units(self.scaling, criterion, self.data.y_name if self.data else "y")
        found["Lowest loss"] = describe_distance(best, self.yardstick)
        return self.on_test_rows | self.no_gain | shortfall | found | self._describe_loss() | self._describe_metric()

    @property
    def sentences(self) -> dict[str, str]:
        """The conclusions by subject, for a reader of the whole."""
        return self.verdict

    @cached_property
    def _short(self) -> dict[str, str]:
        """The short sentences on the tables."""
        # On the seeds by which they were selected, optimizers would look better than they are.
        compared = None if self.fresh is None else self.compared
        confirmation = self.result.confirmation
        finer = confirmation is not None and confirmation.clock != self.result.clock
        return headline(
            self.ranked,
            self.target,
            compared,
            self.compared_on,
            finer=finer,
            samples=self.samples,
            named=self.named,
            beyond=self.beyond,
        )

    @cached_property
    def shortfall(self) -> str:
        """How far the best choice ends from the lowest loss and what to change, where that is far; else empty.

        Also where runs with held-out samples stop before the loss on those that are trained on is as low as it can be,
        or where the loss on the held-out ones, which chooses, no longer falls.
        """
        best = recommended_choice(self.ranked)
        stops_before = self.result.run.identity["patience"] != "none"
        if stops_before or (self.ranked["diverged"] == self.ranked["runs"]).all():
            return ""
        own = runs_of(self.frame, best)
        curves = self.result.read_curves(own["config_id"].tolist())
        if cost_of(self.ranked, "samples") == "validation_loss" and not falls_on_held_out(curves):
            return ""
        return describe_shortfall(
            best,
            own,
            curves,
            self.ranked,
            self.yardstick,
            self.target,
            is_linear=self.result.model.is_linear,
            sizes_differ=self.data is not None and not self.is_standardized and sizes_differ(self.data),
            how=f", with {self.beyond}",
            standardized=self.has_standardized_losses,
        )

    @property
    def beyond(self) -> str:
        """The option, or the argument of a sweep in Python, that adds rates beyond those that were tried."""
        return "--refine 2" if self.study else "refine=2"

    @property
    def names(self) -> dict[str, str]:
        """Other names of the `rivals`, by which the verdict calls them."""
        return {}

    @property
    def heading(self) -> str:
        """The name of the best choice where it has arrived."""
        return "The best choice"

    @property
    def headline(self) -> dict[str, str]:
        """The verdict in short sentences; see `bench.tables.verdict.headline`."""
        shortfall = {"Not arrived": self.shortfall} if self.shortfall else {}
        return self.on_test_rows | self.no_gain | shortfall | self._short

    @cached_property
    def judged(self) -> pd.Series | None:
        """The outcome of the best choice on the rows for the test; see `bench.tables.on_test_rows.summarize_judged`.

        Of its runs on fresh seeds, where there are any. None where these runs, as they stand, were not judged.
        """
        judged = self.evidence.get("test")
        if judged is None or self.frame.empty:
            return None
        best = recommended_choice(self.ranked)
        own = runs_of(self.fresh if is_confirmed(best) and self.fresh is not None else self.frame, best)
        rows = own[["config_id", "samples_seen"]].merge(judged, on=["config_id", "samples_seen"])
        found = summarize_judged(rows, Pairs.of(own)) if 0 < len(own) == len(rows) else None
        return None if found is None or not np.isfinite(found["loss"]) else found

    @property
    def on_test_rows(self) -> dict[str, str]:
        """The sentence on the rows for the test, by its subject; empty if there are none."""
        if self.judged is None:
            return {}
        runs = "of the best choice" + (" on fresh seeds" if is_confirmed(recommended_choice(self.ranked)) else "")
        scale, units = (1.0, " in standardized units" if self.has_standardized_losses else "")
        if self.scaling is not None and self.has_standardized_losses:
            scale, units = self.scaling.y_scale, " in the table's units"
        return {"On test rows": describe_judged(self.judged, self.criterion.label, runs, scale, units)}

    @cached_property
    def no_gain(self) -> dict[str, str]:
        """The sentence on a best choice that predicts rows which it has not seen no better than a constant, if it does.

        The rows are those for the test, or else those by which settings were chosen.
        """
        if self.data is None or self.criterion.text != self.result.run.identity["loss"]:
            return {}
        if self.judged is not None and self.data.test is not None:
            loss, rows, about = self.judged["loss"], self.data.test, "test rows"
        elif self.data.validation is not None and cost_of(self.ranked, "samples") == "validation_loss":
            best = recommended_choice(self.ranked)
            loss = best[f"{'confirmed_' if is_confirmed(best) else ''}validation_loss"]
            rows, about = self.data.validation, "held-out rows"
        else:
            return {}
        sentence = describe_no_gain(float(loss), constant_loss(self.criterion, rows[1]), about)
        return {"No gain": sentence} if sentence else {}

    def _describe_loss(self) -> dict[str, str]:
        """Return a sentence on the loss, where it is not the squared one."""
        trained, criterion = self.result.run.identity["loss"], self.criterion
        if trained == "squared":
            return {}
        classes = {"Classes": f"{self.result.classes}."} if self.result.classes else {}
        return {
            "Loss": f"Losses are the mean {criterion.records}.",
            **classes,
        }

    @cached_property
    def best_params(self) -> Floats | None:
        """The parameters of the best run of the best choice, shape (P,); None if no run of it ended."""
        own = self.own_runs
        ended = own[np.isfinite(own["final_loss"])]
        return None if ended.empty else params_of_row(self.result.model, ended.loc[ended["final_loss"].idxmin()])

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

    def _describe_metric(self) -> dict[str, str]:
        """Say how good the best run of the best choice is by the metric of the loss, such as the accuracy."""
        metric = self.criterion.metric
        if metric is None or not self.predictions:
            return {}
        said = ", ".join(f"{text(metric.value(*both))} on {name}" for name, both in self.predictions.items())
        return {metric.name.capitalize(): f"{said}, of the best run of this choice."}

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
        titles = {"the training samples": "Training samples", "the held-out samples": "Held-out samples"}
        return {
            titles[name]: confusion_table(y, scores, self.criterion, labels)
            for name, (scores, y) in self.predictions.items()
        }

    @cached_property
    def _readable(self) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
        """Tables, each with what `readable` has made of it for a file, which the page and the Markdown need too."""
        return {}

    def readable(self, name: str, table: pd.DataFrame) -> pd.DataFrame:
        """Return the columns of a table of the run that a report shows, as text."""
        if self._readable.get(name, (None,))[0] is not table:
            self._readable[name] = table, readable_table(name, table, self.samples)
        return self._readable[name][1]

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
        """A sentence on the origin of a run that has no study to show."""
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
        """The files in which these rules were, where they were given as plug-ins."""
        return list(dict.fromkeys(rule["plugin"] for rule in self.result.run.rules.values() if rule["plugin"]))

    @property
    def source(self) -> str:
        """The source of the data, to end a sentence; empty if it is unknown or there are none."""
        if not self.data or not self.result.model.inputs:
            return ""
        return f" on {Path(self.data.source).name} ({len(self.data.y):,} samples)"

    def data_in_table_units(self) -> tuple[Floats, Floats]:
        """Return the data before standardization: x, shape (n, inputs), and y, shape (n,); of a map some rows."""
        assert self.data  # noqa: S101 (checked by the caller)
        rows = thin_rows(self.data)
        x, y = rows.x, rows.y
        if self.scaling is None:
            return x, y
        return self.scaling.x_mean + self.scaling.x_scale * x, self.scaling.y_mean + self.scaling.y_scale * y


def read_run_data(folder: str | Path) -> RunData:
    """Read a run's folder; what is none, or one of another version, raises a ValueError."""
    return run_data_of(load_run(folder))


def run_data_of(result: SweepResult) -> RunData:
    """Return the results of a sweep with the other contents of its folder."""
    evidence = read_tables(result.run.folder)
    if not result.run.study:
        made = "was made without a study" if result.run.study == "" else "has a study that is damaged"
        return RunData(result, evidence, None, None, None, f"The sweep {made}.")
    study = load_study(result.run.folder / "run.toml", recorded=True)
    try:
        make_loss(study.run.loss)  # without a loss of the user's own nothing can be said of the data
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


def _no_values(*arguments: Any) -> Any:
    """Stand for the functions of a loss that is not known: nothing is computed by it."""
    raise ValueError("the loss is not known")


def place_without_folder(place: str) -> str:
    """Return the line and the name of a file, without the folders of the machine on which it was."""
    line, _, file = place.partition(" of ")
    return f"{line} of {Path(file).name}"


def _units(study: Study) -> str:
    """Return a sentence on the units in which the results are, where without the data there are no others."""
    return " Parameters are in standardized units, as are mean squared residuals." if study.data.standardize else ""
