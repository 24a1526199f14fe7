"""Reading and updating parameters, in the text of the kernel of a model with vectors."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sgdbench.kernels.compile.layers import NetworkParts
from sgdbench.kernels.compile.names import (
    assignment,
    fixed_numbers,
    input_symbols,
    name_number,
    number_lines,
    operand_places,
    text_of,
    text_of_loop,
)
from sgdbench.kernels.optimizers.optimizer import add_weight_decay
from sgdbench.kernels.tape.tape import Tape


class Update(NamedTuple):
    """The update of a parameter.

    Attributes
    ----------
    before : list of str
        Lines that are the same for all parameters.
    lines : list of str
        Lines for each parameter.
    theta, point : str
        The new parameter, and the point at which the next gradient is taken.
    slots : list of str
        The parameter's new slots.
    same : set of int
        The slots that are the same for all parameters.
    """

    before: list[str]
    lines: list[str]
    theta: str
    slots: list[str]
    point: str
    same: set[int]


def make_update(parts: NetworkParts, *, weight: bool, sample: bool) -> Update:
    """Return the update of a weight or of a scalar, from a sample or by a mean gradient.

    For a sample, s is the derivative of the loss with respect to the weight's dot product, or to the scalar.
    """
    rule, tape = parts.rule, Tape()
    t, lr, s, factor, total, share = input_symbols(tape, ["t", "lr", "s", "input", "total", "share"])
    slots, options = tuple(input_symbols(tape, parts.slots)), parts.option_symbols(tape)
    if sample and rule.per_sample:
        new, new_slots = rule.per_sample(t, factor if weight else 1.0, s, lr), slots
    else:
        gradient = (s * factor if weight else s) if sample else share * total
        name_number(gradient, "gradient")
        if weight and rule.weight_decay:
            at = rule.gradient_at(t, slots, options) if rule.gradient_at else t
            gradient = add_weight_decay(at, gradient, *input_symbols(tape, ["weight_decay"]))
        if not weight:
            options = tuple(0.0 if k in rule.decay_options else one for k, one in enumerate(options))
        facts = input_symbols(tape, [*parts.clock, *["loss"] * rule.needs_loss, *["norm"] * rule.needs_norm])
        new, new_slots = rule.rule(t, slots, gradient, lr, tuple(facts), options)
    new_slots = tuple(name_number(one, f"new_{name}") for one, name in zip(new_slots, parts.slots, strict=True))
    point = name_number(new, "moved")
    if rule.gradient_at:
        point = name_number(rule.gradient_at(new, new_slots, parts.option_symbols(tape)), "point")
    outputs = [new, *new_slots, point]
    fixed = fixed_numbers(tape, [*parts.settings, *parts.clock, "lr", "s", "share", "loss", "norm"])
    before, lines, results = text_of_loop(tape, outputs, fixed)
    if parts.by_eight:
        varying = tape.depends(tape.given(name) for name in ["t", *parts.slots, "input", "total"])
    else:
        shared = fixed_numbers(tape, [] if parts.spec.own_options else [*parts.settings, *parts.clock])
        varying = set(range(len(tape.operations))) - shared
    same = {k for k, one in enumerate(operand_places(new_slots)) if not (isinstance(one, int) and one in varying)}
    texts = iter(number_lines([*before, *lines, *results]))
    before, lines, results = ([next(texts) for _ in part] for part in (before, lines, results))
    return Update(before, lines, results[0], results[1:-1], results[-1], same)


def update_lines(parts: NetworkParts, update: Update, place: str, *, wide: int = 0, **read: str) -> list[str]:
    """Return the lines that update a parameter, or eight of one run; `read` has the texts of the rule's arguments."""
    changed_slots = [(result, slot) for slot, result in enumerate(update.slots) if result != parts.slots[slot]]
    used = [*update.lines, update.theta, update.point, *(result for result, _ in changed_slots)]
    return [
        *_reads(parts, place, used, wide, read),
        *update.lines,
        *(
            parts.put(result, "theta", parts.slot(place, slot), same=slot in update.same, wide=wide)
            for result, slot in changed_slots
        ),
        parts.put(update.theta, "theta", place, wide=wide),
    ]


def _reads(
    parts: NetworkParts, place: str, lines: Iterable[str], wide: int, more: dict[str, str] | None = None
) -> list[str]:
    """Return the lines that read a parameter, its slots and other numbers, as far as `lines` use them."""
    reads = {"t": parts.get("theta", place, wide)}
    reads |= {name: parts.get("theta", parts.slot(place, slot), wide) for slot, name in enumerate(parts.slots)}
    used = set(re.findall(r"\w+", " ".join(lines)))
    return [f"{name} = {text}" for name, text in (reads | (more or {})).items() if name in used]


def parameter(parts: NetworkParts, place: str, name: str, *, point: bool, wide: int = 0) -> tuple[list[str], str]:
    """Return the lines that read a parameter, or eight, and its text: theta, or the point of the gradient."""
    if not (point and parts.rule.gradient_at):
        return [], parts.get("theta", place, wide)
    tape = Tape()
    (t,), slots = input_symbols(tape, ["t"]), tuple(input_symbols(tape, parts.slots))
    at = name_number(parts.rule.gradient_at(t, slots, parts.option_symbols(tape)), name)
    lines, (result,) = text_of(tape, [at])
    return [*_reads(parts, place, [*lines, result], wide), *number_lines(lines)], result


def named_parameter(parts: NetworkParts, place: str, name: str, *, point: bool, wide: int = 0) -> list[str]:
    """Return the lines that read a parameter, or eight, and name it."""
    lines, text = parameter(parts, place, name, point=point, wide=wide)
    return [*lines, *assignment(name, text)]


def clock_lines(parts: NetworkParts) -> Sequence[str]:
    """Return the lines that advance the clock."""
    if not parts.rule.clock:
        return []
    tape = Tape()
    lines, results = text_of(
        tape, parts.rule.clock(tuple(input_symbols(tape, parts.clock)), parts.option_symbols(tape))
    )
    if results == parts.clock:
        return []
    return number_lines([*lines, f"{', '.join(parts.clock)} = {', '.join(results)}"])
