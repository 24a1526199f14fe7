"""The text of the kernel of a model with vectors: one readable module that serves vectors of any length.

The computation of a unit and the update of a weight are straight-line code, recorded on a tape from models, losses and
rules. The loops around them are templates.
"""

from sgdbench.kernels.compile.dots import dot_of_hidden, dots_of_eight, dots_of_samples, learn, take_dots
from sgdbench.kernels.compile.layers import NetworkParts, call, link, times
from sgdbench.kernels.compile.network_batches import gradient_sum, step_by_gradient, sum_gradients, train_batches
from sgdbench.kernels.compile.network_samples import train_samples
from sgdbench.kernels.compile.sums import sum_lines
from sgdbench.kernels.compile.templates import fill, fill_lines
from sgdbench.kernels.compile.units import gradient_of_sample, loss_lines, loss_of_sample


def network_text(parts: NetworkParts) -> str:
    """Return the text of a kernel's functions, each after the functions it calls."""
    points = [False, True] if parts.rule.gradient_at else [False]
    functions = [dots_of_samples(parts, point=point) for point in points]
    if parts.has_hidden:
        functions += [dot_of_hidden(parts, point=point) for point in points]
    if parts.one_unit and parts.by_eight:
        functions.append(dots_of_eight(parts))
    if parts.last.many:
        functions.append(fill("softmax", chosen="scores[own]" if parts.by_eight else "@scores[own]"))
    numbers = sum_lines(parts, [], ["@cells[first + i * step]"], "i", "0", "whole", "count")
    functions.append(fill("sum_of_numbers", sum=numbers))
    if not parts.one_unit:
        functions += [loss_of_sample(parts), gradient_of_sample(parts)]
    functions.append(loss_sum(parts))
    if not parts.rule.needs_norm:
        functions += [*learn(parts), train_samples(parts)]
    functions.append(sum_gradients(parts, hidden=False))
    if parts.has_hidden and not parts.by_eight:
        functions.append(sum_gradients(parts, hidden=True))
    functions.append(gradient_sum(parts))
    functions += [step_by_gradient(parts, decays=decays) for decays in ([True, False] if parts.decays else [True])]
    return "\n\n".join(link(parts, [*functions, train_batches(parts), kernel(parts)]))


def loss_sum(parts: NetworkParts) -> str:
    """Return the function that sums the losses of all samples."""
    if parts.one_unit and parts.by_eight:
        which, row, count = "losses_by_eight", "SAMPLE_ROWS", "count - whole"
    else:
        which, row, count = "losses_one_by_one", "SAMPLE_ROWS + i", "min(ROWS, count - i)"
    by_call = ["loss = " + call("loss_of_sample", "theta", "x", "at", "y", "i")]
    losses = fill_lines(
        which,
        take_dots=take_dots(parts, row, count, point=False),
        eight=loss_lines(parts, "i", eight=True) if which == "losses_by_eight" else "",
        loss=loss_lines(parts, "i") if parts.one_unit else by_call,
    )
    return fill("loss_sum", losses=losses)


def kernel(parts: NetworkParts) -> str:
    """Return the entry function."""
    copies = parts.spec.dtype == "float32" and parts.by_eight
    numbers, own, settings = times("params", parts.rule.slots + 1), len(parts.loss_options), parts.read_settings()
    places = [times(f"({numbers} + {k})" if k else numbers, parts.width) for k in range(len(parts.clock))]
    write = [f"for place in range({numbers}):", "    cells[place] = theta[place]"] if copies else []
    for name, at in zip(parts.clock, places, strict=True):
        lane = parts.clock_lane(name)
        write.append(f"cells[{at}] = {name}" if parts.by_eight else parts.store(lane, "cells", at, parts.width))
    samples = call("train_samples", "theta", "x", "y", "places", "count")
    batches = call("train_batches", "theta", "x", "y", "places", "in_order", "count", "size")
    return fill(
        "network_kernel",
        theta="rounded" if copies else "cells",
        round=[f"for place in range({numbers}):", "    write_lane(as_float32(cells[place]), theta, place)"] * copies,
        loss_option=parts.loss_options,
        loss_value=settings[:own],
        option=parts.settings[own:],
        value=settings[own:],
        clock=parts.clock,
        read_clock=[parts.read_clock(place) for place in places],
        clock_is=f"{', '.join(parts.clock)}{',' if len(parts.clock) == 1 else ''} = " if parts.clock else "",
        samples=batches if parts.rule.needs_norm else samples,
        write=write,
    )
