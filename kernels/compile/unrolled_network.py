"""The source of the functions of models with vectors whose form differs from kernel to kernel.

As in `kernels.compile.unrolled`, what a unit computes is written out: its formula, one symbol after another, and the
state of the optimizer. Sizes are numbers in the layout of the network, so that one kernel trains vectors of any length.
"""

from kernels.base.run import ROWS
from kernels.compile.unrolled import Ingredients, arguments_of_loss, listed, options_function, unit, written
from kernels.model.network import HIDDEN, SCALAR, Structure

PARAMS, INPUTS, TERMS, FIRST = 0, 1, 2, 3
"""The places of the layout: the parameters, the columns of the inputs, the terms of a sample, and the first layer."""


class Places:
    """A layer, and the texts of its sizes: of the layout in a kernel, in the names that a function gives them."""

    def __init__(self, number: int, layer: Structure, start: int) -> None:
        self.number, self.layer, self.start = number, layer, start
        self.symbols = len(layer.sources)
        self.units = f"layout[{start}]"
        self.stop = start + 1 + 3 * self.symbols + layer.program.inputs

    def first(self, symbol: int, of_unit: str = "k") -> str:
        """Return the first parameter of a unit's symbol."""
        place = self.start + 1 + 3 * symbol
        return f"layout[{place}] + {of_unit} * layout[{place + 1}]"

    def size(self, symbol: int) -> str:
        """Return the length of a symbol."""
        return f"layout[{self.start + 2 + 3 * symbol}]"

    def source(self, symbol: int) -> str:
        """Return the first column of a dot's inputs."""
        return f"layout[{self.start + 3 + 3 * symbol}]"

    def column(self, number: int) -> str:
        """Return the column of a single input."""
        return f"layout[{self.start + 1 + 3 * self.symbols + number}]"

    @property
    def dots(self) -> list[int]:
        """The symbols that are dots with inputs."""
        return [place for place, source in enumerate(self.layer.sources) if source >= 0]

    @property
    def of_hidden(self) -> list[int]:
        """The symbols that are dots with the hidden units."""
        return [place for place, source in enumerate(self.layer.sources) if source == HIDDEN]

    def dot(self, place: int, row: str = "row") -> str:
        """Return the place of a dot of unit k among those of `ROWS` samples."""
        return f"({row} & {ROWS - 1}) * {self.units} * {len(self.dots)} + k * {len(self.dots)} + {place}"

    @property
    def by_itself(self) -> bool:
        """Whether it is the only unit, whose dots and derivatives stay in registers."""
        return not self.number and not self.layer.many

    def term(self, symbol: int | str, row: str = "row") -> str:
        """Return the place of a unit's term among those of all samples."""
        return f"{row} * layout[{TERMS}] + base_{self.number} + k * {self.symbols} + {symbol}"


def unroll_network(made_of: Ingredients) -> str:
    """Return the source of the functions that `kernels.loops.network` and `kernels.loops.loops` declare."""
    layers, start = [], FIRST
    for number, layer in enumerate(made_of.layers):
        layers.append(Places(number, layer, start))
        start = layers[-1].stop
    parts = (
        _cells(made_of),
        _rule(made_of),
        _forward(made_of, layers),
        _moves(made_of, layers),
        _state(made_of),
        [options_function(made_of)],
    )
    return "\n\n".join(text for part in parts for text in part)


def _bases(layers: list[Places]) -> list[str]:
    """Return the lines that name the first term of each layer."""
    lines = ["layout = room.layout", f"params = layout[{PARAMS}]", "base_0 = 0"]
    return lines + [f"base_1 = layout[{FIRST}] * {layers[0].symbols}"] * (len(layers) > 1)


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
        written("number_at(x, place)", f"return {number('x[place]')}"),
        written("number_of_sample(x, i, column, place, room)", "return get(x, i * place + column)"),
        written(
            "term_times_input(x, i, column, place, room)",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * {number('x[room.rows[i] + place]')}",
        ),
        written(
            "term_times_four(x, i, column, place, room)",
            f"term, at = get(room.terms, i * room.layout[{TERMS}] + column), room.rows[i] + place",
            f"return ({listed('term * ' + number('x[at + #]'), 4)})",
        ),
        written(
            "term_times_eight(x, i, column, place, room)",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * read_lane(x, room.rows[i] + place, 8)",
        ),
        written(
            "term_times_hidden(x, i, column, place, room)",
            f"return get(room.terms, i * room.layout[{TERMS}] + column) * get(room.hidden, i * x + place)",
        ),
        written("eight_nothings()", f"return broadcast({made_of.number('-0.0')}, 8)"),
    ]


def _rule(made_of: Ingredients) -> list[str]:
    """Return the update of one parameter, of eight, and of a scalar, from a sample or by a gradient."""
    slots, lanes = made_of.slots, made_of.width > 1

    def slot(number: int) -> str:
        return f"place * {slots} + {number}" if lanes else f"place + {number} * params"

    def access(eight: bool) -> tuple[str, str, list[str]]:
        """Return the texts that read a parameter and its slots, and the lines that write them."""
        if eight:
            # A slot that is the same for all parameters, as in asgd, is a number.
            read, write = "read_lane({}, {}, 8)", "write_lane(broadcast({}, 8), {}, {})"
        else:
            read, write = "get({}, {})", "put({}, {}, {})"
        state = "".join(read.format("slots", slot(number)) + ", " for number in range(slots))
        lines = [write.format(f"z[{number}]", "slots", slot(number)) for number in range(slots)]
        return read.format("theta", "place"), f"({state})", [*lines, write.format("t", "theta", "place")]

    point = "point_of_gradient(t, z, options[1])" if made_of.gradient_at else "t"
    decay = [f"gradient = add_weight_decay({point}, gradient, options[2])"] if made_of.decays else []
    arguments = "theta, slots, place, factor, s, lr, known, options, params"
    functions = []
    for name, eight in (("", False), ("_eight", True))[: 1 if lanes else 2]:
        parameter, state, writes = access(eight)
        begin = [f"t = {parameter}", f"z = {state}"]
        step = ["t, z = rule(t, z, gradient, lr, known, options[1])", *writes]
        from_sample = ["gradient = s * factor", *decay, *step]
        if made_of.per_sample:
            from_sample = ["t = per_sample_step(t, factor, s, lr)", writes[-1]]
        functions += [
            written(f"move_weight{name}({arguments})", *begin, *from_sample, f"return {point}"),
            written(f"weight_of_gradient{name}({arguments})", *begin, f"return {point}"),
            written(f"weight_of_loss{name}({arguments})", f"return {parameter}"),
            written(
                f"step_weight{name}(theta, slots, place, part, lr, known, options, room)",
                f"params = room.layout[{PARAMS}]",
                *begin,
                f"gradient = part * {parameter.replace('theta', 'room.partials')}",
                *decay,
                *step,
            ),
        ]
    parameter, state, writes = access(eight=False)
    begin = [f"t = {parameter}", f"z = {state}"]
    step = [f"t, z = rule(t, z, gradient, lr, known, ({made_of.options_without_decay}))", *writes]
    from_sample = ["gradient = s", *step]
    if made_of.per_sample:
        from_sample = [f"t = per_sample_step(t, {made_of.number('1.0')}, s, lr)", writes[-1]]
    return [
        *functions,
        written("move_scalar(theta, slots, place, s, lr, known, options, params)", *begin, *from_sample),
        written(
            "step_scalar(theta, slots, place, part, lr, known, options, room)",
            f"params = room.layout[{PARAMS}]",
            *begin,
            f"gradient = part * {parameter.replace('theta', 'room.partials')}",
            *step,
        ),
    ]


def _forward(made_of: Ingredients, layers: list[Places]) -> list[str]:
    """Return the values of all units at a sample, and the derivatives of the loss by their symbols."""
    last, several = layers[-1], len(layers) > 1
    softmax = last.layer.many
    units = [
        unit(
            f"unit_{layer.number}",
            made_of,
            layer.layer.program,
            takes_y=layer is last and made_of.of_residual,
            result="#" if layer is not last or softmax or made_of.of_residual else "(#, y)",
        )
        for layer in layers
    ]
    return [
        *units,
        *(_take_dots(layers[0], kind) for kind in ("gradient", "loss")),
        written(
            "head(theta, slots, x, at, y, dots, options, room, row)",
            *_head(made_of, layers, "gradient", several, softmax),
        ),
        written(
            "value_of_loss(theta, slots, x, at, y, options, room, row)",
            "dots = dots_of_row(room, row)",
            *_head(made_of, layers, "loss", several, softmax),
        ),
        *_registers(last),
    ]


def _take_dots(layer: Places, kind: str) -> str:
    """Return the function that takes the dots of all units of the first layer with the inputs of some samples."""
    lines = ["layout = room.layout"]
    tail = f"0.0, (), options, room.counts, room.stack, layout[{PARAMS}])"
    for place, symbol in enumerate(layer.dots):
        start, source = f"theta, slots, {layer.first(symbol)}, {layer.size(symbol)}", layer.source(symbol)
        lines += [f"for k in range({layer.units}):", "    row, stop = first, first + count"]
        lines += [
            "    while row + 4 <= stop:",
            f"        rows = ({listed('room.rows[row + #]', 4)})",
            f"        four = four_of_{kind}({start}, rows, x, 0, {source}, {tail}",
            *(f"        put(four[{j}], room.dots, {layer.dot(place, f'row + {j}')})" for j in range(4)),
            "        row += 4",
            "    while row < stop:",
            f"        one = dot_of_{kind}({start}, 0.0, x, 0, room.rows[row] + {source}, {tail}",
            f"        put(one, room.dots, {layer.dot(place)})",
            "        row += 1",
        ]
    end = "" if kind == "gradient" else "_of_loss"
    return written(f"take_dots{end}(theta, slots, x, first, count, options, room)", *lines)


def _head(made_of: Ingredients, layers: list[Places], kind: str, several: bool, softmax: bool) -> list[str]:
    """Return the lines that compute the values of all units from the dots of the first layer, and the loss."""
    learns, lines = kind == "gradient", _bases(layers)
    last = layers[-1]
    zero = made_of.number("0.0")
    if several:
        lines.append(f"for k in range({layers[0].units}):")
        lines += [f"    {line}" for line in _unit_lines(made_of, layers[0], kind, zero)]
        lines.append(f"    put(value, room.hidden, row * {layers[0].units} + k)")
        lines += [f"    put(parts[{j}], room.terms, {layers[0].term(j)})" for j in range(layers[0].symbols) if learns]
    if softmax:
        lines.append(f"for k in range({last.units}):")
        lines += [f"    {line}" for line in _unit_lines(made_of, last, kind, zero)]
        lines.append("    put(value, room.scores, k)")
        lines += [f"    put(parts[{j}], room.terms, {last.term(j)})" for j in range(last.symbols) if learns]
        lines += ["own = int(y)", f"loss = softmax(room, {last.units}, own)"]
        if not learns:
            return [*lines, "return loss"]
        lines += [f"total = get(room.scores, {last.units})", f"for k in range({last.units}):"]
        lines += ["    slope = get(room.scores, k) / total", "    if k == own:", "        slope = slope - 1.0"]
        lines += [
            f"    put(slope * get(room.terms, {last.term(j)}), room.terms, {last.term(j)})" for j in range(last.symbols)
        ]
    else:
        lines += ["k = 0", *_unit_lines(made_of, last, kind, "y"), "residual = value"]
        given = arguments_of_loss(made_of, "options[0]")
        if not learns:
            return [*lines, f"return {'residual * residual' if made_of.is_squared else f'loss_value({given})'}"]
        lines += [f"slope = loss_derivative({given})"]
        terms = [f"slope * parts[{j}]" for j in range(last.symbols)]
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
    """Return what the only unit of a network keeps in registers, from the room and to it."""
    dots = [f"get(room.dots, {layer.dot(place)})" for place in range(len(layer.dots)) if layer.by_itself]
    puts = [f"put(terms[{j}], room.terms, {layer.term(j)})" for j in range(layer.symbols) if layer.by_itself]
    begin = [*_bases([layer]), "k = 0"]
    return [
        written("dots_of_row(room, row)", *begin, f"return ({''.join(f'{dot}, ' for dot in dots)})"),
        written("keep_terms(terms, room, row)", *begin, *puts),
    ]


def _unit_lines(made_of: Ingredients, layer: Places, kind: str, target: str) -> list[str]:
    """Return the lines that name the value of unit k, and its derivatives by its symbols."""
    symbols = []
    for symbol, source in enumerate(layer.layer.sources):
        if source >= 0:
            dot = layer.dots.index(symbol)
            symbols.append(f"dots[{dot}]" if layer.by_itself else f"get(room.dots, {layer.dot(dot)})")
        elif source == HIDDEN:
            size = layer.size(symbol)
            symbols.append(
                f"hidden_of_{kind}(theta, slots, {layer.first(symbol)}, {size}, 0.0, room.hidden, 0, row * {size}, "
                "0.0, (), options, room.counts, room.stack, params)"
            )
        else:
            symbols.append(f"weight_of_{kind}(theta, slots, {layer.first(symbol)}, 0.0, 0.0, 0.0, (), options, params)")
    inputs = "".join(
        made_of.number(f"x[at + {layer.column(number)}]") + ", " for number in range(layer.layer.program.inputs)
    )
    return [f"value, parts = unit_{layer.number}(({', '.join(symbols)},), ({inputs}), {target})"]


def _back(layers: list[Places]) -> list[str]:
    """Return the lines that turn the derivatives of hidden units into those of the loss."""
    first, last = layers
    lines = [f"for k in range({last.units}):"]
    for number, symbol in enumerate(last.of_hidden):
        place = f"{last.first(symbol)} + f"
        lines += [
            f"    s = get(room.terms, {last.term(symbol)})",
            f"    for f in range({last.size(symbol)}):",
            f"        part = s * weight_of_gradient(theta, slots, {place}, 0.0, 0.0, 0.0, (), options, params)",
            f"        if {'k > 0' if number == 0 else 'True'}:",
            "            part = get(room.before, f) + part",
            "        put(part, room.before, f)",
        ]
    lines += [f"for k in range({first.units}):", "    slope = get(room.before, k)"]
    return lines + [
        f"    put(slope * get(room.terms, {first.term(j)}), room.terms, {first.term(j)})" for j in range(first.symbols)
    ]


def _moves(made_of: Ingredients, layers: list[Places]) -> list[str]:
    """Return the update from a sample, the gradient of samples, and the update by a gradient."""
    move, samples, step = _bases(layers), _bases(layers), ["layout = room.layout"]
    eights = made_of.width == 1
    for layer in layers:
        loop = "for k in range(1):" if layer.by_itself else f"for k in range({layer.units}):"
        move.append(loop)
        samples.append(loop)
        # Dots come last, so that the next sample finds them in registers.
        for symbol, source in sorted(enumerate(layer.layer.sources), key=lambda pair: pair[1]):
            first, size, at = layer.first(symbol), layer.size(symbol), layer.source(symbol)
            column = layer.term(symbol, "0")
            move.append(f"    s = terms[{symbol}]" if layer.by_itself else f"    s = get(room.terms, {column})")
            tail = "lr, known, options, params"
            if source == SCALAR:
                move.append(f"    move_scalar(theta, slots, {first}, s, {tail})")
                samples += [
                    f"    total = sum_numbers(room.terms, count, {column}, layout[{TERMS}], room)",
                    f"    put(total, room.partials, level + {first})",
                ]
                span = f"layout[{layer.start + 1 + 3 * symbol}], {layer.units}"
                step += _run_over(span, "step_scalar", eights=False)
                continue
            step += _run_over(
                f"layout[{layer.start + 1 + 3 * symbol}], {layer.units} * {size}", "step_weight", eights=eights
            )
            samples += [f"    size = {size}", "    f = 0"]
            if source == HIDDEN:
                move += [
                    f"    for f in range({size}):",
                    f"        move_weight(theta, slots, {first} + f, get(room.hidden, f), s, {tail})",
                ]
                total, of, offset = "sum_with_hidden", size, "f"
            else:
                place = layer.dots.index(symbol)
                move += [
                    f"    dot_{place} = learn(theta, slots, {first}, {size}, s, x, at + {at}, after + {at}, lr, known, "
                    "options, room.counts, room.stack, params)",
                    *([] if layer.by_itself else [f"    put(dot_{place}, room.dots, {layer.dot(place, '0')})"]),
                ]
                total, of, offset = "sum_with_input", "x", f"{at} + f"
                cell, many = f"room.partials, level + {first} + begin", 8 if eights else 4
                samples += [
                    f"    while f < size and size >= {many}:",
                    f"        begin = min(f, size - {many})",  # the last ones overlap with those before them
                    f"        sums = sum_with_inputs(x, count, {column}, {at} + begin, room)",
                    *([f"        write_lane(sums, {cell})"] if eights else []),
                    *(f"        put(sums[{j}], {cell} + {j})" for j in range(4) if not eights),
                    f"        f += {many}",
                ]
            samples += [
                "    while f < size:",
                f"        put({total}({of}, count, {column}, {offset}, room), room.partials, level + {first} + f)",
                "        f += 1",
            ]
    if made_of.needs_loss:
        samples += [
            f"total = sum_numbers(room.terms, count, layout[{TERMS}] - 1, layout[{TERMS}], room)",
            f"put(total, room.partials, level + layout[{PARAMS}])",
        ]
    dots = "".join(f"dot_{place}, " for place in range(len(layers[0].dots)) if layers[0].by_itself)
    facts = ["loss, "] if made_of.needs_loss else []
    batch = ["known = clock"]
    if made_of.needs_loss:
        batch = [f"known = clock + (part * get(room.partials, room.layout[{PARAMS}]),)"]
    if made_of.needs_norm:
        batch += [
            "first = part * get(room.partials, 0)",
            "norm = first * first",
            f"for place in range(1, room.layout[{PARAMS}]):",
            "    number = part * get(room.partials, place)",
            "    norm = norm + number * number",
            "known = known + (norm,)",
        ]
    return [
        written("move(theta, slots, x, at, after, terms, lr, known, options, room)", *move, f"return ({dots})"),
        written("gradient_of_samples(x, count, room, level)", *samples),
        written("move_by_gradient(theta, slots, part, lr, known, options, room)", *step),
        written("known_of_sample(clock, loss)", f"return clock + ({''.join(facts)})" if facts else "return clock"),
        written("known_of_batch(clock, part, room)", *batch, "return known"),
        *([] if made_of.clock else [written("step_clock(clock, options)", "return clock")]),
    ]


def _run_over(span: str, name: str, *, eights: bool) -> list[str]:
    """Return the lines that update all parameters of a symbol: its first place, and how many they are."""
    first, _, count = span.partition(", ")
    arguments = "theta, slots, place, part, lr, known, options, room"
    lines = [f"place = {first}", f"stop = place + {count}"]
    if eights:
        lines += ["while place + 8 <= stop:", f"    {name}_eight({arguments})", "    place += 8"]
    return [*lines, "while place < stop:", f"    {name}({arguments})", "    place += 1"]


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
