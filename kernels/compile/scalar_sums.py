"""Sums of gradients and losses in NumPy's order, in the text of the kernel of a model without vectors."""

from sgdbench.kernels.base.run import PAIRWISE_BLOCK
from sgdbench.kernels.compile.names import indexed_names
from sgdbench.kernels.compile.scalar_parts import ScalarParts
from sgdbench.kernels.compile.templates import fill, fill_lines, tuple_text, unpack
from sgdbench.kernels.model.sample_values import split_program


def gradient_sum(parts: ScalarParts) -> list[str]:
    """Return the functions that sum gradients."""
    return _sum(parts, "gradient_sum", parts.sums, parts.spec.part)


def loss_sum(parts: ScalarParts) -> list[str]:
    """Return the functions that sum losses."""
    spec = parts.spec
    return _sum(parts, "loss_sum", ["total_0"], spec.register if spec.sums_in_registers else spec.part)


def _sum(parts: ScalarParts, name: str, sums: list[str], part: int) -> list[str]:
    """Return the functions that add up terms, of all runs or of one part of them after another."""
    width, count, stride = parts.width, len(sums), (len(parts.theta) + 1) * parts.width
    texts = {
        "doc": "Return the sums over samples in the order of NumPy's add.reduce",
        "places": " places, in_order," if name == "gradient_sum" else "",
        "totals": tuple_text(sums),
    }

    def cells(row: str) -> list[str]:
        return [f"{row} * {stride} + {k * part}" for k in range(count)]

    def keep(row: str) -> list[str]:
        return [parts.store(one, "partials", at, part) for one, at in zip(sums, cells(row), strict=True)]

    text = fill(
        "sum",
        name=f"{name}_of_part" if part < width else name,
        **(texts | {"doc": f"{texts['doc']}."}),
        zero=parts.zero(part),
        total=sums,
        term=indexed_names("term", count),
        eight=_eight(parts, name, sums, part),
        before=[parts.load("partials", at, part) for at in cells("(waiting - 1)")],
        keep_before=keep("(waiting - 1)"),
        one_more=_terms_at(parts, name, count, "start", "term"),
        keep=keep("waiting"),
    )
    if part == width:
        return [text]
    in_parts = fill(
        "sum_in_parts",
        name=name,
        part=str(part),
        width=str(width),
        **texts,
        theta=tuple_text(parts.theta),
        write_point=[parts.store(one, "cells", str(k * width), width) for k, one in enumerate(parts.theta)],
        read_point=tuple_text(parts.load("cells", f"{k * width} + first", part) for k in range(len(parts.theta))),
        write_sum=[parts.store(one, "cells", f"{stride + k * width} + first", part) for k, one in enumerate(sums)],
        read_sum=tuple_text(parts.load("cells", str(stride + k * width), width) for k in range(count)),
    )
    return [text, in_parts]


def _terms_at(parts: ScalarParts, name: str, count: int, place: str, to: str, *, wide: bool = False) -> list[str]:
    """Return the lines that compute the terms of a sample, or of eight."""
    names, columns = [*parts.inputs, "target"], [*(f"x[{k}]" for k in range(len(parts.inputs))), "y"]
    term, lines = "loss_term", list[str]()
    read = "read_lane({}, {}, 8)" if wide else parts.number("{}[{}]")
    if name == "gradient_sum":
        term = "gradient_term"
        if wide:
            read = "read_samples({}, places, {}, 8, in_order)"
        else:
            place, lines = "at", [f"at = {place} if in_order else places[{place}]"]
    lines += [f"{one} = {read.format(column, place)}" for one, column in zip(names, columns, strict=True)]
    return [*lines, f"{tuple_text(indexed_names(to, count))} = {term}({', '.join(['theta', *names, 'options'])})"]


def _eight(parts: ScalarParts, name: str, sums: list[str], part: int) -> list[str]:
    """Return the lines of eight running sums: over eight samples side by side, or one after another for many runs."""
    if name == "loss_sum" and parts.spec.sums_in_registers:
        return _eight_of_a_register(parts)
    count = len(sums)
    if part == 1 and parts.by_eight:
        return fill_lines(
            "eight_of_one_run",
            first=_terms_at(parts, name, count, "start", "sum", wide=True),
            next=_terms_at(parts, name, count, "i", "term", wide=True),
            sum=indexed_names("sum", count),
            term=indexed_names("term", count),
            totals=tuple_text(sums),
            sums=tuple_text(indexed_names("sum", count)),
        )
    return fill_lines(
        "eight_of_many_runs",
        sample=_terms_at(parts, name, count, "i", "term"),
        total=sums,
        **{one: indexed_names(one, count) for one in ("quarter", "pair", "single", "term")},
    )


def _eight_of_a_register(parts: ScalarParts) -> list[str]:
    """Return the lines of eight running sums of the losses of the runs in a register."""
    values = indexed_names("value", len(split_program(parts.program)[0].derivatives))
    columns = [f"x[{k}]" for k in range(len(parts.inputs))]

    def call(j: int) -> str:
        inputs = [f"read_lane({one}, i + {j}, 1)" for one in columns]
        inputs += [f"read_lane(values, {PAIRWISE_BLOCK * v} + i - start + {j}, 1)" for v in range(len(values))]
        return f"loss_from_values({', '.join(['theta', *inputs, f'read_lane(y, i + {j}, 1)', 'options'])})[0]"

    inputs = ", ".join(f"read_lane({one}, i, 8)" for one in [*columns, "y"])
    return fill_lines(
        "eight_of_a_register",
        keep_values=[
            *(unpack(values, f"values_of_samples({inputs}, options)") or ["pass"]),
            *(f"write_lane({one}, values, {PAIRWISE_BLOCK * v} + i - start)" for v, one in enumerate(values)),
        ],
        running=list("abcdefgh"),
        loss=[call(j) for j in range(8)],
    )
