"""How to make one configuration again: Python and a study file around the settings of a row that the page fills in."""

from typing import Any

import tomli_w

from bench.report.run_data import RunData
from bench.study.load import to_table
from bench.study.schema import DataTable

OWN_PYTHON = "x, y = ..., ...  # your data"
OWN_TABLE: dict[str, Any] = {"path": "your-data.csv", "x": ["x"], "y": "y"}


def reproduction(material: RunData) -> dict[str, list[str]]:
    """What comes before and after the settings of a row: as Python, and as TOML."""
    return {"python": _python(material), "toml": _toml(material)}


def _budget(material: RunData) -> dict[str, Any]:
    """What all configurations have in common, as arguments of `fit`."""
    if material.study:
        run = material.study.run
        return {"epochs": run.epochs, "target": run.target, "loss": run.loss, "drop_last": run.drop_last}
    about = material.result.run.identity
    epochs = int(material.frame["epochs"].max()) if len(material.frame) else 1
    return {
        "epochs": max(epochs, 1),
        "target": material.target,
        "loss": about["loss"],
        "drop_last": about["drop_last"] == "True",
    }


def _python(material: RunData) -> list[str]:
    model = material.result.model
    imports, data = _data(material.study.data) if material.study else ([], OWN_PYTHON)
    x, y = ("data.x", "data.y") if material.study else ("x", "y")
    head = [
        *imports,
        "from kernels import Model, fit",
        "",
        data,
        f"model = Model({model.expression!r}, inputs={tuple(model.inputs)!r}, params={tuple(model.params)!r})",
        f"result = fit(\n    model,\n    {x},\n    {y},\n",
    ]
    tail = [f"    {name}={value!r},\n" for name, value in _budget(material).items()]
    return ["\n".join(head), "".join([*tail, ")\n"])]


def _data(table: DataTable) -> tuple[list[str], str]:
    """What to import, and the line that loads the data of a study."""
    if table.builtin is not None:
        imports, data = ["from bench.data import builtin"], f"builtin({table.builtin!r})"
    else:
        missing = ", drop_missing=True" if table.drop_missing else ""
        imports = ["from bench.data import load_table"]
        data = f"load_table({table.path!r}, {table.x!r}, {table.y!r}{missing})"
    if not table.standardize:
        return imports, f"data = {data}"
    return [*imports, "from bench.data import standardize"], f"data, scaling = standardize({data})"


def _toml(material: RunData) -> list[str]:
    model = material.result.model
    tables: dict[str, Any] = {
        "name": "one",
        "data": OWN_TABLE,
        "model": {"expression": model.expression, "inputs": list(model.inputs)},
        "run": {name: value for name, value in _budget(material).items() if value is not None},
    }
    if material.study:
        tables |= to_table(material.study)
        tables.pop("grid", None)
    run = tables.pop("run")
    return [tomli_w.dumps(tables) + "\n", "\n" + tomli_w.dumps({"run": run})]
