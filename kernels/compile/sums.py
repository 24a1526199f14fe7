"""Sums in NumPy's order, in the text of the kernel of a model with vectors.

A dot product is added up leaf by leaf, each of up to 128 products. A leaf has eight running sums: the lanes of a vector
for one run, or four at a time for runs side by side.
"""

from collections.abc import Callable, Sequence

from sgdbench.kernels.compile.layers import NetworkParts
from sgdbench.kernels.compile.names import indexed_names
from sgdbench.kernels.compile.templates import fill_lines

Term = Callable[[str, int], tuple[Sequence[str], Sequence[str]]]
"""From the place of a weight, and 8 for eight weights or 0 for one, to the lines before products, and the products."""


def sum_lines(
    parts: NetworkParts, read: Sequence[str], products: Sequence[str], i: str, begin: str, whole: str, stop: str
) -> list[str]:
    """Return the lines that add up products: in NumPy's order, or one by one for many runs with fused operations."""
    which = "eight_sums" if parts.by_eight or not parts.spec.fma else "in_order"
    names = {name: indexed_names(name, len(products)) for name in ("total", "quarter", "sum", "single")}
    return fill_lines(which, i=i, begin=begin, whole=whole, stop=stop, read=read, product=products, **names)


def leaves(
    parts: NetworkParts, leaf: Sequence[str], totals: Sequence[str], *, wide: int = 0, back: str = ""
) -> list[str]:
    """Return the lines that add up dot products leaf by leaf; the sum of two leaves replaces the first.

    The text `back` is 1 if the weights are visited from last to first.
    """
    count = wide or len(totals)

    def cells(row: str) -> list[str]:
        places = [f"{count} * {row}" if count > 1 else row]
        return places if wide else [places[0] + (f" + {j}" if count > 1 else "") for j in range(count)]

    def keep(row: str) -> list[str]:
        return [parts.put(name, "stack", at, wide=wide) for name, at in zip(totals, cells(row), strict=True)]

    begin = ["start, waiting, length, begin = 0, 0, counts[order + 1], order + 2"]
    if back:
        begin = [
            "size, length = counts[order], counts[order + 1]",
            f"back = {back}",
            "start, waiting, begin = back * size, 0, order + 2 + back * length",
        ]
    return fill_lines(
        "leaves",
        begin=begin,
        total=totals,
        below=[parts.get("stack", at, wide) for at in cells("(waiting - 1)")],
        keep_below=keep("(waiting - 1)"),
        keep=keep("waiting"),
        back=["start -= back * leaf"] if back else [],
        forth="(1 - back) * leaf" if back else "leaf",
        leaf=leaf,
    )


def leaf(parts: NetworkParts, term: Term) -> list[str]:
    """Return the leaf of one dot product."""
    if parts.by_eight:
        return leaf_of_one_run(term, ["total"], ["sums"], "(total,) = sum_lanes((sums,))")

    def sums(at: str, before: str = "") -> list[str]:
        lines = list[str]()
        for j in range(4):
            read, (product,) = term(f"{at} + {j}" if j else at, 0)
            lines += [*read, f"sum_{j} = {f'sum_{j} + ' if before else ''}{product}"]
        return lines

    read, (product,) = term("f", 0)
    return fill_lines("leaf_of_many_runs", first=sums("half"), next=sums("f", "sum"), read=read, product=product)


def leaf_of_one_run(term: Term, totals: Sequence[str], sums: Sequence[str], add_up: str) -> list[str]:
    """Return the leaf of dot products of one run, whose sums are vectors of eight."""
    read_first, first = term("start", 8)
    read, product = term("f", 8)
    read_one, one = term("f", 0)
    return fill_lines(
        "leaf_of_one_run", total=totals, sum=sums, add_up=[add_up], read_first=read_first, first=first, read=read,
        product=product, read_one=read_one, one=one,
    )  # fmt: skip
