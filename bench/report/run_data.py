"""The contents of a run's folder, as far as the run has got, and its conclusions."""

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar
from warnings import warn

import numpy as np
import pandas as pd

from sgdbench.analysis.advice import is_worth_standardizing
from sgdbench.data.table import Dataset
from sgdbench.data.units import describe_residual_units
from sgdbench.engine.fingerprint import fingerprint
from sgdbench.kernels.base.registry import registered_in, registered_named
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.report.run_facts import RunFacts
from sgdbench.store.evidence import read_tables
from sgdbench.store.results import StoredSweep, read_sweep
from sgdbench.study.load import load_study
from sgdbench.study.schema import Study
from sgdbench.tables.conclusions import (
    ABOUT_ROWS,
    Circumstances,
    falls_on_held_out,
    final_loss_of,
    find_no_gain,
    find_no_skill,
    find_shortfall,
    find_solution,
    find_test_figures,
    find_unreachable_target,
    further_conclusions,
    leading_conclusions,
    summarize_judged,
)
from sgdbench.tables.confirm import is_confirmed
from sgdbench.tables.facts import Losses, LowestLoss, Metric, OnTestRows, Units
from sgdbench.tables.intervals import Pairs
from sgdbench.tables.outcomes import lowest_run
from sgdbench.tables.rank import cost_of, recommended_choice, runs_of
from sgdbench.tables.render import readable_table
from sgdbench.tables.words import (
    DAMAGED_STUDY,
    SWEEP_IN_PYTHON,
    format_count,
    say_changed_data,
    say_no_study,
    say_other_rule,
    say_unreadable_data,
    sentences,
)

MAKERS: dict[str, Callable[[str], Any]] = {"optimizer": make_optimizer, "loss": make_loss}


class RunData(RunFacts):
    """The contents of a run's folder, with its conclusions in sentences."""

    # The settings that conclusions name although they do not vary.
    named: ClassVar[tuple[str, ...]] = ()
    # The name in conclusions of the runs that ranked the choices.
    chosen_in: ClassVar[str] = "the sweep"

    @cached_property
    def leading_conclusions(self) -> list[Any]:
        """The facts of the verdict: how good the best choice is on other rows, if it has arrived, ties and rivals."""
        if self.frame.empty:
            return []
        # On the seeds by which they were selected, optimizers would look better than they are.
        compared = None if self.fresh is None else self.compared
        confirmation, seeds = self.result.confirmation, self.compared_seeds
        finer = confirmation is not None and confirmation.clock != self.result.clock
        same = self.seeds_are_same(recommended_choice(self.ranked))
        about = Circumstances(self.samples, self.named, self.beyond, self.chosen_in, finer, same, seeds)
        leading = leading_conclusions(self.frame, self.ranked, self.target, compared, about)
        return [*self.test_figures, *self._find_no_gain(), *self.shortfall, *leading]

    @cached_property
    def conclusions(self) -> list[Any]:
        """All conclusions of the run, as `sgdbench.tables.facts`; none if nothing has been trained yet."""
        if self.frame.empty:
            return []
        best, criterion, model = recommended_choice(self.ranked), self.criterion, self.result.model
        facts = [*self.leading_conclusions]
        facts += further_conclusions(self.frame, self.ranked, self.target, self.samples)
        if (run := lowest_run(self.own_runs)) is not None:
            facts.append(find_solution(run, model, self.scaling, criterion))
        if self.study and self.study.data.standardize:
            residuals = describe_residual_units(criterion, self.scaling, self.data.y_name if self.data else "y")
            facts.append(Units(self.study.data.center, self.has_standardized_losses, residuals))
        facts.append(LowestLoss(self.result.optimum, final_loss_of(best)))
        trained, classes = self.result.run.identity["loss"], self.result.classes
        facts += [model.categories] if model.categories else []
        if trained != "squared":
            facts += [Losses(criterion.records), *([classes] if classes else [])]
        if criterion.metric is not None and self.predictions:
            values = {name: criterion.metric.value(*both) for name, both in self.predictions.items()}
            facts.append(Metric(criterion.metric.name, values))
        return facts

    @cached_property
    def verdict(self) -> dict[str, str]:
        """The conclusions of the run in sentences, by subject; empty if nothing has been trained yet."""
        return sentences(self.conclusions)

    @property
    def headline(self) -> dict[str, str]:
        """The verdict in short sentences, those that a terminal shows."""
        return sentences(self.leading_conclusions, short=True)

    @cached_property
    def shortfall(self) -> list[Any]:
        """How far the best choice ends from the lowest loss and what to change, where that is far; else nothing.

        Also if runs with held-out samples stop before the training loss is as low as it can be, or if the held-out
        loss, by which settings are chosen, no longer falls. A target that no run reaches comes last.
        """
        best, standardized = recommended_choice(self.ranked), self.has_standardized_losses
        stops_before = self.result.run.identity["patience"] != "none"
        if stops_before or self.all_diverged:
            return []
        own = runs_of(self.frame, best)
        curves = self.result.read_curves(own["config_id"].tolist())
        if cost_of(self.ranked, "samples") == "validation_loss" and not falls_on_held_out(curves):
            return []
        found = find_shortfall(
            best,
            own,
            curves,
            self.ranked,
            self.result.optimum,
            self.target,
            is_linear=self.result.model.is_linear,
            sizes_differ=self.data is not None
            and not self.is_standardized
            and is_worth_standardizing(self.result.model, self.data, self.criterion),
            beyond=self.beyond,
            standardized=standardized,
        )
        return [*found, *find_unreachable_target(self.target, self.result.optimum, standardized=standardized)]

    @property
    def beyond(self) -> str:
        """The option, or the argument of a sweep in Python, that adds rates beyond the grid.

        Its number of rounds includes the rounds that the run already had.
        """
        return f"--refine {self.study.run.refine + 2}" if self.study else f"refine={self.recorded.get('refine', 0) + 2}"

    @property
    def names(self) -> dict[str, str]:
        """Other names of the `rivals`, by which the verdict calls them."""
        return {}

    @property
    def heading(self) -> str:
        """The name of the best choice where it has arrived."""
        return "The best choice"

    @cached_property
    def judged(self) -> pd.Series | None:
        """The outcome of the best choice on the rows for the test; see `sgdbench.tables.conclusions.summarize_judged`.

        Of its runs on fresh seeds, where there are any. None where these runs, as they stand, were not judged, or
        where every run diverged.
        """
        judged = self.evidence.get("test")
        if judged is None or self.frame.empty or self.all_diverged:
            return None
        best = recommended_choice(self.ranked)
        own = runs_of(self.frame_of(best), best)
        rows = own[["config_id", "samples_seen", "status"]].merge(judged.drop(columns="data", errors="ignore"))
        failed, about = rows.pop("status").eq("diverged"), ["config_id", "samples_seen", *ABOUT_ROWS]
        rows.loc[failed, rows.columns.difference(about)] = np.nan  # also those that patience kept
        judgement = summarize_judged(rows, Pairs.of(own)) if 0 < len(own) == len(rows) else None
        return None if judgement is None or not np.isfinite(judgement["loss"]) else judgement

    @property
    def test_figures(self) -> list[OnTestRows]:
        """The figures on the rows for the test; none if there are none."""
        if self.judged is None:
            return []
        best = recommended_choice(self.ranked)
        fresh = is_confirmed(best) and not self.seeds_are_same(best)
        scale, units = (1.0, " in standardized units" if self.has_standardized_losses else "")
        if self.scaling is not None and self.has_standardized_losses:
            scale, units = self.scaling.y_scale, " in the table's units"
        return [find_test_figures(self.judged, self.criterion.label, scale, units, fresh=fresh)]

    def _find_no_gain(self) -> list[Any]:
        """Return that the best choice predicts rows which it has not seen no better than a constant, if it does.

        The rows are those for the test, or else those by which settings were chosen.
        """
        if self.judged is not None:
            loss, constant, about = self.judged["loss"], self.judged["constant"], "test rows"
        elif cost_of(self.ranked, "samples") == "validation_loss":
            best = recommended_choice(self.ranked)
            loss = best[f"{'confirmed_' if is_confirmed(best) else ''}validation_loss"]
            constant, about = self.result.optimum.held_out_constant, "held-out rows"
        else:
            return []
        no_gain: list[Any] = list(find_no_gain(float(loss), float(constant), about))
        if no_gain or self.judged is None or "most_frequent" not in self.judged:
            return no_gain
        return list(find_no_skill(self.judged["accuracy"], self.judged["most_frequent"], about))

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
    def title(self) -> str:
        """The title of the run."""
        return (self.study.title or self.study.name) if self.study else self.result.run.folder.name

    @property
    def origin(self) -> str:
        """A sentence on the origin of a run that has no study to show."""
        if self.result.run.study is None:
            return DAMAGED_STUDY
        return SWEEP_IN_PYTHON

    @cached_property
    def own_rules(self) -> dict[str, dict[str, str]]:
        """The user's own rules on record, but for those of earlier grids that the folder went on from."""
        run, frame = self.result.run, self.result.frame
        texts = [run.study or "", run.identity["loss"], *frame["optimizer"].unique(), *frame["schedule"].unique()]
        named = set(re.findall(r"\w+", " ".join(texts)))
        return {name: rule for name, rule in run.rules.items() if re.split(r"\W", name)[1] in named}

    @cached_property
    def rules(self) -> list[tuple[str, str, str]]:
        """The user's own rules with which it was trained: name, where it was and its hash, and source."""
        rules = []
        for name, rule in self.own_rules.items():
            line, _, file = rule["place"].partition(" of ")  # without the folders of the machine on which it was
            rules.append((name, f"{line} of {Path(file).name}, sha256 {rule['sha256'][:16]}", rule["source"]))
        return rules

    @cached_property
    def plugins(self) -> list[str]:
        """The files in which these rules were, where they were given as plug-ins."""
        return list(dict.fromkeys(rule["plugin"] for rule in self.own_rules.values() if rule["plugin"]))

    @property
    def source(self) -> str:
        """The source of the data, to end a sentence; empty if it is unknown or there are none."""
        if not self.data or not self.result.model.inputs:
            return ""
        counts = {"row": self.data.dropped, "held-out row": self.data.dropped_held_out}
        dropped = "".join(f", {format_count(count, noun)} dropped" for noun, count in counts.items() if count)
        return f" on {Path(self.data.source).name} ({format_count(len(self.data.y), 'sample')}{dropped})"


def read_run_data(folder: str | Path) -> RunData:
    """Read a run's folder; what is none, or one of another version, raises a ValueError."""
    return run_data_of(read_sweep(folder))


def run_data_of(result: StoredSweep) -> RunData:
    """Return the results of a sweep with the other contents of its folder."""
    run_data = _read_data(result)
    for own in run_data.own_rules.items():
        if (other := _describe_other_rule(*own)) and other != run_data.missing_data:
            warn(f"{result.run.folder}: {other}", RuntimeWarning, stacklevel=2)
    return run_data


def _read_data(result: StoredSweep) -> RunData:
    """Return the contents of a run's folder with the data of its study, if these are as they were."""
    evidence = read_tables(result.run.folder)
    if not result.run.study:
        return RunData(result, evidence, None, None, None, say_no_study(damaged=result.run.study is None))
    study = load_study(result.run.folder / "run.toml", recorded=True)
    try:
        make_loss(study.run.loss)  # without a loss of the user's own nothing can be said of the data
        data, scaling = study.dataset()
        losses = [_describe_other_rule(*own) for own in result.run.rules.items() if own[0].startswith("loss ")]
        missing = next(filter(None, losses), None) or _describe_change(result, study, data, evidence.get("test"))
    except (OSError, ValueError) as error:
        missing = say_unreadable_data(error)
    if missing:
        warn(f"{result.run.folder}: {missing}", RuntimeWarning, stacklevel=2)
        return RunData(result, evidence, study, None, None, missing)
    return RunData(result, evidence, study, data, scaling, None)


def _describe_other_rule(name: str, rule: Mapping[str, str]) -> str | None:
    """Return that another rule is known by the name of one on record; None if none is, or the same one."""
    kind, text = name.split(" ", 1)
    try:
        registered = registered_in(MAKERS[kind](text), kind) if kind in MAKERS else registered_named(kind, text)
    except ValueError:
        return None
    if not registered or registered[0].digest == rule["sha256"]:
        return None
    return say_other_rule(name)


def _describe_change(result: StoredSweep, study: Study, data: Dataset, judged: pd.DataFrame | None) -> str | None:
    """Return which file has other samples than those of a run, trained on or held out; None if none has."""
    held_out = "none" if data.validation is None else fingerprint(result.model, *data.validation)
    current, recorded = {"data": fingerprint(result.model, data.x, data.y), "validation": held_out}, result.run.identity
    if data.test is not None and judged is not None and "data" in judged:  # older folders do not tell
        current["test"], recorded = fingerprint(result.model, *data.test), recorded | {"test": judged["data"].iloc[0]}
    other = next((name for name, samples in current.items() if samples != recorded[name]), None)
    file = {"validation": study.data.validation_path, "test": study.data.test_path}.get(other or "")
    return other and say_changed_data(Path(file or data.source).name)
