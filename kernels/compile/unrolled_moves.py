"""The source of the updates of models with vectors: by the rule of an optimizer, from a sample or by a gradient."""

from kernels.compile.network_layout import PARAMS, TERMS, Places, bases
from kernels.compile.unrolled import Ingredients, written
from kernels.model.network import HIDDEN, SCALAR


def moves(made_of: Ingredients, layers: list[Places]) -> list[str]:
    """Return the update from a sample, the gradient of samples, and the update by a gradient."""
    return [
        *_rule(made_of),
        _move(layers),
        _gradient_of_samples(made_of, layers),
        _move_by_gradient(made_of, layers),
        *_known(made_of),
    ]


def _symbols(layer: Places) -> list[tuple[int, int]]:
    """Return the symbols of a layer with their sources; dots come last: the next sample finds them in registers."""
    return sorted(enumerate(layer.layer.sources), key=lambda pair: pair[1])


def _loop(layer: Places) -> str:
    return "for k in range(1):" if layer.by_itself else f"for k in range({layer.units}):"


def _move(layers: list[Places]) -> str:
    """Return `move`, which updates all parameters from a sample and takes the dots of the next one."""
    lines = bases(layers)
    for layer in layers:
        lines.append(_loop(layer))
        for symbol, source in _symbols(layer):
            first, size, at = layer.first(symbol), layer.size(symbol), layer.source(symbol)
            part = layer.part(symbol)
            term = f"terms[{part}]" if layer.by_itself else f"get(room.terms, {layer.term(part, '0')})"
            lines.append(f"    s = {term}")
            if source == SCALAR:
                lines.append(f"    move_scalar(theta, slots, {first}, s, step, params)")
            elif source == HIDDEN:
                lines += [
                    f"    for f in range({size}):",
                    f"        move_weight(theta, slots, {first} + f, get(room.hidden, f), s, step, params)",
                ]
            else:
                place = layer.dots.index(symbol)
                lines += [
                    f"    dot_{place} = learn((theta, slots, x, s, step, params), {layer.order(symbol)}, {first}, "
                    f"at + {at}, after + {at}, room, room.stack)",
                    *([] if layer.by_itself else [f"    put(dot_{place}, room.dots, {layer.dot(place, '0')})"]),
                ]
    dots = "".join(f"dot_{place}, " for place in range(len(layers[0].dots)) if layers[0].by_itself)
    return written("move(theta, slots, x, at, after, terms, step, room)", *lines, f"return ({dots})")


def _gradient_of_samples(made_of: Ingredients, layers: list[Places]) -> str:
    """Return `gradient_of_samples`, which adds up the gradients, and the losses, of up to 128 samples."""
    lines = bases(layers)
    for layer in layers:
        lines.append(_loop(layer))
        for symbol, source in _symbols(layer):
            first, column = layer.first(symbol), layer.term(layer.part(symbol), "0")
            if source == SCALAR:
                lines += [
                    f"    total = sum_numbers(count, (room.terms, {column}, layout[{TERMS}]))",
                    f"    put(total, room.partials, level + {first})",
                ]
                continue
            size = layer.size(symbol)
            total, of, offset = "sum_with_hidden", size, "f"
            lines += [f"    size = {size}", "    f = 0"]
            if source != HIDDEN:
                at = layer.source(symbol)
                total, of, offset = "sum_with_input", "x", f"{at} + f"
                lines += _sums_with_inputs(made_of, f"{column}, {at}", f"room.partials, level + {first} + begin")
            lines += [
                "    while f < size:",
                f"        put({total}(count, ({of}, {column}, {offset}, room)), room.partials, level + {first} + f)",
                "        f += 1",
            ]
    if made_of.needs_loss:
        lines += [
            f"total = sum_numbers(count, (room.terms, layout[{TERMS}] - 1, layout[{TERMS}]))",
            f"put(total, room.partials, level + layout[{PARAMS}])",
        ]
    return written("gradient_of_samples(x, count, room, level)", *lines)


def _sums_with_inputs(made_of: Ingredients, of: str, cell: str) -> list[str]:
    """Return the lines that add up the gradients by eight weights of one run at a time, or four of many."""
    many = 8 if made_of.width == 1 else 4
    return [
        f"    while f < size and size >= {many}:",
        f"        begin = min(f, size - {many})",  # the last ones overlap with those before them
        f"        sums = sum_with_inputs(count, (x, {of} + begin, room))",
        *([f"        write_lane(sums, {cell})"] if many == 8 else []),
        *(f"        put(sums[{j}], {cell} + {j})" for j in range(4) if many == 4),
        f"        f += {many}",
    ]


def _move_by_gradient(made_of: Ingredients, layers: list[Places]) -> str:
    """Return `move_by_gradient`, which updates all parameters of a symbol in one stretch."""
    lines = ["layout = room.layout"]
    for layer in layers:
        for symbol, source in _symbols(layer):
            name, count = "step_weight", f"{layer.units} * {layer.size(symbol)}"
            if source == SCALAR:
                name, count = "step_scalar", layer.units
            lines += [f"place = {layer.begin(symbol)}", f"stop = place + {count}"]
            if source != SCALAR and made_of.width == 1:
                lines += [
                    "while place + 8 <= stop:",
                    f"    {name}_eight(theta, slots, place, part, step, room)",
                    "    place += 8",
                ]
            lines += ["while place < stop:", f"    {name}(theta, slots, place, part, step, room)", "    place += 1"]
    return written("move_by_gradient(theta, slots, part, step, room)", *lines)


def _known(made_of: Ingredients) -> list[str]:
    """Return the arguments of the rule besides the gradient: the clock, the loss and the norm."""
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
    sample = "return clock + (loss, )" if made_of.needs_loss else "return clock"
    return [
        written("known_of_sample(clock, loss)", sample),
        written("known_of_batch(clock, part, room)", *batch, "return known"),
        *([] if made_of.clock else [written("step_clock(clock, options)", "return clock")]),
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
    arguments, taken = "theta, slots, place, factor, s, step, params", "lr, known, options = step"
    functions = []
    for name, eight in (("", False), ("_eight", True))[: 1 if lanes else 2]:
        parameter, state, writes = access(eight)
        begin = [taken, f"t = {parameter}", f"z = {state}"]
        step = ["t, z = rule(t, z, gradient, lr, known, options[1])", *writes]
        from_sample = ["gradient = s * factor", *decay, *step]
        if made_of.per_sample:
            from_sample = ["t = per_sample_step(t, factor, s, lr)", writes[-1]]
        functions += [
            written(f"move_weight{name}({arguments})", *begin, *from_sample, f"return {point}"),
            written(f"weight_of_gradient{name}({arguments})", *begin, f"return {point}"),
            written(f"weight_of_loss{name}({arguments})", f"return {parameter}"),
            written(
                f"step_weight{name}(theta, slots, place, part, step, room)",
                f"params = room.layout[{PARAMS}]",
                *begin,
                f"gradient = part * {parameter.replace('theta', 'room.partials')}",
                *decay,
                *step,
            ),
        ]
    parameter, state, writes = access(eight=False)
    begin = [taken, f"t = {parameter}", f"z = {state}"]
    step = [f"t, z = rule(t, z, gradient, lr, known, ({made_of.options_without_decay}))", *writes]
    from_sample = ["gradient = s", *step]
    if made_of.per_sample:
        from_sample = [f"t = per_sample_step(t, {made_of.number('1.0')}, s, lr)", writes[-1]]
    return [
        *functions,
        written("move_scalar(theta, slots, place, s, step, params)", *begin, *from_sample),
        written(
            "step_scalar(theta, slots, place, part, step, room)",
            f"params = room.layout[{PARAMS}]",
            *begin,
            f"gradient = part * {parameter.replace('theta', 'room.partials')}",
            *step,
        ),
    ]
