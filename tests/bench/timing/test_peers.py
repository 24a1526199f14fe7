import inspect
import itertools
import shlex
import sys
from dataclasses import replace

import numpy as np
import pytest

from sgdbench import Model, models
from sgdbench.kernels.base import cache
from sgdbench.kernels.base.spec import spec_text
from sgdbench.kernels.losses import LOSSES
from sgdbench.kernels.model.models import MODELS
from sgdbench.kernels.optimizers import OPTIMIZERS
from sgdbench.timing.peers import c
from sgdbench.timing.peers.formula import in_c
from sgdbench.timing.problem import FailedError, Problem, UnavailableError, classic, errors, exponential, many
from sgdbench.timing.variants import VARIANTS, VARIANTS_BY_NAME
from sgdbench.timing.verify import verify

REFERENCE, IN_C = VARIANTS_BY_NAME["reference"], VARIANTS_BY_NAME["C"]
RNG = np.random.default_rng(5)
X1, X2, NOISE = RNG.normal(size=(3, 30))
PLANE = Problem(
    models.plane,
    (X1, X2),
    1.5 * X1 - X2 + 0.3 + 0.1 * NOISE,
    RNG.normal(size=(2, 3)),
    np.array([[0.1, 0.02], [0.05, 0.2]]),
)
OFFSET = replace(PLANE, model=Model("2 + a*u + b*v**2 + c*sin(u)", inputs=("u", "v")))
SHORT = {"epochs": 2, "n": 40}
OF_DATA = [name for name, build in MODELS.items() if name == "polynomial" or (name != "mlp" and build().inputs)]
FUNCTIONS = replace(
    PLANE,
    model=Model(
        "a*sigmoid(u - b) + softplus(c*v) + erf(b*u) + log1p(a**2) - expm1(-b**2) + sinh(c)/cosh(u) "
        "+ max(b*u, c) - min(1, a*v) + where(u < 0.2, relu(v - c), a*u) + where(b >= v, 0.1, 0.3)",
        inputs=("u", "v"),
    ),
)
COLUMNS = [f"x{number}" for number in range(1, 10)]


def network(model, loss="squared", repeats=1, **settings):
    """Two runs, repeated, of a model of nine columns on thirty samples, with targets that fit the loss."""
    rng = np.random.default_rng(3)
    x, scores = rng.normal(size=(9, 30)), rng.normal(size=30)
    y = {"squared": scores, "logistic": np.float64(scores > 0), "softmax": np.digitize(scores, [-0.5, 0.5]) * 1.0}[loss]
    starts = np.tile(rng.normal(0, 0.3, size=(2, len(model.params))), (repeats, 1))
    rates = np.tile([[0.1, 0.02], [0.05, 0.2]], repeats)
    return Problem(model, tuple(x), y, starts, rates, loss=loss, **settings)


GROUPS = Model("a*tanh(u @ x + c) + w @ z + q*age + b", {"x": COLUMNS[:5], "z": COLUMNS[5:8], "age": COLUMNS[8]})
DECAY = many(exponential, runs=3, epochs=1).part(samples=40)
# Few samples: some variants take as many microseconds for each.
PROBLEMS = {
    "per-sample": classic(**SHORT),
    "remainder dropped": classic(batch_size=7, **SHORT),
    "full": classic(batch_size=40, **SHORT),
    "shuffled": classic(batch_size=8, shuffle=True, **SHORT),
    "shuffled per-sample": classic(shuffle=True, **SHORT),
    "two runs": many(runs=2, epochs=2).part(samples=40),
    "33 runs in minibatches": replace(many(runs=33, epochs=2).part(samples=40), batch_size=8),
    "linear with an offset": OFFSET,
    "functions": FUNCTIONS,
    "functions in minibatches": replace(FUNCTIONS, batch_size=8),
    "logistic": replace(FUNCTIONS, model=models.plane, y=np.float64(PLANE.y > 0), loss="logistic", batch_size=8),
    "wide": network(Model("w @ x + b", COLUMNS)),
    "wide, decaying": network(Model("w @ x + b", COLUMNS), optimizer="momentum(0.5, weight_decay=0.1)", batch_size=7),
    "wide, logistic": network(Model("w @ x + b", COLUMNS), "logistic"),
    "softmax": network(Model("W @ x + b", COLUMNS, classes=3), "softmax", batch_size=8),
    # More than are trained at a time.
    "softmax, 66 runs": network(Model("W @ x + b", COLUMNS, classes=3), "softmax", batch_size=8, repeats=33),
    "softmax of powers": network(Model("exp(W @ x)", COLUMNS, classes=3), "softmax", batch_size=30),
    "groups of inputs": network(GROUPS, optimizer="adam(weight_decay=0.1)"),
    "hidden units": network(models.mlp(4, "relu", COLUMNS, classes=3), "softmax", optimizer="adam", batch_size=8),
    "exponential, adam": replace(DECAY, optimizer="adam(beta1=0.8)", batch_size=8),
}
# Each of these costs a compilation by numba, and tests/kernels/test_equality.py has them.
OTHER_KERNELS = [
    name for name, problem in PROBLEMS.items() if problem.model is not models.quadratic or problem.optimizer != "sgd"
]
# JAX compiles each for half a second, and has the same steps and the same formulas in the others. Of one run after the
# other it has those of many runs, whose models are these.
COMPILED_IN_OTHERS = ["full", "functions", "linear with an offset", "wide", "wide, logistic", "softmax of powers"]
COMPILED_IN_OTHERS += ["softmax"]
MODELS_OF_MANY_RUNS = ["33 runs in minibatches", "functions in minibatches", "logistic", "softmax, 66 runs"]
MODELS_OF_MANY_RUNS += ["wide, decaying"]
MODELS_OF_MANY_RUNS += ["groups of inputs", "hidden units", "exponential, adam"]


def pairs():
    for variant in VARIANTS:
        for name, problem in PROBLEMS.items():
            elsewhere = variant.kernel not in {None, "reference"} and name in OTHER_KERNELS
            elsewhere |= variant.name.startswith("JAX") and name in COMPILED_IN_OTHERS
            elsewhere |= variant.name == "JAX" and name in MODELS_OF_MANY_RUNS
            if variant is not REFERENCE and not elsewhere and not variant.lacks(problem):
                yield pytest.param(variant, problem, id=f"{variant.name}, {name}")


def str_or_name(value):
    return value if isinstance(value, str) else value.name


def ready(variant, problem):
    try:
        return variant.ready(problem)
    except FailedError:
        raise
    except UnavailableError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize(("variant", "problem"), list(pairs()))
def test_equals_the_reference_at_every_call(variant, problem):
    expected = REFERENCE.ready(problem)()
    call = ready(variant, problem)
    bound = variant.tolerance if problem.model.program.is_exact else variant.bound(problem)
    for _ in range(2):
        assert errors(call(), expected).largest <= bound


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_two_calls_of_one_variant_do_not_mix(variant):
    problem = PROBLEMS["per-sample"]
    first = ready(variant, problem)
    kept = first().params.copy()
    ready(variant, replace(problem, x=(-problem.x[0],), inits=-problem.inits))()
    np.testing.assert_array_equal(first().params, kept)


def test_the_order_in_c_is_that_of_the_seed():
    problem = PROBLEMS["shuffled"]
    other = replace(problem, seed=2**64 - 1)
    expected = REFERENCE.ready(other)()
    assert errors(ready(IN_C, other)(), expected).largest <= IN_C.tolerance
    assert errors(ready(IN_C, problem)(), expected).largest > 0.01


POWERS = ["a*x**0.5 + b/x**2 + abs(c - x)", "a*x**-1.5 + tanh(b)*x"]


@pytest.mark.parametrize(
    ("name", "model"), [*(("C", model) for model in [*OF_DATA, *POWERS]), ("C in our order", POWERS[0])]
)
def test_every_model_is_trained_in_c(name, model):
    build = MODELS.get(model, lambda: Model(model))
    model = build(5) if model == "polynomial" else build()
    x = RNG.uniform(0.5, 1.5, size=(len(model.inputs), 20))
    y, start = RNG.uniform(0.5, 1.5, size=20), RNG.uniform(0.5, 1.5, size=(2, len(model.params)))
    problem = Problem(model, tuple(x), y, start, np.full((3, 2), 0.01), batch_size=3, shuffle=True)
    for each in (problem, replace(problem, batch_size=1)):
        assert errors(ready(VARIANTS_BY_NAME[name], each)(), REFERENCE.ready(each)()).largest <= 1e-12


def test_what_is_called_is_called_once_in_a_step():
    text = in_c(models.gaussian_peak, tree=False)
    for step in text.split("static inline")[1:]:
        assert step.count("exp(") <= 1
    assert text.count("call_0 = exp(") == 3  # the residual, the step of a sample, the sum of a batch


@pytest.mark.parametrize("tree", [False, True])
def test_no_name_of_a_user_gets_into_c(tree):
    other = Model("system*fork + double", inputs=("fork",))
    assert in_c(other, tree=tree) == in_c(Model("a*x + b"), tree=tree)


@pytest.fixture
def fresh_library():
    c.library.cache_clear()
    yield
    c.library.cache_clear()


def test_the_compiler_in_cc_is_used_with_its_options(monkeypatch, tmp_path, fresh_library):
    ready(IN_C, classic(1))
    c.library.cache_clear()
    wrapper = tmp_path / "compiler"
    wrapper.write_text(f'#!/bin/sh\necho "$@" > {shlex.quote(str(tmp_path / "said"))}\nshift\nexec cc "$@"\n')
    wrapper.chmod(0o700)
    monkeypatch.setenv("CC", f"{wrapper} first")
    c.prepare(classic(1))()
    assert (tmp_path / "said").read_text().startswith("first -O3 -march=native")


BROKEN = [
    ("sh -c 'echo broken >&2; exit 1'", r"^the C compiler, sh -c '.*', failed: broken$"),
    ("cc --nonsense", "^the C compiler, cc --nonsense, failed: .*--nonsense"),
    ("cc -c", "^the library that the C compiler made in .* cannot be loaded: "),
    ('"cc', r"^CC must be a command such as cc or 'gcc -m64', not '\"cc': No closing quotation$"),
    ("/dev/null", r"^no C compiler found \(/dev/null\)"),
    ("/no/such/compiler -m64", r"^no C compiler found \(/no/such/compiler\): install cc or set CC"),
]


@pytest.mark.parametrize(("command", "reason"), BROKEN)
def test_a_compiler_that_fails_says_why(monkeypatch, fresh_library, command, reason):
    monkeypatch.setenv("CC", command)
    with pytest.raises(UnavailableError, match=reason):
        verify(IN_C, classic(1))


def test_a_file_that_is_no_program_and_one_that_does_not_end(monkeypatch, tmp_path, fresh_library):
    program = tmp_path / "compiler"
    program.write_text("no script")
    program.chmod(0o700)
    monkeypatch.setenv("CC", str(program))
    with pytest.raises(FailedError, match=r"failed: .*Exec format error"):
        c.prepare(classic(1))
    monkeypatch.setattr(c, "COMPILE_SECONDS", 0.1)
    monkeypatch.setenv("CC", "sh -c 'exec sleep 60'")
    with pytest.raises(FailedError, match=r"failed: it has not ended in 0\.1 seconds"):
        c.prepare(classic(1))


def test_a_formula_in_the_cache_that_was_cut_short_is_made_again(monkeypatch, tmp_path, fresh_library):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    ready(IN_C, classic(1))
    (kept,) = tmp_path.glob("c_formula_*.c")
    whole = kept.read_text()
    kept.write_text(whole[:-100])
    c.library.cache_clear()
    verify(IN_C, classic(1))
    assert kept.read_text() == whole


def test_columns_and_rates_need_not_be_contiguous():
    problem = PROBLEMS["33 runs in minibatches"]
    table = np.stack([*problem.x, problem.y], axis=1)
    strided = replace(problem, x=(table[:, 0],), y=table[:, 1], rates=np.asfortranarray(problem.rates))
    np.testing.assert_array_equal(ready(IN_C, strided)().params, ready(IN_C, problem)().params)


@pytest.mark.parametrize("form", [1, 2])  # the first one is that of short problems, as above
@pytest.mark.parametrize(("name", "together", "unroll"), [("two runs", False, 4), ("33 runs in minibatches", True, 1)])
def test_all_forms_of_jax_compute_the_same(form, name, together, unroll):
    pytest.importorskip("jax", reason="needs JAX: pip install jax")
    from sgdbench.timing.peers.xla import compile_form, forms

    problem = PROBLEMS[name]
    call = compile_form(problem, forms(problem)[form], unroll, together=together)
    assert errors(call(), REFERENCE.ready(problem)()).largest <= 1e-12


def test_the_fastest_form_is_the_one_that_takes_least_once_it_is_warm():
    pytest.importorskip("jax", reason="needs JAX: pip install jax")
    from sgdbench.timing.peers.xla import find_fastest

    now = 0.0

    def taking(first, *others):
        seconds = itertools.chain([first], itertools.cycle(others))

        def call():
            nonlocal now
            now += next(seconds)

        return call

    assert find_fastest([taking(0.1, 3.0, 4.0), taking(9.0, 5.0, 2.0), taking(0.1, 3.0)], lambda: now) == 1


# Of every option that a peer declares, a value that is not the usual one.
OPTIONS = {"weight_decay": 0.1, "momentum": 0.5, "dampening": 0.3, "eps": 0.01, "lr_decay": 0.1, "rho": 0.7}
OPTIONS |= {"initial_accumulator_value": 0.5, "alpha": 0.7, "beta1": 0.8, "beta2": 0.7, "momentum_decay": 0.1}
OPTIONS |= {"etaminus": 0.3, "etaplus": 1.5, "step_min": 0.001, "step_max": 0.5}
OPTIONS |= dict.fromkeys(["centered", "amsgrad", "decoupled_weight_decay"], True)
PEERS = [variant for variant in VARIANTS if not variant.ours]
# The updates of JAX are those of one run and of many.
UPDATED_ALIKE = "JAX, many runs"


def declared(peer):
    """Every optimizer that it declares, with all its options."""
    for name, options in peer.optimizers.items():
        yield spec_text(name, {option: OPTIONS[option] for option in options}) if options else name


@pytest.mark.parametrize(
    ("peer", "spec"),
    [(peer, spec) for peer in PEERS if peer.name != UPDATED_ALIKE for spec in declared(peer)],
    ids=str_or_name,
)
def test_what_a_peer_declares_it_has(peer, spec):
    problem = classic(batch_size=8, **SHORT) if peer.batches else classic(**SHORT)
    problem = replace(problem, optimizer=spec)
    assert peer.lacks(problem) is None
    expected = REFERENCE.ready(problem)()
    assert errors(ready(peer, problem)(), expected).largest <= 1e-12
    assert spec == "sgd" or errors(expected, REFERENCE.ready(replace(problem, optimizer="sgd"))()).largest > 1e-4


@pytest.mark.parametrize("peer", PEERS, ids=str_or_name)
def test_what_a_peer_does_not_declare_it_refuses(peer):
    problem = classic(**SHORT)
    for name, build in OPTIMIZERS.items():
        has = peer.optimizers.get(name)
        if has is None:
            assert peer.lacks(replace(problem, optimizer=name)) == f"it does not support {name}"
            continue
        for option in inspect.signature(build).parameters:
            reason = peer.lacks(replace(problem, optimizer=spec_text(name, {option: OPTIONS[option]})))
            assert (reason is None) == (option in has), option
            assert reason is None or option in reason
    for loss in LOSSES:
        reason = peer.lacks(replace(problem, loss=loss))
        assert (reason is None) == (loss in peer.losses)
        assert reason in (None, f"it supports only the {' and '.join(peer.losses)} loss{'es' * (len(peer.losses) > 1)}")


def test_no_momentum_is_plain_descent_in_torch_too():
    problem = replace(PLANE, optimizer="nesterov(0)", batch_size=8)
    expected = REFERENCE.ready(replace(problem, optimizer="sgd"))()
    assert errors(ready(VARIANTS_BY_NAME["PyTorch"], problem)(), expected).largest <= 1e-12


def test_scikit_learn_stops_at_what_is_not_finite():
    scikit = VARIANTS_BY_NAME["scikit-learn"]
    problem = replace(classic(4), rates=np.full((4, 1), 1e308))
    params, losses = ready(scikit, problem)()
    assert np.isnan(params).all()
    assert np.isfinite(losses[0])
    assert np.isnan(losses[-1])


def test_torch_gets_its_threads_back():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ready(VARIANTS_BY_NAME["PyTorch"], PROBLEMS["per-sample"])()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


JAX_THREADS = """
from pathlib import Path
from sgdbench.timing.peers.xla import jnp
x = jnp.ones((600, 600))
(x @ x).block_until_ready()
print(*(file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the threads of a process from /proc")
def test_jax_computes_in_one_thread(python):
    pytest.importorskip("jax", reason="needs JAX: pip install jax")
    assert python(JAX_THREADS).split().count("tf_XLAEigen") == 1
