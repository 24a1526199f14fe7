"""The model of an expression for the features of X, and the features that are its inputs."""

from collections.abc import Sequence

from kernels.model.column_names import column_names
from kernels.model.expression import names, parse
from kernels.model.layers import MAX_PARAMS
from kernels.model.model import Model
from kernels.model.models import is_ready_made, make_model

LINEAR = "w @ x + b"
"""A weight for each feature, and a constant."""


def model_for_features(
    model: str | Model, count: int, headings: Sequence[str] | None = None
) -> tuple[Model, tuple[int, ...]]:
    """Return the model, and the features that are its inputs, in their order.

    Parameters
    ----------
    model : str or Model
        An expression calls the features ``x1``, ``x2``, ..., or ``x`` if there is one alone, or by their headings, by
        the rule of `kernels.model.column_names.column_name`. It need not use all of them. ``w @ x`` is a weighted sum
        of all; beside it they are called ``x1``, ``x2``, ... A ready-made model, such as ``"polynomial(3)"``, takes
        them in their order. Those of a `Model` are found by the names of its inputs where there are headings of these
        names, else they are all, in their order.
    count : int
        The number of features.
    headings : sequence of str, optional
        Their names.
    """
    numbered = ("x",) if count == 1 else tuple(f"x{number}" for number in range(1, count + 1))
    if isinstance(model, Model):
        return model, _places_of_inputs(model, numbered, headings)
    if model == LINEAR and count >= MAX_PARAMS:
        raise ValueError(
            f"model {LINEAR!r} takes at most {MAX_PARAMS - 1} features, not {count}: choose some, as with SelectKBest "
            "or PCA in a Pipeline, or write a model of some of them"
        )
    if is_ready_made(model, numbered) or "@" in model:  # a product with all of them
        return make_model(model, numbered), tuple(range(count))
    called = _names_of_features(model, numbered, headings)
    used = set(names(parse(model)))
    places = tuple(place for place, name in enumerate(called) if name in used)
    return make_model(model, [called[place] for place in places]), places


def _names_of_features(expression: str, numbered: tuple[str, ...], headings: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the features in the expression: their own, or numbered ones."""
    used = set(names(parse(expression)))
    own = column_names(headings) if headings is not None and used - set(numbered) else numbered
    by_name, by_number = used & set(own), used & set(numbered) - set(own)
    if by_name and by_number:
        raise ValueError(
            f"model {expression!r} must call features either by name, as {min(by_name)}, or by number, as "
            f"{min(by_number)}, and not both"
        )
    if not by_name and not by_number:
        known = ", ".join(dict.fromkeys([*own, *numbered]))
        raise ValueError(f"model {expression!r} must use a feature; there are {known}")
    return own if by_name else numbered


def _places_of_inputs(model: Model, numbered: tuple[str, ...], headings: Sequence[str] | None) -> tuple[int, ...]:
    """Return the places of a model's inputs among the features."""
    for called in ([] if headings is None else [column_names(headings)]) + [numbered]:
        if set(model.inputs) <= set(called):
            return tuple(called.index(name) for name in model.inputs)
    if len(model.inputs) != len(numbered):
        raise ValueError(
            f"model must have one input for each of the {len(numbered)} features of X, or inputs of their names, and "
            f"has {', '.join(model.inputs)}"
        )
    return tuple(range(len(numbered)))
