"""Dot products of weights with inputs and with hidden units, in the text of a kernel."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from sgdbench.kernels.compile.layers import NetworkParts, call
from sgdbench.kernels.compile.names import indexed_names
from sgdbench.kernels.compile.parameters import make_update, named_parameter, parameter, update_lines
from sgdbench.kernels.compile.sums import leaf, leaf_of_one_run, leaves, sum_lines
from sgdbench.kernels.compile.templates import fill, tuple_text

FIRST_CACHE = 40 * 1024
"""The bytes of weights that the first cache of a core holds beside the samples."""


def dots_of_samples(parts: NetworkParts, *, point: bool) -> str:
    """Return the function that computes the dot products of several samples."""
    rows, totals = indexed_names("row", 4), indexed_names("total", 4)

    def term(f: str, wide: int) -> tuple[list[str], list[str]]:
        inputs = [f"read_lane(x, {row} + {f}, 8)" if wide else f"number(x[{row} + {f}])" for row in rows]
        read = named_parameter(parts, f"first + {f}", "weight", point=point, wide=wide)
        return read, [f"weight * {one}" for one in inputs]

    if parts.by_eight:
        sums = indexed_names("sums", 4)
        lines = leaf_of_one_run(term, totals, sums, f"{', '.join(totals)} = sum_lanes({tuple_text(sums)})")
    else:
        lines = sum_lines(parts, *term("f", 0), "f", "start", "whole", "stop")
    return fill(
        "dots_of_samples",
        name=parts.at_point("dots_of_samples", point=point),
        leaves=leaves(parts, lines, totals),
        write=[f"@dots[column + j{f' + {j}' if j else ''}] = {one}" for j, one in enumerate(totals)],
    )


def dots_of_eight(parts: NetworkParts) -> str:
    """Return the function that computes the dot products of eight samples of one run."""
    rows = ["at", *indexed_names("row", 8)[1:]]

    def term(f: str, wide: int) -> tuple[list[str], list[str]]:
        read = named_parameter(parts, f"first + {f}", "weight", point=False, wide=wide)
        inputs = [f"read_lane(x, {row} + {f}, 8)" for row in rows] if wide else [f"read_spaced(x, at + {f}, apart, 8)"]
        return read, [f"weight * {one}" for one in inputs]

    sums = indexed_names("sums", 8)
    lines = leaf_of_one_run(term, ["total"], sums, f"total = sum_each({tuple_text(sums)})")
    before, row = zip(*pairwise(rows), strict=True)
    return fill("dots_of_eight", row=row, before=before, leaves=leaves(parts, lines, ["total"], wide=8))


def dot_of_hidden(parts: NetworkParts, *, point: bool) -> str:
    """Return the function that computes the dot product with the hidden units."""

    def term(f: str, wide: int) -> tuple[list[str], list[str]]:
        read, weight = parameter(parts, f"first + {f}", "weight", point=point, wide=wide)
        return read, [f"{weight} * {parts.get('hidden', f'at + {f}', wide)}"]

    name = parts.at_point("dot_of_hidden", point=point)
    return fill("dot_of_hidden", name=name, leaves=leaves(parts, leaf(parts, term), ["total"]))


def learn(parts: NetworkParts) -> list[str]:
    """Return the functions that update the weights of a dot product and compute the dot product of the next sample.

    Kernels of many runs use the update of a weight nine times, so it is a separate function there: inlined, the update
    of adam took a third of the compile time.
    """
    update, functions = make_update(parts, weight=True, sample=True), list[str]()
    updated = update_lines(parts, update, "place")
    used = set(re.findall(r"\w+", " ".join(updated)))
    computed = ["params", *(line.partition(" = ")[0] for line in update.before)]
    shared = [name for name in computed if name in used]

    def term(f: str, wide: int) -> tuple[list[str], list[str]]:
        now, after = (f"read_lane(x, {at} + {f}, 8)" if wide else f"number(x[{at} + {f}])" for at in ("at", "after"))
        if parts.by_eight:
            return update_lines(parts, update, f"first + {f}", wide=wide, input=now), [f"{update.point} * {after}"]
        weight = call("update_weight", "theta", f"first + {f}", now, "s", *shared)
        return [f"weight = {weight}"], [f"weight * {after}"]

    if not parts.by_eight:
        arguments = "".join(f"{name}, " for name in shared)
        functions.append(fill("update_weight", shared=arguments, update=updated, weight=update.point))
    # With fewer inputs, one pass finds all weights in the first-level cache.
    most = FIRST_CACHE // (parts.width * np.dtype(parts.spec.dtype).itemsize * (1 + parts.rule.slots))
    back = "" if parts.by_eight else f"turn if size > {most} else 0"
    body = fill(
        "learn",
        turn="" if parts.by_eight else "turn, ",
        before=update.before,
        leaves=leaves(parts, leaf(parts, term), ["total"], back=back),
    )
    return [*functions, body]


def take_dots(parts: NetworkParts, row: str, count: str, *, point: bool) -> Sequence[str]:
    """Return the lines that compute the dot products of all units with the inputs of some samples."""
    name = parts.at_point("dots_of_samples", point=point)
    return [
        call(
            name, "theta", "x", row, count, f"{layer.prefix}units",
            *(layer.name(size, symbol) for size in ("first", "source", "order")), parts.dot_column(layer, symbol),
        )
        for layer in parts.layers for symbol in layer.dots
    ]  # fmt: skip
