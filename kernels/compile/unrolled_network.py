"""The source of the functions of models with vectors whose form differs from kernel to kernel.

As in `kernels.compile.unrolled`, what a unit computes is written out: its formula, one symbol after another, and the
state of the optimizer. Sizes are numbers in the layout of the network, so that one kernel trains vectors of any length.
"""

from kernels.compile.network_layout import FIRST, INPUTS, PARAMS, TERMS, Places, bases
from kernels.compile.unrolled import Ingredients, arguments_of_loss, listed, options_function, unit, written
from kernels.compile.unrolled_moves import moves
from kernels.model.network import HIDDEN


def unroll_network(made_of: Ingredients) -> str:
    """Return the source of the functions that `kernels.loops.network` and `kernels.loops.loops` declare."""
    layers, start = list[Places](), FIRST
    for number, layer in enumerate(made_of.layers):
        layers.append(Places(number, layer, start, *layers))
        start = layers[-1].stop
    parts = (
        _cells(made_of),
        _forward(made_of, layers),
        moves(made_of, layers),
        _state(made_of),
        [options_function(made_of)],
    )
    return "\n\n".join(text for part in parts for text in part)


def _cells(made_of: Ingredients) -> list[str]:
    """Access to numbers in flat arrays."""
    number, zero = made_of.number, made_of.number("-0.0")
    plain = made_of.dtype == "float64"
    if made_of.width > 1:
        # A derivative that is the same for all runs is a number.
        read = "read_lane(cells, place * WIDTH, WIDTH)"
        write = "write_lane(broadcast(number, WIDTH), cells, place * WIDTH)"
        zero = f"broadcast({zero}, WIDTH)"
    else:
        read, write = "cells[place]", "cells[place] = number" if plain else "write_lane(number, cells, place)"
    return [
        written("get(cells, place)", f"return {number(read)}"),
        written("put(number, cells, place)", write),
        written("nothing()", f"return {zero}"),
        written("plus(one, other)", "return one + other"),
        written("four_nothings()", f"return ({listed(zero, 4)})"),
        written("get_four(cells, place)", f"return ({listed('get(cells, 4 * place + #)', 4)})"),
        written("put_four(numbers, cells, place)", *(f"put(numbers[{k}], cells, 4 * place + {k})" for k in range(4))),
        written(
            "four_terms(weight, x, rows, place)",
            f"return ({listed('weight * ' + number('x[rows[#] + place]'), 4)})",
        ),
        written(
            "eight_terms(weights, x, rows, place)",
            f"return ({listed('weights * ' + 'read_lane(x, rows[#] + place, 8)', 4)})",
        ),
        written(
            "eight_terms_of_eight(weights, x, step, place)",
            f"return ({listed('weights * read_lane(x, place + # * step, 8)', 8)})",
        ),
        written("terms_of_eight(weight, x, step, place)", "return weight * read_spaced(x, place, step, 8)"),
        written("get_eight(cells, place)", "return read_lane(cells, 8 * place, 8)"),
        written("put_eight(numbers, cells, place)", "write_lane(numbers, cells, 8 * place)"),
        written("number_at(x, place)", f"return {number('x[place]')}"),
        written("number_at_step(of, i)", "cells, first, step = of", "return get(cells, i * step + first)"),
        written(
            "term_times_input(of, i)",
            "x, column, place, room = of",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * {number('x[room.rows[i] + place]')}",
        ),
        written(
            "term_times_four(of, i)",
            "x, column, place, room = of",
            f"term, at = get(room.terms, i * room.layout[{TERMS}] + column), room.rows[i] + place",
            f"return ({listed('term * ' + number('x[at + #]'), 4)})",
        ),
        written(
            "term_times_eight(of, i)",
            "x, column, place, room = of",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * read_lane(x, room.rows[i] + place, 8)",
        ),
        written(
            "term_times_hidden(of, i)",
            "size, column, place, room = of",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * get(room.hidden, i * size + place)",
        ),
        written("eight_nothings()", f"return broadcast({made_of.number('-0.0')}, 8)"),
    ]


def _forward(made_of: Ingredients, layers: list[Places]) -> list[str]:
    """Return the values of all units at a sample, and the derivatives of the loss by their symbols."""
    last = layers[-1]
    units = [
        unit(
            f"unit_{layer.number}",
            made_of,
            layer.program,
            takes_y=layer is last and made_of.of_residual,
            result="#" if layer is not last or last.layer.many or made_of.of_residual else "(#, y)",
        )
        for layer in layers
    ]
    return [
        *units,
        *(_take_dots(layers, kind, fours=takes_four_samples(made_of)) for kind in ("gradient", "loss")),
        written(
            "head(theta, slots, x, at, y, dots, options, room, row)",
            *_head(made_of, layers, "gradient"),
        ),
        written(
            "value_of_loss(theta, slots, x, at, y, options, room, row)",
            "dots = dots_of_row(room, row)",
            *_head(made_of, layers, "loss"),
        ),
        *_registers(last),
        *([_losses_of_eight(made_of, last)] if takes_losses_by_eight(made_of) else []),
    ]


def _take_dots(layers: list[Places], kind: str, *, fours: bool) -> str:
    """Return the function that takes the dots of all units with the inputs of some samples, four at a time or each."""
    lines = ["layout = room.layout", f"step, params = (0.0, (), options), layout[{PARAMS}]"]
    for layer, place, symbol in [(one, *dot) for one in layers for dot in enumerate(one.dots)]:
        weights, source = f"{layer.order(symbol)}, {layer.first(symbol)}, 0", layer.source(symbol)
        lines += [f"for k in range({layer.units}):", "    row, stop = first, first + count"]
        by_four = [
            "    while row + 4 <= stop:",
            f"        rows = ({listed('room.rows[row + #]', 4)})",
            "        of = theta, slots, x, rows, step, params",
            f"        four = four_of_{kind}(of, {weights}, {source}, room, room.stack)",
            *(f"        put(four[{j}], room.dots, {layer.dot(place, f'row + {j}')})" for j in range(4)),
            "        row += 4",
        ]
        lines += [
            *(by_four if fours else []),
            "    while row < stop:",
            "        alone = theta, slots, x, 0.0, step, params",
            f"        one = dot_of_{kind}(alone, {weights}, room.rows[row] + {source}, room, room.stack)",
            f"        put(one, room.dots, {layer.dot(place)})",
            "        row += 1",
        ]
    end = "" if kind == "gradient" else "_of_loss"
    return written(f"take_dots{end}(theta, slots, x, first, count, options, room)", *lines)


def takes_losses_by_eight(made_of: Ingredients) -> bool:
    """Return whether losses are those of eight samples at a time: of one run, where all else stays in registers."""
    return made_of.width == 1 and len(made_of.layers) == 1 and not made_of.layers[0].many


def takes_four_samples(made_of: Ingredients) -> bool:
    """Return whether dots are taken of four samples at a time: in a batch, or in losses that are not those of eight."""
    return made_of.batches or not takes_losses_by_eight(made_of)


def _losses_of_eight(made_of: Ingredients, layer: Places) -> str:
    """Return the function that computes the losses of eight samples, one after the other in the data."""
    dots = [
        f"eight_of_loss(of, {layer.order(symbol)}, {layer.first(symbol)}, 0, at + {layer.source(symbol)}, room, "
        "room.stack), "
        for symbol in layer.dots
    ]
    lines = [*bases([layer]), f"slots, apart, k = theta, layout[{INPUTS}], 0", "at = first * apart"]
    lines += ["of = theta, theta, x, apart, (0.0, (), options), params"]
    lines += [f"dots = ({''.join(dots)})", "y = read_lane(y, first, 8)"]
    lines += _unit_lines(made_of, layer, "loss", "y", input_at="read_spaced(x, at + #, apart, 8)")
    return written("losses_of_eight(theta, x, y, first, options, room)", *lines, *_value_of_loss(made_of))


def _value_of_loss(made_of: Ingredients) -> list[str]:
    """Return the lines that return the loss that is recorded, of the value of the only unit."""
    given = arguments_of_loss(made_of, "options[0]")
    value = "residual * residual" if made_of.is_squared else f"loss_value({given})"
    return ["residual = value", f"return {value}"]


def _head(made_of: Ingredients, layers: list[Places], kind: str) -> list[str]:
    """Return the lines that compute the values of all units from the dots of the first layer, and the loss."""
    learns, lines = kind == "gradient", bases(layers)
    last, several = layers[-1], len(layers) > 1
    zero = made_of.number("0.0")
    many = [(layers[0], f"room.hidden, row * {layers[0].units} + k")] if several else []
    many += [(last, "room.scores, k")] if last.layer.many else []
    for layer, cell in many:
        lines.append(f"for k in range({layer.units}):")
        lines += [f"    {line}" for line in _unit_lines(made_of, layer, kind, zero)]
        lines.append(f"    put(value, {cell})")
        varying = [part for part in range(layer.parts) if learns and not layer.is_one(part)]
        lines += [f"    put(parts[{part}], room.terms, {layer.term(part)})" for part in varying]
    if last.layer.many:
        lines += ["own = int(y)", f"loss = softmax(room, {last.units}, own)"]
        if not learns:
            return [*lines, "return loss"]
        # Where last bits may differ, one division by the total does for all classes.
        begin, share = ("share = 1.0 / ", "* share") if made_of.fma else ("total = ", "/ total")
        lines += [f"{begin}get(room.scores, {last.units})", f"for k in range({last.units}):"]
        lines += [f"    slope = get(room.scores, k) {share}", "    if k == own:", "        slope = slope - 1.0"]
        lines += _times_slope(last)
    else:
        lines += ["k = 0", *_unit_lines(made_of, last, kind, "y")]
        if not learns:
            return [*lines, *_value_of_loss(made_of)]
        given = arguments_of_loss(made_of, "options[0]")
        lines += ["residual = value", f"slope = loss_derivative({given})"]
        terms = [f"slope * parts[{j}]" for j in range(last.parts)]
        if last.by_itself:
            lines += [f"terms = ({', '.join(terms)},)"]
        else:
            lines += [f"put({term}, room.terms, {last.term(j)})" for j, term in enumerate(terms)]
        lines += [f"loss = loss_value({given})"] if made_of.needs_loss else []
    if several:
        lines += _back(layers)
    if made_of.needs_loss:
        lines += [f"put(loss, room.terms, row * layout[{TERMS}] + layout[{TERMS}] - 1)"]
    return [*lines, f"return {'loss' if made_of.needs_loss else zero}, {'terms' if last.by_itself else '()'}"]


def _registers(layer: Places) -> list[str]:
    """Return the functions by which the only unit of a network keeps numbers in registers, from the room and to it."""
    dots = [f"get(room.dots, {layer.dot(place)})" for place in range(len(layer.dots)) if layer.by_itself]
    puts = [f"put(terms[{j}], room.terms, {layer.term(j)})" for j in range(layer.parts) if layer.by_itself]
    begin = [*bases([layer]), "k = 0"]
    return [
        written("dots_of_row(room, row)", *begin, f"return ({''.join(f'{dot}, ' for dot in dots)})"),
        written("keep_terms(terms, room, row)", *begin, *puts),
    ]


def _unit_lines(made_of: Ingredients, layer: Places, kind: str, target: str, input_at: str = "x[at + #]") -> list[str]:
    """Return the lines that name the value of unit k, and its derivatives by its symbols."""
    symbols = []
    for symbol, source in enumerate(layer.layer.sources):
        if source >= 0:
            dot = layer.dots.index(symbol)
            symbols.append(f"dots[{dot}]" if layer.by_itself else f"get(room.dots, {layer.dot(dot)})")
        elif source == HIDDEN:
            size = layer.size(symbol)
            symbols.append(
                f"hidden_of_{kind}((theta, slots, room.hidden, 0.0, (0.0, (), options), params), "
                f"{layer.order(symbol)}, {layer.first(symbol)}, 0, row * {size}, room, room.stack)"
            )
        else:
            symbols.append(
                f"weight_of_{kind}(theta, slots, {layer.first(symbol)}, 0.0, 0.0, (0.0, (), options), params)"
            )
    inputs = "".join(
        made_of.number(input_at.replace("#", layer.column(number))) + ", "
        for number in range(layer.layer.program.inputs)
    )
    return [f"value, parts = unit_{layer.number}(({', '.join(symbols)},), ({inputs}), {target})"]


def _back(layers: list[Places]) -> list[str]:
    """Return the lines that turn the derivatives of hidden units into those of the loss."""
    first, last = layers
    lines = [f"for k in range({last.units}):"]
    for number, symbol in enumerate(last.of_hidden):
        place = f"{last.first(symbol)} + f"
        lines += [
            f"    s = get(room.terms, {last.term(last.part(symbol))})",
            f"    for f in range({last.size(symbol)}):",
            f"        part = s * weight_of_gradient(theta, slots, {place}, 0.0, 0.0, (0.0, (), options), params)",
            f"        if {'k > 0' if number == 0 else 'True'}:",
            "            part = get(room.before, f) + part",
            "        put(part, room.before, f)",
        ]
    lines += [f"for k in range({first.units}):", "    slope = get(room.before, k)"]
    return lines + _times_slope(first)


def _times_slope(layer: Places) -> list[str]:
    """Return the lines that multiply the derivatives of unit k, which the room has but for those that are 1."""
    lines = []
    for part in range(layer.parts):
        term = layer.term(part)
        product = "slope" if layer.is_one(part) else f"slope * get(room.terms, {term})"
        lines.append(f"    put({product}, room.terms, {term})")
    return lines


def _state(made_of: Ingredients) -> list[str]:
    """Return the parameters and the optimizer's state between the arrays of a run and those that it is trained in."""
    slots, clock = made_of.slots, made_of.clock_size
    number, params = made_of.number, f"layout[{PARAMS}]"
    if made_of.width > 1:
        own = made_of.options_per_run
        tail = "memory, first + #"
        clocks = f"get({tail})" if own else made_of.scalar("memory[first + #, 0]")
        write = f"put(state[1][#], {tail})"
        first = f"first = memory.shape[0] - {clock}"
        return [
            written("read_theta(params)", "return pointers(params)"),
            written("write_theta(params, theta)", "pass"),
            written("read_state(memory, room)", first, f"return pointers(memory), ({listed(clocks, clock)})"),
            written(
                "write_state(memory, state)",
                *([first] if clock else ["pass"]),
                *(write.replace("#", str(place)) for place in range(clock)),
            ),
        ]
    read = [
        f"    put({number(f'memory[place * {slots} + {s}]')}, room.slots, place + {s} * {params})" for s in range(slots)
    ]
    params_of_memory = f"params = (memory.size - {clock}) // {max(slots, 1)}"
    writes = [f"    memory[place * {slots} + {s}] = state[0][place + {s} * params]" for s in range(slots)]
    clocks = made_of.scalar(f"memory[layout[{PARAMS}] * {slots} + #]")
    return [
        written(
            "start_from(trajectory, mark, room)",
            "row = min(mark, trajectory.shape[0] - 1)",
            "for place in range(trajectory.shape[1]):",
            f"    put({number('trajectory[row, place]')}, room.theta, place)",
            "return pointers(room.theta)",
        ),
        written(
            "keep(trajectory, mark, theta)",
            "finite = True",
            "row = min(mark, trajectory.shape[0] - 1)",
            "for place in range(trajectory.shape[1]):",
            "    trajectory[row, place] = theta[place]",
            "    finite = finite and isfinite(theta[place])",
            "return finite",
        ),
        written(
            "read_state(memory, room)",
            "layout = room.layout",
            *([f"for place in range({params}):", *read] if slots else []),
            f"return pointers(room.slots), ({listed(clocks, clock)})",
        ),
        written(
            "write_state(memory, state)",
            *([params_of_memory, "for place in range(params):", *writes] if slots else []),
            *(f"memory[memory.size - {clock} + {c}] = state[1][{c}]" for c in range(clock)),
            *([] if slots or clock else ["pass"]),
        ),
    ]
