"""Expressions in which every function of ours is used."""

from sgdbench import models
from sgdbench.kernels.model.models import MODELS

MORE = [
    "a*exp(b*x) + log(c + x)*a",
    "a*sin(b*x) + b*cos(a*x) + tan(c*x)",
    "a*tanh(b*x + c)",
    "arcsin(a*x/3) + arccos(b*x/3) + arctan(c*x)",
    "sqrt(a + b*x**2) + a**-1.5*x**2.5",
    "(a*x)**0.25 + (b + x)**-0.75",
    "x**a + a**x + a**b + (a*x)**(b*c)",
    "(a*x**2 + b)/(c*x**3 - 7) - 1/(a + x)**3",
    "abs(a*x - 1) + abs(b)*x + sqrt(c**2 + (a*x)**2)",
    "sqrt((a - x)**2)*b",
    "exp(exp(a*x)/(1 + b))*exp(c*x)*exp(a)",
    "a - (b - (c - x))*2.5 - -x",
    "a*x + a*x**2 + a*1e-3 + 0.1",
    "a*log1p(b*x) + b*expm1(a*x) + sinh(c*x) - cosh(a + x)/c",
    "a*erf((x - b)/c)",
    "L*sigmoid(k*(x - m)) + softplus(-b*x)",
    "relu(a*x - 1)*b + c",
    "max(a*x, b) - min(c*x, a)**2*b",
    "where(x < b, a*x + c, a*b + c*log(x))",
    "where(a*x >= b**2, where(x <= 1, a, b*x), max(a, x - c))*sqrt(x)",
]

OF_X = sorted(name for name, build in MODELS.items() if name not in ("polynomial", "mlp") and build().inputs == ("x",))
TEXTS = [*(m.expression for m in map(models.make_model, OF_X)), *MORE]
TEXTS += [models.polynomial(5).expression]
