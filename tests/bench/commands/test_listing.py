"""What can be named, as `sgdbench list` and a notebook show it."""

import pytest

from sgdbench.kernels.losses import LOSSES
from sgdbench.kernels.model.expression import FUNCTIONS, parse
from sgdbench.kernels.model.models import MODELS
from sgdbench.kernels.optimizers import OPTIMIZERS
from sgdbench.kernels.optimizers.schedules import SCHEDULES
from sgdbench.study.builtin import describe_builtin

OWN = '''
from sgdbench import register_variant
from sgdbench import register_loss, register_model, register_optimizer

@register_optimizer(options={"beta": 0.5})
def heavy(theta, slots, gradient, lr, clock, options):
    """Multiply by <b>beta</b>.

    And no more.
    """
    return theta - options[0] * lr * gradient, ()

@register_loss(options={"power": 2})
def steep(residual, options):
    return residual * residual, 2.0 * residual

register_model("a*exp(-b*x)*cos(w*x + p)", name="damped")
register_variant("matrices", lambda problem: None, about="whole epochs as matrix products")
'''


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("optimizers", OPTIMIZERS),
        ("losses", LOSSES),
        ("schedules", SCHEDULES),
        ("models", MODELS),
        ("functions", FUNCTIONS),
        ("studies", describe_builtin("studies") | describe_builtin("suites")),
        ("peers", ["C", "JAX, many runs", "PyTorch", "lesson"]),
    ],
)
def test_every_kind_is_listed_with_descriptions(ran, kind, names):
    lines = [line.split("  ", 1) for line in ran("list", kind).splitlines()]
    listed = {call.partition("(")[0]: description.strip() for call, description in lines}
    assert set(names) <= set(listed)
    assert all(listed.values())


def test_options_have_their_defaults(ran):
    assert "lookahead(inner=sgd, sync_period=5, slow_step_size=0.5)  " in ran("list", "optimizers")
    assert "centered=false)  RMSprop: Adagrad with a moving average of squared gradients.\n" in ran(
        "list", "optimizers"
    )
    assert "halve(period) " in ran("list", "schedules")
    assert ran("list", "studies") == ran("studies")


@pytest.mark.usefixtures("rules_forgotten")
def test_rules_of_a_plugin_are_listed_too(ran, tmp_path, request):
    from sgdbench.timing.variants import VARIANTS_BY_NAME

    request.addfinalizer(lambda: VARIANTS_BY_NAME.pop("matrices"))
    path = tmp_path / "own.py"
    path.write_text(OWN)
    for kind, name, description in (
        ("optimizers", "heavy(beta=0.5)", "Multiply by <b>beta</b>."),
        ("models", "damped", "a*exp(-b*x)*cos(w*x + p)"),
        ("peers", "matrices", "whole epochs as matrix products; for any model, with sgd"),
        ("losses", "steep(power=2)", ""),
    ):
        last = ran("list", kind, "--plugin", path).splitlines()[-1]
        assert (last.startswith(name), last.removeprefix(name).strip()) == (True, description)
    assert "&lt;b&gt;beta&lt;/b&gt;.</td>" in OPTIMIZERS._repr_html_()
    assert repr(OPTIMIZERS).endswith("\nheavy(beta=0.5)\n    Multiply by <b>beta</b>.")


def test_the_functions_that_are_listed_are_those_of_expressions():
    for name, options, _ in FUNCTIONS.entries():
        assert parse(f"{name}({options.replace('condition', 'u < v')})")
