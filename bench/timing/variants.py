"""The registry of implementations, ours and the peers', for equality tests, benchmarks and the speed table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np

from sgdbench.kernels import Model
from sgdbench.kernels.base.run import Hyperparameters, Record
from sgdbench.kernels.compile.kinds import DTYPES, KERNELS, is_exact
from sgdbench.kernels.data.checkpoints import with_checkpoints
from sgdbench.kernels.data.order import make_shuffle
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.block import BLOCK_WIDTH, train_runs
from sgdbench.kernels.train.trainer import make_trainer
from sgdbench.system.environment import processors
from sgdbench.timing.problem import FailedError, Problem, Trained, UnavailableError

Call = Callable[[], Trained]

# For functions that are not correctly rounded, and models that have not been tried yet.
TOLERANCE = 1e-9

# Some packages print pages when they fail.
MAX_REASON_LENGTH = 300

# The optimizers that peers have, with the options of each; tests/bench/timing/test_peers.py checks them against the
# reference.
SGD_ONLY = {"sgd": ()}
MOMENTUM_OPTIONS, ADAM_OPTIONS = ("momentum", "weight_decay"), ("beta1", "beta2", "eps", "weight_decay")
JAX_OPTIMIZERS = {
    "sgd": ("weight_decay",),
    "momentum": MOMENTUM_OPTIONS,
    "nesterov": MOMENTUM_OPTIONS,
    "adam": ADAM_OPTIONS,
}
# Losses of array packages.
ARRAY_LOSSES = ("squared", "logistic", "softmax")
# All optimizers of torch.optim that are here too, except ASGD, whose parameters are the iterate and not the average.
TORCH_OPTIMIZERS = JAX_OPTIMIZERS | {
    "momentum": (*MOMENTUM_OPTIONS, "dampening"),
    "adagrad": ("eps", "weight_decay", "lr_decay", "initial_accumulator_value"),
    "adadelta": ("rho", "eps", "weight_decay"),
    "rmsprop": ("alpha", "eps", "weight_decay", "momentum", "centered"),
    "rprop": ("etaminus", "etaplus", "step_min", "step_max"),
    "adam": (*ADAM_OPTIONS, "amsgrad"),
    "adamw": (*ADAM_OPTIONS, "amsgrad"),
    "adamax": ADAM_OPTIONS,
    "nadam": (*ADAM_OPTIONS, "momentum_decay", "decoupled_weight_decay"),
    "radam": (*ADAM_OPTIONS, "decoupled_weight_decay"),
}


class Variant(NamedTuple):
    """One implementation.

    Attributes
    ----------
    name, about : str
        Its name, and a description in one line.
    prepare : callable
        Does everything except training, and returns a call that trains; every call starts from the problem's untouched
        parameters, and may reuse the arrays of the previous result. Raises UnavailableError if the variant cannot run.
    tolerance : float
        The bound on the `largest` error against the reference on the problems of this package's benchmarks; 0 means
        equal bits, if the model allows it.
    many : bool
        Whether it trains many runs side by side rather than one after another.
    slow : bool
        Whether a sample-update takes microseconds.
    batches, shuffles : bool
        Whether it supports minibatches and shuffled orders.
    optimizers : dict of str to sequence of str
        The optimizers of a peer, and the supported options of each; a kernel of ours supports all.
    losses : sequence of str
        The losses of a peer; a kernel of ours supports all.
    models : callable
        Whether it can train a model; `which` describes these models.
    package : str, optional
        The package that has to be installed for it.
    module : str, optional
        The import package, if it has another name.
    kernel : str, optional
        The name of the kernel, for one of ours.
    threads : int
        The number of training threads.
    """

    name: str
    about: str
    prepare: Callable[[Problem], Call]
    tolerance: float
    many: bool = False
    slow: bool = False
    batches: bool = True
    shuffles: bool = True
    optimizers: Mapping[str, Sequence[str]] = SGD_ONLY
    losses: Sequence[str] = ("squared",)
    models: Callable[[Model], bool] = lambda model: True
    which: str = "any model"
    package: str | None = None
    module: str | None = None
    kernel: str | None = None
    threads: int = 1

    @property
    def ours(self) -> bool:
        """Whether it is one of the kernels of this package."""
        return self.kernel is not None

    def lacks(self, problem: Problem) -> str | None:
        """Return a description of a problem's first requirement that it does not meet; None if it meets all."""
        optimizer, loss = make_optimizer(problem.optimizer), make_loss(problem.loss)
        supported = f"{' and '.join(self.losses)} {'loss' if len(self.losses) == 1 else 'losses'}"
        refusals = (
            (not self.models(problem.model), f"trains only {self.which}"),
            (not self.ours, self._describe_missing(optimizer)),
            (not self.ours and loss.name not in self.losses, f"supports only the {supported}"),
            (problem.batch_size > 1 and not self.batches, "has no minibatches"),
            (problem.shuffle and not self.shuffles, "does not shuffle"),
            (
                problem.dtype != "float64" and self.kernel not in DTYPES[problem.dtype],
                f"does not support {problem.dtype}",
            ),
        )
        return next((f"it {reason}" for refused, reason in refusals if refused and reason), None)

    def _describe_missing(self, optimizer: Optimizer) -> str:
        """Return a description of what it lacks of an optimizer: all of it, or options with unusual values."""
        if optimizer.name not in self.optimizers:
            return f"does not support {optimizer.name}"
        usual = make_optimizer(optimizer.name)
        options = {name for name, value in optimizer.options.items() if value != usual.options.get(name, 0.0)}
        options |= {*optimizer.flags, *["weight_decay"] * bool(optimizer.weight_decay)}
        missing = sorted(options - set(self.optimizers[optimizer.name]))
        return f"supports {optimizer.name} only without {' and '.join(missing)}" if missing else ""

    def missing(self) -> str | None:
        """Return why it is not installed, and what would help; None if it is."""
        if self.package and find_spec(self.module or self.package) is None:
            return f"not installed: pip install {self.package}"
        return None

    def ready(self, problem: Problem) -> Call:
        """Return the call that trains; raise UnavailableError if it cannot run, or does not support the problem."""
        with self.guarded():
            if reason := self.missing() or self.lacks(problem):
                raise UnavailableError(reason)
            return self.prepare(problem)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn any error of a peer in this block into a FailedError, after which the peer is not measured.

        Other people's compilers and packages fail in ways that cannot be listed. An error in our own code is a bug, and
        propagates.
        """
        try:
            yield
        except (UnavailableError, Warning):  # warnings are errors only if that is requested
            raise
        except (Exception, SystemExit) as error:
            if self.ours:
                raise
            raise FailedError(shorten(f"{type(error).__name__}: {error}", MAX_REASON_LENGTH)) from error

    def bound(self, problem: Problem) -> float:
        """Return the bound on the `largest` error: 0 for exact kernels."""
        made_of = problem.model, self.kernel or "reference", problem.loss, problem.optimizer
        exact = self.tolerance == 0 and is_exact(*made_of)
        return 0.0 if exact else max(self.tolerance, TOLERANCE)


def kernel(name: str, problem: Problem) -> Call:
    """Return a call that trains with one of our kernels, in one thread: run by run, or in lanes as a sweep does."""
    loss, optimizer = make_loss(problem.loss), make_optimizer(problem.optimizer)
    data = allocate_data(
        problem.x,
        problem.y,
        shuffle=make_shuffle(problem.shuffle),
        batch_size=problem.batch_size,
        dtype=problem.dtype,
        by_row=problem.model.by_row,
        passes=problem.epochs,
    )
    options = option_values(loss, optimizer)
    shuffled = bool(problem.shuffle)
    plan = Hyperparameters(problem.rates, options, problem.batch_size, True, shuffled, problem.seed, -np.inf)
    memories = optimizer.initial_memory(problem.inits)
    if KERNELS[name].width > 1:

        def side_by_side() -> Trained:
            trained = train_runs(name, problem.model, loss, optimizer, data, plan, problem.inits, memories)
            assert trained is not None  # noqa: S101 (nothing stops it)
            return Trained(trained.params, trained.losses)

        return side_by_side

    train = make_trainer(name, problem.model, loss, optimizer, data)
    plan = with_checkpoints(plan, problem.y.size)
    runs, params = problem.inits.shape
    epochs = problem.epochs
    final, losses = np.empty((runs, params)), np.empty((epochs + 1, runs))
    trajectory, own = np.empty((epochs + 1, params)), np.empty(epochs + 1)
    plans = [plan._replace(rates=np.ascontiguousarray(column)) for column in problem.rates.T]

    def one_by_one() -> Trained:
        for run, its_plan in enumerate(plans):
            trajectory[0] = problem.inits[run]
            train(its_plan, Record(own, trajectory, memories[run].copy()), 0, epochs)
            final[run], losses[:, run] = trajectory[epochs], own
        return Trained(final, losses)

    return one_by_one


def lanes_in_threads(problem: Problem) -> Call:
    """Return a call that trains with `lanes`, a share of the runs in each of as many threads as processors."""
    threads = processors()
    size = BLOCK_WIDTH * -(-problem.runs // (BLOCK_WIDTH * threads))
    shares = [slice(first, first + size) for first in range(0, problem.runs, size)]
    parts = [
        replace(problem, inits=problem.inits[share], rates=np.ascontiguousarray(problem.rates[:, share]))
        for share in shares
    ]
    calls = [kernel("lanes", part) for part in parts]
    # As in a sweep, threads are started once.
    pool = ThreadPoolExecutor(threads)

    def side_by_side() -> Trained:
        params, losses = zip(*pool.map(lambda call: call(), calls), strict=True)
        return Trained(np.concatenate(params), np.concatenate(losses, axis=1))

    return side_by_side


def _peer(module: str, **options: bool) -> Callable[[Problem], Call]:
    """Return a function that prepares a peer, importing its module and the package that it needs."""

    def prepare(problem: Problem) -> Call:
        call: Call = import_module(f"sgdbench.timing.peers.{module}").prepare(problem, **options)
        return call

    return prepare


def _ours(name: str, about: str, tolerance: float, *, many: bool = False, slow: bool = False) -> Variant:
    return Variant(name, about, partial(kernel, name), tolerance, many, slow, kernel=name)


FORMULA_LIMITS: dict[str, Any] = {"models": lambda model: model.network is None, "which": "models without vectors"}
FORMULA_OR_SUM_LIMITS: dict[str, Any] = {
    "models": lambda model: model.network is None or model.is_linear,
    "which": "formulas, and linear models with vectors",
}
LESSON_LIMITS: dict[str, Any] = {
    "models": lambda model: model.network is None and model.formula == quadratic.formula,
    "which": "the quadratic",
    "slow": True,
    "shuffles": False,
}
TORCH_LIMITS: dict[str, Any] = {"shuffles": False, "losses": ARRAY_LOSSES, "package": "torch"}
JAX_LIMITS: dict[str, Any] = {"shuffles": False, "optimizers": JAX_OPTIMIZERS, "losses": ARRAY_LOSSES, "package": "jax"}
VARIANTS = (
    _ours("reference", "plain NumPy, the definition of what all others compute", 0.0, slow=True),
    _ours("fused", "one compiled loop: forward pass, gradient and update", 0.0),
    _ours("fused-fma", "the same with fused multiply-add", 1e-12),
    _ours("lanes", "8 to 64 runs in the lanes of SIMD vectors", 0.0, many=True),
    _ours("lanes-fma", "the same with fused multiply-add", 1e-12, many=True),
    Variant(
        "lanes, all cores",
        "a thread for each processor",
        lanes_in_threads,
        0.0,
        many=True,
        kernel="lanes",
        threads=processors(),
    ),
    Variant("C", "the formula as it is written down, cc -O3 -march=native", _peer("c"), 1e-12, **FORMULA_OR_SUM_LIMITS),
    Variant(
        "C in our order", "C with the kernels' order of operations", _peer("c", tree=True), 1e-12, **FORMULA_LIMITS
    ),
    Variant(
        "NumPy scalars",
        "a careful Python loop over NumPy scalars",
        _peer("lesson", scalars=True),
        1e-12,
        batches=False,
        **LESSON_LIMITS,
    ),
    Variant(
        "lesson",
        "the loop as lessons write it: np.mean and np.array in each update",
        _peer("lesson"),
        1e-12,
        **LESSON_LIMITS,
    ),
    Variant(
        "scikit-learn",
        "SGDRegressor on the derivatives, a partial_fit for each epoch",
        _peer("scikit"),
        1e-12,
        batches=False,
        shuffles=False,
        models=lambda model: model.is_linear,
        which="models that are linear in their parameters",
        package="scikit-learn",
        module="sklearn",
    ),
    Variant(
        "PyTorch",
        "eager, gradients by hand; the optimizers of torch.optim, plain SGD in place",
        _peer("pytorch"),
        1e-12,
        slow=True,
        optimizers=TORCH_OPTIMIZERS,
        **TORCH_LIMITS,
    ),
    Variant(
        "PyTorch, many runs",
        "eager, runs as arrays, gradients by hand",
        _peer("pytorch", together=True),
        1e-12,
        many=True,
        **TORCH_LIMITS,
    ),
    Variant("JAX", "jit and scan, gradients by hand", _peer("xla"), 1e-12, **JAX_LIMITS),
    Variant(
        "JAX, many runs",
        "jit and scan, runs as arrays, gradients by hand",
        _peer("xla", together=True),
        1e-12,
        many=True,
        **JAX_LIMITS,
    ),
)
VARIANTS_BY_NAME = {variant.name: variant for variant in VARIANTS}
"""These, and those that are registered (`sgdbench.timing.own_variants`)."""
