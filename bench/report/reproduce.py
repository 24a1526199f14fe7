"""Python and TOML that reproduce one configuration; the page inserts the settings of the row."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from sgdbench.data.builtin_curves import ROWS_WITHOUT_DATA
from sgdbench.data.memory_maps import is_mapped
from sgdbench.kernels import Model
from sgdbench.kernels.losses import LOSSES, make_loss
from sgdbench.kernels.losses.classes import reads_rows, takes_classes
from sgdbench.kernels.model.models import ACTIVATIONS, has_vectors, mlp
from sgdbench.report.run_data import RunData
from sgdbench.report.start_text import DRAWN, start_texts
from sgdbench.store.run_folder import OMITTED_FACTS
from sgdbench.study.load import to_table
from sgdbench.study.run_settings import shared_settings
from sgdbench.study.schema import RunTable, Study

HELD_OUT = ("validation", "test")
PLACEHOLDER_DATA = "x, y = ..., ...  # your data"
UNKNOWN_DATA = "data, scaling = ..., ...  # these lines depend on the loss: make the report with its --plugin"


def reproduction(run_data: RunData) -> dict[str, list[str]]:
    """Return the text before and after the settings of a row, as Python and as TOML."""
    return {"python": _python_parts(run_data), "toml": _toml_parts(run_data)}


def common_settings(run_data: RunData) -> dict[str, Any]:
    """Return the settings that all configurations share, as arguments of `fit`."""
    return shared_settings(run_table(run_data), run_data.result.clock)


def run_table(run_data: RunData) -> RunTable:
    """Return the settings that all configurations share; for a sweep in Python, as far as its folder stores them."""
    if run_data.study:
        return run_data.study.run
    about, frame, clock = OMITTED_FACTS | run_data.result.run.identity, run_data.frame, run_data.result.clock
    longest = (frame["samples_seen"] / frame["batch_size"].map(clock.samples_per_epoch)).max()
    # Not checked again: a loss of the user's own may be unknown by now.
    return RunTable.model_construct(
        # Not those of the longest run if more are known: a schedule that looks ahead would be another one. Those on
        # record are fewer where a run is on its way to more.
        epochs=max(int(run_data.recorded.get("epochs", 1)), 1 if pd.isna(longest) else math.ceil(longest)),
        target=run_data.target,
        loss=about["loss"],
        drop_last=clock.drop_last,
        shuffling=about["shuffling"],
        patience=None if about["patience"] == "none" else int(about["patience"]),
    )


def changed_settings(run_data: RunData) -> dict[str, Any]:
    """Return the settings [run] in which a study of a choice alone differs from the study of the run.

    No rates are added. A plain "log" becomes the checkpoints of the folder, which may have begun with fewer epochs,
    where they decide what is announced: with patience, and for a target without fresh seeds, which have
    checkpoints of their own.
    """
    if run_data.study is None:
        return {}
    run = run_data.study.run
    decides = run.patience is not None or (run.target is not None and run_data.fresh is None)
    own = {"refine": 0} | ({"record": run_data.result.clock.record} if decides else {})
    return {name: value for name, value in own.items() if value != getattr(run, name)}


def held_out_shares(run_data: RunData) -> dict[str, float]:
    """Return the shares of the samples that a sweep in Python held out, as arguments of `fit`."""
    if run_data.study:
        return {}
    shares = {name: float(run_data.recorded[name]) for name in HELD_OUT if name in run_data.recorded}
    return {name: share for name, share in shares.items() if np.isfinite(share)}


def _has_unknown_validation(run_data: RunData) -> bool:
    """Return whether a sweep in Python was given samples for validation besides its own, which are not stored."""
    given = run_data.study is None and run_data.result.run.identity["validation"] != "none"
    return given and "validation" not in held_out_shares(run_data)


def _has_no_data(run_data: RunData) -> bool:
    """Return whether a function of the parameters alone was minimized."""
    return not run_data.result.model.inputs and run_data.criterion.name == "objective"


def _python_parts(run_data: RunData) -> list[str]:
    model = run_data.result.model
    functions: list[str] = []
    data = PLACEHOLDER_DATA
    if run_data.study and run_data.criterion.name not in LOSSES:
        data = UNKNOWN_DATA
    elif run_data.study:
        functions, data = _data_lines(run_data.study)
    elif _has_no_data(run_data):
        data = f"x, y = None, [0.0] * {run_data.result.clock.n}  # no data: the model has no inputs"
    x, y = ("data.x", "data.y") if run_data.study else ("x", "y")
    encoded = ".with_categories(data.categories)" if run_data.study and run_data.study.data.categories else ""
    head = [
        *_rule_comments(run_data),
        *(["import numpy as np"] if any(DRAWN in str(one.python) for one in start_texts(run_data).values()) else []),
        f"from sgdbench import Model, fit{', load_plugin' if run_data.plugins else ''}",
        *([f"from sgdbench.data import {', '.join(sorted(functions))}"] if functions else []),
        "",
        *(f"load_plugin({file!r})" for file in run_data.plugins),
        data,
        f"model = Model({model.expression!r}, {model.arguments}){encoded}",
        f"result = fit(\n    model,\n    {x},\n    {y},\n",
    ]
    end = ")\n"
    tail = [f"    {name}={value!r},\n" for name, value in common_settings(run_data).items()]
    if run_data.study:
        table = run_data.study.data
        given = {"validation": table.validation or table.validation_path, "test": table.test or table.test_path}
        tail += [f"    {name}=data.{name},\n" for name in HELD_OUT if given[name]]
    else:
        if _has_unknown_validation(run_data):
            tail.append("    validation=...,  # your held-out data\n")
        tail += [f"    {name}={share!r},\n" for name, share in held_out_shares(run_data).items()]
    if run_data.data and run_data.data.classes:
        end += "labels = data.classes.decode(result.predict_class(data.x))\n"
    if run_data.study and run_data.study.data.standardize:
        end += "fitted = carry_back(result, data, scaling)\n"
        end += "fitted.params  # by name, in the table's units unless fitted.note says why not\n"
    return ["\n".join(head), "".join([*tail, end])]


def _rule_comments(run_data: RunData) -> list[str]:
    """Return which rules of the user's own have to be registered before anything below is run, but for plug-ins."""
    given = run_data.own_rules
    return [f"# Register the {name} first: {place}" for name, place, _ in run_data.rules if not given[name]["plugin"]]


def _data_lines(study: Study) -> tuple[list[str], str]:
    """Return the functions of `sgdbench.data`, and the line that loads the data of a study with them."""
    table, loss = study.data, study.run.loss
    if table.builtin is not None:
        functions, data = ["builtin"], f"builtin({table.builtin!r})"
    else:
        read = ", drop_missing=True" if table.drop_missing else ""
        read += f", categories={table.categories!r}" if table.categories else ""
        read += f", cache_dir={table.cache_dir!r}" if table.cache_dir else ""
        form = study.model.expression, table.x or (), study.model.inputs, make_loss(loss)
        read += ", by_row=True" if is_mapped(str(table.path)) and reads_rows(*form) else ""
        functions = ["load_table"]
        labels = f", loss={loss!r}" if takes_classes(make_loss(loss)) else ""
        known = f"{labels}, like=rows" if labels else ""
        data = f"load_table({table.path!r}, {table.x!r}, {table.y!r}{read}{labels})"
        paths = {"": table.validation_path, "test=": table.test_path}
        others = [
            f", {name}load_table({path!r}, {table.x!r}, {table.y!r}{read}{known})"
            for name, path in paths.items()
            if path
        ]
        if others:
            functions.append("add_held_out")
            data = f"add_held_out({'rows := ' if labels else ''}{data}{''.join(others)})"
    shares = [f", {name}{share}" for name, share in (("", table.validation), ("test=", table.test)) if share]
    if shares:
        functions.append("hold_out_share")
        data = f"hold_out_share({data}{''.join(shares)})"
    if not table.standardize:
        return functions, f"data = {data}"
    how = "" if make_loss(loss).scales_targets else ", targets=False"
    how += "" if table.center == "both" else f", center={table.center!r}"
    how += ", constant=True" if has_vectors(study.model.expression) else ""
    return [*functions, "carry_back", "standardize"], f"data, scaling = standardize({data}{how})"


def _toml_parts(run_data: RunData) -> list[str]:
    model, common, shuffling = run_data.result.model, common_settings(run_data), run_table(run_data).shuffling
    blocks = {} if shuffling == "all" else {"shuffling": shuffling}
    y = "y"  # of the user's own file, which has a column for each input
    while y in {*model.headings, *model.params}:
        y += "_"
    data: dict[str, Any] = {"path": "your-data.csv", "x": list(model.headings) or ["x"], "y": y}
    data |= held_out_shares(run_data)
    comments = _rule_comments(run_data)
    if run_data.study is None and _has_no_data(run_data):
        data, samples = {"builtin": "none"}, run_data.result.clock.n
        if samples != ROWS_WITHOUT_DATA:
            comments.append(
                f"# An epoch of a study without data has {ROWS_WITHOUT_DATA} samples, and had {samples} in this sweep."
            )
    tables: dict[str, Any] = {
        "name": "one",
        "data": data | ({"validation_path": "your-held-out-data.csv"} if _has_unknown_validation(run_data) else {}),
        "model": _model_table(model),
        "run": {name: value for name, value in (common | blocks).items() if value is not None},
    }
    if run_data.study:
        tables |= to_table(run_data.study)
        tables.pop("grid", None)
        tables["run"] |= changed_settings(run_data)
    run = tables.pop("run")
    head = "".join(f"{line}\n" for line in comments) + tomli_w.dumps(tables)
    return [head + "\n", "\n" + tomli_w.dumps({"run": run})]


def _model_table(model: Model) -> dict[str, Any]:
    """Return the table of a model in a study; the inputs of one with vectors are all columns, or groups of them."""
    inputs: Any = model.given_inputs
    if not model.vectors:
        plain = Model(model.expression, model.inputs)
        own_order = {} if plain.params == model.params else {"params": list(model.params)}
        return {"expression": model.expression} | ({"inputs": list(model.inputs)} if model.inputs else {}) | own_order
    name = _name_of_mlp(model)
    sizes = {"classes": model.classes if model.classes > 1 else None, "hidden": None if name else model.hidden}
    table = {"expression": name or model.expression, "inputs": dict(inputs) if isinstance(inputs, Mapping) else None}
    return {key: value for key, value in (table | sizes).items() if value is not None}


def _name_of_mlp(model: Model) -> str | None:
    """Return the text that makes a ready-made network, such as ``mlp(8)``; None for other models."""
    for activation in ACTIVATIONS if model.hidden else ():
        if model.expression == mlp(int(model.hidden or 1), activation).expression:
            return f"mlp({model.hidden})" if activation == ACTIVATIONS[0] else f'mlp({model.hidden}, "{activation}")'
    return None
