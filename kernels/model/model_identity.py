"""A model as the texts that identify it in a folder of results."""

import json
from collections.abc import Mapping

from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.model.model import Model


def identity_of_model(model: Model) -> dict[str, str]:
    """Return the expression, the inputs and the parameters of a model, and the sizes of a model with vectors."""
    categories = {} if model.categories is None else {"categories": json.dumps(model.categories.levels)}
    if not model.vectors:
        return categories | {
            "model": model.expression,
            "inputs": ", ".join(model.inputs) if model.inputs == model.headings else json.dumps(model.given_inputs),
            "parameters": ", ".join(model.params),
        }
    return categories | {
        "model": model.expression,
        "inputs": json.dumps(model.given_inputs),
        "parameters": ", ".join(model.vectors),
        "classes": str(model.classes),
        "hidden": str(model.hidden or "none"),
    }


def model_of_identity(about: Mapping[str, str]) -> Model:
    """Return the model that these texts identify.

    Raises
    ------
    ValueError, KeyError
        If the texts do not describe a model.
    """
    categories = Categories(json.loads(about["categories"])) if "categories" in about else None
    if "classes" not in about:
        # A model may have no inputs.
        names = [about[kind].split(", ") if about[kind] else [] for kind in ("inputs", "parameters")]
        inputs = json.loads(about["inputs"]) if about["inputs"].startswith("{") else names[0]
        return Model(about["model"], inputs, names[1]).with_categories(categories)
    hidden = None if about["hidden"] == "none" else int(about["hidden"])
    made = Model(about["model"], json.loads(about["inputs"]), classes=int(about["classes"]), hidden=hidden)
    return made.with_categories(categories)
