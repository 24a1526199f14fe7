"""The exact programs of some models: the order of floating-point operations is part of what results mean.

Whoever changes one of these changes the last bits of results, in the reference and in all kernels alike, so that no
test of equality notices. That of the quadratic is in kernels/README.md. A change on purpose comes with a new
`CACHE_FORMAT` in `kernels/model/program_cache.py` and a line in the changelog.
"""

import pytest

from sgdbench import models

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


def listing(model):
    """The values that are not used once, each with a name; then the residual; then the derivatives."""
    program = model.program
    values = [*model.params, *model.inputs, "y", *map(repr, program.constants)]
    ends = [program.residual, *program.derivatives]
    used = [operand for _, operands in program.instructions for operand in operands] + ends
    lines = []
    for place, (function, operands) in enumerate(program.instructions, len(values)):
        of = [values[operand] for operand in operands]
        value = f"({f' {INFIX[function]} '.join(of)})" if function in INFIX else f"{function}({', '.join(of)})"
        if used.count(place) != 1:
            lines.append(f"v{len(lines)} = {value}")
            value = f"v{len(lines) - 1}"
        values.append(value)
    return [*lines, *(values[end] for end in ends)]


GOLDEN = {
    "gaussian_peak": """
        v0 = (1.0 / s)
        v1 = (v0 * v0)
        v2 = (x - m)
        v3 = (v2 * v2)
        v4 = exp(negative((0.5 * (v1 * v3))))
        ((a * v4) + (c - y))
        v4
        negative((0.5 * (v4 * (v1 * (a * ((2.0 * m) - (2.0 * x)))))))
        (v4 * ((v0 * v1) * (a * v3)))
        1.0
    """,
    "(a*x**2 + b)/(1 + (c*x)**2) + sqrt(abs(a - x))/c - x**-3*b**2.5": """
        v0 = (1.0 / c)
        v1 = (a - x)
        v2 = absolute(v1)
        v3 = sqrt(v2)
        v4 = (x * x)
        v5 = (1.0 / (1.0 + ((c * c) * v4)))
        v6 = (b + (a * v4))
        v7 = sqrt(b)
        v8 = (1.0 / x)
        v9 = (v8 * (v8 * v8))
        (((v0 * v3) - y) + ((v5 * v6) - ((v7 * (b * b)) * v9)))
        ((v4 * v5) + (0.5 * (sqrt((1.0 / v2)) * (v0 * sign(v1)))))
        (v5 - ((b * v7) * (2.5 * v9)))
        negative(((v3 * (v0 * v0)) + (((v5 * v5) * (c * v6)) * (2.0 * v4))))
    """,
    "a*b*c*x*exp(x)*2.5 - sin(x) - cos(x) - b - c/x - x**7": """
        v0 = (x * x)
        v1 = (1.0 / x)
        v2 = (a * b)
        v3 = (2.5 * (x * exp(x)))
        ((((c * v2) * v3) - ((((v0 * v0) * (x * v0)) + cos(x)) + (y + sin(x)))) - (b + (c * v1)))
        (v3 * (b * c))
        ((v3 * (a * c)) - 1.0)
        ((v2 * v3) - v1)
    """,
    "a**2*(b + c)*(b - d)*c*d*e*x - exp(a) - tanh(b) - c - d + e*x - a*x**2": """
        v0 = exp(a)
        v1 = tanh(b)
        v2 = (x * x)
        v3 = (a * a)
        v4 = (b + c)
        v5 = (b - d)
        v6 = (c * d)
        v7 = (e * v3)
        v8 = (v4 * v5)
        v9 = (d * e)
        v10 = (x * (v7 * (v4 * v6)))
        v11 = (v5 * v6)
        v12 = (x * (v7 * v11))
        v13 = (v3 * v4)
        (((e * x) - (v0 + (c + d))) + (((x * (v8 * (v6 * v7))) - y) - (v1 + (a * v2))))
        (((v8 * ((a * c) * v9)) * (2.0 * x)) - (v0 + v2))
        (((v1 * v1) - 1.0) + (v10 + v12))
        ((x * (v13 * (v5 * v9))) + (v12 - 1.0))
        (((x * (v13 * (v5 * (c * e)))) - 1.0) - v10)
        (x + (x * (v11 * v13)))
    """,
    "sqrt(a)*exp(b)*c*d/e*x": """
        v0 = sqrt(a)
        v1 = (1.0 / e)
        v2 = exp(b)
        v3 = (c * d)
        v4 = (v1 * v3)
        v5 = (x * (v2 * (v0 * v4)))
        (v5 - y)
        ((v2 * (v4 * sqrt((1.0 / a)))) * (0.5 * x))
        v5
        (x * (v2 * (v0 * (d * v1))))
        (x * (v2 * (v0 * (c * v1))))
        negative((x * (v2 * (v0 * (v3 * (v1 * v1))))))
    """,
}


@pytest.mark.parametrize("text", GOLDEN)
def test_operations_stay_in_their_order(text):
    assert listing(models.make_model(text)) == [line.strip() for line in GOLDEN[text].strip().splitlines()]
