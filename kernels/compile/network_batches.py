"""Training in batches, in the text of the kernel of a model with vectors.

The gradient of a batch is summed over the samples for eight weights at a time in a single run, and for four in runs
side by side. Halves are added in NumPy's order.
"""

from sgdbench.kernels.compile.dots import take_dots
from sgdbench.kernels.compile.layers import Layer, NetworkParts, call
from sgdbench.kernels.compile.network_samples import align_lines, gradient_call
from sgdbench.kernels.compile.parameters import clock_lines, make_update, update_lines
from sgdbench.kernels.compile.sums import sum_lines
from sgdbench.kernels.compile.templates import fill, fill_lines, indented, tuple_text
from sgdbench.kernels.compile.units import gradient_lines, put_terms
from sgdbench.kernels.model.network import HIDDEN_UNITS, SCALAR_SOURCE


def sum_gradients(parts: NetworkParts, *, hidden: bool) -> str:
    """Return the function that sums, over samples, the gradients of weights of inputs or of hidden units."""
    name, at = _sum_gradients(parts, hidden=hidden), "counts[rows + i] + source + f"
    value = "@x[{}]" if name == "sum_gradients_of_hidden" else "number(x[{}])"
    if parts.by_eight:
        many, zero, read = 8, "@zeros_of_eight", list[str]()
        products = [f"@terms[i * sample_terms + column] * read_lane(x, {at}, 8)"]
        keep = ["write_lane(total_0, gradients, place + f)"]
    else:
        many, zero, read = 4, "@zero", [f"term, at = @terms[i * sample_terms + column], {at}"]
        products = [f"term * {value.format(f'at + {j}' if j else 'at')}" for j in range(4)]
        keep = [f"@gradients[place + f{f' + {j}' if j else ''}] = total_{j}" for j in range(4)]
    return fill(
        "sum_gradients",
        name=name,
        many=str(many),
        zero=zero,
        sum=sum_lines(parts, read, products, "i", "0", "whole", "count"),
        keep=keep,
        value=value.format(at),
    )


def _sum_gradients(parts: NetworkParts, *, hidden: bool) -> str:
    """Return the name of the sum of gradients; in runs side by side, hidden units differ per run and inputs do not."""
    return "sum_gradients_of_hidden" if hidden and not parts.by_eight else "sum_gradients"


def gradient_sum(parts: NetworkParts) -> str:
    """Return the function that sums the gradients of a batch."""
    if parts.one_unit:
        gradient, texts = gradient_lines(parts, "i")
        gradient += put_terms(parts, texts, "i")
    else:
        gradient = [gradient_call(parts, "i")]
    sums = ["for i in range(count):", "    counts[HIDDEN_ROWS + i] = i * hidden_units"] if parts.has_hidden else []
    for layer in parts.layers:
        sums += layer.loop([_sum_of_symbol(parts, layer, symbol) for symbol in layer.symbols])
    if parts.rule.needs_loss:
        gradient.append(parts.put("loss", "terms", "i * sample_terms + sample_terms - 1", same=True))
        sums.append(_put_sum("sample_terms - 1", "level + params"))
    return fill(
        "gradient_sum",
        width="params + 1" if parts.rule.needs_loss else "params",
        take_dots=take_dots(parts, "SAMPLE_ROWS + i", "min(ROWS, count - i)", point=True),
        gradient=gradient,
        sums=sums,
    )


def _sum_of_symbol(parts: NetworkParts, layer: Layer, symbol: int) -> str:
    """Return the line that sums the gradients of the parameters of a symbol of unit k."""
    source, column = layer.sources[symbol], parts.term(layer, layer.part(symbol), "0")
    place = f"level + {layer.first(symbol)}"
    if source == SCALAR_SOURCE:
        return _put_sum(column, place)
    hidden = source == HIDDEN_UNITS
    inputs = ("hidden", "HIDDEN_ROWS", "0") if hidden else ("x", "SAMPLE_ROWS", layer.name("source", symbol))
    return call(_sum_gradients(parts, hidden=hidden), *inputs, column, layer.name("size", symbol), "count", place)


def _put_sum(column: str, place: str) -> str:
    """Return the line that writes the sum of the terms in a column."""
    return f"@gradients[{place}] = {call('sum_of_numbers', 'terms', column, 'sample_terms', 'count')}"


def step_by_gradient(parts: NetworkParts, *, decays: bool) -> str:
    """Return the function that updates parameters by their mean gradient."""
    update, eight = make_update(parts, weight=decays, sample=False), []
    if parts.by_eight and decays:
        each = update_lines(parts, update, "begin", wide=8, total="read_lane(gradients, begin, 8)")
        eight = ["while begin + 8 <= stop:", *indented([*each, "begin += 8"])]
    return fill(
        "step_by_gradient",
        name="step_by_gradient" if decays else "step_scalars",
        before=update.before,
        eight=eight,
        without="" if decays else ", without a decay",
        one=update_lines(parts, update, "place", total="@gradients[place]"),
    )


def train_batches(parts: NetworkParts) -> str:
    """Return the loop over batches."""
    return fill(
        "network_train_batches",
        begin=align_lines(parts),
        clock=clock_lines(parts),
        loss=["loss = share * @gradients[params]"] if parts.rule.needs_loss else [],
        norm=fill_lines("norm_of_gradient") if parts.rule.needs_norm else [],
        steps=_steps(parts),
        end=[f"return {tuple_text(parts.clock)}"] if parts.clock else [],
    )


def _steps(parts: NetworkParts) -> list[str]:
    """Return the lines that update all parameters by their mean gradient."""
    if not parts.decays:
        return [call("step_by_gradient", "theta", "0", "params", "share")]
    steps = []
    for layer in parts.layers:
        for symbol, source in enumerate(layer.sources):
            first, size = layer.name("first", symbol), f"{layer.prefix}units"
            if source != SCALAR_SOURCE:
                size = f"{size} * {layer.name('size', symbol)}"
            name = "step_scalars" if source == SCALAR_SOURCE else "step_by_gradient"
            steps.append(call(name, "theta", first, f"{first} + {size}", "share"))
    return steps
