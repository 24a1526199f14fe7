"""Ready-made models: ``models.quadratic``, ``models.polynomial(3)``, ..."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from sgdbench.kernels.base.checks import check_array, check_integer, closest_name, describe, list_names
from sgdbench.kernels.base.columns import NUMBER_OR_BOOL_KINDS
from sgdbench.kernels.base.columns import column_names as column_names_of
from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.registry import Table
from sgdbench.kernels.base.spec import make_from_spec, parse_spec
from sgdbench.kernels.model.column_names import (
    ALL_INPUTS,
    closest_column,
    column_name,
    column_names,
    did_you_mean_column,
    headings_by_name,
    is_name,
    number_columns,
    refuse_misspelt,
)
from sgdbench.kernels.model.expression import names, parse
from sgdbench.kernels.model.inputs import Given, read_inputs
from sgdbench.kernels.model.layers import MAX_PARAMS
from sgdbench.kernels.model.model import CHECKED_ROWS, Model, sympy_as_text

MAX_RASTRIGIN = 12
MLP = "mlp"

linear = Model("a*x + b")
quadratic = Model("a*x**2 + b*x + c")
exponential_decay = Model("a*exp(-b*x) + c")
power_law = Model("a*x**b")
gaussian_peak = Model("a*exp(-(x - m)**2/(2*s**2)) + c")
logistic = Model("L/(1 + exp(-k*(x - x0)))")
sine = Model("a*sin(w*x + p) + c")
michaelis_menten = Model("V*x/(K + x)")
plane = Model("a*x1 + b*x2 + c", inputs=("x1", "x2"))

rosenbrock = Model("(1 - x)**2 + 100*(y - x**2)**2", inputs=())
beale = Model("(1.5 - x + x*y)**2 + (2.25 - x + x*y**2)**2 + (2.625 - x + x*y**3)**2", inputs=())
himmelblau = Model("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", inputs=())


def polynomial(degree: int) -> Model:
    """Return the model c0 + c1*x + ... + cd*x**d.

    Raises
    ------
    ValueError
        If the degree is not an integer from 1 to 28.
    """
    degree = check_integer("degree", degree)
    if degree >= MAX_PARAMS:
        raise ValueError(f"degree must be at most {MAX_PARAMS - 1}, not {degree}")
    return Model("c0 + c1*x" + "".join(f" + c{power}*x**{power}" for power in range(2, degree + 1)))


def rastrigin(size: int = 2) -> Model:
    """Return 10*n + sum(x_i**2 - 10*cos(2*pi*x_i)) of n parameters, with a local minimum near every integer point.

    The global minimum is 0 at the origin. L. A. Rastrigin, Systems of extremal control (1974).

    Raises
    ------
    ValueError
        If the size is not an integer from 1 to 12.
    """
    size = check_integer("size", size)
    if size > MAX_RASTRIGIN:
        raise ValueError(f"size must be at most {MAX_RASTRIGIN}, not {size}")
    terms = [f" + x{number}**2 - 10*cos(2*pi*x{number})" for number in range(1, size + 1)]
    return Model(f"{10 * size}{''.join(terms)}", inputs=())


ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "sin")


def mlp(units: int, activation: str = "tanh", inputs: Given = ("x",), *, classes: int = 1) -> Model:
    """Return the model ``b + v @ tanh(W @ x + c)``: a network with one hidden layer.

    Parameters
    ----------
    units : int
        The number of units of the hidden layer, from 1 to 1,000.
    activation : str
        ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softplus"`` or ``"sin"``.
    inputs : sequence of str
        The names of all inputs.
    classes : int
        The number of scores.

    Raises
    ------
    ValueError
        If the activation is unknown, or a number is out of range.
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {describe(activation)}")
    made = Model(f"b + v @ {activation}(W @ x + c)", classes=classes, hidden=units)
    return made if isinstance(inputs, tuple) and inputs == (ALL_INPUTS,) else made.with_inputs(inputs)


def builder_of(model: Model) -> Callable[[], Model]:
    """Return a function without options that returns the model; its docstring is the expression."""

    def build() -> Model:
        return model

    build.__doc__ = model.expression
    return build


def _hidden_layer(units: int, activation: str = "tanh") -> Model:
    """Return the model b + v @ tanh(W @ x + c): a network with one hidden layer."""
    return mlp(units, activation)


# Each builder takes exactly the options that the text form allows.
MODELS: Table[Model] = Table(
    "model",
    {
        "linear": builder_of(linear),
        "quadratic": builder_of(quadratic),
        "exponential_decay": builder_of(exponential_decay),
        "power_law": builder_of(power_law),
        "gaussian_peak": builder_of(gaussian_peak),
        "logistic": builder_of(logistic),
        "sine": builder_of(sine),
        "michaelis_menten": builder_of(michaelis_menten),
        "plane": builder_of(plane),
        "polynomial": polynomial,
        "rosenbrock": builder_of(rosenbrock),
        "beale": builder_of(beale),
        "himmelblau": builder_of(himmelblau),
        "rastrigin": rastrigin,
        MLP: _hidden_layer,
    },
)


def __dir__() -> list[str]:
    """Return the ready-made models, for consoles to complete; the module's other names are omitted."""
    return sorted(MODELS.built_in)


def make_model(text: str | Callable[..., Any], inputs: Given = ("x",), **options: Any) -> Model:
    """Return the ready-made model that a text names, such as ``"polynomial(3)"``, or else the model of an expression.

    Parameters
    ----------
    text : str, callable or SymPy expression
    inputs : sequence of str, or mapping
    **given
        Other arguments of `Model`, for an expression only.

    Raises
    ------
    ValueError
        If the text is neither, or if a ready-made model has other inputs.
    """
    called = tuple(inputs)
    if not isinstance(text, str):
        return Model(text, inputs, **options)
    if not is_ready_made(text, called) and not _must_be_ready_made(text, called):
        return Model(text, inputs, **options)
    model = _make_ready_made(text)
    if options:
        raise ValueError(f"{' and '.join(options)} must be omitted for the ready-made model {text!r}")
    if model.vectors and model.given_inputs == (ALL_INPUTS,):
        return model.with_inputs(inputs)
    if len(model.inputs) != len(inputs):
        own, requested = (list_names(names) or "none" for names in (model.inputs, inputs))
        hint = "; sgdbench.minimize takes models without inputs" if not model.inputs else ""
        raise ValueError(f"the model {text!r} has the inputs {own}, not {requested}{hint}")
    return model


def _make_ready_made(text: str) -> Model:
    """Return the ready-made model of that name, with its own inputs."""
    return cast(Model, make_from_spec(text, MODELS, "model", inner=str))  # options may be words


def make_model_for(text: str | Callable[..., Any], x: Any, target: object = None) -> Model:
    """Return the model of a text for inputs as `sgdbench.fit` takes them; no parameter may be named like the `target`.

    Of a function, those parameters are inputs that are columns of a table, or columns of an array: the first parameter
    of one column, ``x1``, ``x2``, ... of several. It is compared with its text at the first samples.

    A model with vectors takes all columns: ``x1``, ``x2``, ... of an array, or those of a table, by their names. Other
    models take the columns of a table that the expression names, and all columns of an array, or ``x`` if there is only
    one. Ready-made models have their own inputs.

    Raises
    ------
    ValueError
        As `make_model`; if the model has vectors and x is neither an array of one or two dimensions nor a table; if a
        name in it seems to be a misspelt column.
    """
    text = sympy_as_text(text)
    model = _make_model_of_function(text, x) if callable(text) else _make_model_for(text, x)
    _refuse_target(model, model.expression if callable(text) else text, target)
    return model


def _make_model_of_function(function: Callable[..., Any], x: Any) -> Model:
    with IMPORT_LOCK:
        from sgdbench.kernels.model.function_check import check_function  # noqa: PLC0415 (only for functions)
        from sgdbench.kernels.model.function_text import write_function  # noqa: PLC0415

    written = write_function(function)
    inputs: Given = ()
    if x is not None:
        is_array = column_names_of(x) is None
        alone = is_array and "@" not in written.text and _count_columns(written.text, x) == 1
        inputs = written.names[:1] if alone else _make_model_for(written.text, x).given_inputs
    model = Model(function, inputs)
    if x is not None:
        first_rows = model.inputs_by_name([column[:CHECKED_ROWS] for column in model.columns(x)])
        check_function(written, model.shapes, first_rows)
    return model


def _make_model_for(text: str, x: Any) -> Model:
    if not isinstance(text, str) or x is None:
        return _make_ready_made(text) if isinstance(text, str) and is_ready_made(text) else make_model(text)
    columns = column_names_of(x)
    if not has_vectors(text) and is_ready_made(text):
        made = _make_ready_made(text) if columns is not None else None
        return made if made and made.inputs else make_model(text, number_columns(_count_columns(text, x)))
    if has_vectors(text):
        called = number_columns(_count_columns(text, x)) if columns is None else tuple(map(str, columns))
        if "@" in text:
            used = names(parse(text, products=True))
            known = tuple(headings_by_name(called, used))
            refuse_misspelt(text, used, set(used) & {*known, ALL_INPUTS}, known)
        return make_model(text, called)
    used = names(parse(text))
    if columns is not None:
        return _make_model_for_table(text, used, [name for name in columns if isinstance(name, str)])
    if ALL_INPUTS in used or is_name(text):
        return make_model(text)
    called = number_columns(_count_columns(text, x))
    inputs = [name for name in called if name in used]
    refuse_misspelt(text, used, inputs, called)
    if not inputs:
        raise ValueError(
            f"the expression {text!r} must use {list_names(called)}, as the columns of this array are called; those of "
            "a data frame have names of their own"
        )
    if len(inputs) < len(called):
        raise ValueError(
            f"x must have the columns that {text!r} uses, {list_names(inputs)}, and has {len(called)}: leave out others"
        )
    return make_model(text, called)


def _make_model_for_table(text: str, used: Sequence[str], headings: Sequence[str]) -> Model:
    """Return the model of an expression whose inputs are those `used` names that are columns of a table."""
    called = headings_by_name(headings, used)
    inputs = {name: heading for name, heading in called.items() if name in used}
    if not inputs and ALL_INPUTS in used:
        return make_model(text)
    if not inputs:
        close = next((hint for name in used if (hint := did_you_mean_column(name, called))), "")
        described = f"; these are {list_names(tuple(called))}" if called else ", which have no texts for names"
        raise ValueError(f"the expression {text!r} must use one of the columns of x{close}{described}")
    refuse_misspelt(text, used, inputs, tuple(called))
    return make_model(text, tuple(inputs) if all(name == inputs[name] for name in inputs) else inputs)


def _refuse_target(model: Model, text: str, target: object) -> None:
    """Refuse a parameter that is named like the column of the targets.

    It would be fitted. Ready-made models have their own names, and an input is not a parameter.
    """
    if not isinstance(target, str) or is_ready_made(text):
        return
    name = column_name(target)
    if name in {param.partition("[")[0] for param in model.params}:
        raise ValueError(f"the expression {text!r} uses {name!r}, which is the target: give a parameter another name")


def _count_columns(text: str, x: Any) -> int:
    shape = x.shape if hasattr(x, "shape") else check_array("x", x, NUMBER_OR_BOOL_KINDS).shape
    if len(shape) not in {1, 2} or 0 in shape[1:]:
        raise ValueError(f"x must have shape (n,) or (n, inputs) for the model {text!r}, not {shape}")
    return 1 if len(shape) == 1 else int(shape[1])


def is_ready_made(text: str, inputs: Sequence[str] = ()) -> bool:
    """Return whether the text is the name of a ready-made model, with or without options."""
    name = _name_in(text)
    # Plug-ins are not searched for words that have a meaning in an expression.
    return name in MODELS.built_in or (name not in inputs and is_name(name) and name in MODELS)


def _must_be_ready_made(text: str, inputs: Sequence[str]) -> bool:
    """Return whether the text can only be meant as a ready-made model, such as ``mlp(8)``."""
    name = _name_in(text)
    if not is_name(name) or name in inputs:
        return False
    # Without inputs, a lone name is a parameter to minimize, unless it is a misspelt model.
    return "(" in text or len(inputs) > 0 or closest_name(name, MODELS.built_in) is not None


def has_vectors(text: str) -> bool:
    """Return whether the text describes a model with vectors, such as ``w @ x + b`` or ``mlp(8)``."""
    name = _name_in(text)
    if name not in MODELS.registered:
        return "@" in text or name == MLP
    return bool(_make_ready_made(text).vectors)


def _name_in(text: str) -> str:
    """Return the name in a text, ``name`` or ``name(options)``; empty for other texts."""
    for composed in (False, True):  # names may be options, as in ``mlp(8, relu)``, but ``exp(x)`` has that form too
        with suppress(ValueError):
            name = parse_spec(text, "model", composed=composed)[0]
            return name if name == MLP or not composed else ""
    return ""


def make_model_for_columns(
    expression: str, columns: Sequence[str], inputs: Given | None = None, target: str | None = None, **options: Any
) -> Model:
    """Return the model of an expression, or the ready-made model of that name, for the columns of some data.

    Parameters
    ----------
    expression : str
    columns : sequence of str
        The columns that hold the inputs.
    inputs : sequence of str, or mapping, optional
        The columns' names in the expression, in the same order; or a mapping from names to columns and groups of
        columns, which together are the columns in order. By default an expression uses the columns' own names, as in
        ``a*hp + b``, by the rule of `sgdbench.kernels.model.column_names.column_name`; or ``x`` for one column, and
        ``x1``, ``x2``, ... for several. Models with vectors always use the columns' own names.
    target : str, optional
        The column that holds the targets; no parameter may have its name.
    **given
        Other arguments of `Model`, for an expression only.

    Raises
    ------
    ValueError
        If the expression cannot be parsed, or it is not clear which of its names stand for data.
    """
    model = _make_model_for_columns(expression, tuple(columns), inputs, **options)
    _refuse_target(model, expression, target)
    return model


def _make_model_for_columns(expression: str, columns: tuple[str, ...], inputs: Given | None, **options: Any) -> Model:
    if isinstance(inputs, Mapping):
        return _make_model_of_groups(expression, columns, inputs, **options)
    if inputs is not None:
        if len(inputs) != len(columns):
            raise ValueError(
                f"inputs must give each of the columns {list_names(columns)} a name, not {list_names(inputs)}"
            )
        return make_model(expression, inputs, **options)
    if has_vectors(expression):
        return make_model(expression, column_names(columns), **options)
    usual = number_columns(len(columns))
    try:
        used = () if is_ready_made(expression) else names(parse(expression))
    except ValueError:
        used = ()
    ways = list(dict.fromkeys([column_names(columns), usual]))
    if not used or (is_name(expression) and not any(expression in way for way in ways)):
        return make_model(expression, usual, **options)
    fitting = [way for way in ways if set(way) <= set(used)]
    if len(fitting) != 1:
        alternatives = [list_names(way, " and ") for way in ways]
        unused = set(column_names(columns)).difference(used)
        meant = {name: closest_column(name, unused) for name in used if len(name) > 1}
        close = next((f" (did you mean {to!r} instead of {name!r}?)" for name, to in meant.items() if to), "")
        problem = (
            f"uses {' as well as '.join(alternatives)}: inputs must say which of them are data"
            if fitting
            else f"must use {' or '.join(alternatives)} as the data{close}, or inputs must name them"
        )
        raise ValueError(f"the expression {expression!r} {problem}")
    return make_model(expression, fitting[0], **options)


def _make_model_of_groups(
    expression: str, columns: tuple[str, ...], inputs: Mapping[str, str | Sequence[str]], **options: Any
) -> Model:
    """Return the model of an expression for columns that are named singly or in groups."""
    known = read_inputs(inputs)
    if known.columns != columns:
        named = list_names(known.columns)
        raise ValueError(f"inputs must name the columns {list_names(columns)} in this order, not {named}")
    if has_vectors(expression):
        return make_model(expression, inputs, **options)
    if group := next(iter(known.groups), None):
        raise ValueError(
            f"inputs[{group!r}] is a group of columns, which stands on the right of @, as in w @ {group}, and the "
            f"expression {expression!r} has none"
        )
    return make_model(expression, tuple(inputs), **options)
