"""The exact programs of some models: the order of floating-point operations is part of what results mean.

Whoever changes one of these changes the last bits of results, in the reference and in all kernels alike, so that no
test of equality notices. A change on purpose comes with a new `FORMAT` in `kernels/model/program_cache.py` and a line
in the changelog.
"""

from hashlib import sha256

import pytest

from kernels import models

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


def listing(model):
    """The program, a line for each operation, in the order and with the operands that it has."""
    program = model.program
    names = [*model.params, *model.inputs, "y", *map(repr, program.constants)]
    lines = []
    for place, (function, operands) in enumerate(program.instructions):
        used = [names[operand] for operand in operands]
        value = f" {INFIX[function]} ".join(used) if function in INFIX else f"{function}({', '.join(used)})"
        names.append(f"v{place}")
        lines.append(f"v{place} = {value}")
    lines.append(f"residual {names[program.residual]}")
    lines.append(f"derivatives {', '.join(names[derivative] for derivative in program.derivatives)}")
    return lines


GOLDEN = {
    "quadratic": """
        v0 = x * x
        v1 = a * v0
        v2 = b * x
        v3 = c + v1
        v4 = v2 - y
        v5 = v3 + v4
        residual v5
        derivatives v0, x, 1.0
    """,
    "exponential_decay": """
        v0 = b * x
        v1 = negative(v0)
        v2 = exp(v1)
        v3 = a * v2
        v4 = c - y
        v5 = v3 + v4
        v6 = x * v3
        v7 = negative(v6)
        residual v5
        derivatives v2, v7, 1.0
    """,
}
# Of longer programs the digests.
DIGESTS = {
    "polynomial(3)": "d7c04ea54a95cb52",
    "logistic": "5d779b92fbc1eb50",
    "gaussian_peak": "ee857e8cf6753e0c",
    "(a*x**2 + b)/(1 + (c*x)**2) + sqrt(abs(a - x))/c - x**-3*b**2.5": "279f056551a0c297",
    "a*b*c*x*exp(x)*2.5 - sin(x) - cos(x) - b - c/x - x**7": "df561315d2b81f5e",
    "a*x + b*x**2 + a*b*x**3 + a*b*c*x**4 + c*x**5 + d + a*b*c*d": "5f65341805afd59f",
    "a**2*(b + c)*(b - d)*c*d*e*x - exp(a) - tanh(b) - c - d + e*x - a*x**2": "60229f5de0a235e4",
    "sqrt(a)*exp(b)*c*d/e*x": "5529fc395bc965ca",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_operations_stay_in_their_order(text):
    assert listing(models.make_model(text)) == [line.strip() for line in GOLDEN[text].strip().splitlines()]


@pytest.mark.parametrize("text", DIGESTS)
def test_operations_of_longer_programs_stay_in_their_order(text):
    found = "\n".join(listing(models.make_model(text)))
    assert sha256(found.encode()).hexdigest()[:16] == DIGESTS[text], f"the program is now\n{found}"
