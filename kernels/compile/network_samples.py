"""Training sample by sample, in the text of the kernel of a model with vectors.

One pass over the weights of a dot product updates them from sample i and computes the dot product with sample i + 1, so
that weights beyond the first-level cache are read once per sample.
"""

from sgdbench.kernels.compile.dots import take_dots
from sgdbench.kernels.compile.layers import Layer, NetworkParts, call
from sgdbench.kernels.compile.parameters import Update, clock_lines, make_update, update_lines
from sgdbench.kernels.compile.templates import fill, indented, tuple_text
from sgdbench.kernels.compile.units import gradient_lines
from sgdbench.kernels.model.network import SCALAR_SOURCE


def train_samples(parts: NetworkParts) -> str:
    """Return the loop over samples."""
    dots, terms = list[str](), list[str]()
    if parts.one_unit:
        gradient, terms = gradient_lines(parts, "0")
        dots = [f"dot_{symbol} = @dots[{parts.dot_at(parts.last, symbol, '0')}]" for symbol in parts.last.dots]
    else:
        gradient = [gradient_call(parts, "0")]
    scalar, weight = (make_update(parts, weight=weight, sample=True) for weight in (False, True))
    steps = list[str]()
    for layer in parts.layers:
        own = list[str]()
        for symbol in layer.symbols:
            part = layer.part(symbol)
            s = terms[part] if parts.one_unit else f"@terms[{parts.term(layer, part, '0')}]"
            own += _step(parts, layer, symbol, s, scalar, weight)
        steps += layer.loop(own)
    return fill(
        "network_train_samples",
        begin=align_lines(parts),
        take_dots=[*take_dots(parts, "SAMPLE_ROWS", "1", point=True), *dots],
        gradient=gradient,
        clock=clock_lines(parts),
        steps=steps,
        end=[f"return {tuple_text(parts.clock)}"] if parts.clock else [],
    )


def gradient_call(parts: NetworkParts, row: str) -> str:
    """Return the line that writes the terms of a sample."""
    line = call("gradient_of_sample", "theta", "x", "at", "y", row)
    return f"loss = {line}" if parts.rule.needs_loss else line


def align_lines(parts: NetworkParts) -> list[str]:
    """Return the line that aligns the stack, to which lanes are spilled."""
    return ["align_stack(lr)"] if parts.width > 1 else []


def _step(parts: NetworkParts, layer: Layer, symbol: int, s: str, scalar: Update, weight: Update) -> list[str]:
    """Return the lines that update the parameters of a symbol from a sample, and compute its next dot product."""
    first, source = layer.first(symbol), layer.sources[symbol]
    if source >= 0:
        name, column = f"dot_{symbol}", layer.name("source", symbol)
        turn = [] if parts.by_eight else ["i % 2"]
        dot = call(
            "learn", "theta", "x", f"at + {column}", f"after + {column}", s, first, layer.name("order", symbol), *turn
        )
        keep = [] if parts.one_unit else [f"@dots[{parts.dot_at(layer, symbol, '0')}] = {name}"]
        return [f"{name} = {dot}", *keep]
    if source == SCALAR_SOURCE:
        return [f"s = {s}", *scalar.before, *update_lines(parts, scalar, first)]
    each = update_lines(parts, weight, f"{first} + f", input="@hidden[f]")
    return [f"s = {s}", *weight.before, f"for f in range({layer.name('size', symbol)}):", *indented(each)]
