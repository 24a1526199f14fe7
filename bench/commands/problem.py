"""The study or suite that a command line names: built-in, from a file, or made for a table, with its settings."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sgdbench.analysis.default_study import default_study
from sgdbench.commands.console import mapping_display, print_choices, print_sentence
from sgdbench.commands.options import TableColumns
from sgdbench.data.batches import MAPPED_SUFFIXES
from sgdbench.data.columns import ask_for_target, describe_left_out, find_inputs, find_namesakes
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.train.attainable_loss import AttainableLoss, find_attainable_loss
from sgdbench.study.load import check_data_files, load_study, with_settings, with_target
from sgdbench.study.schema import Study
from sgdbench.study.suite import Suite, load_suite
from sgdbench.tables.formatting import text

# Keys of [data] and [model] that can be set for a table; the others are chosen.
TABLE_KEYS = ("data.validation", "data.validation_path", "data.test", "data.test_path", "data.cache_dir")
# Rows that are not trained on; without a target, settings are chosen by them.
HELD_OUT_KEYS = ("data.validation", "data.validation_path")


def load_problem(name: str, columns: TableColumns, settings: Mapping[str, Any], target: float | None) -> Study | Suite:
    """Return a suite with these settings in each of its studies, or else a study, as `load_study_or_table` does."""
    suite = None if _is_table(name, columns) else load_suite(name)
    if suite is None:
        return load_study_or_table(name, columns, settings, target)
    _refuse_columns(name, columns)
    if "name" in settings:
        raise ValueError(f"--set name is for a single study, and {name} is a suite")
    for study in suite.studies:
        _print_namesakes(with_settings(study, settings))
    return replace(suite, studies=tuple(apply_settings(study, settings, target) for study in suite.studies))


def load_study_or_table(name: str, columns: TableColumns, settings: Mapping[str, Any], target: float | None) -> Study:
    """Return a study with these settings: built-in, from a file, or the default one for a table.

    `settings` has values by the study's keys, and `target` is the loss at which runs stop, in the table's units.
    """
    if _is_table(name, columns):
        study = _make_default(name, columns, settings)
    else:
        _refuse_columns(name, columns)
        study = load_study(name)
        changed = with_settings(study, settings)
        check_data_files(changed, name, settings)
        _print_namesakes(changed)
    return apply_settings(study, settings, target)


def _is_table(name: str, columns: TableColumns) -> bool:
    # The folder of a run is not a table.
    return Path(name).suffix.lower() in MAPPED_SUFFIXES or (columns.y is not None and Path(name).is_dir())


def _refuse_columns(name: str, columns: TableColumns) -> None:
    """Refuse options of a table for a study, which defines its own data and model."""
    if wrong := next((option for option, value in columns._asdict().items() if value), None):
        raise ValueError(
            f"--{wrong.replace('_', '-')} is for a {', '.join(MAPPED_SUFFIXES)} file; the study {name} says what its "
            "data and model are"
        )


def _print_namesakes(study: Study) -> None:
    """Print which columns are not inputs of a study, although parameters of its expression have their names."""
    path, x, y = study.data.path, study.data.x, study.data.y
    if path is not None and x is not None and y is not None:
        columns, _ = find_inputs(path, x, y)
        if namesakes := find_namesakes(path, columns, y, study.model.expression, study.model.inputs):
            print_sentence("Ignored", f"{describe_left_out(namesakes)}.")


def _make_default(name: str, columns: TableColumns, settings: Mapping[str, Any]) -> Study:
    """Return the default study of a table, and print its choices."""
    if columns.y is None:
        raise ValueError(ask_for_target(Path(name)))
    chosen = [key for key in settings if key.startswith(("data.", "model.")) and key not in TABLE_KEYS]
    if chosen:
        raise ValueError(f"{chosen[0]} is chosen for a table: set it in a study, which `sgdbench new` writes")
    how = columns._asdict() | mapping_display() | {"loss": settings.get("run.loss")}
    how |= {key.removeprefix("data."): settings.get(key) for key in TABLE_KEYS}
    made = default_study(name, **how)
    print_choices(made.inputs, made.loss, made.classes)
    if made.scaling:
        print_sentence("Scaling", made.scaling)
    if made.epochs and "run.epochs" not in settings:
        print_sentence("Epochs", made.epochs)
    if made.study.run.target is None:
        print_sentence("Target", f"none: {_describe_no_target(made.attainable)}")
    # The run's folder names the table from any folder; errors above name it as the user did.
    data = made.study.data.model_copy(update={"path": str(Path(name).absolute())})
    return made.study.model_copy(update={"data": data})


def apply_settings(study: Study, settings: Mapping[str, Any], target: float | None) -> Study:
    """Return the study with these settings, and a new target if they change the loss, its units or the rows.

    A target is a number in units of a particular loss. If none is given, a new target is computed for another loss, for
    columns that are standardized differently, and for the rows that remain after a test share. If the settings hold out
    rows, the target of a default study is removed: settings are then chosen by these rows.
    """
    if target is not None and "run.target" in settings:
        raise ValueError("run.target must be given once, by --set or by its own option")
    changed = with_settings(study, settings)
    made_for = study.run.target_loss or study.run.loss
    if target is not None:
        changed = with_target(changed, target, **mapping_display())
        return with_settings(changed, {"run.target_loss": changed.run.loss}) if study.run.target_loss else changed
    if study.run.target_loss and "run.target" not in settings and not settings.keys().isdisjoint(HELD_OUT_KEYS):
        print_sentence("Target", "none: settings are chosen by the loss on the held-out rows; --target gives one.")
        return with_settings(changed, {"run.target": None, "run.target_loss": None})
    loss = make_loss(changed.run.loss)
    same = make_loss(made_for).text == loss.text
    scales = [(one.data.standardize, one.data.center) for one in (study, changed)]
    rescaled = loss.scales_targets and scales[0] != scales[1]
    other_rows = study.run.target_loss is not None and study.data.test != changed.data.test
    if study.run.target is None or "run.target" in settings or (same and not rescaled and not other_rows):
        return changed
    data, _ = changed.dataset(**mapping_display())
    model = changed.make_model(data)
    starts = changed.make_grid().starts(model)
    attainable = find_attainable_loss(model, loss, (model.columns(data.x), data.y), starts)
    where = f"{', in other units' if rescaled else ''}{', on other rows' if other_rows else ''}"
    old = f"{text(study.run.target)} was made for the loss {made_for}{where}"
    if attainable.target is None:
        print_sentence("Target", f"{old}, and there is none for {changed.run.loss}: {_describe_no_target(attainable)}")
        return with_settings(changed, {"run.target": None, "run.target_loss": None})
    print_sentence("Target", f"{text(attainable.target)} for the loss {changed.run.loss}; {old}.")
    return with_settings(changed, {"run.target": attainable.target, "run.target_loss": changed.run.loss})


def _describe_no_target(attainable: AttainableLoss) -> str:
    """Return the reason why there is no target, as the end of a sentence."""
    if np.isnan(attainable.loss):
        return f"the lowest loss is unknown: {attainable.note}."
    return f"the lowest loss, {attainable.loss:.4g}, is not below the loss of {attainable.baseline}."
