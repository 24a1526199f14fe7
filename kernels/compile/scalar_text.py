"""The text of the kernel of a model without vectors, or with short ones: one readable module.

Its functions are straight-line code, recorded on a tape from rules, losses and models. The same text computes with
numbers and, for runs side by side, with lanes of numbers.
"""

import re
from collections.abc import Sequence

from sgdbench.kernels.compile.names import (
    Numbers,
    fixed_numbers,
    input_symbols,
    name_number,
    number_lines,
    text_of,
    text_of_loop,
)
from sgdbench.kernels.compile.scalar_parts import ScalarParts, gradient_point, run_sample, run_update
from sgdbench.kernels.compile.scalar_sums import gradient_sum, loss_sum
from sgdbench.kernels.compile.templates import LONGEST, fill, tuple_text, unpack
from sgdbench.kernels.model.sample_values import split_program
from sgdbench.kernels.tape.tape import Tape


def scalar_text(parts: ScalarParts) -> str:
    """Return the text of a kernel's functions."""
    return "\n\n".join([*sample_functions(parts), kernel(parts)])


def sample_functions(parts: ScalarParts) -> list[str]:
    """Return all functions but the entry, each after the functions it calls."""
    functions = [gradient_term(parts), loss_term(parts), *gradient_sum(parts)]
    if parts.spec.sums_in_registers:
        functions += values_of_samples(parts)
    return [*functions, *loss_sum(parts), train_samples(parts), train_batches(parts)]


def gradient_term(parts: ScalarParts) -> str:
    """Return the function for the gradient of a sample, and its loss if the rule needs it."""
    tape = Tape()
    arguments, derivatives = run_sample(parts, tape, input_symbols(tape, parts.theta))
    slope = name_number(parts.loss.derivative(*arguments), "slope")
    terms = [slope * one for one in derivatives]
    terms += [parts.loss.value(*arguments)] if parts.rule.needs_loss else []
    doc = "Return the gradient of a sample."
    return term(parts, "gradient_term", doc, tape, terms, parts.theta, parts.inputs)


def loss_term(parts: ScalarParts) -> str:
    """Return the function for the recorded loss of a sample."""
    tape = Tape()
    arguments, _ = run_sample(parts, tape, input_symbols(tape, parts.theta))
    doc = "Return the loss of a sample that is recorded."
    return term(parts, "loss_term", doc, tape, [parts.loss.recorded(arguments)], parts.theta, parts.inputs)


def values_of_samples(parts: ScalarParts) -> list[str]:
    """Return the functions for values that do not depend on parameters, and for the loss computed from them."""
    of_samples, rest = split_program(parts.program)
    tape = Tape()
    values = parts.run(tape, of_samples, input_symbols(tape, [*parts.inputs, "y"]))
    outputs = [values[one] for one in of_samples.derivatives]
    doc = "Return what samples alone determine."
    first = term(parts, "values_of_samples", doc, tape, outputs, [], parts.inputs)
    tape, inputs = Tape(), [*parts.inputs, *(f"value_{k}" for k in range(len(outputs)))]
    values = parts.run(tape, rest, input_symbols(tape, [*parts.theta, *inputs, "y"]))
    residual = name_number(values[rest.residual], "residual")
    doc = "Return the loss of a sample, from what it alone determines."
    return [first, term(parts, "loss_from_values", doc, tape, [residual * residual], parts.theta, inputs)]


def term(
    parts: ScalarParts, name: str, doc: str, tape: Tape, outputs: Numbers, theta: Sequence[str], inputs: Sequence[str]
) -> str:
    """Return a function of a sample."""
    lines, results = text_of(tape, outputs)
    unpacked = [*unpack(theta, "theta"), *unpack(parts.loss_options, "options")]
    return fill(
        "term",
        name=name,
        doc=doc,
        arguments=", ".join([*(["theta"] if theta else []), *inputs, "y", "options"]),
        lines=number_lines([*unpacked, *lines, f"return {tuple_text(results)}"]),
    )


def train_samples(parts: ScalarParts) -> str:
    """Return the loop over samples, which calls nothing but functions such as exp."""
    tape, rule, names = Tape(), parts.rule, [*parts.theta, *parts.state]
    arguments, derivatives = run_sample(parts, tape, gradient_point(parts, tape))
    slope = name_number(parts.loss.derivative(*arguments), "slope")
    if rule.per_sample:
        (lr,), theta, names = input_symbols(tape, ["lr"]), input_symbols(tape, parts.theta), parts.theta
        pairs = [(one, slope) if parts.program.weights else (slope, one) for one in derivatives]
        outputs = [rule.per_sample(one, *pair, lr) for one, pair in zip(theta, pairs, strict=True)]
        outputs = [name_number(one, f"new_theta_{k}") for k, one in enumerate(outputs)]
    else:
        gradient = [slope * one for one in derivatives]
        loss = parts.loss.value(*arguments) if rule.needs_loss else None
        outputs = run_update(parts, tape, gradient, loss)
    before, body = loop_lines(parts, tape, names, outputs)
    columns = [f"xs_{k}" for k in range(len(parts.inputs))]
    return fill(
        "train_samples" if parts.by_eight else "train_samples_of_many_runs",
        unpack=[*_unpack(parts), *unpack(columns, "x")],
        before=before,
        input=parts.inputs,
        value=[parts.number(f"{column}[i]") for column in columns],
        target=parts.number("ys[i]"),
        body=body,
        **parts.tuples,
    )


def train_batches(parts: ScalarParts) -> str:
    """Return the loop over batches."""
    tape, at_point = Tape(), parts.rule.gradient_at
    point = [name_number(one, f"point_{k}") if at_point else one for k, one in enumerate(gradient_point(parts, tape))]
    (share,) = input_symbols(tape, ["share"])
    gradient = [total * share for total in input_symbols(tape, parts.sums)]
    loss = gradient.pop() if parts.rule.needs_loss else None
    points, at = text_of(tape, point)
    outputs = run_update(parts, tape, gradient, loss)
    before, body = loop_lines(parts, tape, [*parts.theta, *parts.state], outputs)
    return fill(
        "train_batches",
        share=parts.number("1.0 / count"),
        unpack=_unpack(parts),
        before=before,
        point=number_lines(points),
        at=tuple_text(at),
        body=body,
        **parts.tuples,
        order=", order" if parts.by_eight else "",
        draw=["work_ahead(order, x, y, places, first, count)"] if parts.by_eight else [],
    )


def _unpack(parts: ScalarParts) -> list[str]:
    """Return the lines that unpack the arguments of a loop."""
    return [*unpack(parts.theta, "theta"), *unpack(parts.state, "state"), *unpack(parts.settings, "options")]


def loop_lines(parts: ScalarParts, tape: Tape, names: Sequence[str], outputs: Numbers) -> tuple[list[str], list[str]]:
    """Return the lines before a loop and those in it, which assign the outputs to `names`."""
    before, lines, results = text_of_loop(tape, outputs, fixed_numbers(tape, [*parts.settings, "lr"]))
    # A new number takes the old one's name at once if no later line needs the old value.
    words = [set(re.findall(r"\w+", one)) for one in [*lines, *results]]
    assigned = {line.partition(" = ")[0]: place for place, line in enumerate(lines)}
    renamed = {
        f"new_{old}": old
        for old in names
        if f"new_{old}" in assigned and not any(old in later for later in words[assigned[f"new_{old}"] + 1 :])
    }
    lines, results = (
        [re.sub(r"\bnew_\w+", lambda found: renamed.get(found[0], found[0]), one) for one in part]
        for part in (lines, results)
    )
    moved = [(old, result) for old, result in zip(names, results, strict=True) if old != result]
    if moved:
        old, new = zip(*moved, strict=True)
        lines.append(f"{', '.join(old)} = {tuple_text(new) if len(new) > LONGEST else ', '.join(new)}")
    both = number_lines([*before, *lines])
    return both[: len(before)], both[len(before) :]


def kernel(parts: ScalarParts) -> str:
    """Return the entry function."""
    width, columns, settings = parts.width, len(parts.inputs), parts.read_settings()
    names = [*parts.theta, *parts.state]
    places = {name: str(k * width) for k, name in enumerate(names)}
    reads = {
        name: parts.read_clock(at) if name in parts.clock else parts.load("cells", at, width)
        for name, at in places.items()
    }
    lanes = {name: parts.clock_lane(name) if name in parts.clock else name for name in names}
    return fill(
        "kernel",
        read_theta=tuple_text(reads[name] for name in parts.theta),
        read_state=tuple_text(reads[name] for name in parts.state),
        columns=f"{tuple_text(f'columns[{k}]' for k in range(columns))}, columns[{columns}]",
        rate=parts.load("rates", "0", width),
        loss_options=tuple_text(settings[: len(parts.loss_options)]),
        options=tuple_text(settings),
        write_loss=[parts.store(f"loss / {parts.number('count')}", "out", "0", width)],
        order=["order = drawn, ahead"] if width == 1 else [],
        more=", order" if width == 1 else "",
        write=[
            *unpack(parts.theta, "theta"),
            *unpack(parts.state, "state"),
            *(parts.store(lanes[name], "cells", places[name], width) for name in names),
        ],
    )
