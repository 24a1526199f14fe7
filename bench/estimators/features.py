"""The model of an expression for the features of X, and the features that are its inputs."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sgdbench.kernels.base.checks import describe, list_names
from sgdbench.kernels.model.column_names import ALL_INPUTS, headings_by_name, is_name, number_columns, refuse_misspelt
from sgdbench.kernels.model.expression import names, parse
from sgdbench.kernels.model.function_text import write_function
from sgdbench.kernels.model.inputs import Given
from sgdbench.kernels.model.model import Model, ModelLike, sympy_as_text
from sgdbench.kernels.model.models import is_ready_made, make_model

LINEAR = "w @ x + b"
"""A weight for each feature, and a constant."""


def is_weighted_sum(model: str | Model) -> bool:
    """Return whether a model is `LINEAR`, ignoring spaces and case."""
    return isinstance(model, str) and "".join(model.split()).lower() == "".join(LINEAR.split())


def model_for_features(
    model: ModelLike, count: int, headings: Sequence[str] | None = None
) -> tuple[Model, tuple[int, ...]]:
    """Return the model, and the indices of the features that are its inputs, in order.

    Parameters
    ----------
    model : str, Model, callable or SymPy expression
        An expression refers to features as ``x1``, ``x2``, ..., or ``x`` if there is only one, or by their headings, by
        the rule of `sgdbench.kernels.model.column_names.column_name`. It need not use all of them. ``w @ x`` is a
        weighted sum of all, beside which single ones may be used. A ready-made model, such as ``"polynomial(3)"`` or
        ``"mlp(8)"``, takes them in order. The inputs of a `Model` are matched with headings by name if they all exist,
        otherwise with all features in order. The parameters of a function that have names of features are its inputs,
        otherwise the first one, of one feature.
    count : int
        The number of features.
    headings : sequence of str, optional
        The names of the features.
    """
    numbered = number_columns(count)
    if isinstance(model, Model):
        return model, _places_of_inputs(model, numbered, headings)
    if callable(model):
        return _model_of_function(model, count, headings)
    model = sympy_as_text(model)
    if not isinstance(model, str):
        raise ValueError(f"model must be text, a function or a sgdbench.Model, not {describe(model)}")
    if is_ready_made(model, numbered):
        made = make_model(model, numbered)
        named = made.with_inputs({ALL_INPUTS: headings}) if headings and made.vectors else made
        return named, tuple(range(count))
    has_product = "@" in model  # with all features
    used = set() if is_weighted_sum(model) else set(names(parse(model, products=has_product)))
    used -= {ALL_INPUTS} if has_product else set()
    own = _own_names(headings, used) if headings is not None and used - set(numbered) else numbered
    by_name, by_number = used & set(own), used & set(numbered) - set(own)
    if by_name and by_number:
        raise ValueError(
            f"model {model!r} must call features either by name, as {min(by_name)}, or by number, as {min(by_number)}, "
            "and not both"
        )
    called = own if by_name else numbered
    refuse_misspelt(model, sorted(used), by_name | by_number, dict.fromkeys([*called, *own]))
    if has_product:
        group: Given = called if headings is None or by_name or by_number else {ALL_INPUTS: headings}
        return Model(model, group), tuple(range(count))
    if not by_name and not by_number:
        if is_name(model):  # a misspelt model
            make_model(model, numbered)
        accepted = list_names(dict.fromkeys([*own, *numbered]))
        hint = '; a transformer keeps the names of columns with set_output(transform="pandas")' if not headings else ""
        raise ValueError(f"model {model!r} must use a feature; available: {accepted}{hint}")
    places = tuple(place for place, name in enumerate(called) if name in used)
    return make_model(model, [called[place] for place in places]), places


def _model_of_function(
    function: Callable[..., Any], count: int, headings: Sequence[str] | None
) -> tuple[Model, tuple[int, ...]]:
    written = write_function(function)
    if "@" not in written.text and count == 1:
        return Model(function), (0,)
    made, places = model_for_features(written.text, count, headings)
    return Model(function, made.given_inputs), places


def _own_names(headings: Sequence[str], used: Collection[str]) -> tuple[str, ...]:
    """Return the names of features; an unused heading whose name is already taken stays unchanged."""
    called = {heading: name for name, heading in headings_by_name(headings, used).items()}
    return tuple(called.get(heading, heading) for heading in headings)


def _places_of_inputs(model: Model, numbered: tuple[str, ...], headings: Sequence[str] | None) -> tuple[int, ...]:
    """Return the indices of a model's inputs among the features."""
    for called in ([] if headings is None else [headings, _own_names(headings, model.headings)]) + [numbered]:
        places = {name: place for place, name in enumerate(called)}
        if model.inputs and set(model.headings) <= set(places):
            return tuple(places[name] for name in model.headings)
    if len(model.inputs) != len(numbered):
        raise ValueError(
            f"model must have one input for each of the {len(numbered)} features of X, or inputs of their names, and "
            f"has {list_names(model.inputs) or 'none'}"
        )
    return tuple(range(len(numbered)))
