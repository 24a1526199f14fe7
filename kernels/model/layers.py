"""The layers of a model with dot products: ``v @ tanh(W @ x + c) + b`` has two."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple

from sgdbench.kernels.base.checks import did_you_mean
from sgdbench.kernels.model.column_names import is_numbered
from sgdbench.kernels.model.expression import Call, Name, Node, Piece, find_products, names, parse
from sgdbench.kernels.model.inputs import Inputs
from sgdbench.kernels.model.network import HIDDEN_UNITS, SCALAR_SOURCE, Layer, Network, Symbol
from sgdbench.kernels.model.program_cache import compile_program

# numba supports no tuple above 30 items; the optimizer's state has one item per parameter and one more.
MAX_PARAMS = 29
MAX_CLASSES = 100
MAX_UNITS = 1000


class Vector(NamedTuple):
    """The parameters of one name: their places in the vector of all parameters, and their shape, () for a scalar."""

    first: int
    shape: tuple[int, ...]
    columns: tuple[str, ...]


class Draft(NamedTuple):
    """A layer as text: its expression with a name in place of each product, and the products' weights."""

    expression: str
    products: dict[str, Piece]
    scalars: tuple[str, ...]
    inputs: tuple[str, ...]


def plan_network(
    expression: str, inputs: Inputs, classes: int, hidden: int | None
) -> tuple[list[Draft], dict[str, Vector]]:
    """Return the layers of an expression with products, and its parameters by name, in order of appearance."""
    code = expression.strip(" \t")
    drafts = _drafts(code, inputs)
    if (hidden is None) == (len(drafts) == 2):
        raise ValueError(
            f"the expression {expression!r} has a hidden layer: hidden must be the number of its units"
            if hidden is None
            else f"the expression {expression!r} has no hidden layer: omit hidden"
        )
    vectors, first = {}, 0
    found = [name for name in names(parse(code, products=True)) if any(_has(draft, name) for draft in drafts)]
    for name in found:
        layer = next(number for number, draft in enumerate(drafts) if _has(draft, name))
        units = [classes, hidden or 0][layer]
        shape: tuple[int, ...] = (units,) if units > 1 or layer == 1 else ()
        columns: tuple[str, ...] = ()
        piece = next((piece for piece in drafts[layer].products.values() if piece.weights == name), None)
        if piece is not None:
            start, size = inputs.groups.get(piece.operand, (0, hidden or 0))
            columns = inputs.columns[start : start + size] if piece.operand in inputs.groups else ()
            shape = (*shape, size)
        vectors[name] = Vector(first, shape, columns)
        first += math.prod(shape)
    for draft in drafts:
        count = len(_symbols(draft))
        if count > MAX_PARAMS:
            raise ValueError(
                f"the expression has {count} scalars and products together; at most {MAX_PARAMS} are accepted"
            )
    return drafts, vectors


def build_network(
    drafts: Sequence[Draft], vectors: Mapping[str, Vector], inputs: Inputs, classes: int, hidden: int | None
) -> Network:
    """Return the network of these layers and parameters; programs that are not cached are derived."""
    layers = tuple(
        _layer(draft, inputs, vectors, units)
        for draft, units in zip(reversed(drafts), [hidden or 0, classes][-len(drafts) :], strict=True)
    )
    return Network(layers, sum(math.prod(shape) for _, shape, _ in vectors.values()), len(inputs.columns))


def flat_names(vectors: Mapping[str, Vector]) -> tuple[str, ...]:
    """Return a name for each parameter: ``b``, ``w[hp]``, or ``W[2,hp]`` for the third class or unit."""
    flat: list[str] = []
    for name, (_, shape, columns) in vectors.items():
        places = [""]
        for axis, length in enumerate(shape):
            labels = columns if columns and axis == len(shape) - 1 else tuple(map(str, range(length)))
            places = [f"{place},{label}" if place else label for place in places for label in labels]
        flat += [f"{name}[{place}]" if shape else name for place in places]
    return tuple(flat)


def _drafts(code: str, inputs: Inputs) -> list[Draft]:
    """Return the layer of the scores, and the hidden layer if there is one."""
    last = _draft(code, inputs)
    hidden = {piece.operand for piece in last.products.values() if piece.operand not in inputs.groups}
    for operand in hidden:
        if not any(piece.operand == operand and "@" in operand for piece in last.products.values()):
            raise ValueError(_not_a_group(operand, last, inputs))
    if not hidden:
        return [last]
    if len(hidden) > 1:
        raise ValueError(f"a model has one hidden layer, not {' and '.join(sorted(hidden))}")
    first = _draft(hidden.pop(), inputs)
    for piece in first.products.values():
        if piece.operand not in inputs.groups:
            raise ValueError(
                f"a model has one hidden layer, and {piece.weights} @ {piece.operand} is in another"
                if "@" in piece.operand
                else _not_a_group(piece.operand, first, inputs)
            )
    if both := [name for name in first.scalars if _has(last, name)]:
        raise ValueError(f"{both[0]!r} stands in the hidden layer and outside of it; give one of them another name")
    return [last, first]


def _not_a_group(operand: str, draft: Draft, inputs: Inputs) -> str:
    weights = next(piece.weights for piece in draft.products.values() if piece.operand == operand)
    if operand in inputs.single:
        return f"{operand!r} is a single input, and @ takes a group of them; write {weights}*{operand}"
    close = did_you_mean(operand, inputs.groups)
    groups = ", ".join(inputs.groups) or "none"
    return f"{weights} @ {operand} must be a product with a group of inputs{close}; these are {groups}"


def _draft(code: str, inputs: Inputs) -> Draft:
    """Return a layer with a new name in place of each product; equal products share one."""
    reserved = set(names(parse(code, products=True)))
    fresh = (name for number in count(1) if (name := f"dot{number}") not in reserved)
    pieces: dict[tuple[str, str], str] = {}
    text = code
    drafted: dict[str, Piece] = {}
    spans = find_products(code)
    for piece in spans:
        key = (piece.weights, piece.operand)
        if key not in pieces:
            other = next((operand for weights, operand in pieces if weights == piece.weights), None)
            if other is not None:
                raise ValueError(
                    f"{piece.weights!r} is multiplied with {other} and with {piece.operand}; give one another name"
                )
            pieces[key] = next(fresh)
            drafted[pieces[key]] = piece
    for piece in reversed(spans):
        text = f"{text[: piece.start]}{pieces[piece.weights, piece.operand]}{text[piece.stop :]}"
    weights, tree = {piece.weights for piece in spans}, parse(text)
    others = [name for name in names(tree) if name not in drafted]
    for name in others:
        if name in weights:
            raise ValueError(f"{name!r} is a vector in {name} @ ... and a number elsewhere; give one another name")
        if name in inputs.groups and name not in inputs.single:
            raise ValueError(f"{name!r} is a group of inputs, which stands on the right of @, as in w @ {name}")
    single = tuple(name for name in others if name in inputs.single)
    # If x is all columns, they may also be used by themselves. A column that is only added already has a weight.
    all_are_x = any(size == len(inputs.columns) for _, size in inputs.groups.values())
    added = next((name for name in _added(tree) if name in single and not is_numbered(name)), None)
    if all_are_x and added:
        free = next(name for number in count(1) if (name := f"{added}{number}") not in {*inputs.single, *reserved})
        raise ValueError(
            f"{added!r} in {code!r} is the column {inputs.columns[inputs.single[added]]!r}, which x holds too; a "
            f"constant needs a name that no column has, such as {free}"
        )
    return Draft(text, drafted, tuple(name for name in others if name not in single), single)


def _added(node: Node) -> Iterator[str]:
    """Yield the names that are terms of sums."""
    if isinstance(node, Call):
        for operand in node.operands:
            if isinstance(operand, Name) and node.function in {"add", "subtract"}:
                yield operand.name
            yield from _added(operand)


def _has(draft: Draft, name: str) -> bool:
    return name in draft.scalars or any(piece.weights == name for piece in draft.products.values())


def _symbols(draft: Draft) -> list[str]:
    """Return the names of the scalars and of the products of a layer, in order of appearance."""
    return [name for name in names(parse(draft.expression)) if name not in draft.inputs]


def _layer(draft: Draft, inputs: Inputs, vectors: Mapping[str, Vector], units: int) -> Layer:
    in_text = _symbols(draft)
    symbols = []
    for name in in_text:
        piece = draft.products.get(name)
        vector = vectors[piece.weights if piece else name]
        if piece is None:
            symbols.append(Symbol(name, vector.first, 1, SCALAR_SOURCE))
        else:
            source = inputs.groups[piece.operand][0] if piece.operand in inputs.groups else HIDDEN_UNITS
            symbols.append(Symbol(piece.weights, vector.first, vector.shape[-1], source))
    program = compile_program(draft.expression, draft.inputs, tuple(in_text))
    columns = tuple(inputs.single[name] for name in draft.inputs)
    return Layer(program, units, tuple(symbols), columns, draft.expression, (*in_text, *draft.inputs))
