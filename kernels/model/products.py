"""Scalar products in expressions: `w @ x + b` is written out as `w1*x1 + w2*x2 + b`."""

from collections.abc import Sequence

from kernels.model.expression import read_products

ALL_INPUTS = "x"


def expand_products(expression: str, inputs: Sequence[str]) -> str:
    """Return an expression in which every ``w @ x`` is written out as a sum over all inputs.

    Parameters
    ----------
    expression : str
        ``x`` stands for all inputs, whatever their names, and the other name for as many parameters: ``w1``, ``w2``,
        ... for the inputs ``x1``, ``x2``, ..., ``w`` for the single input ``x``, and else ``w_`` followed by the name
        of the input.
    inputs : sequence of str

    Examples
    --------
    >>> expand_products("w @ x + b", ["x1", "x2"])
    '(w1*x1 + w2*x2) + b'
    >>> expand_products("sigmoid(w @ x)", ["hp", "weight"])
    'sigmoid(w_hp*hp + w_weight*weight)'
    """
    if not isinstance(expression, str) or "@" not in expression:
        return expression  # the parser refuses anything but text
    numbered = list(inputs) == [f"x{number}" for number in range(1, len(inputs) + 1)]

    def parameter(name: str, number: int, column: str) -> str:
        if list(inputs) == [ALL_INPUTS]:
            return name
        return f"{name}{number}" if numbered else f"{name}_{column}"

    code = expression.strip(" \t")
    for node, name in reversed(read_products(expression, ALL_INPUTS)):
        terms = [f"{parameter(name, number, column)}*{column}" for number, column in enumerate(inputs, 1)]
        before, after = code[: node.col_offset], code[node.end_col_offset :]
        # A product of two names needs no parentheses wherever `@` can stand.
        enclosed = len(terms) == 1 or (before.endswith("(") and after.startswith(")"))
        written = " + ".join(terms)
        code = f"{before}{written if enclosed else f'({written})'}{after}"
    return code
