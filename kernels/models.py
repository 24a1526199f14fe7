"""Ready-made models: ``models.quadratic``, ``models.polynomial(3)``, ..."""

from collections.abc import Callable, Sequence

from kernels.checks import check_integer
from kernels.model import MAX_PARAMS, Model
from kernels.spec import make_from_spec, parse_spec

linear = Model("a*x + b")
quadratic = Model("a*x**2 + b*x + c")
exponential_decay = Model("a*exp(-b*x) + c")
power_law = Model("a*x**b")
gaussian_peak = Model("a*exp(-(x - m)**2/(2*s**2)) + c")
logistic = Model("L/(1 + exp(-k*(x - x0)))")
sine = Model("a*sin(w*x + p) + c")
michaelis_menten = Model("V*x/(K + x)")
plane = Model("a*x1 + b*x2 + c", inputs=("x1", "x2"))


def polynomial(degree: int) -> Model:
    """c0 + c1*x + ... + cd*x**d.

    Raises
    ------
    ValueError
        If the degree is not a whole number from 1 to 28.
    """
    degree = check_integer("degree", degree)
    if degree >= MAX_PARAMS:
        raise ValueError(f"degree must be at most {MAX_PARAMS - 1}, not {degree}")
    return Model("c0 + c1*x" + "".join(f" + c{power}*x**{power}" for power in range(2, degree + 1)))


# Each builder takes the options that the text form may give, and no others.
MODELS: dict[str, Callable[..., Model]] = {
    "linear": lambda: linear,
    "quadratic": lambda: quadratic,
    "exponential_decay": lambda: exponential_decay,
    "power_law": lambda: power_law,
    "gaussian_peak": lambda: gaussian_peak,
    "logistic": lambda: logistic,
    "sine": lambda: sine,
    "michaelis_menten": lambda: michaelis_menten,
    "plane": lambda: plane,
    "polynomial": polynomial,
}


def make_model(text: str, inputs: Sequence[str] = ("x",)) -> Model:
    """The ready-made model of that name, such as ``"polynomial(3)"``, else the expression in the inputs.

    Raises
    ------
    ValueError
        If the text is neither; if a ready-made model has other inputs.
    """
    try:
        ready = parse_spec(text, "model")[0] in MODELS
    except ValueError:
        ready = False
    if not ready:
        return Model(text, inputs)
    model = make_from_spec(text, MODELS, "model")
    if len(model.inputs) != len(inputs):
        raise ValueError(f"the model {text!r} has the inputs {', '.join(model.inputs)}, not {', '.join(inputs)}")
    return model
