"""The exact programs of some models: the order of floating-point operations is part of what results mean.

Whoever changes one of these changes the last bits of results, in the reference and in all kernels alike, so that no
test of equality notices. A change on purpose comes with a new `FORMAT` in `kernels/model/program_cache.py` and a line
in the changelog.
"""

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
    "polynomial(3)": """
        v0 = c1 * x
        v1 = x * x
        v2 = c2 * v1
        v3 = x * v1
        v4 = c3 * v3
        v5 = c0 + v0
        v6 = v2 - y
        v7 = v4 + v5
        v8 = v6 + v7
        residual v8
        derivatives 1.0, x, v1, v3
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
    "gaussian_peak": """
        v0 = 1.0 / s
        v1 = v0 * v0
        v2 = x - m
        v3 = v2 * v2
        v4 = v1 * v3
        v5 = 0.5 * v4
        v6 = negative(v5)
        v7 = exp(v6)
        v8 = a * v7
        v9 = c - y
        v10 = v8 + v9
        v11 = 2.0 * x
        v12 = 2.0 * m
        v13 = v12 - v11
        v14 = a * v13
        v15 = v1 * v14
        v16 = v7 * v15
        v17 = 0.5 * v16
        v18 = negative(v17)
        v19 = v0 * v1
        v20 = a * v3
        v21 = v19 * v20
        v22 = v7 * v21
        residual v10
        derivatives v7, v18, v22, 1.0
    """,
    "logistic": """
        v0 = x - x0
        v1 = k * v0
        v2 = negative(v1)
        v3 = exp(v2)
        v4 = 1.0 + v3
        v5 = 1.0 / v4
        v6 = L * v5
        v7 = v6 - y
        v8 = v5 * v5
        v9 = x0 - x
        v10 = L * v9
        v11 = v3 * v10
        v12 = v8 * v11
        v13 = negative(v12)
        v14 = L * k
        v15 = v3 * v14
        v16 = v8 * v15
        v17 = negative(v16)
        residual v7
        derivatives v5, v13, v17
    """,
    "(a*x**2 + b)/(1 + (c*x)**2) + sqrt(abs(a - x))/c - x**-3*b**2.5": """
        v0 = 1.0 / c
        v1 = a - x
        v2 = absolute(v1)
        v3 = sqrt(v2)
        v4 = v0 * v3
        v5 = c * c
        v6 = x * x
        v7 = v5 * v6
        v8 = 1.0 + v7
        v9 = 1.0 / v8
        v10 = a * v6
        v11 = b + v10
        v12 = v9 * v11
        v13 = sqrt(b)
        v14 = b * b
        v15 = v13 * v14
        v16 = 1.0 / x
        v17 = v16 * v16
        v18 = v16 * v17
        v19 = v15 * v18
        v20 = v4 - y
        v21 = v12 - v19
        v22 = v20 + v21
        v23 = v6 * v9
        v24 = 1.0 / v2
        v25 = sqrt(v24)
        v26 = sign(v1)
        v27 = v0 * v26
        v28 = v25 * v27
        v29 = 0.5 * v28
        v30 = v23 + v29
        v31 = b * v13
        v32 = 2.5 * v18
        v33 = v31 * v32
        v34 = v9 - v33
        v35 = v0 * v0
        v36 = v3 * v35
        v37 = v9 * v9
        v38 = c * v11
        v39 = v37 * v38
        v40 = 2.0 * v6
        v41 = v39 * v40
        v42 = v36 + v41
        v43 = negative(v42)
        residual v22
        derivatives v30, v34, v43
    """,
    "a*b*c*x*exp(x)*2.5 - sin(x) - cos(x) - b - c/x - x**7": """
        v0 = x * x
        v1 = v0 * v0
        v2 = x * v0
        v3 = v1 * v2
        v4 = cos(x)
        v5 = sin(x)
        v6 = 1.0 / x
        v7 = c * v6
        v8 = exp(x)
        v9 = a * b
        v10 = c * v9
        v11 = x * v8
        v12 = 2.5 * v11
        v13 = v10 * v12
        v14 = v3 + v4
        v15 = y + v5
        v16 = v14 + v15
        v17 = b + v7
        v18 = v13 - v16
        v19 = v18 - v17
        v20 = b * c
        v21 = v12 * v20
        v22 = a * c
        v23 = v12 * v22
        v24 = v23 - 1.0
        v25 = v9 * v12
        v26 = v25 - v6
        residual v19
        derivatives v21, v24, v26
    """,
    "a*x + b*x**2 + a*b*x**3 + a*b*c*x**4 + c*x**5 + d + a*b*c*d": """
        v0 = a * x
        v1 = x * x
        v2 = b * v1
        v3 = v1 * v1
        v4 = x * v3
        v5 = c * v4
        v6 = x * v1
        v7 = a * b
        v8 = v6 * v7
        v9 = c * d
        v10 = v7 * v9
        v11 = c * v7
        v12 = v3 * v11
        v13 = d + v0
        v14 = v2 - y
        v15 = v5 + v13
        v16 = v8 + v14
        v17 = v10 + v12
        v18 = v15 + v16
        v19 = v17 + v18
        v20 = b * v6
        v21 = b * c
        v22 = d * v21
        v23 = v3 * v21
        v24 = x + v20
        v25 = v22 + v24
        v26 = v23 + v25
        v27 = a * v6
        v28 = a * c
        v29 = d * v28
        v30 = v3 * v28
        v31 = v1 + v27
        v32 = v29 + v31
        v33 = v30 + v32
        v34 = d * v7
        v35 = v3 * v7
        v36 = v4 + v34
        v37 = v35 + v36
        v38 = 1.0 + v11
        residual v19
        derivatives v26, v33, v37, v38
    """,
    "a**2*(b + c)*(b - d)*c*d*e*x - exp(a) - tanh(b) - c - d + e*x - a*x**2": """
        v0 = exp(a)
        v1 = tanh(b)
        v2 = e * x
        v3 = x * x
        v4 = a * v3
        v5 = a * a
        v6 = b + c
        v7 = b - d
        v8 = c * d
        v9 = e * v5
        v10 = v6 * v7
        v11 = v8 * v9
        v12 = v10 * v11
        v13 = x * v12
        v14 = c + d
        v15 = v0 + v14
        v16 = v2 - v15
        v17 = v1 + v4
        v18 = v13 - y
        v19 = v18 - v17
        v20 = v16 + v19
        v21 = a * c
        v22 = d * e
        v23 = v21 * v22
        v24 = v10 * v23
        v25 = 2.0 * x
        v26 = v24 * v25
        v27 = v0 + v3
        v28 = v26 - v27
        v29 = v1 * v1
        v30 = v6 * v8
        v31 = v9 * v30
        v32 = x * v31
        v33 = v7 * v8
        v34 = v9 * v33
        v35 = x * v34
        v36 = v29 - 1.0
        v37 = v32 + v35
        v38 = v36 + v37
        v39 = v5 * v6
        v40 = v7 * v22
        v41 = v39 * v40
        v42 = x * v41
        v43 = v35 - 1.0
        v44 = v42 + v43
        v45 = c * e
        v46 = v7 * v45
        v47 = v39 * v46
        v48 = x * v47
        v49 = v48 - 1.0
        v50 = v49 - v32
        v51 = v33 * v39
        v52 = x * v51
        v53 = x + v52
        residual v20
        derivatives v28, v38, v44, v50, v53
    """,
    "sqrt(a)*exp(b)*c*d/e*x": """
        v0 = sqrt(a)
        v1 = 1.0 / e
        v2 = exp(b)
        v3 = c * d
        v4 = v1 * v3
        v5 = v0 * v4
        v6 = v2 * v5
        v7 = x * v6
        v8 = v7 - y
        v9 = 1.0 / a
        v10 = sqrt(v9)
        v11 = v4 * v10
        v12 = v2 * v11
        v13 = 0.5 * x
        v14 = v12 * v13
        v15 = d * v1
        v16 = v0 * v15
        v17 = v2 * v16
        v18 = x * v17
        v19 = c * v1
        v20 = v0 * v19
        v21 = v2 * v20
        v22 = x * v21
        v23 = v1 * v1
        v24 = v3 * v23
        v25 = v0 * v24
        v26 = v2 * v25
        v27 = x * v26
        v28 = negative(v27)
        residual v8
        derivatives v14, v7, v18, v22, v28
    """,
}


@pytest.mark.parametrize("text", GOLDEN)
def test_operations_stay_in_their_order(text):
    assert listing(models.make_model(text)) == [line.strip() for line in GOLDEN[text].strip().splitlines()]
