"""Update rules against torch.optim, by hand, and compiled against interpreted."""

import numpy as np
import pytest
from numba import njit

from kernels.binding import Binder, compile_bound
from kernels.optimizers import OPTIMIZERS, Optimizer, add_weight_decay, make_optimizer, sgd_per_sample

STEPS = 1000
CURVATURE = np.array([[2.0, 0.3, -0.1], [0.3, 1.0, 0.2], [-0.1, 0.2, 0.5]])
OPTIMUM = np.array([1.0, -2.0, 3.0])
START = np.array([0.2, -5.0, 4.0])
NOISE = 0.1 * np.random.default_rng(0).standard_normal((STEPS, 3))


def gradient(theta, step):
    return CURVATURE @ (theta - OPTIMUM) + NOISE[step]


def rates(lr):
    """A different rate for every update: some rules keep it outside of their state, and must."""
    return lr * (1.0 + 0.5 * np.cos(np.arange(STEPS) / 30.0))


def train(optimizer, lr):
    """Drive a rule with NumPy arrays, as the reference does; return the path, shape (STEPS, 3)."""
    options = tuple(optimizer.options.values())
    theta, slots, clock = START, (np.zeros(3),) * optimizer.slots, optimizer.clock_start
    path = []
    for step, rate in enumerate(rates(lr).tolist()):
        g = gradient(theta, step)
        if optimizer.weight_decay != 0.0:
            g = add_weight_decay(theta, g, optimizer.weight_decay)
        if optimizer.clock is not None:
            clock = optimizer.clock(clock, options)
        theta, slots = optimizer.rule(theta, slots, g, rate, clock, options)
        path.append(theta)
    return np.array(path)


def train_torch(torch, name, settings, lr):
    theta = torch.tensor(START.copy(), dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([theta], lr=lr, foreach=False, **settings)
    path = []
    for step, rate in enumerate(rates(lr).tolist()):
        optimizer.param_groups[0]["lr"] = rate
        theta.grad = torch.from_numpy(gradient(theta.numpy(), step))
        optimizer.step()
        path.append(theta.numpy().copy())
    return np.array(path)


SAME = [
    ("sgd", "SGD", {}),
    ("sgd(weight_decay=0.1)", "SGD", {"weight_decay": 0.1}),
    ("momentum", "SGD", {"momentum": 0.9}),
    ("momentum(0.5, 0.02)", "SGD", {"momentum": 0.5, "weight_decay": 0.02}),
    ("momentum(0)", "SGD", {}),
    ("nesterov", "SGD", {"momentum": 0.9, "nesterov": True}),
    ("nesterov(0.7, weight_decay=0.1)", "SGD", {"momentum": 0.7, "nesterov": True, "weight_decay": 0.1}),
    ("adagrad", "Adagrad", {}),
    ("adagrad(1e-3, 0.1)", "Adagrad", {"eps": 1e-3, "weight_decay": 0.1}),
    ("rmsprop", "RMSprop", {}),
    ("rmsprop(0.9, 1e-4, 0.1)", "RMSprop", {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("adam", "Adam", {}),
    ("adam(beta1=0.8, beta2=0.95, eps=1e-6)", "Adam", {"betas": (0.8, 0.95), "eps": 1e-6}),
    ("adam(0.2, 0.3)", "Adam", {"betas": (0.2, 0.3)}),
    ("adam(0, 0)", "Adam", {"betas": (0.0, 0.0)}),
    ("adam(weight_decay=0.1)", "Adam", {"weight_decay": 0.1}),
    ("adamw", "AdamW", {}),
    ("adamw(0.8, 0.99, 1e-7, 0.3)", "AdamW", {"betas": (0.8, 0.99), "eps": 1e-7, "weight_decay": 0.3}),
    ("adamw(weight_decay=0)", "AdamW", {"weight_decay": 0.0}),
]


@pytest.mark.parametrize(("spec", "name", "settings"), SAME, ids=[spec for spec, *_ in SAME])
def test_against_torch(spec, name, settings):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    ours = train(make_optimizer(spec), lr=0.05)
    np.testing.assert_allclose(ours, train_torch(torch, name, settings, lr=0.05), rtol=1e-12)
    assert not np.array_equal(ours[-1], START)


def test_every_optimizer_is_compared_with_torch_by_default_and_with_options():
    for name, build in OPTIMIZERS.items():
        specs = [spec for spec, *_ in SAME if spec.partition("(")[0] == name]
        assert name in specs
        used = {option for spec in specs for option, value in make_optimizer(spec).options.items()
                if build().options[option] != value}  # fmt: skip
        assert used == set(build().options)


@pytest.mark.parametrize(
    ("spec", "first", "second"),
    [
        # theta = 1, g = 2 and then 1, lr = 0.5, worked out by hand.
        ("sgd", 0.0, -0.5),
        ("momentum(0.5)", 0.0, -1.0),  # v = 2, 2
        ("nesterov(0.5)", -0.5, -1.5),  # v = 2, 2; step g + v / 2 = 3, 2
        ("adagrad(0)", 0.5, 0.5 - 0.5 / 5**0.5),  # s = 4, 5
        ("rmsprop(0.75, 0)", 0.0, -0.5),  # s = 1, 1
        ("adam(0.5, 0.75, 0)", 0.5, 0.5 - (0.5 / 0.75) * 1.0 / (1.0 / 0.4375**0.5)),  # m = 1, 1; v = 1, 1
        ("adamw(0.5, 0.75, 0, 0.5)", 0.25, 0.75 * 0.25 - (0.5 / 0.75) * 1.0 / (1.0 / 0.4375**0.5)),
    ],
)
def test_two_updates_by_hand(spec, first, second):
    optimizer = make_optimizer(spec)
    options = tuple(optimizer.options.values())
    theta, slots, clock = 1.0, (0.0,) * optimizer.slots, optimizer.clock_start
    for g, expected in ((2.0, first), (1.0, second)):
        clock = optimizer.clock(clock, options) if optimizer.clock else clock
        theta, slots = optimizer.rule(theta, slots, g, 0.5, clock, options)
        assert theta == pytest.approx(expected, rel=1e-15)


def run(theta, slots, gradients, lr, clock, options):
    for gradient in gradients:
        clock = step_clock(clock, options)  # noqa: F821 - bound below
        theta, slots = rule(theta, slots, gradient, lr, clock, options)  # noqa: F821
    return theta


@pytest.mark.parametrize("spec", OPTIMIZERS)
def test_the_same_source_compiles_to_the_same_bits(spec):
    optimizer = make_optimizer(spec)
    binder = Binder({"rule": optimizer.rule, "step_clock": optimizer.clock or (lambda clock, options: clock)})
    bound = binder.bind(run)
    options = tuple(optimizer.options.values())
    expected = bound(START, (np.zeros(3),) * optimizer.slots, NOISE, 0.05, optimizer.clock_start, options)
    compile_bound(binder.functions, __name__, lambda function: {})
    compiled = njit(bound)
    slots = (0.0,) * optimizer.slots
    actual = [compiled(START[p], slots, NOISE[:, p], 0.05, optimizer.clock_start, options) for p in range(3)]
    np.testing.assert_array_equal(actual, expected)


def test_the_per_sample_form_is_the_same_step_in_another_order():
    rng = np.random.default_rng(1)
    theta, r, d = rng.standard_normal((3, 1000))
    rule, _ = OPTIMIZERS["sgd"]().rule(theta, (), r * d, 0.3, (), ())
    per_sample = sgd_per_sample(theta, r, d, 0.3)
    np.testing.assert_allclose(per_sample, rule, rtol=0, atol=1e-15 * np.abs(rule).max())
    assert (per_sample != rule).any()
    np.testing.assert_array_equal(per_sample, theta - r * (0.3 * d))


def test_only_plain_sgd_has_a_per_sample_form():
    having = [name for name in OPTIMIZERS if make_optimizer(name).per_sample]
    assert having == ["sgd"]
    assert make_optimizer("sgd(0.1)").per_sample is None


def test_the_clock_of_adam_never_becomes_subnormal():
    clock, options = (1.0, 1.0), (0.0, 0.5, 1e-8)
    for _ in range(2000):
        clock = OPTIMIZERS["adam"]().clock(clock, options)
    assert clock == (1e-300, 1e-300)
    assert 1.0 - clock[0] == 1.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_has_the_declared_shape(name):
    optimizer = make_optimizer(name)
    options = tuple(optimizer.options.values())
    clock = optimizer.clock(optimizer.clock_start, options) if optimizer.clock else ()
    assert len(clock) == len(optimizer.clock_start)
    _, slots = optimizer.rule(1.0, (0.0,) * optimizer.slots, 1.0, 0.1, clock, options)
    assert len(slots) == optimizer.slots


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("sgd", "sgd"),
        ("sgd()", "sgd"),
        ("sgd(0.1)", "sgd(weight_decay=0.1)"),
        ("momentum", "momentum(momentum=0.9)"),
        ("momentum(0.5, 1)", "momentum(momentum=0.5, weight_decay=1.0)"),
        ("adam", "adam(beta1=0.9, beta2=0.999, eps=1e-08)"),
        ("adamw(weight_decay=0)", "adamw(beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)"),
    ],
)
def test_canonical_text(spec, text):
    optimizer = make_optimizer(spec)
    assert isinstance(optimizer, Optimizer)
    assert optimizer.text == text
    assert make_optimizer(optimizer) is optimizer


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("adam(beta3=1)", "adam has no option beta3; it takes beta1, beta2, eps, weight_decay"),
        ("momentum(1)", "momentum must be a number in [0, 1), not 1.0"),
        ("nesterov(-0.1)", "momentum must be a number in [0, 1), not -0.1"),
        ("rmsprop(1.5)", "alpha must be a number in [0, 1), not 1.5"),
        ("adam(0.9, 1)", "beta2 must be a number in [0, 1), not 1.0"),
        ("adamw(-1)", "beta1 must be a number in [0, 1), not -1.0"),
        ("adagrad(-1)", "eps must be a finite number >= 0, not -1.0"),
        ("sgd(-1)", "weight_decay must be a finite number >= 0, not -1.0"),
        ("adamw(weight_decay=[1])", "weight_decay must be a finite number >= 0, not [1]"),
    ],
)
def test_errors(text, reason):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        make_optimizer(text)
    assert str(caught.value) == f"optimizer {text!r}: {reason}"


def test_error_of_an_unknown_name():
    with pytest.raises(ValueError, match=r"^optimizer 'adamm' is not known; known are sgd, momentum, "):
        make_optimizer("adamm(0.9)")
