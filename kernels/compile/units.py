"""The units of a network at a sample, in the text of a kernel: values, loss and derivatives."""

from typing import Any

from sgdbench.kernels.compile.layers import Layer, NetworkParts, call
from sgdbench.kernels.compile.names import assignment, input_symbols, name_number, number_lines, text_of
from sgdbench.kernels.compile.parameters import named_parameter, parameter
from sgdbench.kernels.compile.templates import fill, fill_lines
from sgdbench.kernels.model.network import HIDDEN_UNITS, SCALAR_SOURCE
from sgdbench.kernels.tape.tape import Tape


def run_unit(
    parts: NetworkParts, layer: Layer, *, point: bool, row: str, target: bool = False, eight: bool = False
) -> tuple[Tape, list[str], Any, list[Any]]:
    """Return a tape, the lines that read the inputs of unit k, its value and its derivatives."""
    tape, reads, names = Tape(), list[str](), []
    for symbol, source in enumerate(layer.sources):
        name = f"{'scalar' if source == SCALAR_SOURCE else 'dot'}_{symbol}"
        names.append(name)
        if source == SCALAR_SOURCE:
            reads += named_parameter(parts, layer.first(symbol), name, point=point)
        else:
            reads += assignment(name, _dot(parts, layer, symbol, name, point=point, row=row, eight=eight))
    for number in range(layer.program.inputs):
        at = f"at + {layer.prefix}column_{number}"
        reads.append(f"x_{number} = " + (f"read_spaced(x, {at}, inputs, 8)" if eight else f"number(x[{at}])"))
        names.append(f"x_{number}")
    y = input_symbols(tape, ["y"])[0] if target else 0.0
    values = parts.run(tape, layer.program, [*input_symbols(tape, names), y])
    return tape, reads, values[layer.program.residual], [values[one] for one in layer.program.derivatives]


def _dot(parts: NetworkParts, layer: Layer, symbol: int, name: str, *, point: bool, row: str, eight: bool) -> str:
    """Return the text of a dot product of unit k, with hidden units or with inputs, computed now or before."""
    first, order = layer.first(symbol), layer.name("order", symbol)
    if layer.sources[symbol] == HIDDEN_UNITS:
        # The units of a sample are adjacent.
        at = "0" if row == "0" else f"{row} * {layer.name('size', symbol)}"
        return call(parts.at_point("dot_of_hidden", point=point), "theta", at, first, order)
    if eight:
        return call("dots_of_eight", "theta", "x", f"at + {layer.name('source', symbol)}", "inputs", first, order)
    if row == "0" and parts.one_unit:
        return name
    return f"@dots[{parts.dot_at(layer, symbol, row if row == '0' else f'{row} % ROWS')}]"


def run_only_unit(
    parts: NetworkParts, *, point: bool, row: str, eight: bool = False
) -> tuple[Tape, list[str], tuple[Any, ...], list[Any]]:
    """Return a tape, the lines that read inputs, loss arguments and derivatives, for the last layer's only unit."""
    tape, reads, value, derivatives = run_unit(
        parts, parts.last, point=point, row=row, target=parts.loss.of_residual, eight=eight
    )
    return tape, reads, parts.loss_arguments(tape, value, *input_symbols(tape, ["y"])), derivatives


def loss_lines(parts: NetworkParts, row: str, *, eight: bool = False) -> list[str]:
    """Return the lines that compute the recorded loss of the only unit of the last layer."""
    tape, reads, arguments, _ = run_only_unit(parts, point=False, row=row, eight=eight)
    lines, (loss,) = text_of(tape, [name_number(parts.loss.recorded(arguments), "loss")])
    return [*reads, *number_lines(lines), *assignment("loss", loss)]


def gradient_lines(parts: NetworkParts, row: str) -> tuple[list[str], list[str]]:
    """Return the lines that compute the terms of the only unit of the last layer, and the terms' texts."""
    tape, reads, arguments, derivatives = run_only_unit(parts, point=True, row=row)
    slope = name_number(parts.loss.derivative(*arguments), "slope")
    terms = [name_number(slope * one, f"term_{k}") for k, one in enumerate(derivatives)]
    losses = [name_number(parts.loss.value(*arguments), "loss")] if parts.rule.needs_loss else []
    lines, texts = text_of(tape, [*terms, *losses])
    loss = assignment("loss", texts[-1]) if losses else []
    return [*reads, *number_lines(lines), *loss], texts[: len(terms)]


def put_terms(parts: NetworkParts, texts: list[str], row: str) -> list[str]:
    """Return the lines that write the terms of the only unit of the last layer."""
    return [parts.put(one, "terms", parts.term(parts.last, part, row), same=True) for part, one in enumerate(texts)]


def loss_of_sample(parts: NetworkParts) -> str:
    """Return the function that computes the recorded loss of a sample."""
    loss = ["own = int(y)", "loss = softmax(scores, units, own)"] if parts.last.many else loss_lines(parts, "row")
    return fill("loss_of_sample", units=_values(parts, gradient=False), loss=loss)


def gradient_of_sample(parts: NetworkParts) -> str:
    """Return the function that writes the derivatives of the loss of a sample."""
    if parts.last.many:
        # Where exact bits are not promised, one division by the total serves all classes.
        by_total, times_share = "total = @scores[units]", "/ total"
        if parts.spec.fma:
            by_total, times_share = "share = number(1.0) / @scores[units]", "* share"
        multiply = _times_slope(parts, parts.last)
        gradient = fill_lines("gradient_of_classes", by_total=by_total, times_share=times_share, multiply=multiply)
    else:
        gradient, texts = gradient_lines(parts, "row")
        gradient += put_terms(parts, texts, "row")
    back = _back_to_hidden(parts) if parts.has_hidden else []
    end = ["return loss"] if parts.rule.needs_loss else []
    return fill("gradient_of_sample", units=_values(parts, gradient=True), gradient=gradient, back=back, end=end)


def _values(parts: NetworkParts, *, gradient: bool) -> list[str]:
    """Return the lines that write hidden units and class scores, and those of their derivatives that are not 1."""
    loops = list[str]()
    for layer in parts.layers if parts.last.many else parts.layers[:-1]:
        tape, reads, value, derivatives = run_unit(parts, layer, point=gradient, row="row")
        varying = [part for part in range(layer.parts) if gradient and not layer.is_one(part)]
        lines, (text, *texts) = text_of(tape, [name_number(value, "value"), *(derivatives[part] for part in varying)])
        cell = ("scores", "k") if layer is parts.last else ("hidden", "row * hidden_units + k")
        lines.append(parts.put(text, *cell, same=True))
        for part, one in zip(varying, texts, strict=True):
            lines.append(parts.put(one, "terms", parts.term(layer, part, "row"), same=True))
        loops += layer.loop([*reads, *number_lines(lines)])
    return loops


def _times_slope(parts: NetworkParts, layer: Layer) -> list[str]:
    """Return the lines that multiply the derivatives of unit k, unless they are 1 and were not written."""
    terms = [f"@terms[{parts.term(layer, part, 'row')}]" for part in range(layer.parts)]
    return [f"{one} = slope" + ("" if layer.is_one(part) else f" * {one}") for part, one in enumerate(terms)]


def _back_to_hidden(parts: NetworkParts) -> list[str]:
    """Return the lines that turn derivatives of hidden units into derivatives of the loss."""
    hidden, last = parts.layers
    lines, add = list[str](), "part = @before[f] + part"
    for number, symbol in enumerate(one for one, source in enumerate(last.sources) if source == HIDDEN_UNITS):
        read, weight = parameter(parts, f"{last.first(symbol)} + f", "weight", point=True)
        lines += fill_lines(
            "back_to_hidden",
            s=f"@terms[{parts.term(last, last.part(symbol), 'row')}]",
            size=last.name("size", symbol),
            read=read,
            weight=weight,
            add_earlier=[add] if number else ["if k > 0:", f"    {add}"] if last.many else [],
        )
    return [*last.loop(lines), *hidden.loop(["slope = @before[k]", *_times_slope(parts, hidden)])]
