"""The text form ``name(options)``: what it means, and what it refuses."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdbench.kernels.base.checks import check_integer, check_positive
from sgdbench.kernels.base.spec import make_from_spec, parse_spec, spec_text
from sgdbench.kernels.optimizers import OPTIMIZERS, make_optimizer
from tests.support.refusals import refusal_of


def line(slope, offset=0.0, at=None):
    if slope == 13:
        raise ValueError("slope must not be 13")
    return slope, offset, at


TABLE = {"line": line, "nothing": lambda: "nothing"}


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("sgd", ("sgd", [], {})),
        ("sgd()", ("sgd", [], {})),
        (" momentum( 0.9 ) ", ("momentum", [0.9], {})),
        ("adam(beta1=0.9, eps=1e-8)", ("adam", [], {"beta1": 0.9, "eps": 1e-8})),
        ("multistep([30, 60], 0.1)", ("multistep", [[30, 60], 0.1], {})),
        ("multistep((30, 60), gamma=-2)", ("multistep", [[30, 60]], {"gamma": -2})),
        ("multistep([])", ("multistep", [[]], {})),
        ("f(10, 10.0)", ("f", [10, 10.0], {})),
    ],
)
def test_parse(text, parsed):
    assert repr(parse_spec(text, "thing")) == repr(parsed)  # whole numbers and floats stay what they are


FORM = "does not have the form name or name(options)"
NUMBERS = "options must be finite numbers or lists of them"
ONCE = "every option is given once, as a value or as name=value"
NO_NUMBERS = ["'text'", "x", "True", "1e999", "1 + 1", "[[1]]"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, FORM) for text in ("", "1", "a.b(1)", "a(1)(2)", "a\0", "f(x=*[1])")),
        ("(" * 200, "the parenthesis is not closed"),
        (None, "must be text of the form name or name(options), not None"),
        *((f"f({argument})", NUMBERS) for argument in NO_NUMBERS),
        *((f"f(x={argument})", NUMBERS) for argument in NO_NUMBERS),
        ("f(a=1, a=2)", ONCE),
        ("f(**{})", ONCE),
        ("f(" + "1, " * 10_000 + ")", "longer than 500 characters"),
    ],
)
def test_other_forms_are_refused(text, reason):
    told = refusal_of(parse_spec, text, "thing")
    assert told.startswith("thing ")
    assert reason in told
    assert len(told) < 300


def test_bind_calls_with_the_options():
    assert make_from_spec("line(2, at=[1, 2])", TABLE, "thing") == (2, 0.0, [1, 2])
    assert make_from_spec("nothing", TABLE, "thing") == "nothing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("line(1, slop=2)", "line has no option slop (did you mean 'slope'?); it takes slope, offset, at"),
        ("line", "missing a required argument: 'slope'; line takes slope, offset, at"),
        ("line(1, 2, 3, 4)", "too many positional arguments; line takes slope, offset, at"),
        ("nothing(x=1)", "nothing has no option x; it takes no options"),
        ("line(13)", "slope must not be 13"),
        ("line(nothing)", NUMBERS),
    ],
)
def test_bind_errors(text, reason):
    assert refusal_of(make_from_spec, text, TABLE, "thing") == f"thing {text!r}: {reason}"


def test_error_of_an_unknown_name():
    known = "unknown thing 'lin' (did you mean 'line'?); available: line, nothing"
    assert refusal_of(make_from_spec, "lin(1)", TABLE, "thing") == known


@given(
    st.dictionaries(
        st.sampled_from(["alpha", "beta", "gamma"]), st.floats(allow_nan=False, allow_infinity=False), max_size=3
    )
)
def test_spec_text_is_read_back_exactly(options):
    assert parse_spec(spec_text("name", options), "thing") == ("name", [], options)


@given(st.sampled_from(sorted(OPTIMIZERS)), st.data())
def test_the_text_of_an_optimizer_makes_the_same_optimizer(name, data):
    options = inspect.signature(OPTIMIZERS[name]).parameters.values()
    special = {
        "inner": st.sampled_from(["adam(amsgrad=true)", "momentum(0.5, 0.1)", "sgd"]).map(make_optimizer),
        "sync_period": st.integers(1, 9),
        "etaplus": st.floats(1.01, 3.0),
    }
    fraction = st.floats(0.0, 0.99, exclude_min=True)
    kinds = {option.name: special.get(option.name, st.booleans() if option.default is False else fraction)
             for option in options}  # fmt: skip
    optimizer = OPTIMIZERS[name](**data.draw(st.fixed_dictionaries({}, optional=kinds)))
    assert make_optimizer(optimizer.text) == optimizer
    assert make_optimizer(optimizer.text).text == optimizer.text


def test_options_of_an_optimizer_may_be_true_false_or_another_optimizer():
    assert make_optimizer("adam(amsgrad=True)") == make_optimizer("adam(amsgrad=true)")
    assert make_optimizer("adam(amsgrad=false)") == make_optimizer("adam")
    nested = make_optimizer("averaged(clipped(adam(0.8, amsgrad=true), max_norm=2))")
    assert nested.text == ("averaged(clipped(adam(beta1=0.8, beta2=0.999, eps=1e-08, amsgrad=true), max_norm=2.0))")
    assert nested.inner.inner == make_optimizer("adam(0.8, amsgrad=true)")


@pytest.mark.parametrize(
    ("check", "given", "plain"),
    [
        *((check_positive, value, 1.0) for value in (1, 1.0, np.float32(1), np.int64(1))),
        *((check_integer, value, 3) for value in (3, np.int32(3))),
    ],
)
def test_numbers_become_plain_ones(check, given, plain):
    assert repr(check("n", given)) == repr(plain)


OF_ANOTHER_TYPE = (True, "1", None, np.timedelta64(3, "D"))


@pytest.mark.parametrize(
    ("check", "wanted", "value"),
    [
        *((check_positive, "a positive finite number", v) for v in (-0.5, np.nan, np.inf, *OF_ANOTHER_TYPE)),
        *((check_integer, "a whole number of at least 1", v) for v in (0, -1, 2**53, 1.0, *OF_ANOTHER_TYPE)),
    ],
)
def test_what_is_no_such_number_is_refused(check, wanted, value):
    assert refusal_of(check, "n", value) == f"n must be {wanted}, not {value!r}"


def test_error_messages_stay_short():
    text = refusal_of(check_integer, "n", np.zeros((100, 100)))
    assert text.startswith("n must be")
    assert len(text) < 120
