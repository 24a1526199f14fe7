"""Update rules against torch.optim and optax, by hand, and compiled against interpreted."""

import inspect
import pickle

import numpy as np
import pytest

from sgdbench.kernels.compile.kinds import FLOAT32_OPTIMIZERS
from sgdbench.kernels.optimizers import OPTIMIZERS, make_optimizer
from sgdbench.kernels.optimizers.descent_rules import sgd_per_sample
from sgdbench.kernels.optimizers.optimizer import Optimizer, add_weight_decay
from sgdbench.kernels.optimizers.wrappers import clipped
from tests.support.rules import FORMS, code_of, first_slots, names_of

STEPS = 200
CURVATURE = np.array([[2.0, 0.3, -0.1], [0.3, 1.0, 0.2], [-0.1, 0.2, 0.5]])
OPTIMUM = np.array([1.0, -2.0, 3.0])
START = np.array([0.2, -5.0, 4.0])
NOISE = 0.1 * np.random.default_rng(0).standard_normal((STEPS, 3))


def gradient(theta, step):
    return CURVATURE @ (theta - OPTIMUM) + NOISE[step]


def rates(lr):
    """A different rate for every update: some rules keep it outside of their state, and must."""
    return lr * (1.0 + 0.5 * np.cos(np.arange(STEPS) / 30.0))


def loss(theta):
    """The loss of which `gradient` is the gradient, without its noise."""
    return 0.5 * (theta - OPTIMUM) @ CURVATURE @ (theta - OPTIMUM)


def train(optimizer, pace, steps=STEPS):
    """Drive a rule with NumPy arrays, as the reference does; return the path and that of its slots."""
    options = tuple(optimizer.options.values())
    theta, slots, clock = START, first_slots(optimizer, START), optimizer.clock_start
    path, memory = [], []
    for step, rate in enumerate(pace.tolist()[:steps]):
        point = optimizer.gradient_at(theta, slots, options) if optimizer.gradient_at else theta
        g = gradient(point, step)
        if optimizer.clock is not None:
            clock = optimizer.clock(clock, options)
        known = (*clock, *[loss(point)] * optimizer.needs_loss, *[g @ g] * optimizer.needs_norm)
        if optimizer.weight_decay != 0.0:
            g = add_weight_decay(point, g, optimizer.weight_decay)
        theta, slots = optimizer.rule(theta, slots, g, rate, known, options)
        path.append(theta)
        memory.append(slots)
    return np.array(path), memory


@pytest.fixture
def torch():
    """PyTorch, where the numbers too that belong to no parameter are of 64 bits."""
    module = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    before = module.get_default_dtype()
    module.set_default_dtype(module.float64)
    yield module
    module.set_default_dtype(before)


def train_torch(torch, name, settings, lr, max_norm=None, state=None, power=0.0):
    """The path of an optimizer of torch, or of something that it keeps in its state."""
    theta = torch.tensor(START.copy(), dtype=torch.float64)
    optimizer = getattr(torch.optim, name)([theta], lr=lr, foreach=False, **settings)
    path = []
    for step, rate in enumerate(rates(lr).tolist()):
        optimizer.param_groups[0]["lr"] = rate * (step + 1) ** -power
        theta.grad = torch.from_numpy(gradient(theta.numpy(), step))
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_([theta], max_norm)
        optimizer.step()
        path.append((optimizer.state[theta][state] if state else theta).numpy().copy())
    return np.array(path)


SAME = [
    ("sgd", "SGD", {}),
    ("sgd(weight_decay=0.1)", "SGD", {"weight_decay": 0.1}),
    ("momentum", "SGD", {"momentum": 0.9}),
    ("momentum(0.5, 0.02)", "SGD", {"momentum": 0.5, "weight_decay": 0.02}),
    ("nesterov", "SGD", {"momentum": 0.9, "nesterov": True}),
    ("nesterov(0.7, weight_decay=0.1)", "SGD", {"momentum": 0.7, "nesterov": True, "weight_decay": 0.1}),
    ("adagrad", "Adagrad", {}),
    ("adagrad(1e-3, 0.1)", "Adagrad", {"eps": 1e-3, "weight_decay": 0.1}),
    ("rmsprop", "RMSprop", {}),
    ("rmsprop(0.9, 1e-4, 0.1)", "RMSprop", {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("adam", "Adam", {}),
    ("adam(beta1=0.8, beta2=0.95, eps=1e-6)", "Adam", {"betas": (0.8, 0.95), "eps": 1e-6}),
    ("adam(0, 0)", "Adam", {"betas": (0.0, 0.0)}),
    ("adam(weight_decay=0.1)", "Adam", {"weight_decay": 0.1}),
    ("adamw", "AdamW", {}),
    ("adamw(0.8, 0.99, 1e-7, 0.3)", "AdamW", {"betas": (0.8, 0.99), "eps": 1e-7, "weight_decay": 0.3}),
    ("momentum(0.5, dampening=0.3)", "SGD", {"momentum": 0.5, "dampening": 0.3}),
    ("adagrad(lr_decay=0.01)", "Adagrad", {"lr_decay": 0.01}),
    ("adagrad(initial_accumulator_value=0.5)", "Adagrad", {"initial_accumulator_value": 0.5}),
    ("rmsprop(momentum=0.9)", "RMSprop", {"momentum": 0.9}),
    ("rmsprop(0.9, momentum=0.5, centered=true)", "RMSprop", {"alpha": 0.9, "momentum": 0.5, "centered": True}),
    ("adam(amsgrad=true)", "Adam", {"amsgrad": True}),
    ("adamw(0.8, 0.9, weight_decay=0.1, amsgrad=true)", "AdamW",
     {"betas": (0.8, 0.9), "weight_decay": 0.1, "amsgrad": True}),
    ("adadelta", "Adadelta", {}),
    ("adadelta(0.5, 1e-3, 0.1)", "Adadelta", {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ("adamax", "Adamax", {}),
    ("adamax(0.5, 0.9, 1e-3, 0.1)", "Adamax", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("nadam", "NAdam", {}),
    ("nadam(0.8, 0.9, 1e-3, 0.1, momentum_decay=0.1)", "NAdam",
     {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("nadam(weight_decay=0.1, decoupled_weight_decay=true)", "NAdam",
     {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("radam", "RAdam", {}),
    ("radam(0.8, 0.9, 1e-3, 0.1)", "RAdam", {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("radam(beta2=0.5)", "RAdam", {"betas": (0.9, 0.5)}),
    ("radam(weight_decay=0.1, decoupled_weight_decay=true)", "RAdam",
     {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("rprop", "Rprop", {}),
    ("rprop(0.3, 1.5, 1e-3, 0.5)", "Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.5)}),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "name", "settings"), SAME, ids=[spec for spec, *_ in SAME])
def test_against_torch(torch, spec, name, settings):
    ours, _ = train(make_optimizer(spec), rates(0.05))
    np.testing.assert_allclose(ours, train_torch(torch, name, settings, lr=0.05), rtol=1e-12)
    assert not np.array_equal(ours[-1], START)


ASGD = [("asgd", {}), ("asgd(0.01, 0.5, 20, 0.1)", {"lambd": 0.01, "alpha": 0.5, "t0": 20.0, "weight_decay": 0.1})]


@pytest.mark.parametrize(("spec", "settings"), ASGD)
def test_asgd_gives_the_average_that_torch_keeps_in_its_state(torch, spec, settings):
    ours, memory = train(make_optimizer(spec), rates(0.05))
    np.testing.assert_allclose(ours, train_torch(torch, "ASGD", settings, 0.05, state="ax"), rtol=1e-12)
    iterates = np.array([point for point, _ in memory])
    np.testing.assert_allclose(iterates, train_torch(torch, "ASGD", settings, 0.05), rtol=1e-12)


# Wrapped optimizers: the norm to which torch clips gradients, or the power by which its rates fall.
WRAPPED = [
    ("clipped", "SGD", {}, {"max_norm": 1.0}),
    ("clipped(adam(weight_decay=0.1), 0.3)", "Adam", {"weight_decay": 0.1}, {"max_norm": 0.3}),
    ("clipped(momentum(0.5), max_norm=0.2)", "SGD", {"momentum": 0.5}, {"max_norm": 0.2}),
    ("inverse_scaled", "SGD", {}, {"power": 0.25}),
    ("inverse_scaled(adam(weight_decay=0.1), 0.7)", "Adam", {"weight_decay": 0.1}, {"power": 0.7}),
]


@pytest.mark.parametrize(("spec", "name", "settings", "wrapped"), WRAPPED)
def test_wrapped_optimizers_against_torch(torch, spec, name, settings, wrapped):
    ours, _ = train(make_optimizer(spec), rates(0.5))
    np.testing.assert_allclose(ours, train_torch(torch, name, settings, 0.5, **wrapped), rtol=1e-12)
    assert not np.allclose(ours, train_torch(torch, name, settings, 0.5))


def test_clipping_hands_on_the_loss_to_an_optimizer_that_needs_it():
    def rule(theta, slots, gradient, lr, clock, options):
        return theta - lr * clock[-1] * gradient, ()

    made = clipped(Optimizer("by_loss", rule, needs_loss=True), max_norm=1e9)
    assert made.needs_loss
    theta, _ = made.rule(1.0, (), 0.5, 0.1, (3.0, 0.25), tuple(made.options.values()))  # the loss, then the norm
    assert theta == 1.0 - 0.1 * 3.0 * 0.5


def free(base, **settings):
    """Schedule-free learning in optax, whose own count begins at 1 and whose base's begins at 0."""
    return lambda optax, lr: optax.contrib.schedule_free(base(optax, lr), lambda count: lr(count - 1), **settings)


def without_momentum(optax, lr, b2=0.999, eps=1e-8, decay=0.0):
    scaled = optax.scale_by_rms(decay=b2, eps=eps, eps_in_sqrt=False, bias_correction=True)
    return optax.chain(scaled, optax.add_decayed_weights(decay), optax.scale_by_learning_rate(lr))


OPTAX = [
    ("lion", lambda optax, lr: optax.lion(lr)),
    ("lion(0.8, 0.7, 0.1)", lambda optax, lr: optax.lion(lr, 0.8, 0.7, weight_decay=0.1)),
    ("signum", lambda optax, lr: optax.signum(lr)),
    ("signum(0.5)", lambda optax, lr: optax.signum(lr, 0.5)),
    ("adabelief", lambda optax, lr: optax.adabelief(lr)),
    ("adabelief(0.8, 0.9, 1e-3, 1e-4)", lambda optax, lr: optax.adabelief(lr, 0.8, 0.9, 1e-3, 1e-4)),
    ("yogi", lambda optax, lr: optax.yogi(lr)),
    ("yogi(0.8, 0.9, 1e-2)", lambda optax, lr: optax.yogi(lr, 0.8, 0.9, 1e-2)),
    ("adan", lambda optax, lr: optax.adan(lr)),
    (
        "adan(0.9, 0.8, 0.95, 1e-3, 1e-4, 0.1)",
        lambda optax, lr: optax.adan(lr, 0.9, 0.8, 0.95, 1e-3, 1e-4, weight_decay=0.1),
    ),
    ("lookahead", lambda optax, lr: optax.lookahead(optax.sgd(lr), 5, 0.5)),
    ("lookahead(adam(0.8), 3, 0.8)", lambda optax, lr: optax.lookahead(optax.adam(lr, 0.8), 3, 0.8)),
    ("schedule_free_sgd", free(lambda optax, lr: optax.sgd(lr))),
    ("schedule_free_sgd(0.7, 0.1)",
     free(lambda optax, lr: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(lr)), b1=0.7)),
    ("schedule_free_adamw", free(without_momentum)),
    ("schedule_free_adamw(0.95, 0.9, 1e-3, 0.1)", free(lambda *args: without_momentum(*args, 0.9, 1e-3, 0.1), b1=0.95)),
    ("polyak", lambda optax, lr: optax.polyak_sgd(1.0, variant="sps+")),
    ("polyak(0.2, eps=0.1)", lambda optax, lr: optax.polyak_sgd(1.0, 1.0, 0.2, 0.1, variant="sps+")),
]  # fmt: skip


def train_optax(optax, jax, make, pace, steps):
    """The path of what is evaluated: the slow parameters of lookahead, the average of schedule-free learning."""
    pace = jax.numpy.array(pace)
    optimizer, params = make(optax, lambda count: pace[count]), jax.numpy.array(START)
    looks_ahead = make.__code__.co_names[:1] == ("lookahead",)
    params = optax.LookaheadParams.init_synced(params) if looks_ahead else params
    state, path = optimizer.init(params), []
    for step in range(steps):
        point = np.asarray(params.fast if looks_ahead else params)
        value = {"value": loss(point)} if isinstance(optimizer, optax.GradientTransformationExtraArgs) else {}
        updates, state = optimizer.update(jax.numpy.array(gradient(point, step)), state, params, **value)
        params = optax.apply_updates(params, updates)
        shown = params.slow if looks_ahead else params
        if isinstance(state, optax.contrib.ScheduleFreeState):
            shown = optax.contrib.schedule_free_eval_params(state, params)
        path.append(np.asarray(shown))
    return np.array(path)


@pytest.mark.parametrize(("spec", "make"), OPTAX, ids=[spec for spec, _ in OPTAX])
def test_against_optax(spec, make):
    optax = pytest.importorskip("optax", reason="needs optax: pip install optax")
    import jax

    optimizer = make_optimizer(spec)
    # Polyak's steps have no other limit there than the largest rate, which does not change.
    pace = np.ones(STEPS) if optimizer.name == "polyak" else rates(0.05)
    with jax.enable_x64(True):
        theirs = train_optax(optax, jax, make, pace, 40)
    ours, _ = train(optimizer, pace, 40)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    assert not np.array_equal(ours[-1], START)


@pytest.mark.parametrize(
    ("spec", "lr", "expected"),
    [
        # theta = 1, g = (2, 0), so that |g|**2 = 4, and the loss of the batch is 1.
        ("polyak", 1.0, 0.5),  # a step of 1/4
        ("polyak", 0.125, 0.75),
        ("polyak(0.5, 0.5)", 1.0, 0.875),  # half a step of 1/8
        ("polyak(2)", 1.0, 1.0),  # below what was thought to be the minimum
    ],
)
def test_a_polyak_step_by_hand(spec, lr, expected):
    optimizer = make_optimizer(spec)
    theta, _ = optimizer.rule(np.ones(2), (), np.array([2.0, 0.0]), lr, (1.0, 4.0), tuple(optimizer.options.values()))
    np.testing.assert_array_equal(theta, [expected, 1.0])


@pytest.mark.parametrize("inner", ["sgd", "adam(weight_decay=0.1)", "clipped(momentum, 0.5)"])
def test_an_average_is_the_mean_of_what_its_optimizer_gives(inner):
    ours, _ = train(make_optimizer(f"averaged({inner})"), rates(0.05))
    alone, _ = train(make_optimizer(inner), rates(0.05))
    expected = np.cumsum(alone, axis=0) / np.arange(1, STEPS + 1)[:, np.newaxis]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_every_optimizer_is_compared_with_another_by_default_and_with_options():
    compared = [spec for spec, *_ in [*SAME, *ASGD, *WRAPPED, *OPTAX]] + ["averaged", "polyak(0.5, 0.5)"]
    for name, build in OPTIMIZERS.items():
        specs = [spec for spec in compared if spec.partition("(")[0] == name]
        assert name in specs
        plain = build()
        own = {option for option in inspect.signature(build).parameters if option not in {"weight_decay", "inner"}}
        used = {option for spec in specs for option in own if option in make_optimizer(spec).flags
                or make_optimizer(spec).options.get(option, 0.0) != plain.options.get(option, 0.0)}  # fmt: skip
        assert used == own


def test_every_rule_that_is_compared_is_compiled_too():
    compared = [make_optimizer(spec).rule for spec, *_ in [*SAME, *ASGD, *WRAPPED, *OPTAX]]
    compiled = [make_optimizer(spec).rule for spec in ["sgd", *FORMS]]
    assert set().union(*map(code_of, compared)) <= set().union(*map(code_of, compiled))


@pytest.mark.parametrize(
    "made",
    [*map(make_optimizer, FORMS), Optimizer("mine", sgd_per_sample), Optimizer("averaged", sgd_per_sample, {"a": 1.0})],
    ids=str,
)
def test_every_optimizer_can_be_pickled(made):
    assert pickle.loads(pickle.dumps(made)) == made


def test_what_float32_has_not_is_known():
    """asgd takes powers of a rate, and polyak divides by the smallest number of float64."""
    assert set(OPTIMIZERS) - set(FLOAT32_OPTIMIZERS) == {"asgd", "polyak"}
    compiled = set().union(*(names_of(make_optimizer(spec)) for spec in ["sgd", *FORMS]))
    assert set(FLOAT32_OPTIMIZERS) <= compiled


def test_the_per_sample_form_is_the_same_step_in_another_order():
    rng = np.random.default_rng(1)
    theta, r, d = rng.standard_normal((3, 1000))
    rule, _ = OPTIMIZERS["sgd"]().rule(theta, (), r * d, 0.3, (), ())
    per_sample = sgd_per_sample(theta, r, d, 0.3)
    np.testing.assert_allclose(per_sample, rule, rtol=0, atol=1e-15 * np.abs(rule).max())
    assert (per_sample != rule).any()
    np.testing.assert_array_equal(per_sample, theta - r * (0.3 * d))


@pytest.mark.parametrize(
    ("spec", "decays"),
    [
        ("averaged(momentum(0.9, weight_decay=0.1))", {"L2": 0.1}),
        ("clipped(momentum(0.9, weight_decay=0.1))", {"L2": 0.0, "inner.weight_decay": 0.1}),
        ("nadam(weight_decay=0.1, decoupled_weight_decay=true)", {"L2": 0.0, "weight_decay": 0.1}),
        ("averaged(adamw)", {"L2": 0.0, "inner.weight_decay": 0.01}),
    ],
)
def test_weight_decays_are_known_by_the_names_of_their_options(spec, decays):
    assert make_optimizer(spec).weight_decays == decays


def test_the_clock_of_adam_never_becomes_subnormal():
    clock, options = (1.0, 1.0), (0.0, 0.5, 1e-8)
    for _ in range(2000):
        clock = OPTIMIZERS["adam"]().clock(clock, options)
    assert clock == (1e-300, 1e-300)
    assert 1.0 - clock[0] == 1.0


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("sgd()", "sgd"),
        ("momentum(0.5, 1)", "momentum(momentum=0.5, weight_decay=1.0)"),
        ("adamw(weight_decay=0)", "adamw(beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0)"),
    ],
)
def test_canonical_text(spec, text):
    optimizer = make_optimizer(spec)
    assert optimizer.text == text
    assert make_optimizer(optimizer) is optimizer
